//! Calls that wait for their place: what they hold, what reaches them, what they leave behind.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use openclaw_core::{
    Call, Effect, Error, ErrorKind, TenantId,
    middleware::{Quota, RateLimitLayer},
    policy::ByStatus,
    skill::SkillManifest,
};
use tokio::{
    task::JoinSet,
    time::{Instant, advance, sleep, timeout},
};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::seat::Seat;

const S: Duration = Duration::from_secs(1);

fn one_a_second() -> Quota {
    Quota::per_second(NonZeroU32::MIN)
}

fn call() -> Call<u32> {
    let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0").effect(Effect::Pure);
    let context = openclaw_core::Context::new(TenantId::new("acme").unwrap());
    Call::skill(context, &manifest, Arc::default()).map(|_| 0)
}

#[tokio::test(start_paused = true)]
async fn who_waits_or_is_refused_holds_no_seat_further_in() {
    for wait in [Duration::ZERO, 60 * S] {
        let layer = RateLimitLayer::new("crm", one_a_second()).wait(wait);
        let seat = Seat::new();
        let seats = Arc::clone(&seat.seats);
        let began = Instant::now();
        let mut service = layer.layer(seat);
        service.ready().await.unwrap().call(call()).await.expect("the first");
        let second = service.ready().await.unwrap().call(call());
        assert_eq!(seats.available_permits(), 1, "the seat is free while it waits");
        let second = timeout(10 * S, second).await.expect("its service still lives");
        match second {
            Ok(at) => assert_eq!(at, began + S),
            Err(e) => assert_eq!((e.kind(), wait), (ErrorKind::RateLimited, Duration::ZERO)),
        }
    }
}

type Times = Arc<Mutex<Vec<(u32, u64)>>>;

/// Calls numbered from 0, each with its own outcome; the first is told to come again.
async fn behind_a_silence(max: Duration, calls: u32) -> (Vec<(u32, u64)>, Vec<Option<u64>>, u32) {
    let layer = RateLimitLayer::new("crm", one_a_second()).wait(max);
    let (times, polls) = (Times::default(), Arc::new(AtomicU32::new(0)));
    let began = Instant::now();
    let mut set = JoinSet::new();
    for id in 0..calls {
        let times = Arc::clone(&times);
        let leaf = service_fn(move |call: Call<u32>| {
            times.lock().unwrap().push((*call.payload(), began.elapsed().as_secs()));
            async move {
                sleep(S / 2).await;
                let busy = Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(10 * S);
                if id == 0 { Err(busy) } else { Ok(()) }
            }
        });
        let mut asked = Box::pin(layer.layer(leaf).oneshot(call().map(|_| id)));
        let polls = Arc::clone(&polls);
        set.spawn(async move {
            let polled = std::future::poll_fn(|cx| {
                polls.fetch_add(1, Ordering::Relaxed);
                asked.as_mut().poll(cx)
            });
            let e = polled.await.err()?;
            e.refusal().and(e.retry_after()).map(|after| after.as_secs())
        });
    }
    let refused = set.join_all().await;
    assert_eq!(layer.snapshot().waiting, 0);
    let times = times.lock().unwrap().clone();
    (times, refused, polls.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn silence_reaches_those_who_have_a_place_in_it() {
    let (times, _, polls) = behind_a_silence(60 * S, 4).await;
    // Told at 0.5 s: nothing until 10.5 s, then one a second, in the order they had.
    assert_eq!(times, [(0, 0), (1, 10), (2, 11), (3, 12)]);
    assert!(polls <= 4 * 4, "each is woken a few times only: {polls}");
}

#[tokio::test(start_paused = true)]
async fn a_silence_longer_than_the_wait_refuses_them() {
    let (times, refused, _) = behind_a_silence(5 * S, 3).await;
    assert_eq!(times, [(0, 0)]);
    assert_eq!(refused.iter().flatten().count(), 2, "{refused:?}");
    assert!(refused.iter().flatten().all(|after| (8..=9).contains(after)), "{refused:?}");
}

/// Calls numbered from 0 and made at once; which one was made when, in milliseconds.
async fn in_a_queue(
    layer: &RateLimitLayer,
    calls: u32,
    meanwhile: impl Future<Output = ()>,
) -> Vec<(u32, u128)> {
    let (began, times) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let mut set = JoinSet::new();
    for id in 0..calls {
        let times = Arc::clone(&times);
        let leaf = service_fn(move |call: Call<u32>| {
            times.lock().unwrap().push((*call.payload(), began.elapsed().as_millis()));
            std::future::ready(Ok::<_, Error>(()))
        });
        set.spawn(layer.layer(leaf).oneshot(call().map(|_| id)));
    }
    meanwhile.await;
    assert!(set.join_all().await.iter().all(Result::is_ok));
    times.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_silence_shorter_than_the_queue_moves_it_and_keeps_its_order() {
    let layer = RateLimitLayer::new("crm", one_a_second()).wait(60 * S);
    let busy = service_fn(async |_: Call<u32>| {
        sleep(S / 2).await;
        Err::<(), _>(Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(2 * S))
    });
    let mut busy = layer.layer(busy);
    let first = busy.ready().await.unwrap().call(call());
    let times = in_a_queue(&layer, 20, async {
        first.await.expect_err("throttled");
    })
    .await;
    // Told at 0.5 s: nothing until 2.5 s, then one a second, in the order they had.
    let expected: Vec<_> = (0..20).map(|id| (id, 2_500 + 1_000 * u128::from(id))).collect();
    assert_eq!(times, expected);
    assert_eq!(layer.peek(&()), S, "a new call comes behind them");
}

#[tokio::test(start_paused = true)]
async fn silences_on_top_of_each_other_move_a_queue_behind_the_last() {
    let layer = RateLimitLayer::new("crm", one_a_second()).wait(60 * S);
    layer.check(&()).expect("the first");
    let silences = async {
        for (after, silence) in [(500, 2_000), (0, 2_000), (100, 1_900), (400, 3_000)] {
            sleep(Duration::from_millis(after)).await;
            layer.block(Duration::from_millis(silence));
        }
    };
    let times = in_a_queue(&layer, 5, silences).await;
    assert_eq!(times, [(0, 4_000), (1, 5_000), (2, 6_000), (3, 7_000), (4, 8_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_a_silence_has_moved_is_given_back() {
    let layer = RateLimitLayer::new("crm", one_a_second()).wait(60 * S);
    layer.check(&()).expect("the first");
    let mut service = layer.layer(service_fn(async |_: Call<u32>| Ok::<_, Error>(())));
    let second = service.ready().await.unwrap().call(call());
    let third = service.ready().await.unwrap().call(call());
    layer.block(5 * S);
    assert_eq!(layer.peek(&()), 7 * S, "places at 5 and 6 s");
    drop(third);
    assert_eq!(layer.peek(&()), 6 * S);
    drop(second);
    assert_eq!(layer.peek(&()), 5 * S);
}

#[tokio::test(start_paused = true)]
async fn silence_that_is_over_at_once_teaches_nothing() {
    for burst in [1, 3] {
        let burst = NonZeroU32::new(burst).unwrap();
        let layer = RateLimitLayer::new("crm", one_a_second().burst(burst));
        layer.block(Duration::ZERO);
        layer.block_key(&(), Duration::ZERO);
        let now = service_fn(async |_: Call<u32>| {
            Err::<(), _>(Error::new(ErrorKind::RateLimited, "now").with_retry_after(Duration::ZERO))
        });
        let mut now = layer.layer(now);
        for _ in 0..burst.get() {
            let e = now.ready().await.unwrap().call(call()).await.expect_err("it says so");
            assert!(e.refusal().is_none(), "the whole burst passes");
        }
        assert_eq!(layer.snapshot().tightened, 0);
        layer.check(&()).expect_err("and no more");
    }
}

/// Polls this often, a quarter of a second apart; true when it ended.
async fn poll_times<F: Future>(future: F, times: u32) -> bool {
    let mut future = Box::pin(future);
    for _ in 0..times {
        let now = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready()));
        if now.await {
            return true;
        }
        advance(S / 4).await;
    }
    false
}

/// Becomes ready in half a second, and answers in another.
#[derive(Clone)]
struct Slow(Option<Instant>, Arc<AtomicU32>);

impl Service<Call<u32>> for Slow {
    type Response = ();
    type Error = Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let since = *self.0.get_or_insert_with(Instant::now);
        if since.elapsed() < S / 2 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn call(&mut self, _: Call<u32>) -> Self::Future {
        self.0 = None;
        self.1.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            sleep(S / 2).await;
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_anywhere_leaves_nothing_behind() {
    let mut ended = false;
    for polls in 0..20 {
        let layer = RateLimitLayer::new("crm", Quota::per_hour(NonZeroU32::MIN)).wait(7_200 * S);
        layer.check(&()).expect("the first place");
        advance(3_599 * S).await;
        let made = Arc::new(AtomicU32::new(0));
        // Ready at once, slow behind the wait.
        let slow = Slow(Some(Instant::now() - S), Arc::clone(&made));
        let future = layer.layer(slow).oneshot(call());
        let before = layer.peek(&());
        ended = poll_times(future, polls).await;
        let spent = layer.peek(&()) > before;
        assert_eq!(spent, made.load(Ordering::Relaxed) == 1, "after {polls} polls");
        assert_eq!(layer.snapshot().waiting, 0, "after {polls} polls");
    }
    assert!(ended, "the last one ended");
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_as_it_was_taken() {
    let layer = RateLimitLayer::new("crm", one_a_second()).wait(60 * S);
    layer.check(&()).expect("the first");
    let mut service = layer.layer(service_fn(async |_: Call<u32>| Ok::<_, Error>(())));
    let waits = service.ready().await.unwrap().call(call());
    layer.set_quota(Some(Quota::per_hour(NonZeroU32::MIN)));
    drop(waits);
    let spent = 3_600 * S;
    assert_eq!(layer.peek(&()), spent + S, "the first place is still spent, and the second waits");
}

#[tokio::test(start_paused = true)]
async fn a_place_at_a_slower_pace_is_given_back_whole() {
    let layer = RateLimitLayer::new("shop", one_a_second()).wait(60 * S).policy(ByStatus);
    let leaf = service_fn(|_: http::Request<()>| {
        let response = http::Response::builder().header("ratelimit", r#""a";r=2;t=20"#);
        let answer: Result<_, openclaw_core::policy::Failure<std::convert::Infallible>> =
            Ok(response.body(()).unwrap());
        std::future::ready(answer)
    });
    let mut service = layer.layer(leaf);
    service.ready().await.unwrap().call(http::Request::new(())).await.unwrap();
    let before = layer.peek(&());
    let waits = service.ready().await.unwrap().call(http::Request::new(()));
    assert_eq!(layer.peek(&()), before + 10 * S);
    drop(waits);
    assert_eq!(layer.peek(&()), before);
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_count_under_a_wider_quota() {
    let layer = RateLimitLayer::new("crm", one_a_second()).wait(60 * S);
    layer.check(&()).expect("the first");
    let mut service = layer.layer(service_fn(async |_: Call<u32>| Ok::<_, Error>(())));
    let mut waits = Vec::new();
    for _ in 0..5 {
        waits.push(service.ready().await.unwrap().call(call()));
    }
    layer.set_quota(Some(Quota::per_second(NonZeroU32::new(10).unwrap())));
    layer.set_max_wait(Duration::ZERO);
    let at_once = (0..20).filter(|_| layer.check(&()).is_ok()).count();
    assert_eq!(at_once, 4, "one was made, and five are on their way");
    let began = Instant::now();
    for (second, wait) in waits.into_iter().enumerate() {
        wait.await.expect("it keeps its place");
        assert_eq!(began.elapsed().as_secs(), second as u64 + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_last_place_can_be_given_back() {
    let layer = RateLimitLayer::new("crm", one_a_second()).wait(60 * S);
    layer.check(&()).expect("the first");
    let mut service = layer.layer(service_fn(async |_: Call<u32>| Ok::<_, Error>(())));
    let second = service.ready().await.unwrap().call(call());
    let third = service.ready().await.unwrap().call(call());
    drop(second);
    assert_eq!(layer.peek(&()), 3 * S, "the third has its place behind it");
    drop(third);
    assert_eq!(layer.peek(&()), 2 * S);
}

#[tokio::test(start_paused = true)]
async fn looking_takes_no_place_and_a_key_is_blocked_alone() {
    let layer = RateLimitLayer::new("crm", one_a_second()).per_key_of(|key: &u8| *key, 64);
    for _ in 0..10 {
        assert_eq!(layer.peek(&1), Duration::ZERO);
    }
    assert_eq!(layer.snapshot().keys, 0);
    layer.check(&1).expect("the first");
    assert_eq!(layer.peek(&1), S);
    layer.block_key(&2, 9 * S);
    assert_eq!(layer.check(&2).expect_err("blocked").retry_after(), Some(9 * S));
    layer.check(&3).expect("not blocked");
    layer.block_key(&4, 31_536_000 * S);
    assert_eq!(layer.peek(&4), 300 * S, "no block is longer than the longest");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_counts_on_failures_only() {
    for (status, wait) in [(429, 7), (503, 7), (202, 0), (301, 0), (500, 0)] {
        let layer = RateLimitLayer::new("shop", Quota::PER_KEY).policy(ByStatus);
        let leaf = service_fn(move |_: http::Request<()>| {
            let response = http::Response::builder().status(status).header("retry-after", 7);
            let answer: Result<_, openclaw_core::policy::Failure<std::convert::Infallible>> =
                Ok(response.body(()).unwrap());
            std::future::ready(answer)
        });
        layer.layer(leaf).oneshot(http::Request::new(())).await.unwrap();
        assert_eq!(layer.peek(&()), wait * S, "{status}");
    }
}

#[test]
fn the_presets_are_what_they_say() {
    let n = |n| NonZeroU32::new(n).unwrap();
    assert_eq!(Quota::PER_IP, Quota::per_minute(n(100)));
    assert_eq!(Quota::PER_KEY, Quota::per_minute(n(1_000)));
    assert_eq!(Quota::PER_IP.interval(), Duration::from_millis(600));
}
