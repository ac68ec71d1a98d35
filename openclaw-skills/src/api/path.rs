//! A path with named places, which no value can leave.

use std::borrow::Cow;

use openclaw_core::{Error, ErrorKind, Result};

use crate::percent::encode;

/// How often a path is decoded at most: a text that still changes behind that is refused.
const DECODED: usize = 8;

/// A path such as `/orders/{order}/lines`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Place(Box<str>),
}

impl Path {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let bad = |why| Error::new(ErrorKind::ValidationError, why).with("path", text);
        if !text.starts_with('/') {
            return Err(bad("a path template begins with a slash"));
        }
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) =
                behind.split_once('}').ok_or_else(|| bad("a place of a path has no end"))?;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(bad("a place of a path is a name: letters, digits, underscores"));
            }
            pieces.extend((!before.is_empty()).then(|| Piece::Text(before.into())));
            pieces.push(Piece::Place(name.into()));
            rest = after;
        }
        pieces.extend((!rest.is_empty()).then(|| Piece::Text(rest.into())));
        let literal = |piece: &Piece| match piece {
            Piece::Text(text) => is_path(text),
            Piece::Place(_) => true,
        };
        if !pieces.iter().all(literal) || leaves(text).is_some() {
            return Err(bad("a path template holds only what may stand in a path"));
        }
        Ok(Self(pieces))
    }

    /// The names of its places, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Place(name) => Some(&**name),
            Piece::Text(_) => None,
        })
    }

    /// The path with a value in each place.
    pub(super) fn fill<'v>(&self, value: impl Fn(&str) -> Result<Cow<'v, str>>) -> Result<String> {
        let mut path = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => path.push_str(text),
                Piece::Place(name) => encode(segment(name, &value(name)?)?, &mut path),
            }
        }
        // Values that stand side by side may mean together what none of them means.
        match leaves(&path) {
            None => Ok(path),
            Some(why) => {
                let message = format!("the values can't stand in a path together: {why}");
                Err(Error::new(ErrorKind::ValidationError, message))
            }
        }
    }
}

/// A value that can't leave its place, even where a path is decoded twice.
pub(super) fn segment<'v>(name: &str, value: &'v str) -> Result<&'v str> {
    let why = if value.is_empty() { Some("it is empty") } else { leaves(value) };
    let Some(why) = why else { return Ok(value) };
    let message = format!("the value can't stand in a path: {why}");
    let public = format!("{name}: {why}");
    Err(Error::new(ErrorKind::ValidationError, message).with("field", name).with_public(public))
}

/// Why a text means another path, or none, once it was decoded as often as anybody does.
fn leaves(text: &str) -> Option<&'static str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..=DECODED {
        if text.chars().any(char::is_control) {
            return Some("it holds control characters");
        }
        if dotted(&text) {
            return Some("it would lead to another path");
        }
        let next = decoded(text.as_bytes());
        if next == text.as_bytes() {
            return None;
        }
        text = Cow::Owned(String::from_utf8_lossy(&next).into_owned());
    }
    Some("it is encoded again and again")
}

/// The bytes with every `%XX` as the byte that it stands for.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(byte) = text.get(at) {
        let pair = (*byte == b'%').then(|| digit(at + 1).zip(digit(at + 2))).flatten();
        let byte = pair.and_then(|(high, low)| u8::try_from(16 * high + low).ok());
        out.extend(byte.or_else(|| text.get(at).copied()));
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}

/// Is one of its segments `.` or `..`, however they are separated?
fn dotted(text: &str) -> bool {
    text.split(['/', '\\']).any(|part| matches!(part, "." | ".."))
}

fn is_path(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&b);
    text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, value: &str) -> Result<String> {
        Path::parse(template).unwrap().fill(|_| Ok(Cow::Owned(value.to_owned())))
    }

    #[test]
    fn a_value_stays_in_its_place() {
        for (value, path) in [
            ("1042", "/orders/1042/lines"),
            ("a/b", "/orders/a%2Fb/lines"),
            ("a?b=c", "/orders/a%3Fb%3Dc/lines"),
            ("a#b", "/orders/a%23b/lines"),
            ("a%2Fb", "/orders/a%252Fb/lines"),
            ("a b;c", "/orders/a%20b%3Bc/lines"),
            ("Zoë", "/orders/Zo%C3%AB/lines"),
            ("...", "/orders/.../lines"),
            ("100%", "/orders/100%25/lines"),
            ("%2e%2e%2e", "/orders/%252e%252e%252e/lines"),
            ("a%252Fb%FF", "/orders/a%25252Fb%25FF/lines"),
        ] {
            assert_eq!(filled("/orders/{order}/lines", value).unwrap(), path, "{value:?}");
        }
    }

    #[test]
    fn a_value_that_would_leave_its_place_is_refused() {
        let deep = format!("%{}2e", "25".repeat(100));
        for value in [
            "",
            ".",
            "..",
            "a/..",
            "../admin",
            "..\\admin",
            "a/./b",
            "a\r\nb",
            "a\0",
            "\u{85}",
            "%2e%2e%2fadmin",
            "%2E",
            "a%2F..",
            "..%5cadmin",
            "%252e%252e",
            "%25%32%65",
            "a%0d%0ab",
            "%00",
            "%c2%85",
            &deep,
        ] {
            let e = filled("/orders/{order}", value).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::ValidationError, "{value:?}");
            assert!(e.context().any(|pair| pair == ("field", "order")), "{e}");
        }
    }

    #[test]
    fn values_side_by_side_do_not_lead_elsewhere_together() {
        let path = Path::parse("/orders/{a}{b}").unwrap();
        let value = |name: &str| Ok(Cow::Borrowed(if name == "a" { "%2" } else { "e" }));
        assert_eq!(path.fill(value).unwrap_err().kind(), ErrorKind::ValidationError);
    }

    #[test]
    fn a_template_is_checked_once() {
        for bad in [
            "",
            "orders",
            "/a?b",
            "/a#b",
            "/a b",
            "/{a",
            "/{}",
            "/{a-b}",
            "/a/../b",
            "/a\r\n",
            "/a}",
            "/a/%2e%2e/b",
        ] {
            assert!(Path::parse(bad).is_err(), "{bad:?}");
        }
        let path = Path::parse("/v1/{a}/b:{c}.json").unwrap();
        assert_eq!(path.places().collect::<Vec<_>>(), ["a", "c"]);
    }
}
