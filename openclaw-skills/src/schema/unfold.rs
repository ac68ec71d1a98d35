//! How big a schema gets when it is compiled.
//!
//! The compiler shares a rule between all references to it, but for two things. For each
//! `unevaluatedProperties` and `unevaluatedItems` it copies every rule that looks at the same
//! value, and follows references until they come back to a rule that it is copying. And it
//! searches alternatives for a property that tells them apart, some references deep. Everything
//! it makes keeps the whole way to its place. Here the same ways are walked and summed up, and
//! left as soon as the sum is too big.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    scopes,
    work::{MAX_LEVELS, Work, address, is_unevaluated},
};
use crate::pointer::below;

/// How big a schema may get, in bytes.
pub(super) const MAX_UNFOLDED: usize = 32 << 20;

/// What a rule takes besides the text of its place.
const RULE: usize = 512;

/// How deep alternatives are searched.
const MAX_SEARCH: usize = 16;

/// Fewer alternatives are not searched.
const MIN_SEARCHED: usize = 3;

/// The place where the schema gets too big, if it does.
///
/// It recurses: ask for the depth first.
pub(super) fn too_big(schema: &Value) -> Option<String> {
    let work = Work::named(schema);
    let mut unfolding =
        Unfolding { work: &work, schema, left: MAX_UNFOLDED, copying: BTreeSet::new(), level: 0 };
    let place = unfolding.whole(schema, "").err();
    place.or_else(|| scopes::too_many(&work, schema).then(String::new))
}

/// The keyword that copies for itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum For {
    Properties,
    Items,
}

struct Unfolding<'a> {
    work: &'a Work,
    schema: &'a Value,
    /// Bytes that may still come.
    left: usize,
    /// The rules that are being copied. References to them end there.
    copying: BTreeSet<(For, usize)>,
    level: usize,
}

impl<'a> Unfolding<'a> {
    /// Each value once, and what is unfolded from there.
    fn whole(&mut self, value: &'a Value, place: &str) -> Result<(), String> {
        self.from(value, place.len()).ok_or_else(|| place.to_owned())?;
        match value {
            Value::Object(fields) => {
                let mut fields = fields.iter();
                fields.try_for_each(|(name, held)| self.whole(held, &below(place, name)))
            }
            Value::Array(items) => {
                let mut items = items.iter().enumerate();
                items.try_for_each(|(at, item)| self.whole(item, &format!("{place}/{at}")))
            }
            _ => Ok(()),
        }
    }

    /// What a rule takes by itself. Nothing when that is too much.
    fn from(&mut self, rule: &'a Value, place: usize) -> Option<()> {
        self.take(place)?;
        let Value::Object(fields) = rule else { return Some(()) };
        for way in unevaluated(fields) {
            self.copy(way, rule, place, false)?;
        }
        for name in ["anyOf", "oneOf"] {
            let alternatives = fields.get(name).and_then(Value::as_array);
            for one in alternatives.filter(|all| all.len() >= MIN_SEARCHED).into_iter().flatten() {
                self.search(one, 0)?;
            }
        }
        Some(())
    }

    fn take(&mut self, place: usize) -> Option<()> {
        self.left = self.left.checked_sub(RULE.saturating_add(place))?;
        Some(())
    }

    /// One level deeper.
    fn deeper(&mut self, walk: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.level += 1;
        let walked = if self.level > MAX_LEVELS { None } else { walk(self) };
        self.level -= 1;
        walked
    }

    /// A copy of all that looks at the same value as this rule.
    ///
    /// Where a reference led here, what the rule holds is compiled anew.
    fn copy(&mut self, way: For, rule: &'a Value, place: usize, anew: bool) -> Option<()> {
        let Value::Object(fields) = rule else { return Some(()) };
        self.take(place)?;
        let first = self.copying.insert((way, address(rule)));
        self.deeper(|this| {
            for (name, held) in fields {
                let place = place + name.len() + 1;
                this.copy_part(way, name, held, place)?;
                if anew && is_compiled_anew(name) {
                    this.anew(held, place)?;
                }
            }
            Some(())
        })?;
        if first {
            self.copying.remove(&(way, address(rule)));
        }
        Some(())
    }

    fn copy_part(&mut self, way: For, name: &str, held: &'a Value, place: usize) -> Option<()> {
        match name {
            "$ref" | "$dynamicRef" | "$recursiveRef" => {
                let reference = held.as_str().unwrap_or_default();
                for target in self.work.targets(self.schema, reference) {
                    if !self.copying.contains(&(way, address(target))) {
                        self.copy(way, target, place, true)?;
                    }
                }
            }
            "if" | "then" | "else" => self.copy(way, held, place, false)?,
            "allOf" | "anyOf" | "oneOf" => {
                for item in held.as_array().into_iter().flatten() {
                    self.copy(way, item, place, false)?;
                }
            }
            "dependentSchemas" => {
                for (name, item) in held.as_object().into_iter().flatten() {
                    self.copy(way, item, place + name.len(), false)?;
                }
            }
            "properties" => {
                for name in held.as_object().into_iter().flat_map(Map::keys) {
                    self.take(name.len())?;
                }
            }
            _ => {}
        }
        Some(())
    }

    /// All that stands in a rule, compiled once more.
    fn anew(&mut self, value: &'a Value, place: usize) -> Option<()> {
        self.from(value, place)?;
        self.deeper(|this| match value {
            Value::Object(fields) => {
                let mut fields = fields.iter();
                fields.try_for_each(|(name, held)| this.anew(held, place + name.len() + 1))
            }
            Value::Array(items) => items.iter().try_for_each(|item| this.anew(item, place + 1)),
            _ => Some(()),
        })
    }

    /// One of the alternatives, searched for what tells it apart.
    fn search(&mut self, rule: &'a Value, depth: usize) -> Option<()> {
        let Value::Object(fields) = rule else { return Some(()) };
        if depth > MAX_SEARCH {
            return Some(());
        }
        self.take(0)?;
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
            for target in self.work.targets(self.schema, reference) {
                self.search(target, depth + 1)?;
            }
        }
        let all = fields.get("allOf").and_then(Value::as_array);
        all.into_iter().flatten().try_for_each(|item| self.search(item, depth + 1))
    }
}

/// The keywords of this rule that copy.
fn unevaluated(fields: &Map<String, Value>) -> impl Iterator<Item = For> {
    let both = [("unevaluatedProperties", For::Properties), ("unevaluatedItems", For::Items)];
    let asks = |name| fields.get(name).is_some_and(|held| is_unevaluated(name, held));
    let ways = both.map(|(name, way)| asks(name).then_some(way));
    ways.into_iter().flatten()
}

/// Does a copy compile what this keyword holds?
fn is_compiled_anew(name: &str) -> bool {
    matches!(
        name,
        "allOf"
            | "anyOf"
            | "oneOf"
            | "if"
            | "then"
            | "else"
            | "dependentSchemas"
            | "contains"
            | "additionalProperties"
            | "patternProperties"
            | "unevaluatedProperties"
            | "unevaluatedItems"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn linked(links: usize, link: impl Fn(Value) -> Value) -> Map<String, Value> {
        let next = |n: usize| json!({ "$ref": format!("#/$defs/d{}", n + 1) });
        let defs = (0..links).map(|n| (format!("d{n}"), link(next(n))));
        defs.chain([(format!("d{links}"), json!({ "type": "object" }))]).collect()
    }

    fn twice(next: Value) -> Value {
        json!({ "allOf": Value::Array(vec![next.clone(), next]) })
    }

    #[test]
    fn a_rule_is_copied_for_each_way_that_leads_to_it() {
        for keyword in ["unevaluatedProperties", "unevaluatedItems"] {
            let schema = |links| {
                json!({ "items": {
                    "$ref": "#/$defs/d0", keyword: false }, "$defs": linked(links, twice) })
            };
            assert_eq!(too_big(&schema(5)), None, "{keyword}");
            assert_eq!(too_big(&schema(40)).as_deref(), Some("/items"), "{keyword}");
        }
    }

    #[test]
    fn a_copy_ends_where_it_comes_back_to_a_rule_it_is_in() {
        let node = json!({
            "allOf": [{ "$ref": "#/$defs/node" }, { "$ref": "#" }],
            "unevaluatedProperties": false,
        });
        let schema = json!({ "$ref": "#/$defs/node", "$defs": { "node": node } });
        assert_eq!(too_big(&schema), None);
    }

    #[test]
    fn references_in_a_circle_are_copied_in_every_order() {
        let all = |n: usize| -> Vec<Value> {
            (0..n).map(|n| json!({ "$ref": format!("#/$defs/d{n}") })).collect()
        };
        let schema = |n: usize| {
            let defs = (0..n).map(|one| (format!("d{one}"), json!({ "anyOf": all(n) })));
            let defs: Map<String, Value> = defs.collect();
            json!({ "$defs": defs, "anyOf": all(n), "unevaluatedItems": false })
        };
        assert_eq!(too_big(&schema(2)), None);
        assert_eq!(too_big(&schema(20)).as_deref(), Some(""));
    }

    #[test]
    fn a_big_rule_weighs_as_much_as_it_holds_in_each_copy() {
        let schema = |held: usize| {
            let mut defs = linked(9, twice);
            let many: Map<String, Value> = (0..held).map(|n| (n.to_string(), json!({}))).collect();
            defs.insert("d9".to_owned(), json!({ "additionalProperties": { "properties": many } }));
            json!({ "$ref": "#/$defs/d0", "unevaluatedProperties": false, "$defs": defs })
        };
        assert_eq!(too_big(&schema(10)), None);
        assert_eq!(too_big(&schema(1_000)).as_deref(), Some(""));
    }

    #[test]
    fn alternatives_are_searched_for_each_way_that_leads_to_them() {
        let wide = |n: usize| {
            let defs = linked(9, |next| json!({ "allOf": vec![next; n] }));
            json!({ "$defs": defs, "oneOf": [{ "$ref": "#/$defs/d0" }, true, true] })
        };
        assert_eq!(too_big(&wide(2)), None);
        assert_eq!(too_big(&wide(12)).as_deref(), Some(""));
    }

    #[test]
    fn every_rule_keeps_the_way_to_its_place() {
        let below_a_name = |letters: usize| json!({ "x".repeat(letters): vec![json!({}); 5_000] });
        assert_eq!(too_big(&below_a_name(1_000)), None);
        assert!(too_big(&below_a_name(100_000)).is_some());
    }
}
