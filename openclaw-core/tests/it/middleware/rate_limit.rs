//! Quotas: what passes, what waits, what is refused, and what is learnt.

use std::{
    convert::Infallible,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use http::Response;
use openclaw_core::{
    Call, Context, Effect, Error, ErrorKind, TenantId,
    middleware::{Quota, RateLimitLayer, breaker::BreakerLayer},
    policy::{ByStatus, Failure},
    skill::SkillManifest,
};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use super::telling::Telling;

const S: Duration = Duration::from_secs(1);

fn n(calls: u32) -> NonZeroU32 {
    NonZeroU32::new(calls).unwrap()
}

fn one_a_second() -> Quota {
    Quota::per_second(n(1))
}

fn call(tenant: &str) -> Call<u32> {
    let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0").effect(Effect::Pure);
    Call::skill(Context::new(TenantId::new(tenant).unwrap()), &manifest, Arc::default()).map(|_| 0)
}

fn until(deadline: Instant) -> Call<u32> {
    let call = call("acme");
    let context = call.context().clone().with_deadline(deadline);
    call.with_context(context)
}

async fn ask(layer: &RateLimitLayer, call: Call<u32>) -> Result<Instant, Error> {
    let leaf = service_fn(async |_: Call<u32>| Ok::<_, Error>(Instant::now()));
    ServiceBuilder::new().layer(layer).service(leaf).oneshot(call).await
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_the_rest_is_refused_until_its_place() {
    let layer = RateLimitLayer::new("crm", Quota::per_second(n(2)).burst(n(3)));
    for _ in 0..3 {
        ask(&layer, call("acme")).await.expect("within the burst");
    }
    let e = ask(&layer, call("acme")).await.expect_err("over it");
    assert_eq!((e.kind(), e.retry_after()), (ErrorKind::RateLimited, Some(S / 2)));
    assert!(e.to_string().contains("by=crm"), "{e}");
    sleep(S / 2).await;
    ask(&layer, call("acme")).await.expect("exactly when it said");
    ask(&layer, call("acme")).await.expect_err("one only");
    assert_eq!(layer.snapshot().refused, 2);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_go_in_the_order_of_their_calls_an_interval_apart() {
    let layer = RateLimitLayer::new("crm", one_a_second()).wait(60 * S);
    let order = Arc::new(Mutex::new(Vec::new()));
    let began = Instant::now();
    let mut waiting = Vec::new();
    for id in 0..5_u32 {
        let order = Arc::clone(&order);
        let leaf = service_fn(move |call: Call<u32>| {
            order.lock().unwrap().push((*call.payload(), began.elapsed().as_secs()));
            std::future::ready(Ok::<_, Error>(()))
        });
        let mut service = layer.layer(leaf);
        waiting.push(service.ready().await.unwrap().call(call("acme").map(|_| id)));
    }
    assert_eq!(layer.snapshot().waiting, 4);
    // Polled in the opposite order.
    let mut set = tokio::task::JoinSet::new();
    for future in waiting.into_iter().rev() {
        set.spawn(future);
    }
    set.join_all().await.into_iter().for_each(|outcome| outcome.expect("in the end"));
    assert_eq!(*order.lock().unwrap(), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]);
    assert_eq!(layer.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_place_behind_the_longest_wait_or_the_deadline_is_refused_at_once() {
    let layer = RateLimitLayer::new("crm", one_a_second()).wait(2 * S);
    let began = Instant::now();
    ask(&layer, call("acme")).await.expect("the first");
    let e = ask(&layer, until(began + S / 2)).await.expect_err("its place is at 1 s");
    assert_eq!((began.elapsed(), e.retry_after()), (Duration::ZERO, Some(S)));
    assert_eq!(ask(&layer, until(began + S)).await.expect("just in time"), began + S);
    // Three at once: places in 1, 2 and 3 s.
    let mut service = layer.layer(service_fn(async |_: Call<u32>| Ok::<_, Error>(())));
    let mut places = Vec::new();
    for _ in 0..3 {
        places.push(service.ready().await.unwrap().call(call("acme")));
    }
    let third = places.pop().unwrap();
    let e = third.await.expect_err("beyond the longest wait");
    assert_eq!(e.retry_after(), Some(3 * S));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_gives_the_last_place_back() {
    let layer = RateLimitLayer::new("crm", one_a_second()).wait(60 * S);
    let began = Instant::now();
    ask(&layer, call("acme")).await.expect("the first");
    for polls_for in [Duration::ZERO, S / 4, S / 2] {
        drop(timeout(polls_for, ask(&layer, call("acme"))).await);
        assert_eq!(layer.snapshot().waiting, 0);
    }
    assert_eq!(ask(&layer, call("acme")).await.expect("its place"), began + S);
    // Dropped behind its call: the place is spent.
    let leaf = service_fn(async |_: Call<u32>| {
        sleep(S).await;
        Ok::<_, Error>(())
    });
    sleep(S).await;
    drop(timeout(S / 2, layer.layer(leaf).oneshot(call("acme"))).await);
    assert_eq!(ask(&layer, call("acme")).await.expect("the next place"), began + 3 * S);
}

#[tokio::test(start_paused = true)]
async fn keys_do_not_disturb_each_other() {
    let layer = RateLimitLayer::new("crm", one_a_second())
        .per_key(|call: &Call<u32>| call.context().tenant().clone());
    let leaf = service_fn(async |_: Call<u32>| Ok::<_, Error>(()));
    let mut service = layer.layer(leaf);
    for tenant in ["acme", "globex", "initech"] {
        service.ready().await.unwrap().call(call(tenant)).await.expect("the first of its tenant");
    }
    service.ready().await.unwrap().call(call("acme")).await.expect_err("the second");
    assert_eq!(layer.snapshot().keys, 3);
}

#[tokio::test(start_paused = true)]
async fn a_million_keys_take_the_room_of_a_few() {
    let layer =
        RateLimitLayer::new("ip", Quota::per_second(n(10))).per_key_of(|key: &u64| *key, 1_024);
    for key in 0..1_000_000_u64 {
        drop(layer.check(&key));
        if key % 1_000 == 0 {
            // Ten calls a second: after a tenth of one a key can be forgotten.
            sleep(S / 4).await;
        }
    }
    let seen = layer.snapshot();
    assert!(seen.keys <= 1_024 + 64, "{seen:?}");
    assert!(seen.forgotten > 900_000, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_keys_shares_one_limit() {
    let layer = RateLimitLayer::new("ip", one_a_second()).per_key_of(|key: &u64| *key, 64);
    let passed = (0..100_000_u64).filter(|key| layer.check(key).is_ok()).count();
    let seen = layer.snapshot();
    assert!(seen.keys <= 64);
    assert_eq!(passed, seen.keys + 1, "one for each key on hand, and one for all others");
    layer.check(&0).expect_err("who was on hand is limited as before");
}

#[tokio::test(start_paused = true)]
async fn the_quota_changes_and_what_was_used_stays_used() {
    let layer = RateLimitLayer::new("crm", Quota::per_second(n(1)));
    ask(&layer, call("acme")).await.expect("the first");
    layer.set_quota(Some(Quota::per_second(n(4)).burst(n(1))));
    let e = ask(&layer, call("acme")).await.expect_err("used up");
    assert!(e.retry_after().is_some_and(|after| after <= S));
    sleep(S).await;
    for _ in 0..4 {
        ask(&layer, call("acme")).await.expect("four a second");
        sleep(S / 4).await;
    }
    layer.set_quota(None);
    for _ in 0..1_000 {
        ask(&layer, call("acme")).await.expect("no limit");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_used_up_comes_back_at_the_pace_of_the_new_quota() {
    let layer = RateLimitLayer::new("crm", Quota::per_hour(n(1_000)));
    while layer.check(&()).is_ok() {}
    layer.set_quota(Some(Quota::per_second(n(100))));
    assert_eq!(layer.peek(&()), S / 100, "a hundred a second");
    sleep(S).await;
    assert_eq!((0..200).filter(|_| layer.check(&()).is_ok()).count(), 100, "and all of them");
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_made_are_as_many_under_another_quota() {
    let cases = [
        (4, Quota::per_hour(n(10)), Quota::per_hour(n(1_000)), 996),
        (4, Quota::per_hour(n(10)), Quota::per_second(n(10)), 6),
        (4, Quota::per_second(n(10)), Quota::per_hour(n(10)), 6),
        (4, Quota::per_hour(n(10)), Quota::per_hour(n(10)), 6),
        (4, Quota::per_hour(n(10)), Quota::per_hour(n(3)), 0),
        (10, Quota::per_second(n(10)), Quota::per_hour(n(4)), 0),
        (0, Quota::per_second(n(10)), Quota::per_hour(n(4)), 4),
        (4, Quota::per_hour(n(10)), Quota::per_hour(n(10)).burst(n(5)), 1),
    ];
    for (made, before, after, left) in cases {
        // Of two keys the second finds no room.
        let layer = RateLimitLayer::new("crm", before).per_key_of(|key: &u8| *key, 1);
        for key in [1, 2] {
            (0..made).for_each(|_| layer.check(&key).expect("within the quota"));
        }
        layer.set_quota(Some(after));
        for key in [1, 2] {
            let more = (0..2_000).filter(|_| layer.check(&key).is_ok()).count();
            assert_eq!(more, left, "{made} of {before:?}, then {after:?}");
            let interval = after.interval();
            assert_eq!(layer.peek(&key), interval, "{made} of {before:?}, then {after:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_quota_moves_no_silence() {
    let quotas = [Quota::per_second(n(100)), Quota::per_hour(n(10)), Quota::per_hour(n(1))];
    for (before, after) in [(0, 1), (1, 0), (2, 0), (0, 2)].map(|(b, a)| (quotas[b], quotas[a])) {
        let layer = RateLimitLayer::new("crm", before);
        layer.check(&()).expect("the first");
        layer.block(10 * S);
        layer.set_quota(Some(after));
        let silent = layer.peek(&());
        // Where more was used up than the silence takes, its end is known to a tenth of a second.
        let known = if before == quotas[2] { 10 * S + S / 10 } else { 10 * S };
        assert!((10 * S..=known).contains(&silent), "{silent:?}: {before:?}, then {after:?}");
        layer.set_quota(None);
        assert_eq!(layer.peek(&()), silent, "{before:?}, then none");
        layer.set_quota(Some(after));
        tokio::time::advance(silent).await;
        layer.check(&()).expect("it is over");
        assert_eq!(layer.peek(&()), after.interval(), "and nothing was saved up in it");
    }
}

#[tokio::test(start_paused = true)]
async fn advice_holds_under_another_quota() {
    let layer = RateLimitLayer::new("shop", Quota::per_second(n(1)).burst(n(50))).policy(ByStatus);
    let leaf = service_fn(|_: http::Request<()>| {
        let answer: Answer =
            Ok(Response::builder().header("ratelimit", r#""a";r=2;t=5"#).body(()).unwrap());
        std::future::ready(answer)
    });
    layer.layer(leaf).oneshot(http::Request::new(())).await.unwrap();
    layer.set_quota(Some(Quota::per_second(n(100)).burst(n(1_000))));
    let calls = (0..200).filter(|_| layer.check(&()).is_ok()).count();
    assert_eq!(calls, 2, "as many as the other side has left");
    assert_eq!(layer.peek(&()), S * 5 / 2, "and then as it spreads them");
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_nothing_that_was_used_up_counts_but_a_silence_does() {
    let layer = RateLimitLayer::new("crm", Quota::per_hour(n(1)));
    ask(&layer, call("acme")).await.expect("the first");
    ask(&layer, call("acme")).await.expect_err("one an hour");
    layer.set_quota(None);
    ask(&layer, call("acme")).await.expect("there is no limit any more");
    layer.block(10 * S);
    ask(&layer, call("acme")).await.expect_err("silence was asked for");
    sleep(10 * S).await;
    ask(&layer, call("acme")).await.expect("it is over");
}

type Answer = Result<Response<()>, Failure<Infallible>>;

async fn answered_with(status: u16, headers: &[(&str, &str)], quota: Quota) -> Vec<Duration> {
    let layer = RateLimitLayer::new("shop", quota).wait(3_600 * S).policy(ByStatus);
    let first = AtomicBool::new(true);
    let leaf = service_fn(|_: http::Request<()>| {
        let mut response = Response::builder();
        if first.swap(false, Ordering::Relaxed) {
            response = response.status(status);
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
        }
        let answer: Answer = Ok(response.body(()).unwrap());
        std::future::ready(answer)
    });
    let mut service = layer.layer(leaf);
    let began = Instant::now();
    let mut times = Vec::new();
    for _ in 0..4 {
        service.ready().await.unwrap().call(http::Request::new(())).await.unwrap();
        times.push(began.elapsed());
    }
    times
}

#[tokio::test(start_paused = true)]
async fn advice_tightens_the_limit() {
    let fast = Quota::per_second(n(1_000));
    let blocked = |s: u64| async move { Duration::from_secs(s) };
    let times = answered_with(429, &[("retry-after", "7")], fast).await;
    assert_eq!(times[1], blocked(7).await, "blocked until then");
    let times =
        answered_with(200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9")], fast)
            .await;
    assert_eq!(times[1], 9 * S);
    let times = answered_with(200, &[("ratelimit", r#""a";r=0;t=5, "b";r=9;t=60"#)], fast).await;
    assert_eq!(times[1], 5 * S, "the tightest counts");
    let times = answered_with(
        200,
        &[("ratelimit", r#""a";r=2;t=5"#)],
        Quota::per_second(n(1)).burst(n(50)),
    )
    .await;
    let spread = [0.0, 0.0, 0.0, 2.5].map(Duration::from_secs_f64);
    assert_eq!(times, spread, "two are left, then as they are spread");
    let times =
        answered_with(200, &[("ratelimit", r#""a";r=9999;t=5"#)], Quota::per_second(n(1))).await;
    assert_eq!(times, [0, 1, 2, 3].map(|s| s * S), "never looser than the quota");
    let times = answered_with(429, &[("retry-after", "31536000")], fast).await;
    assert_eq!(times[1], 300 * S, "a year is too long");
    let times = answered_with(200, &[], fast).await;
    assert!(times[3] < S);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_error_blocks_its_key_only() {
    let layer = RateLimitLayer::new("crm", Quota::per_second(n(1_000)))
        .per_key(|call: &Call<u32>| call.context().tenant().clone());
    let leaf = service_fn(async |call: Call<u32>| match call.context().tenant().as_str() {
        "acme" => Err(Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(3 * S)),
        _ => Ok(()),
    });
    let mut service = layer.layer(leaf);
    let mut ask = async |tenant: &str| service.ready().await.unwrap().call(call(tenant)).await;
    assert!(ask("acme").await.expect_err("throttled").refusal().is_none());
    let e = ask("acme").await.expect_err("blocked here");
    assert!(e.refusal().is_some());
    assert_eq!(e.retry_after(), Some(3 * S));
    ask("globex").await.expect("another tenant");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_refused_further_in_waits_for_no_place() {
    let breaker = BreakerLayer::new("inside").handle();
    for max_wait in [Duration::ZERO, 5 * S] {
        let inside = breaker.clone();
        let gate = move |(): &()| inside.refusal();
        let layer = RateLimitLayer::new("crm", one_a_second()).wait(max_wait).gate(gate);
        breaker.force_open();
        ask(&layer, call("acme")).await.expect("there is a place, and nobody asks");
        let began = Instant::now();
        for _ in 0..10 {
            let e = ask(&layer, call("acme")).await.expect_err("refused further in");
            assert_eq!((e.kind(), began.elapsed()), (ErrorKind::CircuitOpen, Duration::ZERO));
        }
        assert_eq!((layer.snapshot().refused, layer.snapshot().waiting), (0, 0));
        assert_eq!(layer.peek(&()), S, "their places were given back");
        breaker.force_close();
        let answer = ask(&layer, call("acme")).await;
        assert_eq!(answer.is_ok(), !max_wait.is_zero());
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_by_hand_ends() {
    let layer = RateLimitLayer::new("crm", Quota::per_second(n(1_000))).wait(60 * S);
    layer.block(5 * S);
    let began = Instant::now();
    assert_eq!(ask(&layer, call("acme")).await.expect("behind it"), began + 5 * S);
}

#[tokio::test(start_paused = true)]
async fn what_is_learnt_can_be_bounded_or_switched_off() {
    for (learns, longest, blocked) in [(true, 3, 3), (true, 60, 7), (false, 60, 0)] {
        let layer = RateLimitLayer::new("crm", Quota::PER_KEY).learn(learns, longest * S);
        let leaf = service_fn(async |_: Call<u32>| {
            Err::<(), _>(Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(7 * S))
        });
        layer.layer(leaf).oneshot(call("acme")).await.expect_err("throttled");
        assert_eq!(layer.peek(&()), blocked * S, "{learns}, {longest} s");
    }
}

#[tokio::test(start_paused = true)]
async fn it_tells_when_it_begins_to_refuse_and_not_of_each_refusal() {
    let telling = Telling::of("rate_limit");
    let layer = RateLimitLayer::new("crm", one_a_second()).wait(S);
    let check = || layer.check(&());
    check().expect("the first");
    check().expect_err("used up");
    check().expect_err("used up");
    assert_eq!(telling.told(), 1);
    ask(&layer, call("acme")).await.expect("it waited");
    check().expect_err("used up");
    assert_eq!(telling.told(), 1, "who has to wait does not end it");
    sleep(S).await;
    check().expect("a place at once");
    check().expect_err("used up");
    assert_eq!(telling.told(), 2, "it begins again");
}

#[test]
fn a_limit_shows_its_name_and_its_quota_and_counts_as_one_key() {
    let layer = RateLimitLayer::new("crm", Quota::per_second(n(2)).burst(n(3)));
    let shown = format!("{layer:?}");
    let expected = r#"RateLimit { name: "crm", interval: 500ms, ahead: 1s, .. }"#;
    assert!(shown.contains(expected), "{shown}");
    let seen = layer.snapshot();
    assert_eq!((seen.keys, seen.forgotten, seen.crowded), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_woken_once_each() {
    let layer = RateLimitLayer::new("crm", Quota::per_second(n(100)).burst(n(1))).wait(60 * S);
    let polls = Arc::new(AtomicU32::new(0));
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let (layer, polls) = (layer.clone(), Arc::clone(&polls));
        set.spawn(async move {
            let leaf = service_fn(async |_: Call<u32>| Ok::<_, Error>(()));
            let mut asked = Box::pin(layer.layer(leaf).oneshot(call("acme")));
            std::future::poll_fn(|cx| {
                polls.fetch_add(1, Ordering::Relaxed);
                asked.as_mut().poll(cx)
            })
            .await
        });
    }
    set.join_all().await.into_iter().for_each(|outcome| outcome.expect("in the end"));
    assert!(polls.load(Ordering::Relaxed) <= 1_000, "no herd: {polls:?}");
}

mod laws {
    use openclaw_core::Call;
    use openclaw_testkit::{conformance::layer, layer_laws};

    use super::{Quota, RateLimitLayer, n};

    layer_laws!(
        "RateLimit",
        layer::on::<Call<u64>, _>(|| RateLimitLayer::new("law", Quota::per_second(n(1_000_000))))
    );
}

#[tokio::test(start_paused = true)]
async fn a_setting_of_one_clone_is_not_that_of_another() {
    let strict = RateLimitLayer::new("crm", one_a_second());
    let patient = strict.clone().wait(5 * S);
    let deaf = strict.clone().learn(false, S);
    ask(&deaf, call("acme")).await.expect("the first");
    ask(&strict, call("acme")).await.expect_err("it does not wait, and the quota is the same");
    ask(&patient, call("acme")).await.expect("it waits");
}
