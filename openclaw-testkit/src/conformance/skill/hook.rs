//! The hook: it tells afterwards what happened, and never guesses.

use openclaw_core::{channel::Reconciled, skill::SkillAnswer};

use super::{Trial, trial::LATE};
use crate::{conformance::run::abandon, remote::Behaviour};

/// What happened is found, with the answer that the run gave.
pub async fn a_hook_finds_what_happened(trial: &Trial<'_>) {
    let answer = trial.ask(1, 1).await.expect("an answer");
    match (trial.find(1, 1).await, answer) {
        (Reconciled::CannotKnow | Reconciled::Happened(_), SkillAnswer::Pending(_))
        | (Reconciled::CannotKnow, _) => {}
        (Reconciled::Happened(found), SkillAnswer::Done(output)) => {
            assert_eq!(found, output, "what was found, and what the run gave");
        }
        (other, _) => panic!("it happened, and yet {other:?}"),
    }
}

/// Where nothing was sent, or nothing arrived, nothing is found.
pub async fn a_hook_finds_nothing_where_nothing_was_sent(trial: &Trial<'_>) {
    trial.ask(1, 1).await.expect("an answer");
    let never = trial.find(2, 1).await;
    assert!(!matches!(never, Reconciled::Happened(_)), "never sent, and yet {never:?}");
    trial.meets(Behaviour::FailBefore).await;
    if trial.ask(3, 3).await.is_err() {
        let failed = trial.find(3, 3).await;
        let same = trial.effects().await == 1;
        assert!(!same || !matches!(failed, Reconciled::Happened(_)), "not made, but {failed:?}");
    }
}

/// Asking is reading: it changes nothing, and the answer stays.
pub async fn asking_a_hook_changes_nothing(trial: &Trial<'_>) {
    drop(trial.find(2, 2).await);
    assert_eq!(trial.effects().await, 0, "effects of asking");
    trial.ask(1, 1).await.expect("an answer");
    let first = format!("{:?}", trial.find(1, 1).await);
    assert_eq!(format!("{:?}", trial.find(1, 1).await), first);
    assert_eq!(trial.effects().await, 1, "effects of one run and of asking");
}

/// What happened behind a lost answer is found.
pub async fn a_hook_finds_what_a_lost_answer_hid(trial: &Trial<'_>) {
    for (operation, lost) in [(1, Behaviour::LoseAnswer), (2, Behaviour::Hang)] {
        let before = trial.effects().await;
        trial.meets(lost).await;
        let limit = trial.soon() / 4;
        drop(abandon(trial.ask(operation, operation), usize::MAX, limit).await);
        let found = trial.find(operation, operation).await;
        let happened = trial.effects().await > before;
        let truth = match found {
            Reconciled::Happened(_) => happened,
            Reconciled::DidNotHappen => !happened,
            _ => true,
        };
        assert!(truth, "behind {lost:?}: happened={happened}, and yet {found:?}");
    }
}

/// `DidNotHappen` is final: it is never said while the effect may be there, or may still come.
pub async fn did_not_happen_is_said_only_when_it_is_sure(trial: &Trial<'_>) {
    for polls in 1..=6_u64 {
        let before = trial.effects().await;
        trial.meets(Behaviour::AnswerLate(LATE)).await;
        let at = usize::try_from(polls).unwrap_or_default();
        let mut open = Box::pin(trial.ask(polls, polls));
        let ended = abandon(open.as_mut(), at, trial.soon()).await.is_some();
        let said = trial.look(polls, polls).await;
        if !ended {
            drop(abandon(open.as_mut(), usize::MAX, trial.soon()).await);
        }
        let happened = trial.effects().await > before;
        let sure = matches!(said, Ok(Reconciled::DidNotHappen));
        assert!(!sure || !happened, "said at poll {polls}: it did not happen. It did.");
    }
}
