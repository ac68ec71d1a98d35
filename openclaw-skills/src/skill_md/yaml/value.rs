//! Nodes to plain values, aliases resolved, and values to JSON text.

use std::{collections::BTreeMap, sync::Arc};

use super::{Node, NodeKind, Pair, Scalar};

/// How often a node may be unfolded by its aliases, nested ones multiplied.
const MAX_ALIASES: usize = 100;

/// How many values aliases may copy in all.
const MAX_COPIES: usize = 200_000;

/// What a document holds.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::skill_md) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// A copy shares the items: anchors inside each other cost nothing.
    Seq(Arc<Vec<Self>>),
    /// In the product's order: whole numbers first. A copy shares the entries.
    Map(Arc<Vec<(String, Self)>>),
    /// A node inside itself.
    Cycle,
}

impl Value {
    /// As JSON; `None` for what has no end.
    pub(in crate::skill_md) fn to_json(&self) -> Option<String> {
        let mut json = String::new();
        self.write_json(&mut json)?;
        Some(json)
    }

    fn write_json(&self, json: &mut String) -> Option<()> {
        match self {
            Self::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
            Self::Number(value) if value.is_finite() => json.push_str(&number_text(*value)),
            Self::Null | Self::Number(_) => json.push_str("null"),
            Self::Text(text) => json.push_str(&quoted(text)),
            Self::Seq(items) => {
                json.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        json.push(',');
                    }
                    item.write_json(json)?;
                }
                json.push(']');
            }
            Self::Map(entries) => {
                json.push('{');
                for (at, (key, item)) in entries.iter().enumerate() {
                    if at > 0 {
                        json.push(',');
                    }
                    json.push_str(&quoted(key));
                    json.push(':');
                    item.write_json(json)?;
                }
                json.push('}');
            }
            Self::Cycle => return None,
        }
        Some(())
    }

    fn size(&self) -> usize {
        match self {
            Self::Seq(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Self::Map(entries) => 1 + entries.iter().map(|(_, item)| item.size()).sum::<usize>(),
            Self::Text(text) => 1 + text.len() / 64,
            _ => 1,
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A number as JavaScript writes it.
pub(in crate::skill_md) fn number_text(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        let text = if value.is_nan() { "NaN" } else { "Infinity" };
        return if value < 0.0 { format!("-{text}") } else { text.to_owned() };
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits = mantissa.replace('.', "");
    let point = exponent.parse::<i32>().unwrap_or_default() + 1;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    let body = if (count..=21).contains(&point) {
        format!("{digits}{}", zeros(point - count))
    } else if (1..=21).contains(&point) {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or_default());
        format!("{whole}.{fraction}")
    } else if (-5..=0).contains(&point) {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let sign = if point > 0 { "+" } else { "-" };
        format!("{mantissa}e{sign}{}", (point - 1).abs())
    };
    format!("{sign}{body}")
}

/// The value of a document's root.
pub(super) fn read(root: &Node) -> Result<Value, &'static str> {
    Reader::default().node(root)
}

/// What is known of an anchor.
struct Slot {
    /// `None` while its node is being read.
    value: Option<Value>,
    uses: usize,
    /// Of the uses of all it holds, the most.
    weight: usize,
    /// The anchors that aliases inside it point to.
    inner: Vec<usize>,
    has_leaf: bool,
}

#[derive(Default)]
struct Reader {
    names: BTreeMap<String, usize>,
    slots: Vec<Slot>,
    /// The anchors whose nodes are being read.
    open: Vec<usize>,
    copies: usize,
}

impl Reader {
    fn node(&mut self, node: &Node) -> Result<Value, &'static str> {
        let Some(name) = node.anchor.as_ref().filter(|name| !name.is_empty()) else {
            return self.content(node);
        };
        let id = self.slots.len();
        let (inner, has_leaf) = (Vec::new(), false);
        self.slots.push(Slot { value: None, uses: 1, weight: 0, inner, has_leaf });
        self.names.insert(name.clone(), id);
        self.open.push(id);
        let value = self.content(node);
        self.open.pop();
        if let (Some(slot), Ok(value)) = (self.slots.get_mut(id), &value) {
            slot.value = Some(value.clone());
        }
        value
    }

    fn content(&mut self, node: &Node) -> Result<Value, &'static str> {
        match &node.kind {
            NodeKind::Alias(name) => self.alias(name),
            NodeKind::Scalar(scalar) => {
                self.leaf();
                Ok(match scalar {
                    Scalar::Null => Value::Null,
                    Scalar::Bool(value) => Value::Bool(*value),
                    Scalar::Number(value) => Value::Number(*value),
                    Scalar::Text(text) => Value::Text(text.clone()),
                })
            }
            NodeKind::Seq(nodes) => {
                let items = nodes.iter().map(|node| self.node(node)).collect::<Result<_, _>>()?;
                Ok(Value::Seq(Arc::new(items)))
            }
            NodeKind::Map(pairs) => self.map(pairs),
        }
    }

    fn leaf(&mut self) {
        for id in &self.open {
            if let Some(slot) = self.slots.get_mut(*id) {
                slot.has_leaf = true;
            }
        }
    }

    fn map(&mut self, pairs: &[Pair]) -> Result<Value, &'static str> {
        let mut entries = BTreeMap::new();
        for pair in pairs {
            let key = match self.node(&pair.key)? {
                Value::Null => String::new(),
                Value::Bool(value) => value.to_string(),
                Value::Number(value) => number_text(value),
                Value::Text(text) => text,
                Value::Seq(_) | Value::Map(_) | Value::Cycle => key_text(&pair.key),
            };
            let value = match &pair.value {
                Some(node) => self.node(node)?,
                None => {
                    self.leaf();
                    Value::Null
                }
            };
            let place = (index(&key), entries.len());
            entries
                .entry(key)
                .and_modify(|(_, old)| *old = value.clone())
                .or_insert((place, value));
        }
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|(_, (place, _))| *place);
        let entries = entries.into_iter().map(|(key, (_, value))| (key, value)).collect();
        Ok(Value::Map(Arc::new(entries)))
    }

    fn alias(&mut self, name: &str) -> Result<Value, &'static str> {
        let id = *self.names.get(name).ok_or("an alias points to no anchor before it")?;
        for open in &self.open {
            if let Some(slot) = self.slots.get_mut(*open) {
                slot.inner.push(id);
            }
        }
        // Weighing walks over all that is inside: that is work, too.
        let inside = self.slots.get(id).map_or(0, |slot| slot.inner.len());
        self.copies = self.copies.saturating_add(inside);
        if self.copies > MAX_COPIES {
            return Err("aliases unfold to too much");
        }
        let weight = self.weight(id);
        let slot = self.slots.get_mut(id).ok_or("an alias points to no anchor before it")?;
        slot.uses += 1;
        slot.weight = weight;
        if slot.uses.saturating_mul(weight) > MAX_ALIASES {
            return Err("aliases unfold too often");
        }
        let Some(value) = slot.value.clone() else { return Ok(Value::Cycle) };
        self.copies = self.copies.saturating_add(value.size());
        if self.copies > MAX_COPIES { Err("aliases unfold to too much") } else { Ok(value) }
    }

    fn weight(&self, id: usize) -> usize {
        let Some(slot) = self.slots.get(id) else { return 0 };
        if slot.weight > 0 {
            return slot.weight;
        }
        let inner = slot.inner.iter().filter_map(|id| self.slots.get(*id));
        let most = inner.map(|inner| inner.uses.saturating_mul(inner.weight)).max();
        most.unwrap_or_default().max(usize::from(slot.has_leaf))
    }
}

/// Whole numbers come first in a JavaScript object, in their order.
fn index(key: &str) -> u64 {
    let whole = key.parse::<u32>().ok().filter(|index| *index < u32::MAX);
    whole.filter(|index| index.to_string() == key).map_or(u64::MAX, u64::from)
}

/// A collection as a key, as YAML.
fn key_text(node: &Node) -> String {
    match &node.kind {
        NodeKind::Alias(name) => format!("*{name} "),
        NodeKind::Scalar(Scalar::Null) => "null".to_owned(),
        NodeKind::Scalar(Scalar::Bool(value)) => value.to_string(),
        NodeKind::Scalar(Scalar::Number(value)) => number_text(*value),
        NodeKind::Scalar(Scalar::Text(text)) => {
            let word = text
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/'));
            let plain = matches!(Scalar::of_plain(text), Scalar::Text(_)) && text.trim() == text;
            if word && plain && !text.starts_with('-') { text.clone() } else { quoted(text) }
        }
        NodeKind::Seq(nodes) if nodes.is_empty() => "[]".to_owned(),
        NodeKind::Seq(nodes) => {
            let items: Vec<String> = nodes.iter().map(key_text).collect();
            format!("[ {} ]", items.join(", "))
        }
        NodeKind::Map(pairs) if pairs.is_empty() => "{}".to_owned(),
        NodeKind::Map(pairs) => {
            let items: Vec<String> = pairs
                .iter()
                .map(|pair| match &pair.value {
                    Some(value) => format!("{}: {}", key_text(&pair.key), key_text(value)),
                    None => key_text(&pair.key),
                })
                .collect();
            format!("{{ {} }}", items.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skill_md::yaml::parse;

    /// Where the items of a sequence lie in memory.
    fn place(value: Option<&Value>) -> Option<*const Value> {
        match value {
            Some(Value::Seq(items)) => Some(items.as_ptr()),
            _ => None,
        }
    }

    #[test]
    fn anchors_hold_what_the_document_holds_and_no_copy_of_it() {
        let open: String = (0..60).map(|level| format!("&a{level} [")).collect();
        let document = parse(&format!("{open}b,c{}", "]".repeat(60)));
        let mut reader = Reader::default();
        let value = reader.node(document.root.as_ref().unwrap()).unwrap();
        let mut next = Some(&value);
        for slot in &reader.slots {
            assert!(place(next).is_some());
            assert_eq!(place(slot.value.as_ref()), place(next));
            next = match next {
                Some(Value::Seq(items)) => items.first(),
                _ => None,
            };
        }
        assert_eq!((reader.slots.len(), next), (60, Some(&Value::Text("b".to_owned()))));
    }
}
