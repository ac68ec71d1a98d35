//! Mappings by indentation.

use super::{
    super::{
        token::{Kind, Token},
        tree::{
            Coll, Item, Leaf, Tree, before_entry, end_line, has, is_key_candidate, take_key_props,
        },
    },
    Grower, Parent,
};

impl Grower {
    pub(super) fn map(&mut self, mut map: Coll) -> Tree {
        while let Some(token) = self.peek() {
            match token.kind {
                Kind::Newline => {
                    self.on_key_line = false;
                    self.bump();
                    match map.items.last_mut() {
                        Some(item) if item.value.is_none() => item.props().push(token),
                        _ => end_line(&mut map.items, token),
                    }
                }
                Kind::Space | Kind::Comment => {
                    self.bump();
                    match map.items.last_mut() {
                        Some(Item { value: None, sep: Some(sep), .. }) => sep.push(token),
                        Some(Item { value: None, .. }) => before_entry(&mut map, token),
                        _ => map.items.push(Item::starting(token)),
                    }
                }
                Kind::Unknown => {
                    self.bump();
                    self.put_in_map(&mut map, Tree::Misplaced(token, "there"));
                }
                _ => {
                    if token.indent < map.indent || !self.map_token(&mut map, token) {
                        break;
                    }
                }
            }
        }
        Tree::Map(map)
    }

    /// A finished node takes its place: the value, or else a key.
    fn put_in_map(&mut self, map: &mut Coll, mut tree: Tree) {
        if let Tree::Block(block) = &mut tree {
            block.indent = map.indent;
        }
        let Some(item) = map.items.last_mut() else { return };
        if item.value.is_some() {
            map.items.push(Item::keyed(Vec::new(), Some(tree), Vec::new()));
            self.on_key_line = true;
        } else if item.sep.is_some() {
            let end = tree.take_blank_end();
            item.value = Some(tree);
            map.items.extend(end.map(|start| Item { start, ..Item::default() }));
        } else {
            self.on_key_line = !item.explicit;
            (item.key, item.sep) = (Some(tree), Some(Vec::new()));
        }
    }

    /// A node inside the last entry of a mapping.
    fn node_in_map(&mut self, map: &mut Coll, seed: Tree) {
        let indent = map.indent;
        let Some(item) = map.items.last_mut() else { return };
        let parent = Parent::Map { indent, has_key: item.sep.is_some() };
        let tree = self.node(seed, item.props(), parent);
        self.put_in_map(map, tree);
    }

    /// Does the mapping take the token?
    fn map_token(&mut self, map: &mut Coll, token: Token) -> bool {
        let at_indent = !self.on_key_line && token.indent == map.indent;
        let Some(item) = map.items.last_mut() else { return false };
        let begun = item.sep.is_some() || item.explicit;
        let at_next = at_indent && begun && token.kind != Kind::SeqItem;
        let mut start = Vec::new();
        if let (true, None, Some(sep)) = (at_next, &item.value, &mut item.sep) {
            start = blank_lines_of_next(sep, map.indent);
        }
        match token.kind {
            Kind::Anchor | Kind::Tag => {
                self.bump();
                if at_next || item.value.is_some() {
                    start.push(token);
                    map.items.push(Item { start, ..Item::default() });
                    self.on_key_line = true;
                } else {
                    item.props().push(token);
                }
            }
            Kind::Key => self.explicit_key(map, token, start, at_next),
            Kind::Value if item.explicit => self.explicit_value(map, token, start),
            Kind::Value => self.value(map, token, start, at_next),
            kind if kind.is_scalar() => {
                self.bump();
                let leaf = Tree::Leaf(Leaf { token, tail: None });
                if at_next || item.value.is_some() {
                    map.items.push(Item::keyed(start, Some(leaf), Vec::new()));
                    self.on_key_line = true;
                } else if item.sep.is_some() {
                    self.node_in_map(map, leaf);
                } else {
                    (item.key, item.sep) = (Some(leaf), Some(Vec::new()));
                    self.on_key_line = true;
                }
            }
            _ => return self.map_child(map, token, start, at_indent),
        }
        true
    }

    /// A block of text, brackets or a sequence inside a mapping.
    fn map_child(
        &mut self,
        map: &mut Coll,
        token: Token,
        start: Vec<Token>,
        at_indent: bool,
    ) -> bool {
        let Some(seed) = self.seed(token, &mut Vec::new()) else { return false };
        if !matches!(seed, Tree::Seq(_)) {
            if at_indent {
                map.items.push(Item { start, ..Item::default() });
            }
        } else if let Some(Item { explicit: false, sep: Some(sep), .. }) = map.items.last()
            && !has(sep, Kind::Newline)
        {
            self.put_in_map(map, Tree::Misplaced(token, "on the line of a key"));
            return true;
        }
        self.node_in_map(map, seed);
        true
    }

    fn explicit_key(&mut self, map: &mut Coll, token: Token, mut start: Vec<Token>, at_next: bool) {
        self.bump();
        self.on_key_line = true;
        let Some(item) = map.items.last_mut() else { return };
        if item.sep.is_none() && !item.explicit {
            item.start.push(token);
            item.explicit = true;
        } else if at_next || item.value.is_some() {
            start.push(token);
            map.items.push(Item { start, explicit: true, ..Item::default() });
        } else {
            let item = Item { explicit: true, ..Item::starting(token) };
            self.map_in_map(map, token, item);
        }
    }

    /// A mapping that begins inside the last entry of another.
    fn map_in_map(&mut self, map: &mut Coll, token: Token, item: Item) {
        let seed = Coll { start: token.start, indent: token.indent, items: vec![item] };
        self.node_in_map(map, Tree::Map(seed));
    }

    /// A `:` behind a `?`.
    fn explicit_value(&mut self, map: &mut Coll, token: Token, start: Vec<Token>) {
        self.bump();
        self.on_key_line = true;
        let Some(item) = map.items.last_mut() else { return };
        let Some(sep) = &mut item.sep else {
            if has(&item.start, Kind::Newline) {
                item.sep = Some(vec![token]);
            } else {
                let nested = Item::keyed(take_key_props(&mut item.start), None, vec![token]);
                self.map_in_map(map, token, nested);
            }
            return;
        };
        if item.value.is_some() {
            map.items.push(Item::keyed(Vec::new(), None, vec![token]));
        } else if has(sep, Kind::Value) {
            self.map_in_map(map, token, Item::keyed(start, None, vec![token]));
        } else if is_key_candidate(item.key.as_ref()) && !has(sep, Kind::Newline) {
            sep.push(token);
            let sep = item.sep.take().unwrap_or_default();
            let nested = Item::keyed(take_key_props(&mut item.start), item.key.take(), sep);
            self.map_in_map(map, token, nested);
        } else {
            sep.extend(start);
            sep.push(token);
        }
    }

    /// A `:` behind a key of one line.
    fn value(&mut self, map: &mut Coll, token: Token, start: Vec<Token>, at_next: bool) {
        self.bump();
        self.on_key_line = true;
        let Some(item) = map.items.last_mut() else { return };
        let Some(sep) = &mut item.sep else {
            item.sep = Some(vec![token]);
            return;
        };
        if item.value.is_some() || at_next {
            map.items.push(Item::keyed(start, None, vec![token]));
        } else if has(sep, Kind::Value) {
            self.map_in_map(map, token, Item::keyed(Vec::new(), None, vec![token]));
        } else {
            sep.push(token);
        }
    }
}

/// Blank lines behind an empty value, which belong to the next key.
fn blank_lines_of_next(sep: &mut Vec<Token>, indent: usize) -> Vec<Token> {
    let mut newlines = Vec::new();
    for (at, token) in sep.iter().enumerate() {
        match token.kind {
            Kind::Newline => newlines.push(at),
            Kind::Space => {}
            Kind::Comment if token.indent <= indent => {}
            _ => newlines.clear(),
        }
    }
    newlines.get(1).map_or_else(Vec::new, |at| sep.split_off(*at))
}
