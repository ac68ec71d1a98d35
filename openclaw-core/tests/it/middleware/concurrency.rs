//! How many calls are in flight.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use openclaw_core::{
    Call, Context, Error, ErrorKind, TenantId, middleware::ConcurrencyLayer, skill::SkillManifest,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::seat::Seat;

const S: Duration = Duration::from_secs(1);

fn call(id: u32) -> Call<u32> {
    let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0");
    Call::skill(Context::new(TenantId::new("acme").unwrap()), &manifest, Arc::default()).map(|_| id)
}

async fn slow(layer: ConcurrencyLayer, id: u32) -> Result<u32, Error> {
    let leaf = service_fn(async |call: Call<u32>| {
        sleep(S).await;
        Ok::<_, Error>(call.into_payload())
    });
    layer.layer(leaf).oneshot(call(id)).await
}

#[tokio::test(start_paused = true)]
async fn what_is_over_the_limit_is_refused_at_once() {
    let layer = ConcurrencyLayer::new("crm", 2);
    let mut set = JoinSet::new();
    for id in 0..5 {
        set.spawn(slow(layer.clone(), id));
    }
    let outcomes = set.join_all().await;
    let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|e| e.kind() == ErrorKind::Overloaded && e.refusal().is_some()));
    let seen = layer.snapshot();
    assert_eq!((seen.in_flight, seen.refused, seen.limit), (0, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn permits_are_given_in_the_order_of_the_calls() {
    let layer = ConcurrencyLayer::new("crm", 1).wait(60 * S);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut set = JoinSet::new();
    for id in 0..5 {
        let (layer, order) = (layer.clone(), Arc::clone(&order));
        set.spawn(async move {
            let id = slow(layer, id).await.expect("in the end");
            order.lock().unwrap().push(id);
        });
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    assert_eq!(layer.snapshot().waiting, 4);
    let began = Instant::now();
    set.join_all().await;
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(began.elapsed(), 5 * S);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_limit_or_at_the_deadline() {
    let layer = ConcurrencyLayer::new("crm", 1).wait(10 * S);
    let mut service =
        layer.layer(service_fn(|_: Call<u32>| std::future::pending::<Result<(), Error>>()));
    let held = service.ready().await.unwrap().call(call(0));
    let began = Instant::now();
    slow(layer.clone(), 1).await.expect_err("nobody lets go");
    assert_eq!(began.elapsed(), 10 * S);
    let began = Instant::now();
    let near = call(2);
    let context = near.context().clone().with_deadline(began + 3 * S);
    let e = service.ready().await.unwrap().call(near.with_context(context)).await;
    assert_eq!((began.elapsed(), e.unwrap_err().kind()), (3 * S, ErrorKind::Overloaded));
    assert_eq!(layer.snapshot().waiting, 0);
    drop(held);
    slow(layer, 3).await.expect("a permit is back");
}

/// Dropped at every moment, a call gives its permit back.
#[tokio::test(start_paused = true)]
async fn a_dropped_call_gives_its_permit_back() {
    let layer = ConcurrencyLayer::new("crm", 1).wait(60 * S);
    for quarters in 0..6_u32 {
        let first = tokio::spawn(slow(layer.clone(), 0));
        tokio::task::yield_now().await;
        drop(timeout(S / 4 * quarters, slow(layer.clone(), 1)).await);
        first.abort();
        drop(first.await);
        let seen = layer.snapshot();
        assert_eq!((seen.in_flight, seen.waiting), (0, 0), "after {quarters} quarters");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_or_is_refused_holds_no_seat_further_in() {
    for wait in [Duration::ZERO, 60 * S] {
        let layer = ConcurrencyLayer::new("crm", 1).wait(wait);
        let held = tokio::spawn(slow(layer.clone(), 0));
        tokio::task::yield_now().await;
        let seat = Seat::new();
        let seats = Arc::clone(&seat.seats);
        let mut service = layer.layer(seat);
        let second = service.ready().await.unwrap().call(call(1));
        assert_eq!(seats.available_permits(), 1, "the seat is free while it waits");
        let second = timeout(10 * S, second).await.expect("its service still lives");
        assert_eq!(second.is_err(), wait.is_zero());
        held.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_changes_while_calls_are_in_flight() {
    let layer = ConcurrencyLayer::new("crm", 4);
    let mut set = JoinSet::new();
    for id in 0..4 {
        set.spawn(slow(layer.clone(), id));
    }
    tokio::task::yield_now().await;
    layer.set_limit(1..=1);
    assert_eq!(layer.snapshot().in_flight, 4, "they go on");
    slow(layer.clone(), 9).await.expect_err("no permit is free");
    set.join_all().await;
    slow(layer.clone(), 9).await.expect("one is");
    layer.set_limit(3..=3);
    let mut set = JoinSet::new();
    for id in 0..5 {
        set.spawn(slow(layer.clone(), id));
    }
    assert_eq!(set.join_all().await.iter().filter(|outcome| outcome.is_ok()).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_follows_what_the_other_side_can_take() {
    let layer = ConcurrencyLayer::adaptive("crm", 1..=64).wait(60 * S);
    // Eight at once is all that it can take.
    let busy = Arc::new(Mutex::new(0_u32));
    let run = async |rounds: u32| {
        for _ in 0..rounds {
            let mut set = JoinSet::new();
            for id in 0..40 {
                let (layer, busy) = (layer.clone(), Arc::clone(&busy));
                set.spawn(async move {
                    let leaf = service_fn(async |_: Call<u32>| {
                        *busy.lock().unwrap() += 1;
                        let over = *busy.lock().unwrap() > 8;
                        sleep(S / 10).await;
                        *busy.lock().unwrap() -= 1;
                        if over {
                            Err(Error::new(ErrorKind::RateLimited, "too much"))
                        } else {
                            Ok(())
                        }
                    });
                    layer.layer(leaf).oneshot(call(id)).await
                });
            }
            set.join_all().await;
        }
    };
    run(50).await;
    let limit = layer.snapshot().limit;
    assert!((4..=12).contains(&limit), "{limit}");
}

/// Lets a limit learn that the other side has too much, so many times.
async fn throttled(layer: &ConcurrencyLayer, times: u32) {
    let busy = async |_: Call<u32>| Err::<(), _>(Error::new(ErrorKind::RateLimited, "too much"));
    for id in 0..times {
        layer.layer(service_fn(busy)).oneshot(call(id)).await.expect_err("throttled");
    }
}

#[tokio::test(start_paused = true)]
async fn other_bounds_keep_what_an_adaptive_limit_has_found() {
    let layer = ConcurrencyLayer::adaptive("crm", 4..=64);
    throttled(&layer, 15).await;
    let found = layer.snapshot().limit;
    assert!((5..32).contains(&found), "{found}");
    for (bounds, limit) in [(4..=64, found), (2..=1_000, found), (2..=5, 5), (30..=64, 30)] {
        layer.set_limit(bounds.clone());
        assert_eq!(layer.snapshot().limit, limit, "{bounds:?}");
    }
    layer.set_limit(7..=7);
    assert_eq!(layer.snapshot().limit, 7, "it is fixed now");
    layer.set_limit(4..=64);
    assert_eq!(layer.snapshot().limit, 64, "a fixed limit has found nothing");
    throttled(&layer, 1).await;
    assert_eq!(layer.snapshot().limit, 57, "and it goes on from there");
}

mod laws {
    use openclaw_core::Call;
    use openclaw_testkit::{conformance::layer, layer_laws};

    use super::ConcurrencyLayer;

    layer_laws!("Concurrency", layer::on::<Call<u64>, _>(|| ConcurrencyLayer::new("law", 10_000)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_one_clone_is_not_that_of_another() {
    let strict = ConcurrencyLayer::new("crm", 1);
    let patient = strict.clone().wait(5 * S);
    for (layer, refuses) in [(strict, true), (patient, false)] {
        let (first, second) = tokio::join!(slow(layer.clone(), 0), slow(layer.clone(), 1));
        first.expect("a permit");
        assert_eq!(second.is_err(), refuses);
        assert_eq!(layer.snapshot().in_flight, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_time_out_together_lower_the_limit_once() {
    let layer = ConcurrencyLayer::adaptive("crm", 4..=64);
    let round = async || {
        let mut set = JoinSet::new();
        for id in 0..64 {
            let leaf = service_fn(async |_: Call<u32>| {
                sleep(S).await;
                Err::<(), _>(Error::new(ErrorKind::Timeout, "too late"))
            });
            set.spawn(layer.layer(leaf).oneshot(call(id)));
        }
        set.join_all().await;
        layer.snapshot().limit
    };
    assert_eq!(round().await, 57, "a tenth of 64");
    assert_eq!(round().await, 51, "those of the next round take another");
}
