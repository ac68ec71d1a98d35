//! Retries and their pauses: P8, P9, and the half of P12 that a retry lacks.

use std::{
    future::{Ready, ready},
    sync::{Arc, Mutex},
    time::Duration,
};

use backoff::backoff::Backoff as _;
use openclaw_core::{
    Effect, ErrorKind,
    middleware::{Delays, LiftLayer, RetryLayer},
    policy::{Assessment, Failure, Head, policy},
};
use tokio::time::Instant;
use tower::{
    Layer, ServiceExt,
    retry::{
        Policy,
        backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff},
    },
};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// When a backend that never answers well was tried.
#[derive(Clone, Debug, Default)]
struct Tries(Arc<Mutex<Vec<Instant>>>);

/// What the backend says: it has no time, and when it will have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Busy {
    retry_after: Option<Duration>,
    /// It gave no answer at all: what was asked may have been done.
    silent: bool,
}

impl Tries {
    fn busy(&self, busy: Busy) -> Ready<Result<(), Busy>> {
        self.0.lock().unwrap().push(Instant::now());
        ready(Err(busy))
    }

    fn pauses(&self) -> Vec<Duration> {
        let tries = self.0.lock().unwrap();
        tries.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

/// Five tries a session, with exponential pauses and jitter.
trait Sessions {
    async fn session(&mut self) -> Vec<Duration>;
}

/// tower, as its documentation has it: a maker, and from it a backoff for each session.
struct TowerSessions(ExponentialBackoffMaker);

#[derive(Clone)]
struct Again {
    left: u32,
    backoff: ExponentialBackoff,
}

impl Policy<(), (), Busy> for Again {
    type Future = tokio::time::Sleep;

    fn retry(&mut self, (): &mut (), _: &mut Result<(), Busy>) -> Option<Self::Future> {
        self.left = self.left.checked_sub(1)?;
        Some(self.backoff.next_backoff())
    }

    fn clone_request(&mut self, (): &()) -> Option<()> {
        Some(())
    }
}

impl Sessions for TowerSessions {
    async fn session(&mut self) -> Vec<Duration> {
        let tries = Tries::default();
        let policy = Again { left: 4, backoff: self.0.make_backoff() };
        let seen = tries.clone();
        let backend = tower::service_fn(move |()| seen.busy(Busy::default()));
        tower::retry::RetryLayer::new(policy).layer(backend).oneshot(()).await.unwrap_err();
        tries.pauses()
    }
}

struct OurSessions(Delays);

impl Sessions for RetryLayer {
    async fn session(&mut self) -> Vec<Duration> {
        ours(self, Head::new(Effect::Pure), Busy::default(), Duration::ZERO).await
    }
}

/// The pauses of one call through our layer, where every answer takes `takes`.
async fn ours(layer: &RetryLayer, head: Head, busy: Busy, takes: Duration) -> Vec<Duration> {
    let by = policy(
        move |(): &()| head,
        |outcome: Result<&(), &Failure<Busy>>| match outcome {
            Ok(()) => Assessment::SUCCESS,
            Err(Failure::Inner { error, .. }) if !error.silent => {
                Assessment::fault(ErrorKind::Unavailable).with_retry_after(error.retry_after)
            }
            Err(_) => Assessment::fault(ErrorKind::Timeout),
        },
    );
    let tries = Tries::default();
    let seen = tries.clone();
    let backend = tower::service_fn(move |()| {
        let seen = seen.clone();
        async move {
            tokio::time::sleep(takes).await;
            seen.busy(busy).await
        }
    });
    let service = layer.clone().policy(by).layer(LiftLayer::new().layer(backend));
    service.oneshot(()).await.unwrap_err();
    tries.pauses()
}

/// Do three sessions of one origin pause alike?
async fn is_a_herd(sessions: &mut impl Sessions) -> bool {
    let (a, b, c) = (sessions.session().await, sessions.session().await, sessions.session().await);
    assert_eq!(a.len(), 4, "{a:?}");
    a == b && b == c
}

#[tokio::test(start_paused = true)]
async fn p08_sessions_of_one_layer_pause_differently() {
    let mut peer = TowerSessions(ExponentialBackoffMaker::default());
    assert!(is_a_herd(&mut peer).await, "all clones draw the same numbers");
    let delays = Delays::exponential(50 * MS, 2.0, 3_600 * S);
    assert!(!is_a_herd(&mut RetryLayer::new(delays).attempts(5).seed(8)).await);
}

/// Pauses with jitter and a cap, and a time behind which there are none.
trait Capped {
    const CAP: Duration = Duration::from_secs(5);

    /// So many pauses of one call.
    async fn pauses(&mut self, count: u32) -> Vec<Duration>;

    /// Does it try again behind a first try of an hour, when it has a quarter of one in all?
    async fn tries_again_behind_its_end(&mut self) -> bool;
}

struct Backoff04;

impl Backoff04 {
    fn made(max_elapsed_time: Option<Duration>) -> backoff::ExponentialBackoff {
        backoff::ExponentialBackoffBuilder::new()
            .with_max_interval(Self::CAP)
            .with_max_elapsed_time(max_elapsed_time)
            .build()
    }
}

impl Capped for Backoff04 {
    async fn pauses(&mut self, count: u32) -> Vec<Duration> {
        let mut backoff = Self::made(None);
        (0..count).map_while(|_| backoff.next_backoff()).collect()
    }

    async fn tries_again_behind_its_end(&mut self) -> bool {
        let mut backoff = Self::made(Some(900 * S));
        tokio::time::advance(3_600 * S).await;
        backoff.next_backoff().is_some()
    }
}

impl Capped for OurSessions {
    async fn pauses(&mut self, count: u32) -> Vec<Duration> {
        let layer = RetryLayer::new(self.0.clone()).attempts(count + 1).budget(None).seed(9);
        ours(&layer, Head::new(Effect::Pure), Busy::default(), Duration::ZERO).await
    }

    async fn tries_again_behind_its_end(&mut self) -> bool {
        let head = Head::new(Effect::Pure).with_deadline(Instant::now() + 900 * S);
        let layer = RetryLayer::new(self.0.clone());
        !ours(&layer, head, Busy::default(), 3_600 * S).await.is_empty()
    }
}

async fn over_the_cap<C: Capped>(pauses: &mut C) -> usize {
    let pauses = pauses.pauses(2_000).await;
    assert_eq!(pauses.len(), 2_000);
    // The timer of tokio counts whole milliseconds.
    pauses.iter().filter(|pause| **pause > C::CAP + MS).count()
}

#[tokio::test(start_paused = true)]
async fn p09_jitter_keeps_to_the_cap_and_the_end_to_the_clock_of_the_runtime() {
    let mut peer = Backoff04;
    assert!(over_the_cap(&mut peer).await > 200, "its jitter goes beyond its cap");
    assert!(peer.tries_again_behind_its_end().await, "it has a clock of its own");
    let mut ours = OurSessions(Delays::exponential(500 * MS, 1.5, OurSessions::CAP));
    assert_eq!(over_the_cap(&mut ours).await, 0);
    assert!(!ours.tries_again_behind_its_end().await);
}

/// A retry of three tries, 100 ms apart unless told otherwise.
trait Told {
    async fn pauses(&self, effect: Effect, busy: Busy) -> Vec<Duration>;
}

struct Resilience;

impl Told for Resilience {
    async fn pauses(&self, _: Effect, busy: Busy) -> Vec<Duration> {
        let layer = tower_resilience_retry::RetryLayer::<(), (), Busy>::builder()
            .max_attempts(3)
            .fixed_backoff(100 * MS)
            .build();
        let tries = Tries::default();
        let seen = tries.clone();
        let backend = tower::service_fn(move |()| seen.busy(busy));
        layer.layer(backend).oneshot(()).await.unwrap_err();
        tries.pauses()
    }
}

impl Told for RetryLayer {
    async fn pauses(&self, effect: Effect, busy: Busy) -> Vec<Duration> {
        ours(self, Head::new(effect), busy, Duration::ZERO).await
    }
}

/// Does it come back before it was asked to?
async fn comes_too_early(retry: &impl Told) -> bool {
    let busy = Busy { retry_after: Some(30 * S), silent: false };
    let pauses = retry.pauses(Effect::Pure, busy).await;
    assert_eq!(pauses.len(), 2);
    pauses.iter().any(|pause| *pause < 30 * S)
}

/// Does it do again what may be done already, and must not be done twice?
async fn may_do_it_twice(retry: &impl Told) -> bool {
    let silent = Busy { retry_after: None, silent: true };
    !retry.pauses(Effect::AtMostOnce, silent).await.is_empty()
}

#[tokio::test(start_paused = true)]
async fn p12_a_retry_heeds_retry_after_and_what_may_not_be_repeated() {
    assert!(comes_too_early(&Resilience).await, "a pause depends on the attempt only");
    assert!(may_do_it_twice(&Resilience).await, "it does not know what a call does");
    let ours = RetryLayer::new(Delays::constant(100 * MS));
    assert!(!comes_too_early(&ours).await);
    assert!(!may_do_it_twice(&ours).await);
}
