//! The lines between the `---` fences, as names and texts.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    script_text::{breaks_line, is_blank, key_and_rest, trim, unquoted, word},
    yaml::{self, Code, Document, Fault, NodeKind, Scalar, Value, number_text},
};

/// Fields whose text may break YAML and is repaired then.
const PROSE: [&str; 3] = ["description", "read_when", "summary"];

/// Where the front matter stands in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fences<'a> {
    /// The text does not begin with `---`.
    Missing,
    /// No second fence.
    Open,
    /// What is between the fences, and what is behind them.
    Closed { block: &'a str, body: &'a str },
}

/// Without byte order mark, with line ends of one character.
pub(super) fn normalized(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Finds the fences of a normalized text.
pub(super) fn fences(text: &str) -> Fences<'_> {
    let is_fence =
        |line: &str| line.strip_prefix("---").is_some_and(|rest| rest.chars().all(is_blank));
    let Some((_, tail)) = text.split_once('\n').filter(|(first, _)| is_fence(first)) else {
        return Fences::Missing;
    };
    let mut start = 0;
    for line in tail.split('\n') {
        let end = start + line.len();
        if is_fence(line) {
            let block = tail.get(..start.saturating_sub(1)).unwrap_or_default();
            return Fences::Closed { block, body: tail.get(end + 1..).unwrap_or_default() };
        }
        start = end + 1;
    }
    Fences::Open
}

/// What a block holds, and what it took to read it.
#[derive(Debug, Default)]
pub(super) struct FrontMatter {
    /// Every field as text, as the product reads it.
    pub(super) fields: BTreeMap<String, String>,
    /// Values as they were written, where YAML gave some.
    pub(super) values: BTreeMap<String, Value>,
    /// The line of each field, counted from the first of the block.
    pub(super) lines: BTreeMap<String, usize>,
    /// Fields that only a repair made readable.
    pub(super) repaired: Vec<(String, Fault, usize)>,
    /// Why the product refuses it, and the line.
    pub(super) refused: Option<(String, Option<usize>)>,
}

impl FrontMatter {
    pub(super) fn read(block: &str) -> Self {
        if block.is_empty() {
            return Self::default();
        }
        let by_line = by_line(block);
        let mut text = block.to_owned();
        let mut repaired = Vec::new();
        loop {
            let document = yaml::parse(&text);
            let refused = match once(&document, &text, &by_line) {
                Ok(read) => return Self { repaired, ..read },
                Err(refused) => refused,
            };
            let repair = if repaired.len() < PROSE.len() { repair(&document, &text) } else { None };
            match repair {
                Some(repair) if repair.text != text => {
                    let line = Lines::of(&text).line(repair.fault.pos);
                    repaired.push((repair.key, repair.fault, line));
                    text = repair.text;
                }
                _ => {
                    let refused = Some(refused);
                    return Self { fields: by_line, repaired, refused, ..Self::default() };
                }
            }
        }
    }
}

/// Where the lines of a text end.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The line of a place, counted from 0.
    fn line(&self, pos: usize) -> usize {
        self.0.partition_point(|end| *end < pos)
    }

    /// Where this line of a text begins and ends.
    fn range(&self, line: usize, text: &str) -> Range<usize> {
        let before = line.checked_sub(1).and_then(|before| self.0.get(before));
        before.map_or(0, |end| end + 1)..self.0.get(line).copied().unwrap_or(text.len())
    }
}

/// A line that many keys stand on: it is looked through once, and not for each of them.
#[derive(Default)]
struct KeyLine {
    range: Range<usize>,
    colon: Option<usize>,
    break_: Option<usize>,
}

impl KeyLine {
    fn of(text: &str, range: Range<usize>) -> Self {
        let line = text.get(range.clone()).unwrap_or_default();
        let place = |at| range.start + at;
        let (colon, break_) = (line.rfind(':').map(place), line.rfind(breaks_line).map(place));
        Self { range, colon, break_ }
    }

    /// The key that stands here, when a `:` follows behind that of its own.
    fn key_with_colon<'t>(&self, text: &'t str, at: usize) -> Option<&'t str> {
        let line = text.get(at..self.range.end)?;
        let (key, rest) = line.split_at_checked(word(line))?;
        let rest = rest.strip_prefix(':')?.trim_start_matches(is_blank);
        let rest = self.range.end - rest.len();
        let colon = self.colon.is_some_and(|colon| colon >= rest);
        let fits = !key.is_empty() && self.break_.is_none_or(|at| at < rest);
        (fits && colon).then_some(key)
    }
}

/// What the lines say when they are taken one by one, without YAML.
fn by_line(block: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut lines = block.split('\n').peekable();
    let indented = |line: &str| line.starts_with([' ', '\t']);
    while let Some(line) = lines.next() {
        let Some((key, rest)) = key_and_rest(line) else { continue };
        let mut value = trim(rest);
        let more: Vec<&str>;
        let joined: String;
        if value.is_empty() && lines.peek().is_some_and(|next| indented(next)) {
            more = std::iter::from_fn(|| lines.next_if(|next| next.is_empty() || indented(next)))
                .collect();
            joined = more.join("\n");
            value = trim(&joined);
        } else {
            value = unquoted(value);
        }
        if !value.is_empty() && key != "__proto__" {
            fields.insert(key.to_owned(), value.to_owned());
        }
    }
    fields
}

type Refused = (String, Option<usize>);

/// The fields of a faultless mapping.
fn once(
    document: &Document,
    text: &str,
    by_line: &BTreeMap<String, String>,
) -> Result<FrontMatter, Refused> {
    let lines = Lines::of(text);
    if let Some(fault) = document.faults.first() {
        return Err((fault.message.clone(), Some(lines.line(fault.pos))));
    }
    let not_a_map = || ("the front matter is not a list of `key: value`".to_owned(), None);
    let pairs = document.pairs().ok_or_else(not_a_map)?;
    let value = document.value().map_err(|message| (message.to_owned(), None))?;
    let Value::Map(entries) = value else { return Err(not_a_map()) };
    let mut read = FrontMatter::default();
    let mut with_colon = BTreeSet::new();
    let mut on = KeyLine::default();
    for pair in pairs {
        let line = lines.line(pair.key.start);
        let range = lines.range(line, text);
        if on.range != range {
            on = KeyLine::of(text, range);
        }
        with_colon.extend(on.key_with_colon(text, pair.key.start));
        if let NodeKind::Scalar(Scalar::Text(key)) = &pair.key.kind {
            read.lines.insert(trim(key).to_owned(), line);
        }
    }
    for (key, value) in &*entries {
        let key = trim(key);
        if key.is_empty() || key == "__proto__" {
            continue;
        }
        let Some((text, structured)) = coerced(value) else { continue };
        // A collection written on the line of its key is taken as it was written.
        let written = by_line.get(key).filter(|_| structured && with_colon.contains(key));
        read.fields.insert(key.to_owned(), written.cloned().unwrap_or(text));
        read.values.insert(key.to_owned(), value.clone());
    }
    for (key, value) in by_line {
        read.fields.entry(key.clone()).or_insert_with(|| value.clone());
    }
    Ok(read)
}

/// A value as text, and whether it is a collection.
fn coerced(value: &Value) -> Option<(String, bool)> {
    match value {
        Value::Null | Value::Cycle => None,
        Value::Text(text) => Some((trim(text).to_owned(), false)),
        Value::Number(number) => Some((number_text(*number), false)),
        Value::Bool(value) => Some((value.to_string(), false)),
        Value::Seq(_) | Value::Map(_) => Some((value.to_json()?, true)),
    }
}

struct Repair {
    key: String,
    fault: Fault,
    text: String,
}

/// Puts quotes around the prose at the first fault.
fn repair(document: &Document, text: &str) -> Option<Repair> {
    let pairs = document.pairs()?;
    let is_key = |node: &yaml::Node, key: &str| matches!(&node.kind, NodeKind::Scalar(Scalar::Text(text)) if text == key);
    let fault = match document.faults.first() {
        Some(fault) => fault.clone(),
        None => {
            let alias = pairs.iter().find(|pair| {
                let value = pair.value.as_ref().map(|value| &value.kind);
                is_key(&pair.key, "description") && matches!(value, Some(NodeKind::Alias(_)))
            })?;
            let message = "text that begins with `*` needs quotes".to_owned();
            Fault { pos: alias.key.start, code: Code::BadAlias, message }
        }
    };
    let bytes = text.as_bytes();
    let start =
        (0..=fault.pos).rev().find(|at| bytes.get(*at) == Some(&b'\n')).map_or(0, |at| at + 1);
    let rest = text.get(fault.pos..).unwrap_or_default();
    let end = rest.find('\n').map_or(text.len(), |at| fault.pos + at);
    let (key, value) = prose_line(text.get(start..end)?)?;
    let on_top = pairs.iter().any(|pair| pair.key.start == start && is_key(&pair.key, key));
    let colon = fault.code == Code::BlockAsImplicitKey && value.contains(": ");
    if !on_top || (key != "description" && !colon) || is_block_header(value) {
        return None;
    }
    let quoted = serde_json::Value::from(unquoted(value));
    let (before, behind) = (text.get(..start)?, text.get(end..)?);
    let text = format!("{before}{key}: {quoted}{behind}");
    Some(Repair { key: key.to_owned(), fault, text })
}

/// Key and value of a line whose key is in [`PROSE`], quoted or not.
fn prose_line(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line.split_once(':')?;
    let quoted = |quote: char| key.strip_prefix(quote).and_then(|key| key.strip_suffix(quote));
    let key = quoted('"').or_else(|| quoted('\'')).unwrap_or(key);
    let rest = rest.trim_start_matches(is_blank);
    let value = trim(rest);
    let fits = PROSE.contains(&key) && !value.is_empty() && !rest.contains(breaks_line);
    fits.then_some((key, value))
}

/// `|`, `>` and what may stand behind them: the prose is a block of text.
fn is_block_header(value: &str) -> bool {
    let Some(rest) = value.strip_prefix(['|', '>']) else { return false };
    let chomp = |rest: &str| matches!(rest, "+" | "-");
    let digit = |rest: &str| matches!(rest.as_bytes(), [b'1'..=b'9']);
    let (first, second) = rest.split_at_checked(1).unwrap_or((rest, ""));
    match second {
        "" => rest.is_empty() || chomp(first) || digit(first),
        _ => (digit(first) && chomp(second)) || (chomp(first) && digit(second)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_may_have_blanks_behind_them() {
        let closed = Fences::Closed { block: "a: 1", body: "text" };
        assert_eq!(fences("---  \na: 1\n---\t\ntext"), closed);
        assert_eq!(fences("---\n---"), Fences::Closed { block: "", body: "" });
        assert_eq!(fences("---\na: 1\n--- b"), Fences::Open);
        assert_eq!(fences("---"), Fences::Missing);
        assert_eq!(fences("text\n---\n"), Fences::Missing);
    }

    #[test]
    fn lines_by_themselves_keep_what_is_indented_below() {
        let fields = by_line("a: 'x'\nb:\n  c: 1\n\n\td\ne:\nf g: 2\n");
        let expected = [("a", "x"), ("b", "c: 1\n\n\td")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(fields, BTreeMap::from(expected));
    }
}
