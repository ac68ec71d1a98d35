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
    /// An earlier try may have happened. What a later one says does not undo that.
    pub(super) doubt: bool,
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
    // Whoever makes one try retries nothing, and exhausts nothing.
    if tried.attempts <= 1 || !is_safe(head, means, tried) {
        return Decision::Return;
    }
    if tried.tries < tried.attempts { Decision::Again } else { Decision::Spent }
}

/// Is a try now, `tried.since` behind the first, surely no second effect that nobody asked for?
pub(super) fn is_safe(head: &Head, means: &Assessment, tried: Tried) -> bool {
    match means.happened {
        Happened::Yes => false,
        Happened::No if !tried.doubt => true,
        Happened::No | Happened::Maybe => head.may_repeat(tried.since),
    }
}

/// Would a first try with this outcome be tried again?
#[cfg(feature = "backoff")]
pub(super) fn would_repeat(head: &Head, means: &Assessment) -> bool {
    let tried = Tried { tries: 1, attempts: 2, waits: 0, since: Duration::ZERO, doubt: false };
    decide(head, means, tried) == Decision::Again
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effect, ErrorKind};

    const TRIED: Tried =
        Tried { tries: 1, attempts: 3, since: Duration::from_secs(1), waits: 0, doubt: false };

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

    const KINDS: [ErrorKind; 16] = [
        ErrorKind::RateLimited,
        ErrorKind::Timeout,
        ErrorKind::Unavailable,
        ErrorKind::ServerError,
        ErrorKind::CircuitOpen,
        ErrorKind::Overloaded,
        ErrorKind::NotFound,
        ErrorKind::AuthenticationFailed,
        ErrorKind::PermissionDenied,
        ErrorKind::ValidationError,
        ErrorKind::Conflict,
        ErrorKind::ApprovalRequired,
        ErrorKind::Duplicate,
        ErrorKind::Cancelled,
        ErrorKind::Unsupported,
        ErrorKind::Unclassified,
    ];

    /// The effects whose calls are tried again, in words.
    fn repeated(kind: ErrorKind, happened: Happened) -> String {
        let again = EFFECTS.iter().filter(|effect| match of(**effect, kind, happened) {
            Decision::Again => true,
            Decision::Return => false,
            other => panic!("{kind} {effect:?}: {other:?}"),
        });
        let again: Vec<_> = again
            .map(|effect| match *effect {
                Effect::Keyed { .. } if *effect == FORGOTTEN => "forgotten key".to_owned(),
                Effect::Keyed { .. } => "`Keyed`".to_owned(),
                effect => format!("`{effect:?}`"),
            })
            .collect();
        match again.len() {
            0 => "–".to_owned(),
            n if n == EFFECTS.len() => "all".to_owned(),
            _ => again.join(", "),
        }
    }

    /// Every kind, happened or not, and every effect: the page says what the code does.
    #[test]
    fn the_table_of_the_docs_is_true() {
        let mut table = "| tried again | nothing happened | it may have | it did |\n\
            |---|---|---|---|\n"
            .to_owned();
        for kind in KINDS {
            let cells = [Happened::No, Happened::Maybe, Happened::Yes];
            let cells = cells.map(|happened| repeated(kind, happened));
            table.push_str(&format!("| `{kind}` | {} |\n", cells.join(" | ")));
        }
        assert_eq!(table, include_str!("table.md"), "the table is\n{table}");
    }

    /// A later `No` says nothing of the try before it.
    #[test]
    fn a_doubt_stays() {
        let means = Assessment::fault(ErrorKind::RateLimited);
        let behind =
            |effect, doubt| decide(&Head::new(effect).with_key(), &means, Tried { doubt, ..TRIED });
        assert_eq!(behind(FORGOTTEN, false), Decision::Again);
        assert_eq!(behind(FORGOTTEN, true), Decision::Return);
        assert_eq!(behind(KEYED, true), Decision::Again);
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
