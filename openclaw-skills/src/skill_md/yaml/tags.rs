//! Tags: what a node says it is.

use std::collections::BTreeMap;

use super::node::Scalar;

const CORE: &str = "tag:yaml.org,2002:";

/// Short names for the beginnings of tags, such as `!!`.
#[derive(Clone, Debug)]
pub(super) struct Handles(BTreeMap<String, String>);

impl Default for Handles {
    fn default() -> Self {
        Self(BTreeMap::from([("!!".to_owned(), CORE.to_owned())]))
    }
}

impl Handles {
    /// Reads a line that begins with `%`. Unknown ones mean nothing.
    pub(super) fn directive(&mut self, line: &str) -> Result<(), &'static str> {
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        match words.next() {
            Some("%TAG") => match (words.next(), words.next(), words.next()) {
                (Some(handle), Some(prefix), None) => {
                    self.0.insert(handle.to_owned(), prefix.to_owned());
                    Ok(())
                }
                _ => Err("%TAG has two words behind it"),
            },
            Some("%YAML") => match (words.next(), words.next()) {
                (Some("1.1" | "1.2"), None) => Ok(()),
                (Some(version), None) if is_version(version) => Ok(()),
                (Some(_), None) => Err("%YAML has a version behind it"),
                _ => Err("%YAML has one word behind it"),
            },
            _ => Ok(()),
        }
    }
}

fn is_version(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    word.split_once('.').is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// The full name of a tag.
pub(super) fn name(source: &str, handles: &Handles) -> Result<String, &'static str> {
    if source == "!" {
        return Ok(source.to_owned());
    }
    if let Some(verbatim) = source.strip_prefix("!<") {
        return match verbatim.strip_suffix('>') {
            Some("!" | "!!") => Err("the tag does not say what it is"),
            Some(name) => Ok(name.to_owned()),
            None => Err("the tag is not closed by `>`"),
        };
    }
    let at = source.rfind('!').map_or(0, |at| at + 1);
    let (handle, suffix) = source.split_at_checked(at).unwrap_or((source, ""));
    if suffix.is_empty() {
        return Err("the tag has no name behind its `!`");
    }
    match handles.0.get(handle) {
        Some(prefix) => {
            let suffix = percent_decoded(suffix).ok_or("the tag has a broken `%`")?;
            Ok(format!("{prefix}{suffix}"))
        }
        None if handle == "!" => Ok(source.to_owned()),
        None => Err("the tag begins with an unknown handle"),
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first == b'%' {
            let (hex, behind) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
            rest = behind;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A scalar under a tag. A tag that does not fit leaves the text as it is.
pub(super) fn apply(name: &str, text: String) -> Scalar {
    let plain = Scalar::of_plain(&text);
    let whole = text.starts_with("0o") || text.starts_with("0x") || !text.contains(['.', 'e', 'E']);
    let fits = match (name.strip_prefix(CORE), &plain) {
        (Some("null"), Scalar::Null) | (Some("bool"), Scalar::Bool(_)) => true,
        (Some("int"), Scalar::Number(_)) => whole,
        (Some("float"), Scalar::Number(_)) => !whole,
        _ => false,
    };
    if fits { plain } else { Scalar::Text(text) }
}
