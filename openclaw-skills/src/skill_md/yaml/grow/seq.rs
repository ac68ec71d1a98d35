//! Sequences by indentation.

use super::{
    super::{
        token::{Kind, Token},
        tree::{Coll, Item, Tree, before_entry, end_line, has},
    },
    Grower, Parent,
};

impl Grower {
    pub(super) fn seq(&mut self, mut seq: Coll) -> Tree {
        while let Some(token) = self.peek() {
            let Some(item) = seq.items.last_mut() else { break };
            let done = item.value.is_some();
            let inside = !done && token.indent > seq.indent;
            match token.kind {
                Kind::Newline if done => end_line(&mut seq.items, token),
                Kind::Space | Kind::Comment if done => seq.items.push(Item::starting(token)),
                Kind::Space | Kind::Comment => before_entry(&mut seq, token),
                kind if kind == Kind::Newline || (is_prop(kind) && inside) => {
                    item.start.push(token);
                }
                Kind::SeqItem if token.indent == seq.indent => {
                    if done || has(&item.start, Kind::SeqItem) {
                        seq.items.push(Item::starting(token));
                    } else {
                        item.start.push(token);
                    }
                }
                Kind::Unknown => put_in_seq(&mut seq, Tree::Misplaced(token, "there")),
                _ => {
                    if !self.seq_child(&mut seq, token) {
                        break;
                    }
                    continue;
                }
            }
            self.bump();
        }
        Tree::Seq(seq)
    }

    fn seq_child(&mut self, seq: &mut Coll, token: Token) -> bool {
        let Some(item) = seq.items.last_mut().filter(|_| token.indent > seq.indent) else {
            return false;
        };
        let Some(seed) = self.seed(token, &mut item.start) else { return false };
        let tree = self.node(seed, &mut item.start, Parent::Seq);
        put_in_seq(seq, tree);
        true
    }
}

fn is_prop(kind: Kind) -> bool {
    matches!(kind, Kind::Anchor | Kind::Tag)
}

fn put_in_seq(seq: &mut Coll, mut tree: Tree) {
    if let Tree::Block(block) = &mut tree {
        block.indent = seq.indent;
    }
    let end = tree.take_blank_end();
    match seq.items.last_mut() {
        Some(item) if item.value.is_none() => item.value = Some(tree),
        _ => seq.items.push(Item { value: Some(tree), ..Item::default() }),
    }
    seq.items.extend(end.map(|start| Item { start, ..Item::default() }));
}
