//! How much work a value makes for a schema with references into itself.
//!
//! A validator follows every reference each time it meets one. Forty short definitions, each
//! naming the next one twice, are a billion visits; so is a recursive one with two alternatives,
//! on a value that is deep enough. A long chain of references exhausts the stack. Here every pair
//! of rule and value is counted once, and visits and depth are summed up from the pairs: it takes
//! time in the number of pairs, not of visits.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::pointer::below;

/// Visits that need no watching. What one value can cost is bounded by its size.
const PLAIN: u64 = 10_000;

/// More pairs than are counted.
const MAX_PAIRS: usize = 500_000;

/// How many rules may lead into each other, references followed.
///
/// A value of 128 levels under a recursive rule of three steps a level still fits.
pub(super) const MAX_LEVELS: usize = 400;

/// Names that a reference may end in, and where they stand in the schema.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Anchors and their places.
    anchors: Vec<(String, String)>,
    /// The places of embedded documents.
    documents: Vec<String>,
}

impl Work {
    /// What to watch of this schema; nothing when its references can't multiply.
    ///
    /// # Errors
    /// Its rules lead into each other over more than [`MAX_LEVELS`].
    pub(super) fn of(schema: &Value) -> Result<Option<Self>, TooDeep> {
        let mut work = Self::default();
        work.collect(schema, "");
        let mut count = Count::new(&work, schema);
        let unfolded = count.unfolded(schema);
        if unfolded.levels > MAX_LEVELS {
            return Err(TooDeep);
        }
        Ok((count.recursive || unfolded.visits > PLAIN).then_some(work))
    }

    /// Does this value make more visits than `most`, or go too deep?
    pub(super) fn exceeds(&self, schema: &Value, value: &Value, most: u64) -> bool {
        let sum = Count::new(self, schema).visits(schema, value);
        sum.visits > most || sum.levels > MAX_LEVELS
    }

    fn collect(&mut self, value: &Value, place: &str) {
        let Value::Object(fields) = value else {
            let items = value.as_array().into_iter().flatten().enumerate();
            items.for_each(|(at, item)| self.collect(item, &format!("{place}/{at}")));
            return;
        };
        for name in ["$anchor", "$dynamicAnchor"] {
            if let Some(anchor) = fields.get(name).and_then(Value::as_str) {
                self.anchors.push((anchor.to_owned(), place.to_owned()));
            }
        }
        for name in ["$id", "id"] {
            match fields.get(name).and_then(Value::as_str).map(|id| id.strip_prefix('#').ok_or(id))
            {
                // How older drafts write an anchor.
                Some(Ok(anchor)) => self.anchors.push((anchor.to_owned(), place.to_owned())),
                Some(Err(_)) => self.documents.push(place.to_owned()),
                None => {}
            }
        }
        for (name, item) in fields {
            self.collect(item, &below(place, name));
        }
    }

    /// Everything that this reference may mean. More than one where an `$id` moves the root.
    fn targets<'s>(&self, schema: &'s Value, reference: &str) -> Vec<&'s Value> {
        let fragment = reference.split_once('#').map_or("", |(_, fragment)| fragment);
        let documents = || {
            let embedded = self.documents.iter().filter_map(|place| schema.pointer(place));
            std::iter::once(schema).chain(embedded)
        };
        let fragment = decoded(fragment);
        let mut targets: Vec<&Value> = if fragment.is_empty() || fragment.starts_with('/') {
            documents().filter_map(|document| document.pointer(&fragment)).collect()
        } else {
            let named = self.anchors.iter().filter(|(anchor, _)| *anchor == fragment);
            named.filter_map(|(_, place)| schema.pointer(place)).collect()
        };
        // Whatever it is, it is somewhere in here.
        if targets.is_empty() {
            targets.push(schema);
        }
        targets
    }
}

/// The text without its percent signs.
fn decoded(fragment: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), fragment.as_bytes());
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (byte, read) = match code.filter(|_| *first == b'%') {
            Some(code) => (code, 3),
            None => (*first, 1),
        };
        bytes.push(byte);
        rest = rest.get(read..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a keyword does with the schemas it holds.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// The same value again.
    Here,
    /// Each item of an array.
    Items,
    /// Each field of an object.
    Fields,
    /// The field of the same name.
    Named,
}

/// A rule and a value by their addresses. No value while a schema is unfolded alone.
type Pair = (usize, usize);

/// A schema whose rules lead into each other over too many levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooDeep;

/// What a rule leads to at a value, itself included.
#[derive(Clone, Copy, Debug)]
struct Sum {
    visits: u64,
    levels: usize,
}

impl Sum {
    const ONE: Self = Self { visits: 1, levels: 1 };
    const TOO_MUCH: Self = Self { visits: u64::MAX, levels: usize::MAX };

    const fn with(self, part: Self) -> Self {
        let below = part.levels.saturating_add(1);
        Self {
            visits: self.visits.saturating_add(part.visits),
            levels: if below > self.levels { below } else { self.levels },
        }
    }
}

struct Count<'a> {
    work: &'a Work,
    schema: &'a Value,
    /// The sum of each pair; none while it is being counted.
    pairs: BTreeMap<Pair, Option<Sum>>,
    level: usize,
    recursive: bool,
}

impl<'a> Count<'a> {
    const fn new(work: &'a Work, schema: &'a Value) -> Self {
        Self { work, schema, pairs: BTreeMap::new(), level: 0, recursive: false }
    }

    /// The schema alone, as if every part of it met a value.
    fn unfolded(&mut self, rule: &'a Value) -> Sum {
        self.once((address(rule), 0), |count| {
            let mut sum = Sum::ONE;
            for (part, _, _) in count.parts(rule) {
                sum = sum.with(count.unfolded(part));
            }
            sum
        })
    }

    /// This rule at this value.
    fn visits(&mut self, rule: &'a Value, value: &'a Value) -> Sum {
        self.once((address(rule), address(value)), |count| {
            let mut sum = Sum::ONE;
            for (part, way, name) in count.parts(rule) {
                match (way, value) {
                    (Way::Here, _) => sum = sum.with(count.visits(part, value)),
                    (Way::Named, Value::Object(fields)) => {
                        if let Some(field) = fields.get(name) {
                            sum = sum.with(count.visits(part, field));
                        }
                    }
                    (Way::Fields, Value::Object(fields)) => {
                        for field in fields.values() {
                            sum = sum.with(count.visits(part, field));
                        }
                    }
                    (Way::Items, Value::Array(items)) => {
                        for item in items {
                            sum = sum.with(count.visits(part, item));
                        }
                    }
                    _ => {}
                }
            }
            sum
        })
    }

    /// Counts a pair once. A pair within itself ends the validator, and the counting.
    fn once(&mut self, pair: Pair, sum: impl FnOnce(&mut Self) -> Sum) -> Sum {
        if let Some(known) = self.pairs.get(&pair) {
            self.recursive |= known.is_none();
            return known.unwrap_or(Sum::ONE);
        }
        if self.pairs.len() >= MAX_PAIRS || self.level > MAX_LEVELS {
            return Sum::TOO_MUCH;
        }
        self.pairs.insert(pair, None);
        self.level += 1;
        let sum = sum(self);
        self.level -= 1;
        self.pairs.insert(pair, Some(sum));
        sum
    }

    /// The schemas that a rule leads to, how, and under which name.
    fn parts(&self, rule: &'a Value) -> Vec<(&'a Value, Way, &'a str)> {
        let Value::Object(fields) = rule else { return Vec::new() };
        let mut parts = Vec::new();
        for (name, held) in fields {
            match name.as_str() {
                "$ref" | "$dynamicRef" | "$recursiveRef" => {
                    let targets = self.work.targets(self.schema, held.as_str().unwrap_or_default());
                    parts.extend(targets.into_iter().map(|target| (target, Way::Here, "")));
                }
                "not" | "if" | "then" | "else" => parts.push((held, Way::Here, "")),
                "allOf" | "anyOf" | "oneOf" => parts.extend(items(held, Way::Here)),
                "dependentSchemas" | "dependencies" => parts.extend(values(held, Way::Here)),
                "properties" => parts.extend(values(held, Way::Named)),
                "patternProperties" => parts.extend(values(held, Way::Fields)),
                "prefixItems" => parts.extend(items(held, Way::Items)),
                "items" if held.is_array() => parts.extend(items(held, Way::Items)),
                "items" | "additionalItems" | "contains" | "unevaluatedItems" => {
                    parts.push((held, Way::Items, ""));
                }
                "additionalProperties" | "unevaluatedProperties" => {
                    parts.push((held, Way::Fields, ""));
                }
                _ => {}
            }
        }
        parts
    }
}

fn items(held: &Value, way: Way) -> impl Iterator<Item = (&Value, Way, &str)> {
    held.as_array().into_iter().flatten().map(move |item| (item, way, ""))
}

fn values(held: &Value, way: Way) -> impl Iterator<Item = (&Value, Way, &str)> {
    let fields = held.as_object().into_iter().flat_map(Map::iter);
    fields.map(move |(name, item)| (item, way, name.as_str()))
}

/// Tells parts of one value apart by where they are.
pub(crate) fn address(value: &Value) -> usize {
    std::ptr::from_ref(value).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deep(levels: usize) -> Value {
        (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
    }

    #[test]
    fn a_plain_schema_is_not_watched() {
        let order = json!({
            "properties": { "lines": { "items": { "$ref": "#/$defs/line" } } },
            "$defs": { "line": { "type": "object" } },
        });
        assert!(matches!(Work::of(&order), Ok(None)));
    }

    #[test]
    fn definitions_that_name_the_next_one_twice_are_counted_without_unfolding_them() {
        let next = |n: usize| json!({ "$ref": format!("#/$defs/d{n}") });
        let defs: Map<String, Value> = (0..40)
            .map(|n| (format!("d{n}"), json!({ "allOf": [next(n + 1), next(n + 1)] })))
            .chain([("d40".to_owned(), json!(true))])
            .collect();
        let bomb = json!({ "$defs": defs, "$ref": "#/$defs/d0" });
        let work = Work::of(&bomb).expect("it is not deep").expect("it is watched");
        assert!(work.exceeds(&bomb, &json!(1), 1 << 39));
        assert!(!work.exceeds(&bomb, &json!(1), 1 << 43));
    }

    #[test]
    fn a_recursive_schema_costs_what_its_value_makes_of_it() {
        let tree = json!({ "properties": { "a": { "$ref": "#" } } });
        let twice = json!({ "$dynamicAnchor": "t", "anyOf": [
            { "properties": { "a": { "$dynamicRef": "#t" } } },
            { "additionalProperties": { "$ref": "#t" } },
        ] });
        let watched = |schema| Work::of(schema).expect("it is not deep").expect("it is watched");
        let (tree_work, twice_work) = (watched(&tree), watched(&twice));
        assert!(!tree_work.exceeds(&tree, &deep(60), 1_000));
        assert!(!twice_work.exceeds(&twice, &deep(5), 1_000));
        assert!(twice_work.exceeds(&twice, &deep(60), 1 << 40));
    }

    #[test]
    fn a_reference_is_found_however_it_is_written() {
        let odd = json!({ "a b/c": { "items": true } });
        for (schema, reference) in [
            (json!({ "$defs": odd }), "#/$defs/a%20b~1c"),
            (json!({ "$defs": { "n": { "$anchor": "n", "items": true } } }), "#n"),
            (json!({ "definitions": { "n": { "$id": "#n", "items": true } } }), "#n"),
            (json!({ "$defs": { "n": { "$id": "urn:n", "items": true } } }), "urn:n"),
        ] {
            let mut work = Work::default();
            work.collect(&schema, "");
            let found = work.targets(&schema, reference);
            assert!(found.iter().any(|target| target["items"] == true), "{reference} in {schema}");
        }
    }

    #[test]
    fn a_chain_of_references_has_an_end_whichever_end_is_met_first() {
        let chain = |links: usize, first: &str| {
            let link = |n: usize| json!({ "$ref": format!("#/$defs/d{}", n + 1) });
            let mut defs: Map<String, Value> =
                (0..links).map(|n| (format!("d{n}"), link(n))).collect();
            defs.insert(format!("d{links}"), json!(true));
            let all: Vec<Value> =
                (0..links).rev().map(|n| json!({ "$ref": format!("#/$defs/d{n}") })).collect();
            json!({ "$defs": defs, first: all })
        };
        assert_eq!(Work::of(&chain(300, "allOf")).err(), None);
        assert_eq!(Work::of(&chain(5_000, "allOf")).err(), Some(TooDeep));
        assert_eq!(Work::of(&chain(5_000, "prefixItems")).err(), Some(TooDeep));
    }
}
