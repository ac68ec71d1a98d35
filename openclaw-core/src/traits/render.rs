//! Splitting a text where a reader would, in the platform's own unit.

use std::num::NonZeroUsize;

use crate::Content;

/// How a platform counts the length of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextUnit {
    /// Bytes of UTF-8.
    Bytes,
    /// Code units of UTF-16.
    Utf16,
    /// Unicode scalar values. The default.
    #[default]
    Chars,
}

impl TextUnit {
    /// The length of a text in this unit.
    ///
    /// ```
    /// use openclaw_core::channel::TextUnit;
    ///
    /// assert_eq!(TextUnit::Bytes.len("é😀"), 6);
    /// assert_eq!(TextUnit::Utf16.len("é😀"), 3);
    /// assert_eq!(TextUnit::Chars.len("é😀"), 2);
    /// ```
    #[must_use]
    pub fn len(self, text: &str) -> usize {
        match self {
            Self::Bytes => text.len(),
            Self::Utf16 => text.encode_utf16().count(),
            Self::Chars => text.chars().count(),
        }
    }
}

/// The contents of the parts by a channel's limits: paragraph, line, sentence, word, letter.
///
/// Text that is over `max_parts` parts ends with a mark that says so.
pub(super) fn render(
    content: &Content,
    max: Option<NonZeroUsize>,
    unit: TextUnit,
    max_parts: usize,
) -> Vec<Content> {
    let Some(max) = max.filter(|_| !matches!(content, Content::Bytes { .. })) else {
        return vec![content.clone()];
    };
    let text = content.to_text();
    let mut pieces = split(&text, max.get(), unit);
    let most = max_parts.max(1);
    if pieces.len() > most {
        pieces.truncate(most);
        if let Some(last) = pieces.last_mut() {
            *last = cut_with_mark(last, max.get(), unit);
        }
    }
    pieces.into_iter().map(Content::text).collect()
}

const MARK: &str = " […]";

fn cut_with_mark(text: &str, max: usize, unit: TextUnit) -> String {
    let room = max.saturating_sub(unit.len(MARK));
    if room == 0 {
        return text.to_owned();
    }
    let end = reach(text, room, unit);
    format!("{}{MARK}", text.get(..end).unwrap_or(text).trim_end())
}

/// Splits so that every piece has at most `max` units. The pieces joined give the text again.
fn split(text: &str, max: usize, unit: TextUnit) -> Vec<String> {
    let mut rest = text;
    let mut pieces = Vec::new();
    while unit.len(rest) > max {
        let end = reach(rest, max, unit);
        let window = rest.get(..end).unwrap_or(rest);
        let at = break_in(window).unwrap_or(end);
        let (piece, behind) = rest.split_at(at);
        pieces.push(piece.to_owned());
        rest = behind;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

/// The byte position up to which `max` units reach; at least one character.
fn reach(text: &str, max: usize, unit: TextUnit) -> usize {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += match unit {
            TextUnit::Bytes => c.len_utf8(),
            TextUnit::Utf16 => c.len_utf16(),
            TextUnit::Chars => 1,
        };
        if used > max {
            return if at == 0 { c.len_utf8() } else { at };
        }
    }
    text.len()
}

/// The best place to break: behind a paragraph, a line, a sentence, a word, if it is not too
/// near to the front.
fn break_in(window: &str) -> Option<usize> {
    let least = window.len() / 3;
    ["\n\n", "\n", ". ", " "]
        .into_iter()
        .filter_map(|mark| window.rfind(mark).map(|at| at + mark.len()))
        .find(|at| *at > least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fit_and_join_to_the_text() {
        let text = "One two three. Four five.\n\nSix 😀 seven eight\nnine ten éleven";
        for unit in [TextUnit::Bytes, TextUnit::Utf16, TextUnit::Chars] {
            for max in 4..70 {
                let pieces = split(text, max, unit);
                assert_eq!(pieces.concat(), text);
                assert!(pieces.iter().all(|p| unit.len(p) <= max), "{unit:?} {max} {pieces:?}");
            }
        }
    }

    #[test]
    fn breaks_at_the_paragraph_first() {
        assert_eq!(
            split("aaaa bbbb\n\ncccc dddd", 16, TextUnit::Chars),
            ["aaaa bbbb\n\n", "cccc dddd"]
        );
    }

    #[test]
    fn too_many_parts_end_with_a_mark() {
        let text = Content::text("0123456789".repeat(5));
        let parts = render(&text, NonZeroUsize::new(10), TextUnit::Chars, 2);
        assert_eq!(parts.len(), 2);
        assert_eq!(parts.last().unwrap().to_text(), "012345 […]");
    }
}
