//! The same call, the same decision: whoever asks, however often, in whichever process.

use std::time::Duration;

use openclaw_core::TraceParent;
use tokio::time::Instant;

use super::Trial;
use crate::conformance::run::threads;

/// However often it is asked, and whatever came between: the same call is decided alike.
pub fn the_same_call_is_decided_alike(trial: &Trial<'_>) {
    let first = trial.decide_all();
    for round in 2..=5 {
        assert_eq!(trial.decide_all(), first, "at round {round}");
    }
    for (call, first) in trial.calls().iter().zip(&first) {
        assert_eq!(trial.decide(&call.clone()), *first, "twice in a row, of a copy: {call:?}");
        assert_eq!(trial.decide(call), *first, "twice in a row: {call:?}");
    }
}

/// Another replica, or the next process, decides alike: on its terms a wait goes on.
pub fn another_one_like_it_decides_alike(trial: &Trial<'_>) {
    let other = trial.other();
    for call in trial.calls() {
        assert_eq!(call.decide(&*other), trial.decide(call), "by another one: {call:?}");
    }
}

/// It is asked again at each attempt: neither its number, nor its deadline, nor its trace counts.
pub fn another_attempt_is_decided_alike(trial: &Trial<'_>) {
    for call in trial.calls() {
        let first = trial.decide(call);
        let context = call.context();
        let later = [
            context.next_attempt(),
            context.at_attempt(1_000),
            context.clone().with_deadline(Instant::now() + Duration::from_secs(1)),
            context.with_trace(TraceParent::start(7, 7)),
        ];
        for later in later {
            let again = call.decide_in(&later, &*trial.authorizer());
            assert_eq!(again, first, "at attempt {}: {call:?}", later.attempt());
        }
    }
}

/// Whichever thread asks, the decision is the same.
pub fn threads_decide_alike(trial: &Trial<'_>) {
    let here = trial.decide_all();
    let jobs = (0..4).map(|_| {
        let (authorizer, calls) = (trial.authorizer(), trial.calls().to_vec());
        move || calls.iter().map(|call| call.decide(&*authorizer)).collect::<Vec<_>>()
    });
    for there in threads(jobs) {
        assert_eq!(there, here, "decided by another thread, and by this one");
    }
}

/// It neither waits nor asks anybody: where nobody may block, it answers.
pub fn a_decision_waits_for_nobody(trial: &Trial<'_>) {
    // This thread drives a runtime: who blocks on a future here panics.
    drop(trial.decide_all());
}
