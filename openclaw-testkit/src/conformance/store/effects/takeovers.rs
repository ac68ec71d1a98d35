//! Several processes and one effect: zombies, duplicates, clocks that jump.

use std::{sync::Arc, time::Duration};

use openclaw_core::{Clock, Effect, ErrorKind, Happened, Reason, Timestamp, store::StateStore};
use tokio::sync::Notify;

use super::{
    super::super::run::together,
    scene::{BEHIND_THE_EFFECT, DAY, HOUR, KEYED, LEASE, Process, Scene, reason},
};
use crate::{
    env::ManualClock,
    fault::{Fault, Plan},
};

/// Pauses the process at the next commit of this label, and tells of it.
fn pauses_at(process: &Process, label: &str) -> Arc<Notify> {
    let paused = Arc::new(Notify::new());
    let tell = Arc::clone(&paused);
    process.plan.when(label, move |plan: &Plan| {
        plan.power().pause();
        tell.notify_one();
    });
    // Behind the pause it stands at its gate again.
    process.plan.nth(label, 1, Fault::Delay(Duration::from_millis(1)));
    paused
}

/// C6: who slept through its lease settles nothing: its record is its heir's.
pub async fn a_zombie_settles_nothing_behind_a_takeover(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    for effect in [Effect::AtMostOnce, KEYED] {
        let scene = Scene::new(&store, clock, effect, format!("C6 {effect:?}"));
        let zombie = scene.process(1);
        let asleep = pauses_at(&zombie, "settle");
        let heir = async {
            asleep.notified().await;
            clock.advance(LEASE + Duration::from_secs(1));
            let answer = scene.asks_again().await;
            let state = scene.state().await;
            zombie.plan.power().resume();
            (answer, state)
        };
        let (late, (answer, state)) = tokio::join!(zombie.asks(scene.call()), heir);
        let late = late.expect("a process that lives").expect_err("a zombie that settles");
        assert_eq!(late.kind(), ErrorKind::Conflict, "{effect:?}: {late}");
        assert_eq!(late.happened(), Happened::Maybe, "{effect:?}: {late}");
        let expected = if effect.is_keyed() { "done" } else { "parked" };
        assert_eq!(state, Some(expected), "what the heir left, {effect:?}: {answer:?}");
        assert_eq!(scene.state().await, state, "the zombie's word stands, {effect:?}");
        assert_eq!(scene.effects(), 1, "{effect:?}");
    }
}

/// C6: of many who take a dead process's effect over at once one runs it, and all hear of it.
pub async fn one_of_many_takes_an_effect_over(store: Arc<dyn StateStore>, clock: &ManualClock) {
    for effect in [Effect::AtMostOnce, Effect::AtLeastOnce, KEYED] {
        let scene = Scene::new(&store, clock, effect, format!("C6 many {effect:?}"));
        scene.dies_at(("claim", Fault::CrashAfter)).await;
        let heirs: Vec<Process> = (2..8).map(|number| scene.process(number)).collect();
        let answers = together(heirs.iter().map(|heir| heir.asks(scene.call()))).await;
        let answers: Vec<_> = answers.into_iter().flatten().collect();
        assert_eq!(answers.len(), heirs.len(), "every process lives");
        for answer in &answers {
            let told = answer.is_ok() || reason(answer) == Some(Reason::InProgress);
            assert!(told, "{effect:?}: done, or somebody else's; but {answer:?}");
        }
        assert!(answers.iter().any(Result::is_ok), "{effect:?}: nobody ran it: {answers:?}");
        assert_eq!((scene.effects(), scene.state().await), (1, Some("done")), "{effect:?}");
    }
}

/// C7: an answer that the store loses is read back, and the effect happens once.
pub async fn an_answer_lost_by_the_store_is_read_back(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    for label in ["claim", "dispatch", "settle"] {
        for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
            let scene =
                Scene::new(&store, clock, Effect::AtMostOnce, format!("C7 {label} {fault:?}"));
            let process = scene.process(1);
            process.plan.next(label, 1, fault);
            let answer = process.asks(scene.call()).await.expect("a process that lives");
            answer.unwrap_or_else(|e| panic!("{fault:?} at {label}: {e}"));
            let ended = (scene.effects(), scene.state().await);
            assert_eq!(ended, (1, Some("done")), "{fault:?} at {label}");
        }
        // Nothing can be read either: then it is found as a crash would leave it.
        let scene = Scene::new(&store, clock, Effect::AtMostOnce, format!("C7 dark {label}"));
        let process = scene.process(1);
        process.plan.next(label, 1, Fault::LoseAnswer);
        process.plan.when(label, |plan| plan.fail("read"));
        let answer = process.asks(scene.call()).await.expect("a process that lives");
        answer.expect_err("a store that is gone");
        let made = u64::from(label == "settle");
        assert_eq!(scene.effects(), made, "unrecorded, {label}");
        clock.advance(LEASE + Duration::from_secs(1));
        let (answer, made) = (scene.asks_again().await, scene.effects());
        assert!(made <= 1, "{label}: {made} effects");
        let seen = answer.is_ok() || reason(&answer) == Some(Reason::InDoubt);
        assert!(seen, "{label}: done or parked, but {answer:?}");
    }
}

/// C10: a duplicate of a call in flight waits for it or is told of it; one effect happens.
pub async fn a_duplicate_in_flight_is_no_second_effect(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    for effect in [Effect::AtMostOnce, Effect::AtLeastOnce, KEYED] {
        let scene = Scene::new(&store, clock, effect, format!("C10 {effect:?}"));
        let (here, there) = (scene.process(1), scene.process(2));
        let asleep = pauses_at(&here, "settle");
        let first = together([here.asks(scene.call()), here.asks(scene.call())]);
        let second = async {
            asleep.notified().await;
            let answer = there.asks(scene.call()).await.expect("a process that lives");
            here.plan.power().resume();
            answer
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!(reason(&second), Some(Reason::InProgress), "{effect:?}: {second:?}");
        let left = second.err().and_then(|e| e.retry_after());
        assert!(left.is_some_and(|left| left <= LEASE), "{effect:?}: come again after {left:?}");
        let answers: Vec<_> = first.into_iter().flatten().flatten().collect();
        assert!(answers.len() == 2 && answers.first() == answers.last(), "{effect:?}: {answers:?}");
        assert_eq!((scene.effects(), scene.remote.calls_total()), (1, 1), "{effect:?}");
    }
}

/// C11: clocks that jump between crash and restart make no second effect.
pub async fn a_clock_that_jumps_makes_no_second_effect(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    let back = |by: Duration| {
        let now = clock.now().as_millis();
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        clock.set(Timestamp::from_millis(now.saturating_sub(by)));
    };
    for (n, hours) in (0..).zip([1_i32, -1, 0, -24, 24]) {
        for effect in [Effect::AtMostOnce, Effect::Reconcilable, KEYED] {
            let mut scene = Scene::new(&store, clock, effect, format!("C11 {n} {effect:?}"));
            // Longer than the clock is away.
            scene.retention = 10 * DAY;
            scene.dies_at(BEHIND_THE_EFFECT).await;
            let by = HOUR * hours.unsigned_abs();
            if hours < 0 {
                back(by);
            } else {
                clock.advance(by);
            }
            // A clock that was set back may have to catch up before a lease ends.
            for wait in [Duration::ZERO, LEASE, 25 * HOUR, LEASE] {
                clock.advance(wait);
                let answer = scene.asks_again().await;
                let told = answer.is_ok()
                    || matches!(reason(&answer), Some(Reason::InDoubt | Reason::InProgress));
                assert!(told, "{effect:?}, {hours} hours: {answer:?}");
                assert_eq!(scene.effects(), 1, "{effect:?}, {hours} hours: {answer:?}");
            }
            let state = scene.state().await;
            assert!(matches!(state, Some("done" | "parked")), "{effect:?}, {hours} h: {state:?}");
        }
    }
}
