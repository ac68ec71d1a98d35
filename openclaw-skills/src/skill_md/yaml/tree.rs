//! Tokens to a tree that keeps every token, the misplaced ones too.

use super::token::{Kind, Token};

/// One entry of a collection: key, value, and what stands before each.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) start: Vec<Token>,
    /// It began with `?`.
    pub(super) explicit: bool,
    pub(super) key: Option<Tree>,
    /// `None` before a key was seen.
    pub(super) sep: Option<Vec<Token>>,
    pub(super) value: Option<Tree>,
}

impl Item {
    pub(super) fn starting(token: Token) -> Self {
        Self { start: vec![token], ..Self::default() }
    }

    pub(super) fn keyed(start: Vec<Token>, key: Option<Tree>, sep: Vec<Token>) -> Self {
        Self { start, key, sep: Some(sep), ..Self::default() }
    }

    /// Where properties of the next node stand.
    pub(super) fn props(&mut self) -> &mut Vec<Token> {
        self.sep.as_mut().unwrap_or(&mut self.start)
    }

    /// Nothing but blanks and comments, no key and no value.
    fn is_blank(&self) -> bool {
        let empty = self.sep.is_none() && self.value.is_none() && !self.start.is_empty();
        empty && self.start.iter().all(|token| token.kind.is_empty())
    }
}

/// A scalar or an alias on its own token.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) token: Token,
    /// What follows up to the end of the line.
    pub(super) tail: Option<Vec<Token>>,
}

/// A block of text, `|` or `>`.
#[derive(Debug)]
pub(super) struct Block {
    /// The header and what stands behind it.
    pub(super) head: Vec<Token>,
    pub(super) text: Option<Token>,
    pub(super) indent: usize,
}

/// A mapping or a sequence by indentation.
#[derive(Debug)]
pub(super) struct Coll {
    pub(super) start: usize,
    pub(super) indent: usize,
    pub(super) items: Vec<Item>,
}

/// A mapping or a sequence in brackets.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) open: Token,
    pub(super) items: Vec<Item>,
    /// The closing bracket, and what follows up to the end of the line.
    pub(super) close: Vec<Token>,
    pub(super) indent: usize,
}

#[derive(Debug)]
pub(super) enum Tree {
    Leaf(Leaf),
    Block(Block),
    Map(Coll),
    Seq(Coll),
    Flow(Flow),
    /// A token that has no place there.
    Misplaced(Token, &'static str),
}

impl Tree {
    pub(super) fn start(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.token.start,
            Self::Block(block) => block.head.first().map_or(0, |token| token.start),
            Self::Map(coll) | Self::Seq(coll) => coll.start,
            Self::Flow(flow) => flow.open.start,
            Self::Misplaced(token, _) => token.start,
        }
    }

    /// The column of its content; a misplaced token has none.
    pub(super) fn indent(&self) -> Option<usize> {
        match self {
            Self::Leaf(leaf) => Some(leaf.token.indent),
            Self::Block(block) => Some(block.indent),
            Self::Map(coll) | Self::Seq(coll) => Some(coll.indent),
            Self::Flow(flow) => Some(flow.indent),
            Self::Misplaced(..) => None,
        }
    }

    /// What follows it on its line, if anything did.
    fn tail(&mut self) -> Option<&mut Vec<Token>> {
        match self {
            Self::Leaf(leaf) => leaf.tail.as_mut(),
            Self::Flow(flow) => Some(&mut flow.close),
            _ => None,
        }
    }

    pub(super) fn is_block_coll(&self) -> bool {
        matches!(self, Self::Map(_) | Self::Seq(_))
    }

    fn may_be_key(&self) -> bool {
        matches!(self, Self::Leaf(_) | Self::Flow(_))
    }

    /// The blank lines at the end of a collection belong to what follows it.
    pub(super) fn take_blank_end(&mut self) -> Option<Vec<Token>> {
        let (Self::Map(coll) | Self::Seq(coll)) = self else { return None };
        let last = coll.items.last()?;
        let inner = |token: &Token| token.kind == Kind::Comment && token.indent >= coll.indent;
        if !last.is_blank() || (coll.indent > 0 && last.start.iter().any(inner)) {
            return None;
        }
        coll.items.pop().map(|item| item.start)
    }
}

/// The properties of a key that turned out to be one only now. They move from the parent to it.
pub(super) fn take_key_props(props: &mut Vec<Token>) -> Vec<Token> {
    let borders = [Kind::DocStart, Kind::Key, Kind::Value, Kind::SeqItem, Kind::Newline];
    let border = props.iter().rposition(|token| borders.contains(&token.kind));
    let from = border.map_or(0, |at| at + 1);
    let blanks = props.iter().skip(from).take_while(|token| token.kind == Kind::Space).count();
    props.split_off(from + blanks)
}

pub(super) fn has(tokens: &[Token], kind: Kind) -> bool {
    tokens.iter().any(|token| token.kind == kind)
}

/// In a sequence, what looked like a key without a value is an entry.
pub(super) fn settle_entries(flow: &mut Flow) {
    if flow.open.kind != Kind::SeqOpen {
        return;
    }
    for item in &mut flow.items {
        let is_pair = item.value.is_some() || has(&item.start, Kind::Key);
        let Some(sep) = item.sep.take_if(|sep| !is_pair && !has(sep, Kind::Value)) else {
            continue;
        };
        item.value = item.key.take();
        match &mut item.value {
            Some(Tree::Leaf(leaf)) => leaf.tail.get_or_insert_default().extend(sep),
            Some(Tree::Flow(flow)) => flow.close.extend(sep),
            _ => item.start.extend(sep),
        }
    }
}

/// A line end behind an entry.
pub(super) fn end_line(items: &mut Vec<Item>, newline: Token) {
    let tail = items.last_mut().and_then(|item| item.value.as_mut()).and_then(Tree::tail);
    match tail {
        Some(tail) if tail.last().is_some_and(|last| last.kind == Kind::Comment) => {
            tail.push(newline);
        }
        _ => items.push(Item::starting(newline)),
    }
}

/// A blank or a comment before an entry. A comment that is more indented belongs to the entry
/// before it.
pub(super) fn before_entry(coll: &mut Coll, token: Token) {
    let indented = token.kind == Kind::Comment && token.indent > coll.indent;
    if let [.., before, last] = coll.items.as_mut_slice() {
        let blank = |token: &Token| matches!(token.kind, Kind::Newline | Kind::Space);
        let tail = before.value.as_mut().and_then(Tree::tail);
        // From the end, where a comment that stands before this one is near.
        if let Some(tail) = tail.filter(|_| indented && last.start.iter().rev().all(blank)) {
            tail.append(&mut last.start);
            tail.push(token);
            coll.items.pop();
            return;
        }
    }
    if let Some(last) = coll.items.last_mut() {
        last.start.push(token);
    }
}

/// May this collection still be a key of its parent?
pub(super) fn is_key_candidate(tree: Option<&Tree>) -> bool {
    tree.is_some_and(Tree::may_be_key)
}
