//! What a registry tells whoever watches it.

use std::sync::Arc;

use openclaw_core::{ErrorKind, SkillId, Timestamp};

/// Something that happened in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistryEvent {
    /// A call met a version that will not be there for long.
    Deprecated {
        /// The skill.
        skill: SkillId,
        /// The version that was met.
        version: Arc<str>,
        /// Until when it is meant to work.
        sunset: Option<Timestamp>,
        /// Is that over? It works all the same, until somebody [retires](super::Registry::retire) it.
        over: bool,
        /// What to use instead.
        replacement: Option<Arc<str>>,
    },
    /// A canary failed too often: no new call meets it any more.
    RolledBack {
        /// The skill.
        skill: SkillId,
        /// The version that failed.
        version: Arc<str>,
        /// How often it failed.
        why: Arc<str>,
    },
    /// The store does not take a roll-back. It counts in this process, and is tried again.
    NotKept {
        /// The skill.
        skill: SkillId,
        /// What the store said.
        kind: ErrorKind,
    },
    /// The rollouts could not be read again; those that are known count.
    NotFollowed {
        /// What the store said.
        kind: ErrorKind,
    },
    /// A shadow ran beside a call, or should have.
    Shadowed {
        /// The skill.
        skill: SkillId,
        /// The version that ran without effects.
        shadow: Arc<str>,
        /// The version whose answer counts.
        beside: Arc<str>,
        /// What it was like.
        verdict: Verdict,
    },
}

/// What a shadow was like, beside the version whose answer counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It gave the same answer.
    Same,
    /// It gave another answer; first at this place of it.
    Differs {
        /// RFC 6901 pointer, as far as both answers go.
        pointer: String,
    },
    /// It would take the input; it has effects, so it was not run.
    Accepts,
    /// It was not run: it touches or demands more than the other version.
    ///
    /// It would take the input.
    Wider,
    /// It could not go on with its effects withheld: nothing was compared.
    ///
    /// Its answer was `UNSUPPORTED`, as that of a request which must not leave.
    Withheld,
    /// It would not take the input.
    Refuses,
    /// It failed where the other did not.
    Fails {
        /// How.
        kind: ErrorKind,
    },
    /// Too many shadows ran already.
    Skipped,
}
