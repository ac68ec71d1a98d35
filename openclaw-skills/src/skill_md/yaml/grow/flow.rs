//! Mappings and sequences in brackets.

use super::{
    super::{
        token::{Kind, Token},
        tree::{Flow, Item, Tree, settle_entries},
    },
    ENDS_LINE, Grower, Parent,
};

impl Grower {
    pub(super) fn flow(&mut self, mut flow: Flow, props: &mut Vec<Token>, parent: Parent) -> Tree {
        while let Some(token) = self.peek() {
            if token.kind == Kind::FlowCut {
                if !matches!(parent, Parent::Flow) {
                    self.bump();
                }
                break;
            }
            if !flow.close.is_empty() {
                return self.behind_flow(flow, props, parent);
            }
            if !self.flow_token(&mut flow, token) {
                break;
            }
        }
        settle_entries(&mut flow);
        Tree::Flow(flow)
    }

    /// Does the collection in brackets take the token?
    fn flow_token(&mut self, flow: &mut Flow, token: Token) -> bool {
        let last = flow.items.last_mut().filter(|item| item.value.is_none());
        match (token.kind, last) {
            (Kind::MapClose | Kind::SeqClose, _) => flow.close.push(token),
            (Kind::Comma | Kind::Key, Some(item)) if item.sep.is_none() => item.start.push(token),
            (Kind::Comma | Kind::Key, _) => flow.items.push(Item::starting(token)),
            (Kind::Value, None) => flow.items.push(Item::keyed(Vec::new(), None, vec![token])),
            (Kind::Value, Some(item)) => item.sep.get_or_insert_default().push(token),
            (kind, last) if kind.is_empty() || matches!(kind, Kind::Anchor | Kind::Tag) => {
                match last {
                    Some(item) => item.props().push(token),
                    None => flow.items.push(Item::starting(token)),
                }
            }
            (Kind::Unknown, _) => put_in_flow(flow, Tree::Misplaced(token, "there")),
            (kind, last) => {
                let Some(seed) = self.seed(token, &mut Vec::new()) else { return false };
                let as_value = last.is_some_and(|item| item.sep.is_some());
                let tree = if kind.is_scalar() && !as_value {
                    seed
                } else {
                    self.node(seed, &mut Vec::new(), Parent::Flow)
                };
                put_in_flow(flow, tree);
                return true;
            }
        }
        self.bump();
        true
    }

    /// The brackets are closed: are they a key, or does their line go on?
    fn behind_flow(&mut self, mut flow: Flow, props: &mut Vec<Token>, parent: Parent) -> Tree {
        settle_entries(&mut flow);
        while let Some(token) = self.peek() {
            let is_value = token.kind == Kind::Value;
            let belongs_to_map = match parent {
                Parent::Map { indent, has_key } => {
                    (is_value && indent == flow.indent) || (token.kind == Kind::Newline && !has_key)
                }
                _ => false,
            };
            if belongs_to_map {
                break;
            }
            if is_value && !matches!(parent, Parent::Flow) {
                let sep = flow.close.split_off(1);
                let coll = (flow.open.start, flow.indent);
                return self.map_from_key(coll, Tree::Flow(flow), sep, token, props);
            }
            if ENDS_LINE.contains(&token.kind) {
                break;
            }
            self.bump();
            flow.close.push(token);
            if token.kind == Kind::Newline {
                self.on_key_line = false;
                break;
            }
        }
        Tree::Flow(flow)
    }
}

fn put_in_flow(flow: &mut Flow, mut tree: Tree) {
    if let Tree::Block(block) = &mut tree {
        block.indent = flow.indent;
    }
    match flow.items.last_mut().filter(|item| item.value.is_none()) {
        None => flow.items.push(Item::keyed(Vec::new(), Some(tree), Vec::new())),
        Some(item) if item.sep.is_some() => item.value = Some(tree),
        Some(item) => (item.key, item.sep) = (Some(tree), Some(Vec::new())),
    }
}
