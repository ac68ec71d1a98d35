//! Grants whose replicas have clocks of their own: dates are the store's.

use std::{sync::Arc, time::Duration};

use openclaw_core::{Env, ErrorKind, Secret};
use openclaw_skills::auth::{GrantState, OAuth, ReauthReason};
use openclaw_testkit::fault::{Fault, FaultStore, Plan};
use tokio::time::{Instant, advance, sleep, timeout};

use crate::{
    desk::Trouble,
    oauth_world::{TOKEN, World, refusal, text},
};

/// By how many milliseconds a clock is wrong: behind, and ahead.
const WRONG: [i64; 8] = [-3_600_000, -61_000, -50, -1, 1, 50, 61_000, 3_600_000];

/// Soon after somebody else has begun.
const SOON: Duration = Duration::from_millis(20);

fn person(world: &World, own: &Env) -> OAuth {
    let builder = OAuth::authorization_code("crm", TOKEN, "gateway");
    world.build_in(own, builder.revocation("https://id.test/revoke"))
}

/// Two replicas of a grant that has a refresh token. The clock of one of them is wrong.
async fn replicas(world: &World, wrong: i64) -> [OAuth; 2] {
    let pair = [&world.env, &world.wrong_by(wrong)].map(|own| person(world, own));
    pair[0].adopt(Secret::new("refresh-0")).await.expect("it is kept");
    pair
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_is_waited_for_whatever_the_clock_of_a_replica_shows() {
    for wrong in WRONG {
        for first in [0, 1] {
            let world = World::new();
            world.desk.takes(Duration::from_secs(10));
            let replicas = replicas(&world, wrong).await;
            let (here, there) = (&replicas[first], &replicas[1 - first]);
            let (one, two) = tokio::join!(here.token(), async {
                sleep(SOON).await;
                there.token().await
            });
            for token in [one, two] {
                let token = token.map(|token| token.expose().to_owned());
                assert_eq!(token.map_err(|e| e.to_string()), Ok("access-1".to_owned()), "{wrong}");
            }
            assert_eq!((world.desk.count(), world.desk.side_by_side()), (1, 1), "{wrong}");
            assert!(world.ends().is_empty(), "{wrong}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_stored_behind_its_lease_asks_nobody() {
    let mut world = World::new();
    let (plan, below) = (Plan::default(), Arc::clone(&world.store));
    world.store = Arc::new(FaultStore::new(Arc::clone(&below), plan.clone()));
    let slow = world.authorised().await;
    world.store = below;
    let late = Duration::from_secs(61);
    plan.next("oauth claim", 1, Fault::Delay(late));
    let (one, two) = tokio::join!(slow.token(), async {
        sleep(late + SOON).await;
        text(&world.person()).await
    });
    assert_eq!((one.expect("a token").expose(), &*two), ("access-1", "access-1"));
    assert_eq!((world.desk.count(), world.desk.side_by_side()), (1, 1));
    assert!(world.ends().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_dead_replicas_lease_is_over_after_60_s_whatever_its_clock_shows() {
    for wrong in WRONG {
        for first in [0, 1] {
            let world = World::new();
            let mut replicas = replicas(&world, wrong).await.to_vec();
            let dead = replicas.remove(first);
            assert!(timeout(SOON, dead.token()).await.is_err());
            drop(dead);
            let began = Instant::now();
            refusal(&replicas[0]).await;
            let after = began.elapsed() + SOON;
            assert!(after >= Duration::from_secs(60), "{wrong}: it may be alive: {after:?}");
            assert!(after <= Duration::from_secs(62), "{wrong}: {after:?}");
            assert_eq!(world.ends(), [ReauthReason::RotationLost], "{wrong}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_is_left_alone_as_long_as_it_asked_for_by_replicas_of_any_clock() {
    for wrong in WRONG {
        for first in [0, 1] {
            let world = World::new();
            world.desk.script([Trouble::Status(503, Some(300))]);
            let replicas = replicas(&world, wrong).await;
            refusal(&replicas[first]).await;
            for grant in &replicas {
                let error = refusal(grant).await;
                let waits = (error.kind(), error.retry_after());
                let expected = (ErrorKind::Unavailable, Some(Duration::from_secs(300)));
                assert_eq!(waits, expected, "{wrong}");
                let state = grant.status().await.expect("a row").state;
                assert!(matches!(state, GrantState::Waiting { .. }), "{wrong}: {state:?}");
            }
            assert_eq!(world.desk.count(), 1, "{wrong}");
            advance(Duration::from_secs(300)).await;
            assert_eq!(text(&replicas[1 - first]).await, "access-1", "{wrong}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_replaced_300_s_before_its_end_by_replicas_of_any_clock() {
    for wrong in WRONG {
        for first in [0, 1] {
            let world = World::new();
            let replicas = replicas(&world, wrong).await;
            assert_eq!(text(&replicas[first]).await, "access-1");
            advance(Duration::from_secs(3298)).await;
            for grant in &replicas {
                assert_eq!(text(grant).await, "access-1", "{wrong}");
            }
            advance(Duration::from_secs(2)).await;
            for grant in &replicas {
                assert_eq!(text(grant).await, "access-2", "{wrong}");
            }
            assert_eq!(world.desk.count(), 2, "{wrong}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_replica_of_any_clock_asks_for_meanwhile_is_handed_back_as_well() {
    for wrong in WRONG {
        for first in [0, 1] {
            let world = World::new();
            let replicas = replicas(&world, wrong).await;
            let (here, there) = (&replicas[first], &replicas[1 - first]);
            let (token, done) = tokio::join!(here.token(), async {
                sleep(SOON).await;
                // What is asked now is answered before the request that is under way.
                world.desk.answer_at_once();
                there.hand_back().await
            });
            assert_eq!(token.expect("a token").expose(), "access-1", "{wrong}");
            done.expect("it is taken back");
            assert!(!world.desk.accepts("access-1") && !world.desk.renews("refresh-1"), "{wrong}");
        }
    }
}
