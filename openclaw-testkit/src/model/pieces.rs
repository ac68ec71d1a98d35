//! A reply that comes in pieces, and may break off.

use std::collections::VecDeque;

use async_trait::async_trait;
use openclaw_core::{
    Error, ErrorKind, Happened, Result,
    model::{ModelReply, ModelStream},
};

use crate::env::SeededRng;

/// A stream of prepared pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    rest: VecDeque<String>,
    reply: ModelReply,
    /// It breaks off behind the pieces.
    cut: bool,
    ended: bool,
}

impl Pieces {
    /// The reply in pieces of one to twelve characters, as the stream of numbers decides.
    pub(super) fn of(reply: ModelReply, rng: &SeededRng) -> Self {
        let mut rest = VecDeque::new();
        let mut chars = reply.text.chars().peekable();
        while chars.peek().is_some() {
            let n = usize::try_from(1 + rng.below(12)).unwrap_or(1);
            rest.push_back(chars.by_ref().take(n).collect());
        }
        Self { rest, reply, cut: false, ended: false }
    }

    /// Streams these words instead of the reply's.
    pub(super) fn saying(mut self, words: &str) -> Self {
        self.rest = VecDeque::from([words.to_owned()]);
        self
    }

    /// Breaks off behind the pieces.
    pub(super) const fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    /// Breaks off in the middle of the pieces.
    pub(super) fn cut_in_half(mut self) -> Self {
        self.rest.truncate(self.rest.len() / 2);
        self.cut()
    }
}

/// The error of a stream that breaks off.
pub(super) fn broken() -> Error {
    Error::new(ErrorKind::Unavailable, "the model's stream broke").with_happened(Happened::Maybe)
}

#[async_trait]
impl ModelStream for Pieces {
    async fn next(&mut self) -> Result<Option<String>> {
        match self.rest.pop_front() {
            Some(piece) => Ok(Some(piece)),
            None if self.cut => Err(broken()),
            None => {
                self.ended = true;
                Ok(None)
            }
        }
    }

    async fn finish(self: Box<Self>) -> Result<ModelReply> {
        if self.ended { Ok(self.reply) } else { Err(broken()) }
    }
}
