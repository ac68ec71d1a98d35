//! What JavaScript calls a blank, and what it makes of values as text.

/// A blank in the sense of `trim` and of `\s`.
pub(super) fn is_blank(c: char) -> bool {
    c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}')
}

/// Without blanks on both sides.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// What a `.` of a pattern does not stand for, line ends aside.
pub(super) fn breaks_line(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Without a pair of quotes around it.
pub(super) fn unquoted(text: &str) -> &str {
    for quote in ['"', '\''] {
        if text.starts_with(quote) && text.ends_with(quote) {
            let inside = text.get(1..).unwrap_or_default();
            return inside.strip_suffix(quote).unwrap_or_default();
        }
    }
    text
}

/// `key: value` at the start of a line, without the blanks before the value.
pub(super) fn key_and_rest(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line.split_once(':')?;
    let rest = rest.trim_start_matches(is_blank);
    let fits = !key.is_empty() && word(key) == key.len() && !rest.contains(breaks_line);
    fits.then_some((key, rest))
}

/// The length of the key that a text begins with, in bytes.
pub(super) fn word(text: &str) -> usize {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    text.bytes().take_while(inside).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_go_in_pairs() {
        assert_eq!(unquoted("\"a\""), "a");
        assert_eq!(unquoted("'a'"), "a");
        assert_eq!(unquoted("'a\""), "'a\"");
        assert_eq!(unquoted("\""), "");
        assert_eq!(unquoted(""), "");
    }

    #[test]
    fn blanks_are_those_of_javascript() {
        assert_eq!(trim("\u{feff}\u{a0} a \u{2028}"), "a");
        assert_eq!(trim("\u{85}a"), "\u{85}a");
    }
}
