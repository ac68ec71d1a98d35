//! Rate limits: P10, P11, and the half of P12 that a limit lacks.

use std::{num::NonZeroU32, task::Poll, time::Duration};

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, RateLimiter};
use openclaw_core::{
    Effect, ErrorKind,
    middleware::{LiftLayer, Quota, RateLimitLayer},
    policy::{Assessment, Failure, Fault, Head, Policy, policy},
};
use tower::{Layer, Service, ServiceExt};
use tower_resilience_core::ResilienceError;

const HOUR: Duration = Duration::from_secs(3_600);

fn n(calls: u32) -> NonZeroU32 {
    NonZeroU32::new(calls).expect("a quota is not zero")
}

fn by<E: Send + 'static>() -> impl Policy<u64, u64, Failure<E>> {
    policy(
        |_: &u64| Head::new(Effect::Pure),
        |outcome: Result<&u64, &Failure<E>>| match outcome {
            Ok(_) => Assessment::SUCCESS,
            Err(e) => e.assess(),
        },
    )
}

/// A limit of one an hour: for each key, and for all together.
trait Limits {
    fn new() -> Self;

    /// Lets a call of this key through, or not.
    fn passes_key(&self, key: u64) -> bool;

    fn passes(&self) -> bool;

    /// Keys that it holds in memory.
    fn held(&self) -> usize;
}

struct Governor {
    keyed: DefaultKeyedRateLimiter<u64>,
    direct: DefaultDirectRateLimiter,
}

impl Limits for Governor {
    fn new() -> Self {
        let quota = governor::Quota::per_hour(n(1));
        Self { keyed: RateLimiter::keyed(quota), direct: RateLimiter::direct(quota) }
    }

    fn passes_key(&self, key: u64) -> bool {
        self.keyed.check_key(&key).is_ok()
    }

    fn passes(&self) -> bool {
        self.direct.check().is_ok()
    }

    fn held(&self) -> usize {
        self.keyed.len()
    }
}

type Key = fn(&u64) -> u64;

struct Ours {
    keyed:
        RateLimitLayer<openclaw_core::policy::ByHead, openclaw_core::middleware::PerKey<u64, Key>>,
    direct: RateLimitLayer,
}

impl Limits for Ours {
    fn new() -> Self {
        let new = || RateLimitLayer::new("peer", Quota::per_hour(n(1)));
        let key: Key = |key| *key;
        Self { keyed: new().per_key(key), direct: new() }
    }

    fn passes_key(&self, key: u64) -> bool {
        self.keyed.check(&key).is_ok()
    }

    fn passes(&self) -> bool {
        self.direct.check(&()).is_ok()
    }

    fn held(&self) -> usize {
        self.keyed.snapshot().keys
    }
}

/// Keys held behind a million, each seen once, and an idle day.
async fn held_behind_a_million<L: Limits>(limits: &L) -> usize {
    for key in 0..1_000_000 {
        limits.passes_key(key);
    }
    tokio::time::advance(24 * HOUR).await;
    limits.passes_key(0);
    limits.held()
}

/// Does what was used up come back with the runtime's time?
async fn knows_the_time<L: Limits>(limits: &L) -> bool {
    assert!(limits.passes() && !limits.passes(), "one, and no more");
    tokio::time::advance(2 * HOUR).await;
    limits.passes()
}

#[tokio::test(start_paused = true)]
async fn p10_keys_are_bounded_and_the_time_is_that_of_the_runtime() {
    let (peer, ours) = (Governor::new(), Ours::new());
    assert_eq!(held_behind_a_million(&peer).await, 1_000_000, "it forgets none by itself");
    let held = held_behind_a_million(&ours).await;
    // The cap of 100,000, in whole shards.
    assert!(held <= 100_064, "{held}");
    assert!(!knows_the_time(&peer).await, "it has a clock of its own");
    assert!(knows_the_time(&ours).await);
    // A quota of governor's is for ever; ours is set anew.
    let ours = Ours::new();
    ours.direct.set_quota(Some(Quota::per_hour(n(3))));
    assert_eq!((0..10).filter(|_| ours.passes()).count(), 3);
}

/// What the second call meets, where one an hour is allowed.
#[derive(Debug, PartialEq)]
enum Met {
    /// Nothing: it is not even asked for.
    Silence,
    /// A refusal, with the time until it makes sense to come back.
    Refused(Option<Duration>),
}

async fn answered(n: u64) -> Result<u64, std::convert::Infallible> {
    Ok(n)
}

/// Makes the two calls; `refused` reads a refusal.
async fn second_call<S: Service<u64, Response = u64>>(
    mut service: S,
    refused: impl Fn(S::Error) -> Option<Duration>,
) -> Met
where
    S::Error: std::fmt::Debug,
{
    service.ready().await.expect("it is ready").call(1).await.expect("the first passes");
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match service.poll_ready(&mut cx) {
        Poll::Pending => Met::Silence,
        Poll::Ready(Err(e)) => Met::Refused(refused(e)),
        Poll::Ready(Ok(())) => {
            Met::Refused(refused(service.call(2).await.expect_err("the second is one too many")))
        }
    }
}

async fn ours_meets() -> Met {
    let layer = RateLimitLayer::new("peer", Quota::per_hour(n(1))).policy(by());
    let service = layer.layer(LiftLayer::new().layer(tower::service_fn(answered)));
    second_call(service, |e| {
        assert_eq!(e.assess().fault, Some(ErrorKind::RateLimited));
        e.assess().retry_after
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn p11_a_call_over_the_limit_is_refused_and_not_left_waiting() {
    let rate = tower::limit::rate::Rate::new(1, HOUR);
    let peer = tower::limit::RateLimit::new(tower::service_fn(answered), rate);
    assert_eq!(second_call(peer, |e| match e {}).await, Met::Silence, "it can't refuse");
    assert_eq!(ours_meets().await, Met::Refused(Some(HOUR)));
}

#[tokio::test(start_paused = true)]
async fn p12_a_refusal_says_when_to_come_back() {
    let layer = tower_resilience_ratelimiter::RateLimiterLayer::builder()
        .limit_for_period(1)
        .refresh_period(HOUR)
        .timeout_duration(Duration::ZERO)
        .build()
        .expect("the settings are in bounds");
    let peer = layer.layer(tower::service_fn(answered));
    let met = second_call(peer, |e| match ResilienceError::from(e) {
        ResilienceError::RateLimited { retry_after } => retry_after,
        other => panic!("{other}"),
    });
    assert_eq!(met.await, Met::Refused(None), "it never says");
    assert_eq!(ours_meets().await, Met::Refused(Some(HOUR)));
}
