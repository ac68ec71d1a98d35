//! Texts as far as a row has room for them: foreign words may be of any length.

use std::sync::Arc;

use super::error::Error;

/// What an error says is kept up to this many bytes.
const SAID: usize = 8 << 10;

/// What an error says, as it is kept: 8 KiB at most.
pub(crate) fn words_of(error: &Error) -> Arc<str> {
    start_of(error.message(), SAID).into()
}

/// At most so many bytes of a text.
pub(crate) fn start_of(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}
