//! What stands before a node: blanks, comments, an anchor, a tag, an indicator.

use super::{
    fault::{Code, Faults},
    token::{Kind, Token},
    tree::{Leaf, Tree},
};

/// Whose properties they are.
pub(super) struct Place<'a> {
    /// The indicator that may stand there.
    pub(super) indicator: Kind,
    /// Inside brackets.
    pub(super) in_flow: bool,
    /// Where the node begins when nothing stands before it.
    pub(super) offset: usize,
    pub(super) parent_indent: usize,
    pub(super) on_new_line: bool,
    pub(super) next: Next<'a>,
}

/// What follows the properties.
#[derive(Clone, Copy)]
pub(super) enum Next<'a> {
    Nothing,
    Node(&'a Tree),
    Token(Token),
}

impl<'a> Next<'a> {
    pub(super) fn of(tree: Option<&'a Tree>, or: Option<&[Token]>) -> Self {
        match (tree, or.and_then(|tokens| tokens.first())) {
            (Some(tree), _) => Self::Node(tree),
            (None, Some(token)) => Self::Token(*token),
            (None, None) => Self::Nothing,
        }
    }

    /// Where it begins, if it may not touch a tag or an anchor.
    fn touching(self) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::Node(Tree::Leaf(Leaf { token, .. })) if is_empty_text(*token) => None,
            Self::Node(tree) => Some(tree.start()),
            Self::Token(token) => {
                let apart = matches!(token.kind, Kind::Space | Kind::Newline | Kind::Comma);
                (!apart && !is_empty_text(token)).then_some(token.start)
            }
        }
    }
}

fn is_empty_text(token: Token) -> bool {
    token.kind == Kind::Plain && token.start == token.end
}

/// The properties found.
#[derive(Debug, Default)]
pub(super) struct Props {
    pub(super) comma: Option<Token>,
    /// The indicator.
    pub(super) found: Option<Token>,
    pub(super) has_newline: bool,
    pub(super) has_comment: bool,
    pub(super) anchor: Option<Token>,
    pub(super) tag: Option<Token>,
    /// A line end behind the anchor or the tag.
    pub(super) newline_behind: Option<Token>,
    /// Where the anchor or the tag begins, else the end.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Reads the properties, and reports what has no place there.
pub(super) fn read(tokens: &[Token], text: &str, place: &Place<'_>, faults: &mut Faults) -> Props {
    let mut reader = Reader {
        place,
        text,
        faults,
        at_newline: place.on_new_line,
        has_space: place.on_new_line,
        apart: None,
        tab: None,
        props: Props::default(),
        first: None,
    };
    for token in tokens {
        reader.token(*token);
    }
    reader.end(tokens)
}

struct Reader<'a> {
    place: &'a Place<'a>,
    text: &'a str,
    faults: &'a mut Faults,
    at_newline: bool,
    has_space: bool,
    /// An anchor or a tag came last: a blank must follow.
    apart: Option<()>,
    tab: Option<Token>,
    props: Props,
    first: Option<usize>,
}

const APART: &str = "a blank must stand behind a tag or an anchor";
const TAB: &str = "a tab is no indentation: use spaces";

impl Reader<'_> {
    fn token(&mut self, token: Token) {
        if self.apart.take().is_some()
            && !matches!(token.kind, Kind::Space | Kind::Newline | Kind::Comma)
        {
            self.faults.add(token.start, Code::MissingChar, APART);
        }
        if let Some(tab) = self.tab.take()
            && self.at_newline
            && !matches!(token.kind, Kind::Comment | Kind::Newline)
        {
            self.faults.add(tab.start, Code::TabAsIndent, TAB);
        }
        match token.kind {
            Kind::Space => self.space(token),
            Kind::Comment => {
                if !self.has_space {
                    self.faults.add(
                        token.start,
                        Code::MissingChar,
                        "a blank must stand before a comment",
                    );
                }
                self.props.has_comment = true;
                self.at_newline = false;
            }
            Kind::Newline => {
                (self.at_newline, self.has_space) = (true, true);
                self.props.has_newline = true;
                if self.props.anchor.is_some() || self.props.tag.is_some() {
                    self.props.newline_behind = Some(token);
                }
            }
            Kind::Anchor | Kind::Tag => self.property(token),
            kind if kind == self.place.indicator => self.indicator(token),
            Kind::Comma if self.place.in_flow => {
                if self.props.comma.is_some() {
                    self.unexpected(token);
                }
                self.props.comma = Some(token);
                (self.at_newline, self.has_space) = (false, false);
            }
            _ => {
                self.unexpected(token);
                (self.at_newline, self.has_space) = (false, false);
            }
        }
    }

    fn unexpected(&mut self, token: Token) {
        let message = format!("{} has no place there", token.kind.name());
        self.faults.add(token.start, Code::Unexpected, message);
    }

    fn space(&mut self, token: Token) {
        let before_flow = self.place.indicator == Kind::DocStart
            && matches!(self.place.next, Next::Node(Tree::Flow(_)));
        let source = self.text.get(token.start..token.end).unwrap_or_default();
        if !self.place.in_flow && !before_flow && source.contains('\t') {
            self.tab = Some(token);
        }
        self.has_space = true;
    }

    fn property(&mut self, token: Token) {
        let (slot, code, message) = if token.kind == Kind::Anchor {
            (&mut self.props.anchor, Code::MultipleAnchors, "a node has one anchor at most")
        } else {
            (&mut self.props.tag, Code::MultipleTags, "a node has one tag at most")
        };
        if slot.replace(token).is_some() {
            self.faults.add(token.start, code, message);
        }
        self.first.get_or_insert(token.start);
        (self.at_newline, self.has_space) = (false, false);
        self.apart = Some(());
    }

    fn indicator(&mut self, token: Token) {
        if self.props.anchor.is_some() || self.props.tag.is_some() {
            let message = format!("tags and anchors stand behind {}", token.kind.name());
            self.faults.add(token.start, Code::BadPropOrder, message);
        }
        if self.props.found.is_some() {
            self.unexpected(token);
        }
        self.props.found = Some(token);
        self.at_newline = matches!(token.kind, Kind::SeqItem | Kind::Key);
        self.has_space = false;
    }

    fn end(mut self, tokens: &[Token]) -> Props {
        self.props.end = tokens.last().map_or(self.place.offset, |last| last.end);
        self.props.start = self.first.unwrap_or(self.props.end);
        if let Some(at) = self.apart.and_then(|()| self.place.next.touching()) {
            self.faults.add(at, Code::MissingChar, APART);
        }
        if let Some(tab) = self.tab {
            let block = matches!(self.place.next, Next::Node(tree) if tree.is_block_coll());
            if block || (self.at_newline && tab.indent <= self.place.parent_indent) {
                self.faults.add(tab.start, Code::TabAsIndent, TAB);
            }
        }
        self.props
    }
}

/// What stands behind a node on its line. Returns where it ends.
pub(super) fn read_tail(
    tail: &[Token],
    mut offset: usize,
    spaced: bool,
    faults: &mut Faults,
) -> usize {
    let mut has_space = false;
    for token in tail {
        match token.kind {
            Kind::Space | Kind::Newline => has_space = true,
            Kind::Comment => {
                if spaced && !has_space {
                    faults.add(
                        token.start,
                        Code::MissingChar,
                        "a blank must stand before a comment",
                    );
                }
            }
            kind => {
                let message = format!("{} has no place behind the value", kind.name());
                faults.add(token.start, Code::Unexpected, message);
            }
        }
        offset += token.end - token.start;
    }
    offset
}
