//! Keys: one request each, for as long as its record counts.

use std::{sync::Arc, time::Duration};

use openclaw_core::{Effect, Reason, store::StateStore};
use serde_json::json;

use super::scene::{BEHIND_THE_EFFECT, DAY, KEYED, Point, Scene, reason};
use crate::{env::ManualClock, fault::Fault};

/// C9: a key with other arguments is refused, whatever became of the first request.
pub async fn a_key_with_other_arguments_is_refused(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    let points: [Option<Point>; 4] = [
        None,
        Some(("claim", Fault::CrashAfter)),
        Some(BEHIND_THE_EFFECT),
        Some(("settle", Fault::CrashAfter)),
    ];
    for point in points {
        let scene = Scene::new(&store, clock, Effect::AtMostOnce, format!("C9 {point:?}"));
        match point {
            Some(point) => scene.dies_at(point).await,
            None => drop(scene.asks_again().await.expect("an answer")),
        }
        let (made, state) = (scene.effects(), scene.state().await);
        for number in 3..5 {
            let other = scene.call_with(json!({ "order": "another", "all": true }));
            let answer = scene.process(number).asks(other).await.expect("a process that lives");
            assert_eq!(reason(&answer), Some(Reason::KeyReused), "{point:?}: {answer:?}");
            let now = (scene.effects(), scene.state().await);
            assert_eq!(now, (made, state), "{point:?}: the refusal changed something");
        }
    }
}

/// C12: a finished record counts for its retention; behind it the key is as new.
pub async fn a_record_past_its_retention_counts_no_more(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    let second = Duration::from_secs(1);
    // A remote that honours keys has the last word: there nothing happens twice.
    for (effect, made) in [(Effect::AtMostOnce, 2), (KEYED, 1)] {
        let scene = Scene::new(&store, clock, effect, format!("C12 {effect:?}"));
        scene.asks_again().await.expect("an answer");
        clock.advance(DAY - second);
        scene.asks_again().await.expect("a replay");
        assert_eq!((scene.effects(), scene.remote.calls_total()), (1, 1), "{effect:?} in time");
        clock.advance(second);
        assert_eq!(scene.state().await, None, "{effect:?}: it counts beyond its retention");
        scene.asks_again().await.expect("an answer");
        assert_eq!(
            (scene.effects(), scene.remote.calls_total()),
            (made, 2),
            "{effect:?} behind it"
        );
        assert_eq!(scene.state().await, Some("done"), "{effect:?}");
    }
}
