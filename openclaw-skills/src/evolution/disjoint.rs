//! Schemas that no value fits both of.

use serde_json::{Map, Value};

use super::{numbers, types::Types};

/// How far down tags and references are looked for.
const DEPTH: u8 = 6;

/// Does surely no value fit both? Both are schemas of the document `root`.
pub(super) fn disjoint(a: &Value, b: &Value, root: &Value) -> bool {
    apart(a, b, root, DEPTH)
}

/// Are alternatives pairwise disjoint, so that "one of" is "any of"?
pub(super) fn are_apart(list: &[Value], root: &Value) -> bool {
    let pairs = list
        .iter()
        .enumerate()
        .flat_map(|(at, one)| list.iter().skip(at + 1).map(move |other| (one, other)));
    let mut pairs = pairs;
    pairs.all(|(one, other)| disjoint(one, other, root))
}

fn apart(a: &Value, b: &Value, root: &Value, depth: u8) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    match (a, b) {
        (Value::Bool(false), _) | (_, Value::Bool(false)) => true,
        (Value::Object(one), Value::Object(other)) => {
            by_types(one, other)
                || by_values(one, other)
                || by_tags(one, other, root, depth)
                || parts(one, root).any(|part| apart(part, b, root, depth))
                || parts(other, root).any(|part| apart(a, part, root, depth))
        }
        _ => false,
    }
}

/// What else a schema demands: the target of its reference, the elements of `allOf`.
fn parts<'a>(schema: &'a Map<String, Value>, root: &'a Value) -> impl Iterator<Item = &'a Value> {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|to| target(root, to));
    let all = schema.get("allOf").and_then(Value::as_array);
    target.into_iter().chain(all.into_iter().flatten())
}

/// What a reference inside a document leads to.
pub(super) fn target<'a>(root: &'a Value, to: &str) -> Option<&'a Value> {
    let pointer = to.strip_prefix('#')?;
    // Percent signs would need decoding: nobody writes them.
    (!pointer.contains('%')).then(|| root.pointer(pointer))?
}

/// The values that a schema lists, when it does.
pub(super) fn listed(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(only), _) => Some(vec![only]),
        (None, Some(Value::Array(values))) => Some(values.iter().collect()),
        _ => None,
    }
}

/// The types that a schema leaves, by its values or its `type`.
pub(super) fn types_of(schema: &Map<String, Value>) -> Types {
    let said = Types::of(schema);
    listed(schema).map_or(said, |values| {
        let all = values.iter().map(|value| Types::of_value(value));
        let all = all.fold(Types::NONE, Types::or);
        said.and(all)
    })
}

fn by_types(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    types_of(a).and(types_of(b)).is_empty()
}

fn by_values(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    let (Some(a), Some(b)) = (listed(a), listed(b)) else { return false };
    a.iter().all(|one| b.iter().all(|other| differ(one, other)))
}

/// Are two values surely different? To a validator 1 and 1.0 are the same.
fn differ(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            numbers::compare(a, b).is_some_and(std::cmp::Ordering::is_ne)
        }
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => false,
        (a, b) => a != b,
    }
}

/// Do both demand a field, with values that the other does not take there?
fn by_tags(a: &Map<String, Value>, b: &Map<String, Value>, root: &Value, depth: u8) -> bool {
    let objects = |schema| Types::of(schema).are_in(Types::OBJECT);
    if !objects(a) && !objects(b) {
        return false;
    }
    let mut names = a.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    names.any(|name| match (demanded(a, name), demanded(b, name)) {
        (Some(one), Some(other)) => apart(one, other, root, depth),
        _ => false,
    })
}

/// What a schema says of a field that has to be there.
fn demanded<'a>(schema: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let required = schema.get("required")?.as_array()?;
    let is_it = required.iter().any(|other| other.as_str() == Some(name));
    is_it.then(|| schema.get("properties")?.get(name))?
}
