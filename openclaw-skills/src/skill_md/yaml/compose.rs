//! The tree to nodes: every rule that a misplaced token breaks is reported here.

use std::collections::BTreeSet;

use super::{
    block_text,
    fault::{Code, Faults},
    flow_text,
    grow::DocTree,
    node::{Node, NodeKind, Pair, Scalar},
    props::{self, Next, Place, Props},
    tags::{self, Handles},
    token::{Kind, Token},
    tree::{Block, Coll, Flow, Item, Leaf, Tree},
};

/// The content of a document.
pub(super) fn compose(doc: &DocTree, text: &str, handles: &Handles, faults: &mut Faults) -> Node {
    let mut composer = Composer { text, handles, faults, at_root: true };
    composer.document(doc)
}

struct Composer<'a> {
    text: &'a str,
    handles: &'a Handles,
    faults: &'a mut Faults,
    /// No collection was entered yet.
    at_root: bool,
}

impl Composer<'_> {
    fn source(&self, token: Token) -> &str {
        self.text.get(token.start..token.end).unwrap_or_default()
    }

    fn props(&mut self, tokens: &[Token], place: &Place<'_>) -> Props {
        props::read(tokens, self.text, place, self.faults)
    }

    fn fault(&mut self, pos: usize, code: Code, message: &str) {
        self.faults.add(pos, code, message);
    }

    fn document(&mut self, doc: &DocTree) -> Node {
        let place = Place {
            indicator: Kind::DocStart,
            in_flow: false,
            offset: doc.start,
            parent_indent: 0,
            on_new_line: true,
            next: Next::of(doc.value.as_ref(), Some(&doc.tail)),
        };
        let props = self.props(&doc.props, &place);
        let block = doc.value.as_ref().is_some_and(Tree::is_block_coll);
        if props.found.is_some() && block && !props.has_newline {
            self.fault(props.end, Code::MissingChar, "a block begins on the line behind `---`");
        }
        let node = match &doc.value {
            Some(tree) => self.node(tree, &props),
            None => self.empty(props.end, &doc.props, &props),
        };
        props::read_tail(&doc.tail, node.end, false, self.faults);
        node
    }

    fn node(&mut self, tree: &Tree, props: &Props) -> Node {
        let mut node = match tree {
            Tree::Leaf(leaf) if leaf.token.kind == Kind::Alias => {
                let node = self.alias(leaf);
                if props.anchor.is_some() || props.tag.is_some() {
                    self.fault(node.start, Code::AliasProps, "an alias has neither tag nor anchor");
                }
                return node;
            }
            Tree::Leaf(leaf) => self.leaf(leaf, props.tag),
            Tree::Block(block) => self.block(block, props.tag),
            Tree::Map(_) | Tree::Seq(_) | Tree::Flow(_) => self.collection(tree, props),
            Tree::Misplaced(token, place) => {
                let message = format!("{} has no place {place}", token.kind.name());
                self.faults.add(token.start, Code::Unexpected, message);
                return self.empty(token.start, &[], props);
            }
        };
        self.anchor(&mut node, props);
        node
    }

    fn anchor(&mut self, node: &mut Node, props: &Props) {
        let Some(token) = props.anchor else { return };
        let name = self.source(token).trim_start_matches('&').to_owned();
        if name.is_empty() {
            self.fault(token.start, Code::BadAlias, "an anchor needs a name");
        }
        node.anchor = Some(name);
    }

    /// A node without text, behind the last thing before it.
    fn empty(&mut self, offset: usize, before: &[Token], props: &Props) -> Node {
        let solid = before.iter().rposition(|token| !token.kind.is_empty());
        let behind = before.get(solid.map_or(0, |at| at + 1)..).unwrap_or_default();
        let length: usize = behind.iter().map(|token| token.end - token.start).sum();
        let blanks = behind.iter().take_while(|token| token.kind == Kind::Space && solid.is_some());
        let kept: usize = blanks.map(|token| token.end - token.start).sum();
        let at = offset.saturating_sub(length) + kept;
        let value = self.tagged(String::new(), props.tag, true);
        let end = if props.has_comment { props.end } else { at };
        let mut node = Node { start: at, end, anchor: None, kind: NodeKind::Scalar(value) };
        self.anchor(&mut node, props);
        node
    }

    fn alias(&mut self, leaf: &Leaf) -> Node {
        let token = leaf.token;
        let name = self.source(token).get(1..).unwrap_or_default().to_owned();
        if name.is_empty() {
            self.fault(token.start, Code::BadAlias, "an alias needs a name");
        }
        let end = self.tail(leaf.tail.as_deref(), token.end);
        Node { start: token.start, end, anchor: None, kind: NodeKind::Alias(name) }
    }

    fn tail(&mut self, tail: Option<&[Token]>, offset: usize) -> usize {
        props::read_tail(tail.unwrap_or_default(), offset, true, self.faults)
    }

    fn leaf(&mut self, leaf: &Leaf, tag: Option<Token>) -> Node {
        let token = leaf.token;
        let source = self.text.get(token.start..token.end).unwrap_or_default();
        let value = match token.kind {
            Kind::SingleQuoted => flow_text::single_quoted(source, token.start, self.faults),
            Kind::DoubleQuoted => flow_text::double_quoted(source, token.start, self.faults),
            _ => flow_text::plain(source, token.start, self.faults),
        };
        let end = self.tail(leaf.tail.as_deref(), token.end);
        let plain = !matches!(token.kind, Kind::SingleQuoted | Kind::DoubleQuoted);
        let value = self.tagged(value, tag, plain);
        Node { start: token.start, end, anchor: None, kind: NodeKind::Scalar(value) }
    }

    fn tagged(&mut self, value: String, tag: Option<Token>, plain: bool) -> Scalar {
        let Some(token) = tag else {
            return if plain { Scalar::of_plain(&value) } else { Scalar::Text(value) };
        };
        let source = self.text.get(token.start..token.end).unwrap_or_default();
        match tags::name(source, self.handles) {
            Ok(name) => tags::apply(&name, value),
            Err(message) => {
                self.fault(token.start, Code::TagUnresolved, message);
                if plain { Scalar::of_plain(&value) } else { Scalar::Text(value) }
            }
        }
    }

    fn block(&mut self, block: &Block, tag: Option<Token>) -> Node {
        let (value, start, end) = block_text::read(block, self.text, self.at_root, self.faults);
        let value = self.tagged(value, tag, false);
        Node { start, end, anchor: None, kind: NodeKind::Scalar(value) }
    }

    fn collection(&mut self, tree: &Tree, props: &Props) -> Node {
        if let Some(token) = props.tag
            && let Err(message) = tags::name(self.source(token), self.handles)
        {
            self.fault(token.start, Code::TagUnresolved, message);
        }
        match tree {
            Tree::Map(map) => self.map(map),
            Tree::Flow(flow) => self.flow(flow),
            Tree::Seq(seq) => {
                let last =
                    props.anchor.into_iter().chain(props.tag).max_by_key(|token| token.start);
                let newline = props.newline_behind.map_or(0, |newline| newline.start);
                if let Some(last) = last.filter(|last| newline < last.start) {
                    self.fault(
                        last.start,
                        Code::MissingChar,
                        "a sequence begins on a line of its own",
                    );
                }
                self.seq(seq)
            }
            _ => self.empty(tree.start(), &[], props),
        }
    }

    fn map(&mut self, map: &Coll) -> Node {
        self.at_root = false;
        let mut pairs = Vec::new();
        let mut seen = BTreeSet::new();
        let mut offset = map.start;
        let mut comment_end = None;
        for item in &map.items {
            let place = Place {
                indicator: Kind::Key,
                in_flow: false,
                offset,
                parent_indent: map.indent,
                on_new_line: true,
                next: Next::of(item.key.as_ref(), item.sep.as_deref()),
            };
            let props = self.props(&item.start, &place);
            if !self.key_place(map, item, &props, offset) {
                comment_end = Some(props.end);
                continue;
            }
            let key = match &item.key {
                Some(tree) => self.node(tree, &props),
                None => self.empty(props.end, &item.start, &props),
            };
            self.unique(&mut seen, &key, props.end);
            let (pair, end) = self.map_value(map, item, &props, key);
            offset = end;
            pairs.push(pair);
        }
        if comment_end.is_some_and(|end| end < offset) {
            let end = comment_end.unwrap_or_default();
            self.fault(end, Code::TrailingContent, "a comment of a mapping has content behind it");
        }
        let end = comment_end.unwrap_or(offset);
        Node { start: map.start, end, anchor: None, kind: NodeKind::Map(pairs) }
    }

    /// Stands the key where it may? `false` when there is none, only blanks and comments.
    fn key_place(&mut self, map: &Coll, item: &Item, props: &Props, offset: usize) -> bool {
        const COLUMN: &str = "all keys of a mapping begin at the same column";
        if let Some(found) = props.found {
            if found.indent != map.indent {
                self.fault(offset, Code::BadIndent, COLUMN);
            }
            return true;
        }
        match &item.key {
            Some(Tree::Seq(_)) => {
                self.fault(offset, Code::BlockAsImplicitKey, "a sequence is no key on one line");
            }
            Some(key) if key.indent().is_some_and(|indent| indent != map.indent) => {
                self.fault(offset, Code::BadIndent, COLUMN);
            }
            _ => {}
        }
        if props.anchor.is_none() && props.tag.is_none() && item.sep.is_none() {
            return false;
        }
        if props.newline_behind.is_some()
            || item.key.as_ref().is_some_and(|key| self.has_newline(key))
        {
            let last = item.start.last().map_or(offset, |last| last.start);
            let at = item.key.as_ref().map_or(last, Tree::start);
            self.fault(at, Code::MultilineKey, "a key stands on one line");
        }
        true
    }

    fn unique(&mut self, seen: &mut BTreeSet<String>, key: &Node, at: usize) {
        let NodeKind::Scalar(scalar) = &key.kind else { return };
        if scalar.identity().is_some_and(|identity| !seen.insert(identity)) {
            self.fault(at, Code::DuplicateKey, "the key stands there twice");
        }
    }

    fn map_value(
        &mut self,
        map: &Coll,
        item: &Item,
        key_props: &Props,
        key: Node,
    ) -> (Pair, usize) {
        let sep = item.sep.as_deref().unwrap_or_default();
        let place = Place {
            indicator: Kind::Value,
            in_flow: false,
            offset: key.end,
            parent_indent: map.indent,
            on_new_line: matches!(item.key, None | Some(Tree::Block(_))),
            next: Next::of(item.value.as_ref(), None),
        };
        let props = self.props(sep, &place);
        let implicit = key_props.found.is_none();
        let Some(colon) = props.found else {
            if implicit {
                self.fault(key.start, Code::MissingChar, "`: ` must stand behind a key");
            }
            return (Pair { key, value: None }, props.end);
        };
        if implicit {
            if matches!(item.value, Some(Tree::Map(_))) && !props.has_newline {
                let message =
                    "a mapping in a value begins on the next line; text with `: ` needs quotes";
                self.fault(props.end, Code::BlockAsImplicitKey, message);
            }
            if self.is_far(key_props.start, colon.start) {
                self.fault(key.start, Code::KeyTooLong, "a key has 1024 characters at most");
            }
        }
        let value = match &item.value {
            Some(tree) => self.node(tree, &props),
            None => self.empty(props.end, sep, &props),
        };
        let end = value.end;
        (Pair { key, value: Some(value) }, end)
    }

    /// More than 1024 units of UTF-16 apart.
    fn is_far(&self, from: usize, to: usize) -> bool {
        to > from + 1024
            && self.text.get(from..to).is_some_and(|key| key.encode_utf16().count() > 1024)
    }

    fn seq(&mut self, seq: &Coll) -> Node {
        self.at_root = false;
        let mut nodes = Vec::new();
        let mut offset = seq.start;
        let mut comment_end = None;
        for item in &seq.items {
            let place = Place {
                indicator: Kind::SeqItem,
                in_flow: false,
                offset,
                parent_indent: seq.indent,
                on_new_line: true,
                next: Next::of(item.value.as_ref(), None),
            };
            let props = self.props(&item.start, &place);
            if props.found.is_none() {
                if props.anchor.is_none() && props.tag.is_none() && item.value.is_none() {
                    comment_end = Some(props.end);
                    continue;
                }
                if matches!(item.value, Some(Tree::Seq(_))) {
                    self.fault(
                        props.end,
                        Code::BadIndent,
                        "all entries of a sequence begin at the same column",
                    );
                } else {
                    self.fault(offset, Code::MissingChar, "an entry of a sequence begins with `-`");
                }
            }
            let node = match &item.value {
                Some(tree) => self.node(tree, &props),
                None => self.empty(props.end, &item.start, &props),
            };
            offset = node.end;
            nodes.push(node);
        }
        let end = comment_end.unwrap_or(offset);
        Node { start: seq.start, end, anchor: None, kind: NodeKind::Seq(nodes) }
    }

    fn has_newline(&self, tree: &Tree) -> bool {
        let newline = |tokens: &[Token]| tokens.iter().any(|token| token.kind == Kind::Newline);
        match tree {
            Tree::Leaf(leaf) => {
                self.source(leaf.token).contains('\n') || leaf.tail.as_deref().is_some_and(newline)
            }
            Tree::Flow(flow) => flow.items.iter().any(|item| {
                newline(&item.start)
                    || item.sep.as_deref().is_some_and(newline)
                    || item.key.iter().chain(&item.value).any(|tree| self.has_newline(tree))
            }),
            _ => true,
        }
    }

    fn flow(&mut self, flow: &Flow) -> Node {
        let at_root = std::mem::replace(&mut self.at_root, false);
        let mut content = Content::new(flow.open.kind == Kind::MapOpen);
        let mut offset = flow.open.end;
        for (at, item) in flow.items.iter().enumerate() {
            let last = at + 1 == flow.items.len();
            offset = self.flow_item(flow, item, (at == 0, last), offset, &mut content);
        }
        let expected = if content.is_map { Kind::MapClose } else { Kind::SeqClose };
        let mut rest = flow.close.as_slice();
        let mut end = offset;
        match rest.split_first() {
            Some((close, behind)) if close.kind == expected => (end, rest) = (close.end, behind),
            first => {
                let code = if at_root { Code::MissingChar } else { Code::BadIndent };
                let message = format!("the bracket is not closed by {}", expected.name());
                self.faults.add(offset, code, message);
                if let Some((close, behind)) = first
                    && close.end == close.start + 1
                {
                    rest = behind;
                }
            }
        }
        let end = self.tail(Some(rest), end);
        Node { start: flow.open.start, end, anchor: None, kind: content.into_kind() }
    }

    fn flow_item(
        &mut self,
        flow: &Flow,
        item: &Item,
        (first, last): (bool, bool),
        offset: usize,
        content: &mut Content,
    ) -> usize {
        let place = Place {
            indicator: Kind::Key,
            in_flow: true,
            offset,
            parent_indent: flow.indent,
            on_new_line: false,
            next: Next::of(item.key.as_ref(), item.sep.as_deref()),
        };
        let props = self.props(&item.start, &place);
        let bare = props.found.is_none();
        if bare {
            let nothing = item.sep.is_none() && item.value.is_none();
            if props.anchor.is_none() && props.tag.is_none() && nothing {
                match props.comma {
                    Some(comma) if first => {
                        self.fault(comma.start, Code::Unexpected, "`,` has no place there");
                    }
                    _ if !last => self.fault(props.start, Code::Unexpected, "an entry is empty"),
                    _ => {}
                }
                return props.end;
            }
            if !content.is_map
                && let Some(key) = &item.key
                && self.has_newline(key)
            {
                self.fault(key.start(), Code::MultilineKey, "a key stands on one line");
            }
        }
        match props.comma {
            Some(comma) if first => {
                self.fault(comma.start, Code::Unexpected, "`,` has no place there");
            }
            None if !first => self.fault(props.start, Code::MissingChar, "`,` is missing"),
            _ => {}
        }
        if !content.is_map && item.sep.is_none() && bare {
            let node = self.flow_node(item.value.as_ref(), &[], &props);
            let end = node.end;
            content.nodes.push(node);
            return end;
        }
        self.flow_pair(flow, item, &props, content)
    }

    /// A node inside brackets, where no block may stand.
    fn flow_node(&mut self, tree: Option<&Tree>, before: &[Token], props: &Props) -> Node {
        let Some(tree) = tree else { return self.empty(props.end, before, props) };
        let node = self.node(tree, props);
        if tree.is_block_coll() {
            self.fault(node.start, Code::BlockInFlow, "no block may stand inside brackets");
        }
        node
    }

    fn flow_pair(
        &mut self,
        flow: &Flow,
        item: &Item,
        key_props: &Props,
        content: &mut Content,
    ) -> usize {
        let key = self.flow_node(item.key.as_ref(), &item.start, key_props);
        let sep = item.sep.as_deref().unwrap_or_default();
        let place = Place {
            indicator: Kind::Value,
            in_flow: true,
            offset: key.end,
            parent_indent: flow.indent,
            on_new_line: false,
            next: Next::of(item.value.as_ref(), None),
        };
        let props = self.props(sep, &place);
        match (props.found, &item.value) {
            (Some(colon), _) if !content.is_map && key_props.found.is_none() => {
                let before = sep.iter().take_while(|token| **token != colon);
                if let Some(newline) = before.into_iter().find(|token| token.kind == Kind::Newline)
                {
                    self.fault(newline.start, Code::MultilineKey, "a key stands on one line");
                }
                if self.is_far(key_props.start, colon.start) {
                    self.fault(colon.start, Code::KeyTooLong, "a key has 1024 characters at most");
                }
            }
            (None, Some(value)) => {
                let colon =
                    self.text.get(value.start()..).is_some_and(|text| text.starts_with(':'));
                let (at, message) = if colon {
                    (value.start(), "a blank must stand behind `:`")
                } else {
                    (props.start, "`,` or `:` is missing")
                };
                self.fault(at, Code::MissingChar, message);
            }
            _ => {}
        }
        let has_value = item.value.is_some() || props.found.is_some();
        let value = has_value.then(|| self.flow_node(item.value.as_ref(), sep, &props));
        let end = value.as_ref().map_or(props.end, |value| value.end);
        if content.is_map {
            let mut seen = std::mem::take(&mut content.seen);
            self.unique(&mut seen, &key, key_props.end);
            content.seen = seen;
            content.pairs.push(Pair { key, value });
        } else {
            let start = key.start;
            let kind = NodeKind::Map(vec![Pair { key, value }]);
            content.nodes.push(Node { start, end, anchor: None, kind });
        }
        end
    }
}

/// What was read inside brackets.
struct Content {
    is_map: bool,
    pairs: Vec<Pair>,
    nodes: Vec<Node>,
    seen: BTreeSet<String>,
}

impl Content {
    fn new(is_map: bool) -> Self {
        Self { is_map, pairs: Vec::new(), nodes: Vec::new(), seen: BTreeSet::new() }
    }

    fn into_kind(self) -> NodeKind {
        if self.is_map { NodeKind::Map(self.pairs) } else { NodeKind::Seq(self.nodes) }
    }
}
