//! Grows the tree, token by token. A token that no collection takes goes to the one around it.

mod flow;
mod map;
mod seq;

use super::{
    MAX_NESTING,
    fault::{Code, Fault},
    scan::scan,
    token::{Kind, Token},
    tree::{Block, Coll, Flow, Item, Leaf, Tree, take_key_props},
};

/// One document, before its nodes are read.
#[derive(Debug, Default)]
pub(super) struct DocTree {
    pub(super) start: usize,
    pub(super) props: Vec<Token>,
    pub(super) value: Option<Tree>,
    pub(super) tail: Vec<Token>,
}

/// What stands in the text, in its order.
#[derive(Debug)]
pub(super) enum Part {
    Doc(DocTree),
    Directive(Token),
    DocEnd(Token, Vec<Token>),
    Fault(Fault),
}

/// The parts of a text. Nesting is bounded: behind the bound all is refused.
pub(super) fn grow(text: &str) -> Result<Vec<Part>, Fault> {
    let mut grower = Grower { tokens: scan(text), ..Grower::default() };
    grower.stream();
    match grower.too_deep {
        Some(pos) => {
            let message = format!("more than {MAX_NESTING} levels of nesting");
            Err(Fault { pos, code: Code::TooDeep, message })
        }
        None => Ok(grower.parts),
    }
}

#[derive(Default)]
struct Grower {
    tokens: Vec<Token>,
    next: usize,
    parts: Vec<Part>,
    /// On the line of a mapping's key.
    on_key_line: bool,
    depth: usize,
    too_deep: Option<usize>,
}

/// What belongs to the collection around a node, not to its line's rest.
const ENDS_LINE: [Kind; 6] =
    [Kind::Comma, Kind::DocStart, Kind::SeqClose, Kind::MapClose, Kind::Value, Kind::Unknown];

/// What a node grows in, as far as it matters to the node.
#[derive(Clone, Copy)]
enum Parent {
    Doc,
    Map { indent: usize, has_key: bool },
    Seq,
    Flow,
}

impl Grower {
    /// The next token, unless it ends the document.
    fn peek(&self) -> Option<Token> {
        let token = self.tokens.get(self.next).copied()?;
        (self.too_deep.is_none() && token.kind != Kind::DocEnd).then_some(token)
    }

    fn bump(&mut self) {
        self.next += 1;
    }

    fn fault(&mut self, token: Token, place: &str) {
        let message = format!("{} has no place {place}", token.kind.name());
        self.parts.push(Part::Fault(Fault { pos: token.start, code: Code::Unexpected, message }));
    }

    fn stream(&mut self) {
        while self.too_deep.is_none() {
            let Some(token) = self.tokens.get(self.next).copied() else { return };
            if !matches!(token.kind, Kind::DocMode | Kind::DocStart) {
                self.bump();
            }
            match token.kind {
                Kind::DocEnd => {
                    let tail = self.rest_of_line();
                    self.parts.push(Part::DocEnd(token, tail));
                }
                Kind::Directive => self.parts.push(Part::Directive(token)),
                Kind::ByteOrderMark | Kind::Space | Kind::Comment | Kind::Newline => {}
                Kind::DocMode | Kind::DocStart => self.document(token),
                _ => self.fault(token, "behind the end of the document"),
            }
        }
    }

    /// Up to and with the line end.
    fn rest_of_line(&mut self) -> Vec<Token> {
        let mut tail = Vec::new();
        while let Some(token) = self.tokens.get(self.next).copied() {
            if token.kind == Kind::DocMode {
                self.bump();
                continue;
            }
            if token.kind == Kind::DocEnd {
                break;
            }
            self.bump();
            tail.push(token);
            if token.kind == Kind::Newline {
                break;
            }
        }
        tail
    }

    fn document(&mut self, first: Token) {
        self.bump();
        let mut doc = DocTree { start: first.start, ..DocTree::default() };
        if first.kind == Kind::DocStart {
            doc.props.push(first);
        }
        while let Some(token) = self.peek() {
            match token.kind {
                Kind::DocStart if doc.props.iter().any(|token| !token.kind.is_empty()) => break,
                Kind::DocStart
                | Kind::Anchor
                | Kind::Tag
                | Kind::Space
                | Kind::Comment
                | Kind::Newline => {
                    doc.props.push(token);
                    self.bump();
                }
                _ => {
                    let Some(seed) = self.seed(token, &mut doc.props) else {
                        self.fault(token, "at the start of a document");
                        self.bump();
                        continue;
                    };
                    let mut value = self.node(seed, &mut doc.props, Parent::Doc);
                    match &mut value {
                        Tree::Flow(flow) => flow.indent = 0,
                        Tree::Block(block) => block.indent = 0,
                        _ => {}
                    }
                    doc.tail = value.take_blank_end().unwrap_or_default();
                    doc.value = Some(value);
                    self.line_end(&mut doc.tail);
                    break;
                }
            }
        }
        self.parts.push(Part::Doc(doc));
    }

    /// What follows a node, up to the line end or the collection's next part.
    fn line_end(&mut self, tail: &mut Vec<Token>) {
        while let Some(token) = self.peek() {
            if ENDS_LINE.contains(&token.kind) {
                return;
            }
            self.bump();
            tail.push(token);
            if token.kind == Kind::Newline {
                self.on_key_line = false;
                return;
            }
        }
    }

    /// The node that begins with a token, which is taken. `None` if none begins there.
    fn seed(&mut self, token: Token, props: &mut Vec<Token>) -> Option<Tree> {
        let coll = |items| Coll { start: token.start, indent: token.indent, items };
        let tree = match token.kind {
            kind if kind.is_scalar() => Tree::Leaf(Leaf { token, tail: None }),
            Kind::BlockHeader => {
                Tree::Block(Block { head: vec![token], text: None, indent: token.indent })
            }
            Kind::MapOpen | Kind::SeqOpen => {
                let (items, close) = (Vec::new(), Vec::new());
                Tree::Flow(Flow { open: token, items, close, indent: token.indent })
            }
            Kind::SeqItem => Tree::Seq(coll(vec![Item::starting(token)])),
            Kind::Key => {
                self.on_key_line = true;
                let mut start = take_key_props(props);
                start.push(token);
                Tree::Map(coll(vec![Item { start, explicit: true, ..Item::default() }]))
            }
            Kind::Value => {
                self.on_key_line = true;
                Tree::Map(coll(vec![Item::keyed(take_key_props(props), None, vec![token])]))
            }
            _ => return None,
        };
        self.bump();
        Some(tree)
    }

    /// The whole of a node that was begun.
    fn node(&mut self, seed: Tree, props: &mut Vec<Token>, parent: Parent) -> Tree {
        if self.depth >= MAX_NESTING {
            self.too_deep.get_or_insert(seed.start());
            return seed;
        }
        self.depth += 1;
        let tree = match seed {
            Tree::Leaf(leaf) => self.leaf(leaf, props),
            Tree::Block(block) => self.block(block),
            Tree::Map(map) => self.map(map),
            Tree::Seq(seq) => self.seq(seq),
            Tree::Flow(flow) => self.flow(flow, props, parent),
            other @ Tree::Misplaced(..) => other,
        };
        self.depth -= 1;
        tree
    }

    fn leaf(&mut self, mut leaf: Leaf, props: &mut Vec<Token>) -> Tree {
        let mut tail = leaf.tail.take().unwrap_or_default();
        let before = self.next;
        self.line_end(&mut tail);
        let ended = tail.last().is_some_and(|last| last.kind == Kind::Newline);
        if let Some(token) = self.peek().filter(|token| token.kind == Kind::Value && !ended) {
            let coll = (leaf.token.start, leaf.token.indent);
            return self.map_from_key(coll, Tree::Leaf(leaf), tail, token, props);
        }
        leaf.tail = (self.next > before).then_some(tail);
        Tree::Leaf(leaf)
    }

    /// A `:` follows: the node before it is the first key of a mapping.
    fn map_from_key(
        &mut self,
        (start, indent): (usize, usize),
        key: Tree,
        mut sep: Vec<Token>,
        colon: Token,
        props: &mut Vec<Token>,
    ) -> Tree {
        sep.push(colon);
        self.bump();
        self.on_key_line = true;
        let item = Item::keyed(take_key_props(props), Some(key), sep);
        self.map(Coll { start, indent, items: vec![item] })
    }

    fn block(&mut self, mut block: Block) -> Tree {
        while let Some(token) = self.peek() {
            match token.kind {
                Kind::Space | Kind::Comment | Kind::Newline | Kind::Unknown => {
                    block.head.push(token);
                }
                Kind::BlockText => {
                    block.text = Some(token);
                    self.bump();
                    break;
                }
                _ => break,
            }
            self.bump();
        }
        Tree::Block(block)
    }
}
