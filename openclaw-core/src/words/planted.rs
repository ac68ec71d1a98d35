//! Planted bugs: each takes one protection away, so that a simulator can show that it notices.
//!
//! Only a build with `RUSTFLAGS="--cfg openclaw_planted"` holds them. In any other build
//! [`planted`] is a constant `false`, and no cargo feature can change that.

#[cfg(openclaw_planted)]
use std::cell::Cell;

/// The bugs, each with its name and with one sentence on what is broken.
macro_rules! bugs {
    ($(#[doc = $broken:literal] $bug:ident = $name:literal,)*) => {
        /// A protection that a run does without.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(
            not(openclaw_planted),
            expect(unreachable_pub, reason = "public where bugs can be planted"),
            expect(dead_code, reason = "some are of the crates that build on this one")
        )]
        #[non_exhaustive]
        pub enum Bug {
            $(#[doc = $broken] $bug,)*
        }

        #[cfg(openclaw_planted)]
        impl Bug {
            /// Every bug there is.
            pub const ALL: &[Self] = &[$(Self::$bug,)*];

            /// The name, in lower case with hyphens.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)*
                }
            }

            /// What is broken, as one sentence.
            #[must_use]
            pub const fn broken(self) -> &'static str {
                match self {
                    $(Self::$bug => $broken.trim_ascii(),)*
                }
            }

            /// Is it about versions of skills? Only a run that has them sees it.
            #[must_use]
            pub const fn needs_versions(self) -> bool {
                matches!(
                    self,
                    Self::RollBackForgotten
                        | Self::RoutesReshuffled
                        | Self::BegunMoved
                        | Self::ShadowLive
                )
            }
        }
    };
}

bugs! {
    /// A second delivery of an id becomes a second message.
    NoDedupe = "no-dedupe",
    /// The dedupe key omits the tenant.
    DedupeUntenanted = "dedupe-untenanted",
    /// A restart forgets which ids were seen.
    DedupePerStart = "dedupe-per-start",
    /// The nonce of a message is not kept.
    NonceNotKept = "nonce-not-kept",
    /// A message is acknowledged before its admit commit is written.
    EarlyAck = "early-ack",
    /// The room of a message that did not come in is never given back.
    CreditLeak = "credit-leak",
    /// A lane gives its newest item first.
    LaneBackwards = "lane-backwards",
    /// A lane is free before its turn has ended: two run at once.
    LaneFreedEarly = "lane-freed-early",
    /// A deferred reply is never woken.
    DeferredNotWoken = "deferred-not-woken",
    /// Commits do not check that the gateway still owns the partition.
    NoFence = "no-fence",
    /// A commit whose answer was lost is taken as applied, without a look.
    UnknownIsApplied = "unknown-is-applied",
    /// A commit whose answer was lost is taken as not applied, without a look.
    UnknownIsLost = "unknown-is-lost",
    /// A skill runs before its dispatch is committed.
    EffectBeforeDispatch = "effect-before-dispatch",
    /// A reply is sent, and its dispatch is not committed.
    SendUndispatched = "send-undispatched",
    /// A dispatch found after a crash counts as not sent.
    DoubtForgotten = "doubt-forgotten",
    /// What may happen once at most is tried again after a lost answer.
    MaybeRetried = "maybe-retried",
    /// A keyed effect is sent again although the remote may have forgotten its key.
    RetentionIgnored = "retention-ignored",
    /// A reply that is sent again has another key.
    KeyChanges = "key-changes",
    /// A parked effect is run again when its turn is.
    ParkedRerun = "parked-rerun",
    /// A recorded answer is given to a request with other arguments.
    ArgumentsIgnored = "arguments-ignored",
    /// An owner that does not know yet is taken to say that nothing happened.
    NotYetIsNo = "not-yet-is-no",
    /// An owner that can't know is taken to say that nothing happened.
    CannotIsNo = "cannot-is-no",
    /// An approval is not consumed by its claim.
    ApprovalReused = "approval-reused",
    /// An approval is good for any arguments.
    ApprovalUnbound = "approval-unbound",
    /// An approval that has expired is accepted.
    ApprovalExpired = "approval-expired",
    /// An approval is consumed in a commit of its own, after the claim's.
    ApprovalApart = "approval-apart",
    /// A person's no counts as a yes.
    DenialGranted = "denial-granted",
    /// One yes is enough, however many are asked for.
    QuorumIgnored = "quorum-ignored",
    /// Whoever asked for an approval may give it.
    SelfApproved = "self-approved",
    /// A decision does not resume the turn that waits for it.
    DecisionUnheard = "decision-unheard",
    /// What is reserved for an effect that did not happen is not given back.
    BudgetLeaked = "budget-leaked",
    /// A claim reserves whatever the limit is.
    BudgetUnbound = "budget-unbound",
    /// Whoever reads a canary that was rolled back lets everybody meet it.
    RollBackForgotten = "roll-back-forgotten",
    /// Another weight of a canary shuffles the routes that meet it anew.
    RoutesReshuffled = "routes-reshuffled",
    /// A call that was begun with a version goes on with the one that new calls meet.
    BegunMoved = "begun-moved",
    /// A shadow runs whatever it may do to the world, and its effects are live.
    ShadowLive = "shadow-live",
    /// What an agent wrote into its session is not stored.
    SessionLost = "session-lost",
    /// What a failed attempt wrote into its session is stored.
    SessionOfFailed = "session-of-failed",
    /// The session key omits the tenant.
    SessionUntenanted = "session-untenanted",
    /// The audit entry of a turn is in a commit of its own, after the turn's.
    AuditApart = "audit-apart",
    /// A turn with nothing to say sends an empty reply.
    SilentSends = "silent-sends",
    /// A message that is given up leaves no letter.
    LetterLost = "letter-lost",
    /// Failed attempts do not count: the turn is tried for ever.
    NeverGivesUp = "never-gives-up",
    /// An attempt that only the store failed counts as failed.
    OutageCounted = "outage-counted",
    /// The pause that a remote asks for is not made.
    RetryAfterIgnored = "retry-after-ignored",
    /// The parts of a reply go out last one first.
    PartsReversed = "parts-reversed",
    /// A restart sends a reply from its first part on, whatever went out.
    PartsForgotten = "parts-forgotten",
    /// A finished reply leaves the live messages in a commit of its own, after the last one.
    DoneApart = "done-apart",
    /// A reply is posted beside the hint it should replace.
    HintNotReplaced = "hint-not-replaced",
    /// A restart drops messages that wait for an agent.
    TurnDropped = "turn-dropped",
    /// A restart drops replies that wait to go out.
    ReplyDropped = "reply-dropped",
    /// A restart removes suspended turns.
    SuspendedLost = "suspended-lost",
    /// What a suspended turn was given is not stored: a crash loses it.
    ResolutionLost = "resolution-lost",
    /// A turn that does not wait any more can be resolved again.
    ResolvedTwice = "resolved-twice",
    /// A drain does not wait for the last commits of replies.
    DrainForgetsClosing = "drain-forgets-closing",
    /// The sweep removes finished messages, and their dedupe rows, before their time.
    SweptEarly = "swept-early",
    /// A drain does not tell that it left work.
    DrainForgetsLeft = "drain-forgets-left",
}

#[cfg(openclaw_planted)]
thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug in everything that this thread runs from now on; `None` takes it out.
///
/// Gateways on a current-thread runtime have it everywhere, those of other threads have not.
///
/// ```
/// use openclaw_core::planted::{Bug, plant};
///
/// plant(Some(Bug::NoDedupe));
/// // A gateway that runs here takes the same message twice.
/// plant(None);
/// assert_eq!(Bug::NoDedupe.name(), "no-dedupe");
/// assert_eq!(Bug::NoDedupe.broken(), "A second delivery of an id becomes a second message.");
/// ```
#[cfg(openclaw_planted)]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Is this bug planted in this thread?
///
/// For the crates that build on this one and have protections of their own.
#[cfg(openclaw_planted)]
#[must_use]
pub fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Is this bug planted? Never, in this build.
#[cfg(not(openclaw_planted))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(openclaw_planted)]
#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_bug_has_a_name_of_its_own_and_a_sentence() {
        let names: BTreeSet<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        assert_eq!(names.len(), Bug::ALL.len());
        for bug in Bug::ALL {
            let (name, broken) = (bug.name(), bug.broken());
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
            assert!(broken.ends_with('.') && !broken.starts_with(' '), "{name}: {broken}");
        }
    }

    #[test]
    fn a_bug_is_planted_alone_and_in_one_thread() {
        plant(Some(Bug::NoDedupe));
        assert!(planted(Bug::NoDedupe) && !planted(Bug::NoFence));
        let elsewhere = std::thread::spawn(|| planted(Bug::NoDedupe)).join().unwrap();
        assert!(!elsewhere);
        plant(None);
        assert!(!planted(Bug::NoDedupe));
    }
}
