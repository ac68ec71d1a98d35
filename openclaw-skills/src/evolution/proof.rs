//! Whether every value that one schema takes is taken by another one.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::{
    Reason,
    atoms::{Atom, Kind, atoms, strange},
    disjoint::{are_apart, disjoint, listed, target},
    numbers,
    reason::{broken, said, undecided},
    rules::{counted, limited, required, widens},
    same,
    types::Types,
};
use crate::{Schemas, pointer::below, schema::address};

/// Steps of one comparison at most: then it can't be decided.
const STEPS: u32 = 20_000;

/// How deep a comparison goes, through references and alternatives.
const DEPTH: usize = 96;

static ANYTHING: Value = Value::Bool(true);

/// Values: what a schema takes, of these types.
#[derive(Clone, Copy)]
struct Set<'a> {
    schema: &'a Value,
    types: Types,
}

/// A comparison under way that this one is part of.
#[derive(PartialEq, Eq)]
struct Asked {
    narrow: usize,
    types: Types,
    wide: usize,
}

/// A comparison of two documents: is the narrow one within the wide one?
pub(super) struct Proof<'a> {
    narrow: &'a Value,
    wide: &'a Value,
    /// References of one name lead to the same.
    same_definitions: bool,
    steps: u32,
    /// What is being asked, and how far down in the value. There it may be taken as given.
    asked: Vec<(Asked, usize)>,
    /// How far down in the value.
    down: usize,
    /// How many questions deep it may still go.
    deep: usize,
    schemas: Schemas,
}

impl<'a> Proof<'a> {
    pub(super) fn new(narrow: &'a Value, wide: &'a Value) -> Self {
        Self {
            narrow,
            wide,
            same_definitions: same::definitions(narrow, wide),
            steps: STEPS,
            asked: Vec::new(),
            down: 0,
            deep: DEPTH,
            schemas: Schemas::new(),
        }
    }

    /// Why it is not, or can't be said to be; nothing when it is.
    pub(super) fn run(mut self, at: &str) -> Vec<Reason> {
        let strange = |root: &Value| !is_plain(root, true);
        if strange(self.narrow) || strange(self.wide) {
            return undecided(at, "the schema names its parts by `$id` or `$anchor`");
        }
        if !is_present(self.narrow) || !is_present(self.wide) {
            return undecided(at, "the schema is of another draft than 2020-12");
        }
        self.within(Set { schema: self.narrow, types: Types::ALL }, self.wide, at)
    }

    /// Is every value of the set taken by the schema?
    fn within(&mut self, set: Set<'a>, wide: &'a Value, at: &str) -> Vec<Reason> {
        let asked = Asked { narrow: address(set.schema), types: set.types, wide: address(wide) };
        if let Some((_, down)) = self.asked.iter().rev().find(|(other, _)| *other == asked) {
            // Of a part of the value it is taken as given; of the same value it proves nothing.
            let given = *down < self.down;
            return if given { Vec::new() } else { undecided(at, "it refers to itself") };
        }
        let Some(steps) = self.steps.checked_sub(1) else {
            return undecided(at, "there is too much of it");
        };
        self.steps = steps;
        if self.same(set.schema, wide) || *set.schema == Value::Bool(false) || set.types.is_empty()
        {
            return Vec::new();
        }
        let schema = match wide {
            Value::Bool(true) => return Vec::new(),
            Value::Bool(false) => return broken(at, "what was taken here is refused"),
            Value::Object(schema) => schema,
            _ => return undecided(at, "it is no schema"),
        };
        self.asked.push((asked, self.down));
        let mut reasons = Vec::new();
        for atom in atoms(schema) {
            reasons.extend(self.keeps(set, (atom, schema), at));
        }
        for key in strange(schema) {
            let mine = set.schema.as_object().and_then(|mine| mine.get(key));
            if mine != schema.get(key) {
                reasons.extend(undecided(&below(at, key), "what this keyword means is not known"));
            }
        }
        self.asked.pop();
        reasons
    }

    /// Does every value of the set keep what these keywords of a schema say?
    fn keeps(&mut self, set: Set<'a>, what: What<'a>, at: &str) -> Vec<Reason> {
        let (atom, wide) = what;
        let Some(steps) = self.steps.checked_sub(1) else {
            return undecided(at, "there is too much of it");
        };
        self.steps = steps;
        let mine = match set.schema {
            Value::Bool(false) => return Vec::new(),
            Value::Object(mine) => mine,
            _ => &*NOTHING_SAID,
        };
        let set = Set { types: set.types.and(Types::of(mine)), ..set };
        if set.types.and(atom.types).is_empty() || self.says_the_same(atom, mine, wide) {
            return Vec::new();
        }
        let first = self.direct(set, mine, what, at);
        if first.is_empty() || self.by_parts(set, mine, what, at) || self.by_values(mine, what) {
            return Vec::new();
        }
        self.by_alternatives(set, mine, what, at).unwrap_or(first)
    }

    /// What else the set demands keeps it: a reference's target, an element of `allOf`.
    fn by_parts(
        &mut self,
        set: Set<'a>,
        mine: &'a Map<String, Value>,
        what: What<'a>,
        at: &str,
    ) -> bool {
        let narrow = self.narrow;
        let to = mine.get("$ref").and_then(Value::as_str).and_then(|to| target(narrow, to));
        let all = mine.get("allOf").and_then(Value::as_array).into_iter().flatten();
        to.into_iter().chain(all).any(|part| {
            self.deeper(at, |proof| proof.keeps(Set { schema: part, ..set }, what, at)).is_empty()
        })
    }

    /// The set is a list of values, and each of them keeps it.
    fn by_values(&self, mine: &Map<String, Value>, (atom, wide): What<'_>) -> bool {
        let Some(values) = listed(mine) else { return false };
        let alone = atom.alone(wide);
        if refers(&alone) {
            return false;
        }
        let Ok(schema) = self.schemas.compile(&alone) else { return false };
        values.into_iter().all(|value| schema.problems(value).is_empty())
    }

    /// The set has alternatives: what each of them breaks. `None` when it has none.
    fn by_alternatives(
        &mut self,
        set: Set<'a>,
        mine: &'a Map<String, Value>,
        what: What<'a>,
        at: &str,
    ) -> Option<Vec<Reason>> {
        let mut found = None;
        for key in ["anyOf", "oneOf"] {
            let Some(branches) = mine.get(key).and_then(Value::as_array) else { continue };
            let mut reasons = Vec::new();
            for branch in branches {
                let part = Set { schema: branch, ..set };
                reasons.extend(self.deeper(at, |proof| proof.keeps(part, what, at)));
            }
            if reasons.is_empty() && !branches.is_empty() {
                return Some(reasons);
            }
            found = Some(reasons);
        }
        let mut types = set.types.each();
        let several = mine.contains_key("type") && types.by_ref().count() > 1;
        if several {
            let mut reasons = Vec::new();
            for types in set.types.each() {
                let part = Set { types, ..set };
                reasons.extend(self.deeper(at, |proof| proof.keeps(part, what, at)));
            }
            if reasons.is_empty() {
                return Some(reasons);
            }
        }
        found.filter(|reasons| !reasons.is_empty())
    }

    /// Goes on with a part of the question, within the bound on the depth.
    fn deeper(&mut self, at: &str, ask: impl FnOnce(&mut Self) -> Vec<Reason>) -> Vec<Reason> {
        let Some(deep) = self.deep.checked_sub(1) else {
            return undecided(at, "it is nested too deep");
        };
        self.deep = deep;
        let reasons = ask(self);
        self.deep += 1;
        reasons
    }

    /// The same question of a part of the value.
    fn part(&mut self, set: Set<'a>, wide: &'a Value, at: &str) -> Vec<Reason> {
        self.down += 1;
        let reasons = self.deeper(at, |proof| proof.within(set, wide, at));
        self.down -= 1;
        reasons
    }

    fn direct(
        &mut self,
        set: Set<'a>,
        mine: &'a Map<String, Value>,
        what: What<'a>,
        at: &str,
    ) -> Vec<Reason> {
        let (atom, wide) = what;
        let key = atom.keyword(wide);
        let here = below(at, key);
        match atom.kind {
            Kind::Type => said(set.types.are_in(Types::of(wide)), &here, "the type is narrower"),
            Kind::Values => broken(&here, "not every value that was there is still there"),
            Kind::Lower => limited(mine, wide, &["minimum", "exclusiveMinimum"], true, &here),
            Kind::Upper => limited(mine, wide, &["maximum", "exclusiveMaximum"], false, &here),
            Kind::Multiple => {
                let divides = match (wide.get(key), mine.get(key)) {
                    (Some(Value::Number(b)), Some(Value::Number(a))) => numbers::divides(b, a),
                    (Some(b), None) => {
                        b.as_u64() == Some(1) && set.types.and(Types::NUMBER).are_in(Types::INTEGER)
                    }
                    _ => false,
                };
                said(divides, &here, "not every number that was taken is a multiple of this")
            }
            Kind::AtLeast => {
                counted(mine, wide, key, &here, |mine, least| mine.unwrap_or(0) >= least)
            }
            Kind::AtMost => {
                counted(mine, wide, key, &here, |mine, most| mine.is_some_and(|mine| mine <= most))
            }
            Kind::Unique => {
                let kept =
                    wide.get(key) == Some(&Value::Bool(false)) || mine.get(key) == wide.get(key);
                said(kept, &here, "equal items are refused now")
            }
            Kind::Required => required(mine, wide, &here),
            Kind::Properties => self.properties(mine, wide, at),
            Kind::Items => self.items(mine, wide, at),
            Kind::Format => said(widens(mine, wide), &here, "the format is another one"),
            Kind::Same | Kind::Never => {
                undecided(&here, "whether it takes as much can't be decided")
            }
            Kind::Ref | Kind::AllOf | Kind::AnyOf | Kind::OneOf | Kind::Not => {
                self.composed(set, what, at)
            }
        }
    }

    fn composed(&mut self, set: Set<'a>, (atom, wide): What<'a>, at: &str) -> Vec<Reason> {
        let key = atom.keyword(wide);
        let here = below(at, key);
        let root = self.wide;
        let list = wide.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        match atom.kind {
            Kind::Ref => {
                let to = wide.get(key).and_then(Value::as_str).and_then(|to| target(root, to));
                let Some(to) = to else { return undecided(&here, "it refers to something else") };
                self.deeper(at, |proof| proof.within(set, to, at))
            }
            Kind::AllOf => {
                let mut reasons = Vec::new();
                for part in list {
                    reasons.extend(self.deeper(at, |proof| proof.within(set, part, at)));
                }
                reasons
            }
            Kind::OneOf if !are_apart(list, root) => {
                undecided(&here, "whether only one alternative takes a value can't be decided")
            }
            Kind::Not => {
                let apart = !refers(set.schema)
                    && wide.get(key).is_some_and(|not| disjoint(set.schema, not, root));
                let why = "whether it refuses what was taken can't be decided";
                if apart { Vec::new() } else { undecided(&here, why) }
            }
            _ => {
                let taken = list.iter().any(|branch| {
                    self.deeper(at, |proof| proof.within(set, branch, at)).is_empty()
                });
                said(taken, &here, "no alternative takes all that was taken")
            }
        }
    }

    fn properties(
        &mut self,
        mine: &'a Map<String, Value>,
        wide: &'a Map<String, Value>,
        at: &str,
    ) -> Vec<Reason> {
        let (mine_fields, wide_fields) = (named(mine), named(wide));
        let Some(others) = self.others(mine, wide) else {
            let here = below(at, "patternProperties");
            return undecided(&here, "whether it takes as much can't be decided");
        };
        let wide_others = wide.get("additionalProperties").unwrap_or(&ANYTHING);
        let all = mine_fields.chain(wide_fields.filter(|(name, _)| field(mine, name).is_none()));
        let mut reasons = Vec::new();
        for (name, _) in all {
            let here = below(&below(at, "properties"), name);
            let (mine, wide) = (field(mine, name), field(wide, name));
            let set = Set { schema: mine.unwrap_or(others), types: Types::ALL };
            let found = self.part(set, wide.unwrap_or(wide_others), &here);
            reasons.extend(match (mine, wide) {
                (None, Some(_)) if !found.is_empty() => broken(&here, OPEN),
                (Some(_), None) if !found.is_empty() && *wide_others == Value::Bool(false) => {
                    broken(&here, "the field is refused now")
                }
                _ => found,
            });
        }
        let set = Set { schema: others, types: Types::ALL };
        reasons.extend(self.part(set, wide_others, &below(at, "additionalProperties")));
        reasons
    }

    /// What the narrow one says of fields that it does not name. `None` when nobody can tell.
    fn others(
        &self,
        mine: &'a Map<String, Value>,
        wide: &'a Map<String, Value>,
    ) -> Option<&'a Value> {
        const KEY: &str = "patternProperties";
        let said = mine.get("additionalProperties").unwrap_or(&ANYTHING);
        if !mine.contains_key(KEY) && !wide.contains_key(KEY) {
            return Some(said);
        }
        let equal = self.same_by(KEY, mine, wide);
        let known = named(mine).all(|(name, _)| field(wide, name).is_some())
            && named(wide).all(|(name, _)| field(mine, name).is_some());
        match (wide.contains_key(KEY), equal) {
            (true, true) if known => Some(said),
            (true, _) => None,
            // A name may fit a pattern instead: nothing is sure of those that are not listed.
            (false, _) => Some(&ANYTHING),
        }
    }

    fn items(
        &mut self,
        mine: &'a Map<String, Value>,
        wide: &'a Map<String, Value>,
        at: &str,
    ) -> Vec<Reason> {
        let first = |schema: &'a Map<String, Value>| {
            schema
                .get("prefixItems")
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default()
        };
        let rest = |schema: &'a Map<String, Value>| schema.get("items").unwrap_or(&ANYTHING);
        let (mine_first, wide_first) = (first(mine), first(wide));
        let mut reasons = Vec::new();
        for place in 0..mine_first.len().max(wide_first.len()) {
            let here = below(&below(at, "prefixItems"), &place.to_string());
            let set =
                Set { schema: mine_first.get(place).unwrap_or(rest(mine)), types: Types::ALL };
            reasons.extend(self.part(set, wide_first.get(place).unwrap_or(rest(wide)), &here));
        }
        let set = Set { schema: rest(mine), types: Types::ALL };
        reasons.extend(self.part(set, rest(wide), &below(at, "items")));
        reasons
    }

    fn same(&self, narrow: &Value, wide: &Value) -> bool {
        same::schemas(narrow, wide, &|to| self.leads_the_same(to))
    }

    fn says_the_same(
        &self,
        atom: &Atom,
        mine: &Map<String, Value>,
        wide: &Map<String, Value>,
    ) -> bool {
        atom.kind != Kind::Never && atom.keywords.iter().all(|key| self.same_by(key, mine, wide))
    }

    fn same_by(&self, key: &str, mine: &Map<String, Value>, wide: &Map<String, Value>) -> bool {
        same::keyword(key, mine, wide, &|to| self.leads_the_same(to))
    }

    fn leads_the_same(&self, to: &str) -> bool {
        self.same_definitions && same::is_definition(to)
    }
}

/// A group of keywords, and the schema that has it.
type What<'a> = (&'static Atom, &'a Map<String, Value>);

static NOTHING_SAID: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// Why a new field of an open object breaks something.
const OPEN: &str =
    "the object was open, so anything may have stood under this name: refuse other fields first";

/// The fields that a schema names.
fn named(schema: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn field<'a>(schema: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    schema.get("properties")?.get(name)
}

/// Is it of the draft whose keywords are known here?
fn is_present(root: &Value) -> bool {
    let draft = root.get("$schema").and_then(Value::as_str);
    draft.is_none_or(|draft| draft.contains("/draft/2020-12/"))
}

/// Is nothing in it addressed but by its place?
fn is_plain(value: &Value, top: bool) -> bool {
    match value {
        Value::Object(fields) => fields.iter().all(|(key, value)| {
            let name = matches!(key.as_str(), "$id" | "$anchor" | "$dynamicAnchor" | "id");
            !(name && value.is_string() && !(top && key == "$id")) && is_plain(value, false)
        }),
        Value::Array(items) => items.iter().all(|item| is_plain(item, false)),
        _ => true,
    }
}

/// Does it lead out of itself?
fn refers(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| key.starts_with('$') || refers(value))
        }
        Value::Array(items) => items.iter().any(refers),
        _ => false,
    }
}
