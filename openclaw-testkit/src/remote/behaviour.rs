//! What a remote does with one call: the scripted and the seeded ways to misbehave.

use std::{collections::VecDeque, time::Duration};

use crate::env::SeededRng;

/// What a [`CountingRemote`](super::CountingRemote) does with one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behaviour {
    /// The effect, then the answer.
    #[default]
    Answer,
    /// The effect at once, the answer this much later.
    AnswerLate(Duration),
    /// The effect, and no answer: `UNAVAILABLE`, `Maybe`.
    LoseAnswer,
    /// The effect, and then silence until the caller gives up.
    Hang,
    /// No effect, and the caller can know it: `UNAVAILABLE`, `No`.
    FailBefore,
    /// No effect, but a 503 that doesn't say so: `UNAVAILABLE`, `Maybe`.
    Busy {
        /// What its `Retry-After` says.
        retry_after: Duration,
    },
}

impl Behaviour {
    /// Does a call that meets this behaviour have its effect?
    #[must_use]
    pub const fn has_effect(self) -> bool {
        !matches!(self, Self::FailBefore | Self::Busy { .. })
    }
}

/// What the next calls meet: first the script, then chance, then good manners.
#[derive(Debug, Default)]
pub(super) struct Manners {
    script: VecDeque<Behaviour>,
    chance: Option<(SeededRng, f64)>,
}

impl Manners {
    pub(super) fn script(&mut self, next: impl IntoIterator<Item = Behaviour>) {
        self.script.extend(next);
    }

    pub(super) fn chance(&mut self, rng: SeededRng, p: f64) {
        self.chance = (p > 0.0).then_some((rng, p));
    }

    pub(super) fn next(&mut self) -> Behaviour {
        if let Some(scripted) = self.script.pop_front() {
            return scripted;
        }
        match &self.chance {
            Some((rng, p)) if rng.chance(*p) => misbehave(rng),
            _ => Behaviour::Answer,
        }
    }
}

/// Any way to misbehave but hanging: a seeded run needs no caller that gives up.
fn misbehave(rng: &SeededRng) -> Behaviour {
    let wait = Duration::from_millis(1 + rng.below(2_000));
    let ways = [
        Behaviour::AnswerLate(wait),
        Behaviour::LoseAnswer,
        Behaviour::FailBefore,
        Behaviour::Busy { retry_after: wait },
    ];
    rng.pick(&ways).copied().unwrap_or_default()
}
