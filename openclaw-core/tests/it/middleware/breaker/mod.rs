//! The circuit breaker: when it opens, what it refuses, how it closes.

mod cancel;
mod handle;
mod keys;
pub(super) mod leaf;

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

use http::{Request, Response, StatusCode};
use openclaw_core::{
    Error, ErrorKind, Happened, Reason, Refusal,
    middleware::{
        LiftLayer,
        breaker::{BreakerConfig, BreakerLayer, State, Window},
    },
    policy::{ByStatus, Failure},
};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use self::leaf::{Leaf, Rig, ms, request, s};

fn rig() -> Rig {
    Rig::new(BreakerLayer::builder("crm").open_jitter(0.0).build().unwrap())
}

/// Looks at rates only, over so many calls.
fn counting(n: u32) -> Rig {
    let builder = BreakerLayer::builder("crm").window(Window::Count(n)).open_jitter(0.0);
    Rig::new(builder.consecutive_failures(None).build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn five_failures_in_a_row_open_it_for_a_minute() {
    let rig = rig();
    rig.fail(4).await;
    rig.succeed(1).await;
    rig.fail(4).await;
    assert_eq!(rig.handle.state(), State::Closed, "a success breaks the row");
    rig.fail(1).await;
    assert_eq!(rig.handle.state(), State::Open);
    advance(s(10)).await;
    let e = rig.call().await.expect_err("it is open");
    assert_eq!((e.kind(), e.happened()), (ErrorKind::CircuitOpen, Happened::No));
    assert_eq!(e.retry_after(), Some(s(50)));
    let refusal = e.refusal().expect("a refusal");
    assert_eq!((refusal.reason(), refusal.by()), (Reason::CircuitOpen, "crm"));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_never_touches_the_inner_service() {
    let rig = rig();
    rig.fail(5).await;
    let asked = |rig: &Rig| {
        let told = rig.leaf.told();
        (told.ready_polls, told.calls)
    };
    let before = asked(&rig);
    assert!(rig.handle.refuses());
    let mut service = rig.layer.layer(rig.leaf.service());
    ServiceExt::<openclaw_core::Call<u64>>::ready(&mut service).await.expect("it is always ready");
    service.call(request()).await.expect_err("it is open");
    assert_eq!(asked(&rig), before);
}

#[tokio::test(start_paused = true)]
async fn a_good_trial_closes_it_and_a_bad_one_opens_it_for_longer() {
    let rig = rig();
    rig.half_open().await;
    rig.succeed(1).await;
    rig.fail(1).await;
    assert_eq!(rig.handle.state(), State::HalfOpen, "three calls decide");
    rig.fail(1).await;
    assert_eq!(rig.handle.state(), State::Open, "two of three failed");
    assert_eq!(rig.call().await.expect_err("it is open").retry_after(), Some(s(120)));
    advance(s(120)).await;
    rig.succeed(1).await;
    rig.fail(1).await;
    rig.succeed(1).await;
    assert_eq!(rig.handle.state(), State::Closed, "one of three failed");
    rig.fail(5).await;
    assert_eq!(rig.call().await.expect_err("open").retry_after(), Some(s(60)), "it starts anew");
}

#[tokio::test(start_paused = true)]
async fn open_waits_double_up_to_their_cap() {
    let rig = rig();
    rig.fail(5).await;
    for expected in [60, 120, 240, 300, 300] {
        let wait = rig.handle.would_refuse(Instant::now());
        assert_eq!(wait, Some(s(expected)));
        advance(s(expected)).await;
        rig.fail(3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn chance_moves_a_wait_within_its_bounds_and_a_seed_repeats_it() {
    let wait = async |seed: u64, open_wait: u64| {
        let builder = BreakerLayer::builder("crm").open_wait(s(open_wait)).seed(seed);
        let rig = Rig::new(builder.build().unwrap());
        rig.fail(5).await;
        rig.handle.would_refuse(Instant::now()).expect("it is open")
    };
    let mut waits = Vec::new();
    for seed in 0..200 {
        let moved = wait(seed, 60).await;
        assert!((s(54)..=s(66)).contains(&moved), "{moved:?}");
        assert_eq!(moved, wait(seed, 60).await, "the same seed");
        assert!(wait(seed, 300).await <= s(300), "the cap holds behind chance");
        waits.push(moved);
    }
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 190, "seeds differ");
    assert!(waits[0] < s(56) && waits[waits.len() - 1] > s(64), "over the whole width");
}

#[tokio::test(start_paused = true)]
async fn a_window_of_calls_slides() {
    let rig = counting(100);
    rig.succeed(10_000).await;
    rig.fail(49).await;
    assert_eq!(rig.handle.state(), State::Closed);
    rig.fail(1).await;
    assert_eq!(rig.handle.state(), State::Open, "half of the last hundred failed");
}

#[tokio::test(start_paused = true)]
async fn what_slid_out_of_a_window_counts_no_more() {
    let rig = counting(20);
    rig.succeed(10).await;
    rig.fail(9).await;
    rig.succeed(11).await;
    rig.fail(9).await;
    let seen = rig.handle.snapshot();
    assert_eq!((seen.calls, seen.failures), (20, 9));
    assert_eq!(seen.failure_rate(), Some(0.45));
    assert_eq!(rig.handle.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_rate_counts_from_the_moment_the_minimum_is_reached() {
    let rig = counting(100);
    rig.fail(9).await;
    assert_eq!(rig.handle.state(), State::Closed);
    rig.succeed(1).await;
    assert_eq!(rig.handle.state(), State::Open, "nine of ten, in a window of a hundred");
    let small = counting(4);
    small.fail(4).await;
    assert_eq!(small.handle.state(), State::Open, "a full window is enough");
}

#[tokio::test(start_paused = true)]
async fn a_window_of_time_slides_by_tenths() {
    let builder = BreakerLayer::builder("crm").window(Window::Time(s(10)));
    let rig = Rig::new(builder.consecutive_failures(None).build().unwrap());
    rig.succeed(6).await;
    advance(s(5)).await;
    rig.fail(5).await;
    assert_eq!(rig.handle.snapshot().calls, 11);
    advance(s(4)).await;
    assert_eq!(rig.handle.snapshot().calls, 11, "the first tenth is still in it");
    advance(s(1)).await;
    assert_eq!(rig.handle.snapshot().calls, 5, "and now it is not");
    rig.fail(4).await;
    assert_eq!(rig.handle.state(), State::Closed, "nine are too few");
    rig.fail(1).await;
    assert_eq!(rig.handle.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it_and_time_to_be_ready_is_not_theirs() {
    let builder = BreakerLayer::builder("crm")
        .window(Window::Count(10))
        .slow_call_duration(s(2))
        .slow_call_rate(0.8);
    let rig = Rig::new(builder.build().unwrap());
    rig.leaf.told().ready_after = s(30);
    rig.leaf.told().answers_after = ms(1_999);
    rig.succeed(10).await;
    assert_eq!(rig.handle.snapshot().slow, 0);
    rig.leaf.told().answers_after = s(2);
    rig.succeed(7).await;
    assert_eq!(rig.handle.snapshot().slow_call_rate(), Some(0.7));
    rig.succeed(1).await;
    assert_eq!(rig.handle.state(), State::Open, "eight of ten");
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_moves_nothing_behind_a_change() {
    let rig = rig();
    let service = rig.layer.layer(rig.leaf.service());
    {
        let mut told = rig.leaf.told();
        told.answers_after = s(61);
        told.fails = Some(ErrorKind::Unavailable);
    }
    let late = tokio::spawn(service.oneshot(request()));
    tokio::task::yield_now().await;
    rig.leaf.told().answers_after = s(0);
    rig.half_open().await;
    rig.succeed(1).await;
    advance(s(2)).await;
    late.await.unwrap().expect_err("it fails, late");
    assert_eq!(rig.handle.state(), State::HalfOpen, "it was called before the break");
    assert_eq!(rig.handle.snapshot().calls, 1);
    rig.succeed(2).await;
    assert_eq!(rig.handle.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_trial_lets_exactly_its_permits_through() {
    let rig = rig();
    rig.half_open().await;
    let made = rig.leaf.told().calls;
    rig.leaf.told().fails = None;
    rig.leaf.told().answers_after = s(1);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        calls.spawn(rig.layer.layer(rig.leaf.service()).oneshot(request()));
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    assert_eq!(rig.leaf.told().calls - made, 3, "calls of the inner service");
    let refused = answers.into_iter().filter_map(Result::err);
    assert!(refused.into_iter().all(|e| e.kind() == ErrorKind::CircuitOpen));
    assert_eq!(rig.handle.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_trial_whose_calls_hang_is_over_in_time() {
    let rig = rig();
    rig.half_open().await;
    rig.leaf.told().answers_after = s(100_000);
    for _ in 0..3 {
        tokio::spawn(rig.layer.layer(rig.leaf.service()).oneshot(request()));
    }
    tokio::task::yield_now().await;
    assert_eq!(rig.call().await.expect_err("no permit").retry_after(), None, "nobody knows");
    assert_eq!(rig.handle.would_refuse(Instant::now()), Some(s(0)));
    assert!(rig.handle.refuses());
    advance(s(60)).await;
    assert_eq!(rig.call().await.expect_err("it is open").retry_after(), Some(s(120)));
    assert_eq!(rig.handle.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn what_tells_nothing_is_not_counted_and_gives_its_permit_back() {
    let rig = rig();
    rig.calls(50, ErrorKind::RateLimited).await;
    rig.calls(50, ErrorKind::Cancelled).await;
    assert_eq!(rig.handle.state(), State::Closed, "throttling is the limiter's");
    rig.fail(4).await;
    rig.calls(1, ErrorKind::RateLimited).await;
    rig.fail(1).await;
    assert_eq!(rig.handle.state(), State::Open, "it does not break a row either");
    advance(s(60)).await;
    rig.calls(50, ErrorKind::RateLimited).await;
    assert_eq!(rig.handle.state(), State::HalfOpen);
    rig.calls(3, ErrorKind::NotFound).await;
    assert_eq!(rig.handle.state(), State::Closed, "it answered");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_an_inner_layer_is_no_failure() {
    let layer = BreakerLayer::new("crm");
    let inner = service_fn(async |_: openclaw_core::Call<u64>| {
        Err::<(), Error>(Refusal::new(Reason::Overloaded, "inner").into())
    });
    let mut service = layer.layer(inner);
    for _ in 0..50 {
        service.call(request()).await.expect_err("refused inside");
    }
    assert_eq!(layer.handle().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_never_gets_ready_opens_it() {
    let rig = rig();
    rig.leaf.told().refuses_readiness = true;
    for _ in 0..5 {
        rig.call().await.expect_err("it can't get ready");
    }
    assert_eq!(rig.handle.state(), State::Open);
    assert_eq!(rig.leaf.told().calls, 0);
}

/// How many of ten calls reach a service that panics; who calls catches it, or dies of it.
async fn panics(layer: &BreakerLayer, caught: bool) -> usize {
    let mut reached = 0;
    for _ in 0..10 {
        let leaf = service_fn(|_: openclaw_core::Call<u64>| {
            poll_fn(|_| -> Poll<Result<(), Error>> { panic!("foreign code") })
        });
        let mut call = Box::pin(layer.layer(leaf).oneshot(request()));
        let refused = tokio::spawn(poll_fn(move |cx| {
            let mut poll = || call.as_mut().poll(cx).map(|answer| answer.is_err());
            if !caught {
                return poll();
            }
            catch_unwind(AssertUnwindSafe(poll)).unwrap_or(Poll::Ready(false))
        }));
        reached += usize::from(!refused.await.unwrap_or(false));
    }
    reached
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_inner_service_is_a_failure() {
    for keep in [true, false] {
        let layer = BreakerLayer::builder("crm").open_jitter(0.0).build().unwrap();
        let handle = layer.handle();
        assert_eq!(panics(&layer, keep).await, 5, "then it is open");
        advance(s(60)).await;
        assert_eq!(panics(&layer, keep).await, 3, "the calls of the trial");
        assert_eq!(handle.state(), State::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_a_bad_status_is_a_failure() {
    let layer = BreakerLayer::new("web").policy(ByStatus);
    let handle = layer.handle();
    let web = service_fn(async |_: Request<()>| {
        let busy = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
        Ok::<_, std::convert::Infallible>(busy.body(()).unwrap())
    });
    let mut web = ServiceBuilder::new().layer(layer).layer(LiftLayer::new()).service(web);
    for _ in 0..5 {
        web.call(Request::new(())).await.expect("an answer, if a bad one");
    }
    assert_eq!(handle.state(), State::Open);
    match web.call(Request::new(())).await {
        Err(Failure::Refused(refusal)) => assert_eq!(refusal.reason(), Reason::CircuitOpen),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn clones_and_services_of_one_layer_share_one_breaker() {
    let rig = rig();
    rig.leaf.told().fails = Some(ErrorKind::ServerError);
    let first = rig.layer.layer(rig.leaf.service());
    let other = rig.layer.clone().layer(Leaf::default().service());
    for _ in 0..5 {
        first.clone().oneshot(request()).await.expect_err("it fails");
    }
    let e = other.oneshot(request()).await.expect_err("the breaker is open");
    assert_eq!(e.kind(), ErrorKind::CircuitOpen);
}

#[test]
fn settings_out_of_bounds_are_named() {
    type Edit = fn(&mut BreakerConfig);
    let cases: [(&str, Edit); 16] = [
        ("window", |c| c.window = Some(Window::Count(0))),
        ("window", |c| c.window = Some(Window::Count(1_000_001))),
        ("window", |c| c.window = Some(Window::Time(ms(9)))),
        ("window", |c| c.window = Some(Window::Time(s(u64::MAX)))),
        ("failure_rate", |c| c.failure_rate = 0.0),
        ("failure_rate", |c| c.failure_rate = 1.1),
        ("failure_rate", |c| c.failure_rate = f64::NAN),
        ("slow_call_rate", |c| c.slow_call_rate = -1.0),
        ("slow_call_duration", |c| c.slow_call_duration = Some(s(0))),
        ("consecutive_failures", |c| c.consecutive_failures = Some(0)),
        ("consecutive_failures", |c| c.consecutive_failures = None),
        ("minimum_calls", |c| c.minimum_calls = 0),
        ("open_wait", |c| c.open_wait = s(301)),
        ("open_jitter", |c| c.open_jitter = 1.5),
        ("half_open_permits", |c| c.half_open_permits = 0),
        ("half_open_wait", |c| c.half_open_wait = Some(s(0))),
    ];
    for (at, edit) in cases {
        let mut config = BreakerConfig::default();
        config.check().expect("the defaults are fine");
        edit(&mut config);
        let e = BreakerLayer::builder("crm").config(config).build().expect_err(at);
        assert_eq!(e.kind(), ErrorKind::ValidationError);
        assert_eq!(e.context().next(), Some(("at", at)));
        assert!(e.message().starts_with(at), "{e}");
    }
}

mod laws {
    use openclaw_core::Call;
    use openclaw_testkit::{conformance::layer, layer_laws};

    use super::BreakerLayer;

    layer_laws!(
        "Breaker",
        layer::on::<Call<u64>, _>(|| BreakerLayer::new("law")).refuses_behind_failures()
    );
}

mod laws_by_key {
    use openclaw_core::Call;
    use openclaw_testkit::{conformance::layer, layer_laws};

    use super::BreakerLayer;

    layer_laws!(
        "Breaker by key",
        layer::on::<Call<u64>, _>(|| {
            BreakerLayer::new("law").per_key(|call: &Call<u64>| *call.payload() % 3)
        })
        .refuses_behind_failures()
    );
}
