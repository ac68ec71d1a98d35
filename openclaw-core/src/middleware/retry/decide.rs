//! Whether to try again: arithmetic, without a clock.

use std::time::Duration;

use crate::{
    Happened,
    policy::{Assessment, Head},
};

/// What to do with an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is the answer.
    Return,
    /// It would be tried again, but the tries are spent.
    Spent,
    /// Try again, when there is time and budget.
    Again,
    /// A layer of this process refused: come back when it says so, at no cost.
    Wait(Duration),
}

/// What is known behind a try.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    /// Tries so far that left this process.
    pub(super) tries: u32,
    /// Tries in all.
    pub(super) attempts: u32,
    /// Since the first try.
    pub(super) since: Duration,
    /// Waits for refusals of our own layers that are still allowed.
    pub(super) waits: u32,
}

pub(super) fn decide(head: &Head, means: &Assessment, tried: Tried) -> Decision {
    if means.is_success() || means.exhausted || !means.is_transient() {
        return Decision::Return;
    }
    if means.local {
        return match means.retry_after {
            Some(after) if tried.waits > 0 => Decision::Wait(after),
            _ => Decision::Return,
        };
    }
    let safe = match means.happened {
        Happened::No => true,
        Happened::Maybe => head.may_repeat(tried.since),
        Happened::Yes => false,
    };
    match (safe, tried.tries < tried.attempts) {
        (false, _) => Decision::Return,
        // Whoever makes one try retries nothing, and exhausts nothing.
        _ if tried.attempts <= 1 => Decision::Return,
        (true, false) => Decision::Spent,
        (true, true) => Decision::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effect, ErrorKind};

    const TRIED: Tried = Tried { tries: 1, attempts: 3, since: Duration::from_secs(1), waits: 0 };

    fn of(effect: Effect, kind: ErrorKind, happened: Happened) -> Decision {
        let means = Assessment::fault(kind).with_happened(happened);
        decide(&Head::new(effect).with_key(), &means, TRIED)
    }

    const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(60) };
    const FORGOTTEN: Effect = Effect::Keyed { retention: Duration::from_secs(1) };

    const EFFECTS: [Effect; 6] = [
        Effect::Pure,
        Effect::AtLeastOnce,
        KEYED,
        FORGOTTEN,
        Effect::Reconcilable,
        Effect::AtMostOnce,
    ];

    #[test]
    fn only_transient_kinds_are_tried_again() {
        use ErrorKind as K;
        let transient = [
            K::RateLimited,
            K::Timeout,
            K::Unavailable,
            K::ServerError,
            K::CircuitOpen,
            K::Overloaded,
        ];
        let others = [
            K::NotFound,
            K::AuthenticationFailed,
            K::PermissionDenied,
            K::ValidationError,
            K::Conflict,
            K::ApprovalRequired,
            K::Duplicate,
            K::Cancelled,
            K::Unsupported,
            K::Unclassified,
        ];
        for effect in EFFECTS {
            for kind in transient {
                assert_eq!(of(effect, kind, Happened::No), Decision::Again, "{kind} {effect:?}");
                assert_eq!(of(effect, kind, Happened::Yes), Decision::Return, "{kind} {effect:?}");
            }
            for kind in others {
                for happened in [Happened::No, Happened::Maybe, Happened::Yes] {
                    assert_eq!(of(effect, kind, happened), Decision::Return, "{kind} {effect:?}");
                }
            }
        }
    }

    #[test]
    fn behind_a_maybe_the_effect_decides() {
        let maybe = |effect| of(effect, ErrorKind::Timeout, Happened::Maybe);
        let again = [Effect::Pure, Effect::AtLeastOnce, KEYED];
        for effect in EFFECTS {
            let expected = if again.contains(&effect) { Decision::Again } else { Decision::Return };
            assert_eq!(maybe(effect), expected, "{effect:?}");
        }
        let means = Assessment::fault(ErrorKind::Timeout);
        let keyless = decide(&Head::new(KEYED), &means, TRIED);
        assert_eq!(keyless, Decision::Return, "no key was sent");
    }

    #[test]
    fn tries_are_counted_in_all() {
        let means = Assessment::fault(ErrorKind::Unavailable);
        let behind = |tries| decide(&Head::new(Effect::Pure), &means, Tried { tries, ..TRIED });
        assert_eq!(
            [behind(1), behind(2), behind(3)],
            [Decision::Again, Decision::Again, Decision::Spent]
        );
    }

    #[test]
    fn what_an_inner_retry_has_spent_is_not_tried_again() {
        let means = Assessment::fault(ErrorKind::Unavailable).with_exhausted(true);
        assert_eq!(decide(&Head::new(Effect::Pure), &means, TRIED), Decision::Return);
    }

    #[test]
    fn a_refusal_of_our_own_is_returned_unless_it_is_waited_for() {
        let second = Duration::from_secs(1);
        let means = Assessment::fault(ErrorKind::RateLimited)
            .refused_here(true)
            .with_retry_after(Some(second));
        let head = Head::new(Effect::AtMostOnce);
        assert_eq!(decide(&head, &means, TRIED), Decision::Return);
        let waiting = Tried { waits: 1, tries: 3, ..TRIED };
        assert_eq!(decide(&head, &means, waiting), Decision::Wait(second), "it costs no try");
        let unknown = means.with_retry_after(None);
        assert_eq!(decide(&head, &unknown, waiting), Decision::Return);
    }
}
