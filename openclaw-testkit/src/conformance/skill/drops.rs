//! A run that is dropped, and one that gets no answer.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Trial, trial::LATE};
use crate::{conformance::run::abandon, remote::Behaviour};

/// A run that is never polled does nothing.
pub async fn a_run_begins_when_it_is_polled(trial: &Trial<'_>) {
    drop(trial.skill().run(trial.call(1, trial.input(1))));
    trial.quiet().await;
    assert_eq!(trial.effects().await, 0, "effects of a run that nobody polled");
}

/// A run that is dropped, wherever it stands, leaves one effect at most.
pub async fn a_dropped_run_leaves_one_effect_at_most(trial: &Trial<'_>) {
    for polls in 1..=6_u64 {
        let before = trial.effects().await;
        trial.meets(Behaviour::AnswerLate(LATE)).await;
        let at = usize::try_from(polls).unwrap_or_default();
        let ended = abandon(trial.ask(polls, polls), at, trial.soon()).await;
        trial.quiet().await;
        let effects = trial.effects().await - before;
        assert!(effects <= 1, "{effects} effects of a run that was dropped at poll {polls}");
        if let Some(answer) = ended {
            answer.expect("an answer");
            return;
        }
    }
}

/// A remote that never answers is given up at the call's deadline.
pub async fn a_silent_remote_ends_at_the_deadline(trial: &Trial<'_>) {
    trial.meets(Behaviour::Hang).await;
    let call = trial.call(1, trial.input(1));
    let deadline = Instant::now() + Duration::from_millis(300);
    let context = call.context().clone().with_deadline(deadline);
    let running = trial.skill().run(call.with_context(context));
    let answer = timeout(Duration::from_secs(10), running).await;
    let answer = answer.expect("it goes on behind its deadline");
    assert!(answer.is_err(), "an answer of a remote that was silent");
}
