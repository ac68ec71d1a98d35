//! Text as a terminal may print it: what would be obeyed is shown instead.

/// Escapes control characters and those that turn the direction of text around. Line ends and
/// tabs stay.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        if c == '\n' || c == '\t' || !(c.is_control() || reorders(c)) {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

/// Marks that make a reader see another order than there is, or another line.
const fn reorders(c: char) -> bool {
    matches!(
        c,
        '\u{061c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        for (text, printed) in [
            ("plain, é 😀 \t two\nlines", "plain, é 😀 \t two\nlines"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u{1b}[2J\\u{1b}]0;title\\u{7}"),
            ("over\rwrite", "over\\u{d}write"),
            ("dos\r\nline", "dos\nline"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b\u{2066}c\u{2028}d", "a\\u{202e}b\\u{2066}c\\u{2028}d"),
            ("\u{8}\u{7f}\0", "\\u{8}\\u{7f}\\u{0}"),
        ] {
            assert_eq!(shown(text), printed, "{text:?}");
        }
    }
}
