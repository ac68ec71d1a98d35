//! Which operations a GraphQL document has: only its outermost level is read.

use openclaw_core::{Error, ErrorKind, Result};

/// The operations of an executable document.
#[derive(Debug)]
pub(super) struct Document<'a>(Vec<Found<'a>>);

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) mutates: bool,
    subscribes: bool,
}

/// What stands at the outermost level, and whole groups of brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Name(&'a str),
    /// `{ … }`
    Selection,
    /// `( … )`, or `[ … ]`
    Group,
    /// `@`, `$`, `:`, …
    Sign,
}

impl<'a> Document<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self> {
        let mut rest = text;
        let (mut found, mut head) = (Vec::new(), Vec::new());
        while let Some((token, more)) = next(rest)? {
            rest = more;
            if token == Token::Selection {
                found.extend(definition(&head)?);
                head.clear();
            } else {
                head.push(token);
            }
        }
        if !head.is_empty() || found.is_empty() {
            return Err(broken("the document has no whole operation"));
        }
        Ok(Self(found))
    }

    /// The operation of this name, or the only one.
    pub(super) fn operation(&self, name: Option<&str>) -> Result<Found<'a>> {
        let mut fitting = self.0.iter().filter(|found| name.is_none() || found.name == name);
        let only = *fitting.next().ok_or_else(|| broken("the document has no such operation"))?;
        if fitting.next().is_some() {
            return Err(broken("the document has several operations: name one"));
        }
        if only.subscribes {
            let message = "a subscription has no single answer: ask by a query";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(only)
    }
}

/// The operation that begins like this; `None` is a fragment.
fn definition<'a>(head: &[Token<'a>]) -> Result<Option<Found<'a>>> {
    let (mutates, subscribes) = match head.first() {
        // `{ … }` alone is a query.
        None | Some(Token::Name("query")) => (false, false),
        Some(Token::Name("mutation")) => (true, false),
        Some(Token::Name("subscription")) => (false, true),
        Some(Token::Name("fragment")) => return Ok(None),
        Some(_) => return Err(broken("only queries, mutations and fragments can be sent")),
    };
    let name = match head.get(1) {
        Some(Token::Name(name)) => Some(*name),
        _ => None,
    };
    Ok(Some(Found { name, mutates, subscribes }))
}

/// The first token, and what follows it.
fn next(text: &str) -> Result<Option<(Token<'_>, &str)>> {
    let text = blank(text);
    let Some(first) = text.chars().next() else { return Ok(None) };
    if matches!(first, '{' | '(' | '[') {
        let token = if first == '{' { Token::Selection } else { Token::Group };
        return Ok(Some((token, behind(text)?)));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = text.find(|c| !is_name(c)).unwrap_or(text.len());
    if length > 0 {
        let (name, rest) = text.split_at(length);
        return Ok(Some((Token::Name(name), rest)));
    }
    if matches!(first, '}' | ')' | ']' | '"') {
        return Err(broken("the document's brackets don't match"));
    }
    Ok(Some((Token::Sign, text.get(first.len_utf8()..).unwrap_or_default())))
}

/// What follows the group of brackets that `text` begins with.
fn behind(text: &str) -> Result<&str> {
    let (mut open, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' => string(rest)?,
            '#' => blank(rest),
            _ => rest.get(first.len_utf8()..).unwrap_or_default(),
        };
        match first {
            '{' => open.push('}'),
            '(' => open.push(')'),
            '[' => open.push(']'),
            '}' | ')' | ']' if open.pop() != Some(first) => {
                return Err(broken("the document's brackets don't match"));
            }
            _ => {}
        }
        if open.is_empty() {
            return Ok(rest);
        }
    }
    Err(broken("the document's brackets don't match"))
}

/// What follows the string that `text` begins with.
fn string(text: &str) -> Result<&str> {
    let unended = || broken("a string in the document has no end");
    if let Some(block) = text.strip_prefix("\"\"\"") {
        let mut rest = block;
        loop {
            let (before, after) = rest.split_once("\"\"\"").ok_or_else(unended)?;
            if !before.ends_with('\\') {
                return Ok(after);
            }
            rest = after;
        }
    }
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Ok(text.get(at + 1..).unwrap_or_default()),
            '\n' | '\r' => break,
            _ => {}
        }
    }
    Err(unended())
}

/// Without white space, commas and comments in front.
fn blank(text: &str) -> &str {
    let mut text = text;
    loop {
        text =
            text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | '\u{feff}'));
        match text.strip_prefix('#') {
            Some(comment) => {
                let end = comment.find(['\n', '\r']).unwrap_or(comment.len());
                text = comment.get(end..).unwrap_or_default();
            }
            None => return text,
        }
    }
}

fn broken(why: &'static str) -> Error {
    Error::new(ErrorKind::ValidationError, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(Option<&str>, bool)> {
        let Document(found) = Document::read(text).unwrap();
        found.iter().map(|found| (found.name, found.mutates)).collect()
    }

    #[test]
    fn operations_are_told_apart() {
        for (text, expected) in [
            ("{ a }", vec![(None, false)]),
            ("query { a(b: {c: \"}\"}) { d } }", vec![(None, false)]),
            ("query Q($a: In = {b: [1]}) @live { a }", vec![(Some("Q"), false)]),
            ("# mutation M { a }\nquery Q { a }", vec![(Some("Q"), false)]),
            ("mutation @x(a: \"{\") { a }", vec![(None, true)]),
            ("fragment F on T { mutation } mutation M { a ...F }", vec![(Some("M"), true)]),
            ("query A{a}mutation B{b}", vec![(Some("A"), false), (Some("B"), true)]),
            ("query Q { a(t: \"\"\"x } \\\"\"\" mutation { \"\"\") }", vec![(Some("Q"), false)]),
            ("\u{feff}query Q { # }\n a }", vec![(Some("Q"), false)]),
            ("mutation mutation { query }", vec![(Some("mutation"), true)]),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_can_not_be_sent_is_refused() {
        for bad in [
            "",
            "query",
            "query Q",
            "fragment F on T { a }",
            "type T { a: Int }",
            "{ a",
            "{ a ) }",
            "a }",
            "{ a(b: \"c) }",
            "{ a(b: \"\"\"c) }",
            "\"doc\" { a }",
            "extend type T { a: Int }",
        ] {
            let refused = Document::read(bad).and_then(|read| read.operation(None).map(|_| ()));
            assert!(refused.is_err(), "{bad:?}");
        }
        let subscription = Document::read("subscription { a }").unwrap();
        assert_eq!(subscription.operation(None).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
