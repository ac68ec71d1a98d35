//! Percent signs for paths, queries and forms.

use std::fmt::Write as _;

/// Writes everything as `%XX` but RFC 3986's unreserved characters.
pub(crate) fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a string can't fail.
            write!(out, "%{byte:02X}").unwrap_or_default();
        }
    }
}

/// The text with everything but unreserved characters as `%XX`.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    encode(text, &mut out);
    out
}

/// Pairs as a form, or as a query.
pub(crate) fn form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        encode(name, &mut out);
        out.push('=');
        encode(value, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_value_is_escaped() {
        let pairs = [("a b", "c&d=e+f%/ü"), ("g", ""), ("h", "-._~")];
        assert_eq!(form(pairs), "a%20b=c%26d%3De%2Bf%25%2F%C3%BC&g=&h=-._~");
    }
}
