//! How much work a value makes for a schema with references into itself.
//!
//! A validator follows every reference each time it meets one. Forty short definitions, each
//! naming the next one twice, are a billion visits; so is a recursive one with two alternatives,
//! on a value that is deep enough. A long chain of references exhausts the stack. Here every pair
//! of rule and value is counted once, and visits and depth are summed up from the pairs: it takes
//! time in the number of pairs, not of visits. Only where references go in a circle without going
//! deeper into the value, each way round is counted, as the validator walks it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::pointer::below;

/// Visits that need no watching. What one value can cost is bounded by its size.
const PLAIN: u64 = 10_000;

/// More pairs than are counted.
const MAX_PAIRS: usize = 500_000;

/// Stands for every name of a property: a value with nothing in it.
static NAME: Value = Value::Null;

/// How many rules may lead into each other, references followed.
///
/// A value of 128 levels under a recursive rule of three steps a level still fits.
pub(super) const MAX_LEVELS: usize = 400;

/// Names that a reference may end in, and where they stand in the schema.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Anchors and their places.
    anchors: Vec<(String, String)>,
    /// The last names of embedded documents, and their places.
    documents: Vec<(Option<String>, String)>,
}

impl Work {
    /// What to watch of this schema; nothing when its references can't multiply.
    ///
    /// # Errors
    /// Its rules lead into each other over more than [`MAX_LEVELS`].
    pub(super) fn of(schema: &Value) -> Result<Option<Self>, TooDeep> {
        let work = Self::named(schema);
        let mut count = Count::new(&work, schema);
        let unfolded = count.unfolded(schema, Ask::Fits);
        if unfolded.levels > MAX_LEVELS {
            return Err(TooDeep);
        }
        Ok((count.recursive || unfolded.visits > PLAIN).then_some(work))
    }

    /// The names that a reference in this schema may end in.
    pub(super) fn named(schema: &Value) -> Self {
        let mut work = Self::default();
        work.collect(schema, "");
        work
    }

    /// Does this value make more visits than `most`, or go too deep?
    pub(super) fn exceeds(&self, schema: &Value, value: &Value, most: u64) -> bool {
        let sum = Count::new(self, schema).visits(schema, Ask::Fits, value);
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
                Some(Err(id)) => self.documents.push((last_name(id), place.to_owned())),
                None => {}
            }
        }
        for (name, item) in fields {
            self.collect(item, &below(place, name));
        }
    }

    /// Everything that this reference may mean. More than one where an `$id` moves the root.
    pub(super) fn targets<'s>(&self, schema: &'s Value, reference: &str) -> Vec<&'s Value> {
        let (document, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let documents = || self.documents(schema, document).into_iter();
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
        // The whole schema may be one of its documents.
        targets.dedup_by(|one, other| std::ptr::eq(*one, *other));
        targets
    }

    /// Is no other document embedded?
    pub(super) fn is_one_document(&self) -> bool {
        self.documents.iter().all(|(_, place)| place.is_empty())
    }

    /// The documents that a reference may mean by this address: those whose last name it has.
    fn documents<'s>(&self, schema: &'s Value, address: &str) -> Vec<&'s Value> {
        let wanted = last_name(address);
        let may_be = |name: &Option<String>| name.is_none() || wanted.is_none() || *name == wanted;
        let embedded = || self.documents.iter().filter(|(name, _)| may_be(name));
        let found: Vec<&Value> =
            embedded().filter_map(|(_, place)| schema.pointer(place)).collect();
        // An address may mean the whole schema, too, unless another document has its name.
        let whole = (wanted.is_none() || found.is_empty()).then_some(schema);
        whole.into_iter().chain(found).collect()
    }
}

/// How an address ends, in whatever base it is read. None when that depends on the base.
fn last_name(address: &str) -> Option<String> {
    let address = address.split_once('#').map_or(address, |(address, _)| address);
    let path = address.split_once("//").map_or(address, |(_, path)| path);
    let bare_host = path.len() < address.len() && !path.contains('/');
    let name = decoded(path.rsplit('/').next().unwrap_or_default()).to_lowercase();
    let depends = bare_host || name.is_empty() || name == "." || name == ".." || name.contains('?');
    (!depends).then_some(name)
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
    /// The name of each field.
    Names,
    /// The same value again, for what of it the rule looks at.
    Seen,
}

/// What is asked of a rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ask {
    /// Does the value fit?
    Fits,
    /// What of the value does it look at? `unevaluatedProperties` and `unevaluatedItems` ask it.
    Sees,
}

/// A rule, what is asked of it, and a value, by their addresses. No value while a schema is
/// unfolded alone.
type Pair = (usize, Ask, usize);

/// How far a pair is counted.
#[derive(Clone, Copy, Debug)]
enum Counted {
    /// It is being counted, at this level.
    Begun(usize),
    All(Sum),
}

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
        self.with_each(part, 1)
    }

    const fn with_each(self, part: Self, times: u64) -> Self {
        let below = part.levels.saturating_add(1);
        let visits = part.visits.saturating_mul(times);
        Self {
            visits: self.visits.saturating_add(visits),
            levels: if below > self.levels && times > 0 { below } else { self.levels },
        }
    }
}

struct Count<'a> {
    work: &'a Work,
    schema: &'a Value,
    pairs: BTreeMap<Pair, Counted>,
    /// Pairs that were counted, some of them more than once.
    counted: usize,
    level: usize,
    /// The level of the outermost pair that what was counted last came back to.
    back_to: usize,
    recursive: bool,
}

impl<'a> Count<'a> {
    const fn new(work: &'a Work, schema: &'a Value) -> Self {
        let pairs = BTreeMap::new();
        Self { work, schema, pairs, counted: 0, level: 0, back_to: usize::MAX, recursive: false }
    }

    /// The schema alone, as if every part of it met a value.
    fn unfolded(&mut self, rule: &'a Value, ask: Ask) -> Sum {
        self.once((address(rule), ask, 0), |count| {
            let mut sum = Sum::ONE;
            for (part, way, _) in count.parts(rule, ask) {
                let ask = if way == Way::Seen { Ask::Sees } else { Ask::Fits };
                sum = sum.with(count.unfolded(part, ask));
            }
            sum
        })
    }

    /// This rule at this value.
    fn visits(&mut self, rule: &'a Value, ask: Ask, value: &'a Value) -> Sum {
        self.once((address(rule), ask, address(value)), |count| {
            let parts = count.parts(rule, ask).into_iter();
            parts.fold(Sum::ONE, |sum, part| count.part(sum, part, value))
        })
    }

    /// One of the parts of a rule at this value.
    fn part(&mut self, sum: Sum, (part, way, name): Part<'a>, value: &'a Value) -> Sum {
        let mut each = |sum: Sum, inner: &'a Value| sum.with(self.visits(part, Ask::Fits, inner));
        match (way, value) {
            (Way::Here, _) => each(sum, value),
            (Way::Seen, _) => sum.with(self.visits(part, Ask::Sees, value)),
            (Way::Named, Value::Object(fields)) => fields.get(name).into_iter().fold(sum, each),
            (Way::Fields, Value::Object(fields)) => fields.values().fold(sum, each),
            (Way::Names, Value::Object(fields)) if !fields.is_empty() => {
                let times = u64::try_from(fields.len()).unwrap_or(u64::MAX);
                sum.with_each(self.visits(part, Ask::Fits, &NAME), times)
            }
            (Way::Items, Value::Array(items)) => items.iter().fold(sum, each),
            _ => sum,
        }
    }

    /// Counts a pair once. A pair within itself ends the validator, and the counting.
    ///
    /// A sum that came back to an outer pair is too small elsewhere: it is counted again where it is
    /// met on another way. Not so in a schema alone, where all that recurses would come back.
    fn once(&mut self, pair: Pair, sum: impl FnOnce(&mut Self) -> Sum) -> Sum {
        match self.pairs.get(&pair) {
            Some(Counted::All(sum)) => return *sum,
            Some(Counted::Begun(level)) => {
                self.recursive = true;
                self.back_to = self.back_to.min(*level);
                return Sum::ONE;
            }
            None => {}
        }
        if self.counted >= MAX_PAIRS || self.level > MAX_LEVELS {
            return Sum::TOO_MUCH;
        }
        self.counted += 1;
        let level = self.level;
        self.pairs.insert(pair, Counted::Begun(level));
        let outside = std::mem::replace(&mut self.back_to, usize::MAX);
        self.level += 1;
        let sum = sum(self);
        self.level -= 1;
        let alone = pair.2 == 0;
        if alone || self.back_to >= level {
            self.pairs.insert(pair, Counted::All(sum));
            self.back_to = outside;
        } else {
            self.pairs.remove(&pair);
            self.back_to = self.back_to.min(outside);
        }
        sum
    }

    /// The schemas that a rule leads to, how, and under which name.
    fn parts(&self, rule: &'a Value, ask: Ask) -> Vec<Part<'a>> {
        let Value::Object(fields) = rule else { return Vec::new() };
        let mut parts = Vec::new();
        for (name, held) in fields {
            match ask {
                Ask::Fits => self.fitting(name, held, &mut parts),
                Ask::Sees => self.seeing(name, held, &mut parts),
            }
            if ask == Ask::Fits && is_unevaluated(name, held) {
                parts.push((rule, Way::Seen, ""));
            }
        }
        parts
    }

    /// What this keyword asks whether a value fits.
    fn fitting(&self, name: &str, held: &'a Value, parts: &mut Vec<Part<'a>>) {
        match name {
            "$ref" | "$dynamicRef" | "$recursiveRef" => {
                let targets = self.work.targets(self.schema, held.as_str().unwrap_or_default());
                parts.extend(targets.into_iter().map(|target| (target, Way::Here, "")));
            }
            "not" | "if" | "then" | "else" => parts.push((held, Way::Here, "")),
            "allOf" | "anyOf" | "oneOf" => parts.extend(items(held, Way::Here)),
            "dependentSchemas" | "dependencies" => parts.extend(values(held, Way::Here)),
            "properties" => parts.extend(values(held, Way::Named)),
            "patternProperties" => parts.extend(values(held, Way::Fields)),
            "propertyNames" => parts.push((held, Way::Names, "")),
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

    /// What this keyword asks to know what of a value is looked at.
    fn seeing(&self, name: &str, held: &'a Value, parts: &mut Vec<Part<'a>>) {
        match name {
            "$ref" | "$dynamicRef" | "$recursiveRef" => {
                let targets = self.work.targets(self.schema, held.as_str().unwrap_or_default());
                parts.extend(targets.into_iter().map(|target| (target, Way::Seen, "")));
            }
            "if" => parts.extend([(held, Way::Here, ""), (held, Way::Seen, "")]),
            "then" | "else" => parts.push((held, Way::Seen, "")),
            "allOf" | "anyOf" | "oneOf" => {
                parts.extend(items(held, Way::Here).chain(items(held, Way::Seen)));
            }
            "dependentSchemas" => parts.extend(values(held, Way::Seen)),
            "contains" | "unevaluatedItems" => parts.push((held, Way::Items, "")),
            "unevaluatedProperties" => parts.push((held, Way::Fields, "")),
            _ => {}
        }
    }
}

/// Does this keyword ask what its rule looks at? Where all may pass, nothing has to be known.
pub(super) fn is_unevaluated(name: &str, held: &Value) -> bool {
    matches!(name, "unevaluatedProperties" | "unevaluatedItems") && *held != Value::Bool(true)
}

/// A schema that a rule leads to, how, and under which name.
type Part<'a> = (&'a Value, Way, &'a str);

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
            let work = Work::named(&schema);
            let found = work.targets(&schema, reference);
            assert!(found.iter().any(|target| target["items"] == true), "{reference} in {schema}");
        }
    }

    #[test]
    fn a_reference_means_the_documents_of_its_name() {
        let schema = json!({ "$defs": {
            "a": { "$id": "https://one.example/x/a.json", "const": 1 },
            "b": { "$id": "b.json", "const": 2 },
            "c": { "$id": "https://c.example", "const": 3 },
        } });
        let work = Work::named(&schema);
        let found = |reference| {
            let targets = work.targets(&schema, reference).into_iter();
            targets.filter_map(|target| target["const"].as_u64()).collect::<Vec<_>>()
        };
        // The host alone may be written with a port and a slash: it is always looked at.
        assert_eq!(found("a.json"), [1, 3]);
        assert_eq!(found("/x/%41.json#"), [1, 3]);
        assert_eq!(found("../y/b.json"), [2, 3]);
        assert_eq!(found("https://c.example:443/"), [1, 2, 3]);
        assert_eq!(found("?x"), [1, 2, 3]);
        assert_eq!(found("#"), [1, 2, 3]);
    }

    #[test]
    fn references_in_a_circle_are_counted_in_every_order() {
        let all = |n: usize| -> Vec<Value> {
            (0..n).map(|n| json!({ "$ref": format!("#/$defs/d{n}") })).collect()
        };
        let circle = |n: usize| {
            let defs: Map<String, Value> =
                (0..n).map(|one| (format!("d{one}"), json!({ "allOf": all(n) }))).collect();
            json!({ "$defs": defs, "allOf": all(n) })
        };
        let exceeds = |n: usize, most| {
            let schema = circle(n);
            let work = Work::of(&schema).expect("it is not deep").expect("it is watched");
            work.exceeds(&schema, &json!(1), most)
        };
        assert!(exceeds(3, 90) && !exceeds(3, 1_000));
        assert!(exceeds(6, 23_000));
        assert!(exceeds(12, 500_000));
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
