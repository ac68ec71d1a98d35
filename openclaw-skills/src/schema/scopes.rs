//! How often a schema of several documents is compiled.
//!
//! What `$dynamicRef` means depends on the documents that led to it. So the compiler compiles a
//! rule anew for each way of documents that leads there. Here the ways are walked and counted, up
//! to a bound.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::work::{Work, address};

/// Values that may be compiled, those of each way counted.
const MAX_COMPILED: usize = 60_000;

/// Do references between documents lead to the same rules in too many ways?
///
/// It recurses: ask for the depth first.
pub(super) fn too_many(work: &Work, schema: &Value) -> bool {
    if work.is_one_document() {
        return false;
    }
    let mut ways = Ways::of(work, schema);
    ways.home(schema, schema);
    ways.walk().is_none()
}

/// A way of documents, by its number.
type Way = usize;

struct Ways<'a> {
    work: &'a Work,
    schema: &'a Value,
    /// The document that each rule stands in.
    homes: BTreeMap<usize, usize>,
    /// The way that comes from another one behind a document.
    known: BTreeMap<(Way, usize), Way>,
    left: usize,
}

/// A rule whose references are being followed, and those still to follow.
struct Step<'a> {
    rule: usize,
    next: Vec<(&'a Value, Way)>,
}

impl<'a> Ways<'a> {
    const fn of(work: &'a Work, schema: &'a Value) -> Self {
        Self { work, schema, homes: BTreeMap::new(), known: BTreeMap::new(), left: MAX_COMPILED }
    }

    fn home(&mut self, value: &'a Value, document: &'a Value) {
        match value {
            Value::Object(fields) => {
                let begins = ["$id", "id"].iter().any(|name| fields.contains_key(*name));
                let document = if begins { value } else { document };
                self.homes.insert(address(value), address(document));
                fields.values().for_each(|held| self.home(held, document));
            }
            Value::Array(items) => items.iter().for_each(|item| self.home(item, document)),
            _ => {}
        }
    }

    /// Every reference, on every way. A reference back to a rule that it is in ends there.
    fn walk(&mut self) -> Option<()> {
        let (mut seen, mut within) = (BTreeSet::new(), BTreeSet::new());
        let mut steps = vec![Step { rule: 0, next: vec![(self.schema, 0)] }];
        while let Some(step) = steps.last_mut() {
            let Some((rule, way)) = step.next.pop() else {
                within.remove(&step.rule);
                steps.pop();
                continue;
            };
            let place = address(rule);
            if !within.contains(&place) && seen.insert((place, way)) {
                within.insert(place);
                let mut next = Vec::new();
                self.follow(rule, way, &mut next)?;
                steps.push(Step { rule: place, next });
            }
        }
        Some(())
    }

    /// What the references in a rule lead to.
    fn follow(
        &mut self,
        rule: &'a Value,
        way: Way,
        next: &mut Vec<(&'a Value, Way)>,
    ) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        match rule {
            Value::Object(fields) => {
                for name in ["$ref", "$dynamicRef", "$recursiveRef"] {
                    let Some(reference) = fields.get(name).and_then(Value::as_str) else {
                        continue;
                    };
                    for target in self.work.targets(self.schema, reference) {
                        self.left = self.left.checked_sub(1)?;
                        let way = self.onward(way, rule, target);
                        next.push((target, way));
                    }
                }
                let mut fields = fields.iter();
                fields.try_for_each(|(name, held)| self.inside(name, held, way, next))
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.follow(item, way, next)),
            _ => Some(()),
        }
    }

    /// What stands below a keyword. Definitions are compiled where a reference leads to them.
    fn inside(
        &mut self,
        name: &str,
        held: &'a Value,
        way: Way,
        next: &mut Vec<(&'a Value, Way)>,
    ) -> Option<()> {
        match (name, held) {
            ("$defs" | "definitions", _) => Some(()),
            // Their names are not keywords.
            (
                "properties" | "patternProperties" | "dependentSchemas" | "dependencies",
                Value::Object(rules),
            ) => rules.values().try_for_each(|rule| self.follow(rule, way, next)),
            _ => self.follow(held, way, next),
        }
    }

    /// The way behind a reference: longer by this document when it leads to another.
    fn onward(&mut self, way: Way, from: &Value, to: &Value) -> Way {
        let home = |rule| self.homes.get(&address(rule)).copied();
        let (here, there) = (home(from), home(to));
        if way != 0 && here == there {
            return way;
        }
        let new = self.known.len() + 1;
        *self.known.entry((way, here.unwrap_or_default())).or_insert(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    /// Documents in a row, with two ways from each to the next.
    fn row(documents: usize) -> Value {
        let at = |name: &str, n: usize| format!("https://example.com/{name}{n}");
        let mut defs = Map::new();
        for n in 0..documents {
            let sides = ["a", "b"].map(|side| json!({ "$ref": at(side, n) }));
            defs.insert(format!("d{n}"), json!({ "$id": at("d", n), "items": { "anyOf": sides } }));
            for side in ["a", "b"] {
                let next = json!({ "$id": at(side, n), "$ref": at("d", n + 1) });
                defs.insert(format!("{side}{n}"), next);
            }
        }
        defs.insert(format!("d{documents}"), json!({ "$id": at("d", documents) }));
        json!({ "$id": at("root", 0), "$ref": at("d", 0), "$defs": defs })
    }

    fn is_refused(schema: &Value) -> bool {
        too_many(&Work::named(schema), schema)
    }

    #[test]
    fn a_rule_is_counted_on_each_way_of_documents() {
        assert!(!is_refused(&row(6)));
        assert!(is_refused(&row(30)));
    }

    #[test]
    fn documents_that_refer_to_each_other_in_a_row_are_few_ways() {
        let at = |n: usize| format!("https://example.com/{n}");
        let one = |n: usize| {
            let rules = json!({ "next": { "$ref": at(n + 1) }, "again": { "$ref": at(n + 1) } });
            (n.to_string(), json!({ "$id": at(n), "properties": rules }))
        };
        let mut defs: Map<String, Value> = (0..100).map(one).collect();
        defs.insert("100".to_owned(), json!({ "$id": at(100), "items": { "$ref": at(0) } }));
        assert!(!is_refused(&json!({ "$ref": at(0), "$defs": defs })));
    }
}
