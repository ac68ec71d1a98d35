//! What a crash leaves of an effect, and what each class makes of it.

use std::{sync::Arc, time::Duration};

use openclaw_core::{Effect, Happened, Reason, channel::Reconciled, store::StateStore};

use super::scene::{BEFORE_THE_EFFECT, BEHIND_THE_EFFECT, HOUR, KEYED, Point, Scene, reason};
use crate::{env::ManualClock, fault::Fault};

const CLASSES: [Effect; 4] = [Effect::AtMostOnce, Effect::AtLeastOnce, Effect::Reconcilable, KEYED];

const POINTS: [Point; 2] = [BEFORE_THE_EFFECT, BEHIND_THE_EFFECT];

/// C0: an effect whose claim is not stored never runs; asked for again it runs once.
pub async fn an_effect_whose_claim_is_not_stored_never_runs(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    for effect in CLASSES {
        let failed = Scene::new(&store, clock, effect, format!("C0 failed {effect:?}"));
        let process = failed.process(1);
        process.plan.next("claim", 1, Fault::Fail);
        let answer = process.asks(failed.call()).await.expect("a process that lives");
        assert_eq!(reason(&answer), Some(Reason::NotRecorded), "{effect:?}: {answer:?}");
        assert_eq!(answer.map_err(|e| e.happened()), Err(Happened::No), "{effect:?}");
        let died = Scene::new(&store, clock, effect, format!("C0 died {effect:?}"));
        died.dies_at(("claim", Fault::CrashBefore)).await;
        for scene in [&failed, &died] {
            assert_eq!((scene.effects(), scene.state().await), (0, None), "{effect:?}");
            scene.asks_again().await.expect("an effect that was never claimed");
            assert_eq!((scene.effects(), scene.state().await), (1, Some("done")), "{effect:?}");
        }
    }
}

/// C1: a claim that a dead process left is surely not sent, and is run once its lease ends.
pub async fn a_claim_left_by_a_crash_is_run_once(store: Arc<dyn StateStore>, clock: &ManualClock) {
    for effect in CLASSES {
        for point in [("claim", Fault::CrashAfter), ("dispatch", Fault::CrashBefore)] {
            let scene = Scene::new(&store, clock, effect, format!("C1 {point:?} {effect:?}"));
            scene.dies_at(point).await;
            assert_eq!((scene.effects(), scene.state().await), (0, Some("claimed")), "{point:?}");
            scene.asks_again().await.expect("what was surely not sent");
            assert_eq!(scene.effects(), 1, "{effect:?} at {point:?}");
        }
    }
}

/// C2, C3: a keyed effect in doubt is sent again under its key, and happens once.
pub async fn a_keyed_effect_happens_once_over_a_crash(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    for point in POINTS {
        let scene = Scene::new(&store, clock, KEYED, format!("C2 keyed {point:?}"));
        scene.dies_at(point).await;
        assert_eq!(scene.state().await, Some("dispatching"), "{point:?}");
        scene.asks_again().await.expect("a key that the remote still knows");
        assert_eq!((scene.effects(), scene.remote.by_key().len()), (1, 1), "{point:?}");
        assert_eq!(scene.state().await, Some("done"), "{point:?}");
    }
}

/// C2, C3: a keyed effect is not sent again behind the remote's memory: it is parked.
pub async fn a_key_past_its_retention_is_parked(store: Arc<dyn StateStore>, clock: &ManualClock) {
    for (point, made) in POINTS.into_iter().zip([0, 1]) {
        let scene = Scene::new(&store, clock, KEYED, format!("C2 late {point:?}"));
        scene.dies_at(point).await;
        clock.advance(HOUR);
        parked(&scene, made, point).await;
    }
}

/// C2, C3: the owner of a reconcilable effect in doubt is asked; it happens once.
pub async fn a_reconcilable_effect_happens_once_over_a_crash(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    for point in POINTS {
        let order = format!("C2 reconcilable {point:?}");
        let scene = Scene::new(&store, clock, Effect::Reconcilable, order);
        scene.dies_at(point).await;
        scene.asks_again().await.expect("its owner knows");
        assert_eq!((scene.effects(), scene.state().await), (1, Some("done")), "{point:?}");
    }
}

/// C2, C3: an owner who does not know yet is asked again later, one who can't know parks it.
pub async fn a_doubt_whose_owner_does_not_know_stays_in_sight(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    let soon = Duration::from_secs(5);
    let mut late = Scene::new(&store, clock, Effect::Reconcilable, "C3 not yet");
    late.says = Some(Reconciled::NotYetKnown { retry_after: soon });
    late.dies_at(BEHIND_THE_EFFECT).await;
    for _ in 0..2 {
        let early = late.asks_again().await.expect_err("its owner does not know yet");
        assert_eq!((early.retry_after(), early.happened()), (Some(soon), Happened::Maybe));
        assert_eq!((late.effects(), late.state().await), (1, Some("dispatching")));
    }
    late.says = None;
    late.asks_again().await.expect("its owner knows by now");
    assert_eq!((late.effects(), late.state().await), (1, Some("done")));
    for (point, made) in POINTS.into_iter().zip([0, 1]) {
        let order = format!("C2 mute {point:?}");
        let mut mute = Scene::new(&store, clock, Effect::Reconcilable, order);
        mute.says = Some(Reconciled::CannotKnow);
        mute.dies_at(point).await;
        parked(&mute, made, point).await;
    }
}

/// C2, C3: an effect that may be repeated is sent again, and happens at least once.
pub async fn an_at_least_once_effect_happens_over_a_crash(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    for (point, made) in POINTS.into_iter().zip([1, 2]) {
        let order = format!("C2 at least once {point:?}");
        let scene = Scene::new(&store, clock, Effect::AtLeastOnce, order);
        scene.dies_at(point).await;
        scene.asks_again().await.expect("a repetition is accepted");
        assert_eq!((scene.effects(), scene.state().await), (made, Some("done")), "{point:?}");
    }
}

/// C2, C3: an effect that must not be repeated is never sent again: it is parked in sight.
pub async fn an_at_most_once_effect_in_doubt_is_parked(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    for (point, made) in POINTS.into_iter().zip([0, 1]) {
        let order = format!("C2 at most once {point:?}");
        let scene = Scene::new(&store, clock, Effect::AtMostOnce, order);
        scene.dies_at(point).await;
        parked(&scene, made, point).await;
    }
}

/// Asked again and again it stays parked, with this many effects.
async fn parked(scene: &Scene<'_>, made: u64, point: Point) {
    for _ in 0..2 {
        let answer = scene.asks_again().await;
        assert_eq!(reason(&answer), Some(Reason::InDoubt), "{point:?}: {answer:?}");
        assert_eq!((scene.effects(), scene.state().await), (made, Some("parked")), "{point:?}");
    }
}

/// C4: a settled effect is answered from its record by whoever asks next.
pub async fn a_settled_effect_is_replayed_over_a_crash(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    for effect in CLASSES {
        let scene = Scene::new(&store, clock, effect, format!("C4 {effect:?}"));
        scene.dies_at(("settle", Fault::CrashAfter)).await;
        assert_eq!((scene.effects(), scene.state().await), (1, Some("done")), "{effect:?}");
        let (first, second) = (scene.asks_again().await, scene.asks_again().await);
        let (first, second) = (first.expect("a replay"), second.expect("a replay"));
        assert_eq!(first, second, "{effect:?}");
        assert_eq!((scene.effects(), scene.remote.calls_total()), (1, 1), "{effect:?}");
    }
}

/// C0 to C4: wherever a process dies, nothing is left in doubt that nobody looks at.
///
/// A pure call leaves no record at all.
pub async fn no_effect_is_left_unclassified(store: Arc<dyn StateStore>, clock: &ManualClock) {
    let faults = [Fault::CrashBefore, Fault::CrashAfter];
    let points = ["claim", "dispatch", "settle"].map(|label| faults.map(|fault| (label, fault)));
    for effect in CLASSES {
        for point in points.into_iter().flatten() {
            let at = format!("{effect:?}, {point:?}");
            let scene = Scene::new(&store, clock, effect, format!("all {at}"));
            scene.dies_at(point).await;
            classified(&scene, effect, &at).await;
        }
    }
    let pure = Scene::new(&store, clock, Effect::Pure, "all pure");
    for calls in 1..3 {
        pure.asks_again().await.expect("an answer");
        let left = (pure.effects(), pure.state().await, pure.remote.calls_total());
        assert_eq!(left, (0, None, calls), "a pure call");
    }
}

/// Asked for again it is done, as often as its class allows, or parked in sight.
async fn classified(scene: &Scene<'_>, effect: Effect, at: &str) {
    let answer = scene.asks_again().await;
    let (made, state) = (scene.effects(), scene.state().await);
    let (fits, ended) = match (effect, &answer) {
        (Effect::AtLeastOnce, Ok(_)) => (made >= 1, "done"),
        (_, Ok(_)) => (made == 1, "done"),
        (_, Err(_)) => (made <= 1 && effect == Effect::AtMostOnce, "parked"),
    };
    assert!(fits, "{at}: {made} effects, and {answer:?}");
    let doubt = answer.is_err().then_some(Reason::InDoubt);
    assert_eq!(reason(&answer), doubt, "{at}: {answer:?}");
    assert_eq!(state, Some(ended), "{at}: what is recorded");
}
