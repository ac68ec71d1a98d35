//! What can go wrong with one operation.

use std::time::Duration;

/// What goes wrong with one operation.
///
/// What only asks can fail, be delayed, hang and crash. What tells a store or a platform
/// something can also lose its request or its answer. A call can also panic and be made
/// twice. Messages that come in can come twice, or in another order. A fault that an operation
/// can't have never happens to it.
///
/// ```
/// use openclaw_testkit::fault::Fault;
///
/// assert_eq!(Fault::LoseAnswer.name(), "lose_answer");
/// ```
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
    /// What comes in changes places, but keeps its order inside each conversation.
    Reorder,
    /// What comes in changes places, inside conversations too.
    Shuffle,
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
            Self::Shuffle => "shuffle",
        }
    }

    /// Can it happen to something that only asks?
    pub(super) const fn asking(self) -> bool {
        matches!(
            self,
            Self::Fail | Self::Delay(_) | Self::CrashBefore | Self::CrashAfter | Self::Hang
        )
    }

    /// Can it happen to something that is told to a store or a platform?
    pub(super) const fn telling(self) -> bool {
        self.asking() || matches!(self, Self::LoseAnswer | Self::LoseRequest)
    }

    /// Can it happen to a call?
    pub(super) const fn calling(self) -> bool {
        self.telling() || matches!(self, Self::Panic | Self::Duplicate)
    }
}
