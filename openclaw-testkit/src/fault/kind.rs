//! What can go wrong with one operation.

use std::time::Duration;

/// What goes wrong with one operation.
///
/// Each seam can have some of them; its wrapper says which. The others never happen there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is not done, and the caller is told so.
    Fail,
    /// It is done, and nobody knows.
    LoseAnswer,
    /// It is not done, and nobody knows.
    LoseRequest,
    /// It is done this much later.
    Delay(Duration),
    /// The power is cut before it is done.
    CrashBefore,
    /// The power is cut once it is done.
    CrashAfter,
    /// It is not done, and never ends.
    Hang,
    /// It is not done: it panics.
    Panic,
    /// It is done twice; the caller sees the first.
    Duplicate,
    /// What comes in comes in another order.
    Reorder,
}

impl Fault {
    /// Its name in [`Plan::injected`](super::Plan::injected): `"lose_answer"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::LoseAnswer => "lose_answer",
            Self::LoseRequest => "lose_request",
            Self::Delay(_) => "delay",
            Self::CrashBefore => "crash_before",
            Self::CrashAfter => "crash_after",
            Self::Hang => "hang",
            Self::Panic => "panic",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
        }
    }
}
