//! Circuit breakers: P1 to P7.

mod ours;
mod peers;

use std::{
    pin::Pin,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::sync::Notify;

use self::{
    ours::Ours,
    peers::{Failsafe, Recloser, Resilience},
};

/// The backend is down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Down;

/// What the backend will do: a request brings its own answer.
pub(crate) struct Ask(Doing<Result<(), Down>>);

pub(crate) type Doing<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Future for Ask {
    type Output = Result<(), Down>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

/// What the caller of a breaker sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Answered,
    Failed,
    Refused,
}

/// The settings that all of them have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// The last so many calls, of which half must fail.
    pub(crate) window: u32,
    /// Calls below which no rate counts.
    pub(crate) minimum: u32,
    /// Calls that take this long are slow; when all are, it opens.
    pub(crate) slow: Option<Duration>,
    /// Is the open wait over when [`Breaker::wait_out`] is?
    pub(crate) short_wait: bool,
}

impl Settings {
    const fn of(window: u32, minimum: u32) -> Self {
        Self { window, minimum, slow: None, short_wait: false }
    }
}

pub(crate) trait Breaker {
    fn of(settings: Settings) -> Self;

    fn call(&self, ask: Ask) -> Doing<Seen>;

    /// Lets the open wait go by, on whatever clock it has.
    async fn wait_out(&self);
}

/// A breaker that says how it is.
pub(crate) trait Watched: Breaker {
    fn state(&self) -> State;

    /// Outcomes in the window.
    async fn recorded(&self) -> usize;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Closed,
    Open,
    HalfOpen,
}

fn up() -> Ask {
    Ask(Box::pin(async { Ok(()) }))
}

fn down() -> Ask {
    Ask(Box::pin(async { Err(Down) }))
}

fn hangs() -> Ask {
    Ask(Box::pin(std::future::pending()))
}

/// Fails when it is told to.
fn down_on(told: Arc<Notify>) -> Ask {
    Ask(Box::pin(async move {
        told.notified().await;
        Err(Down)
    }))
}

/// Polls once.
fn poll_once<T>(doing: &mut Doing<T>) -> Option<T> {
    let mut cx = Context::from_waker(Waker::noop());
    match doing.as_mut().poll(&mut cx) {
        Poll::Ready(seen) => Some(seen),
        Poll::Pending => None,
    }
}

/// How many straight failures it takes to open, behind so many successes.
async fn failures_to_open(breaker: &impl Breaker, successes: u32) -> u32 {
    for _ in 0..successes {
        assert_eq!(breaker.call(up()).await, Seen::Answered);
    }
    let mut failures = 0;
    while breaker.call(down()).await != Seen::Refused {
        failures += 1;
        assert!(failures <= 100_000, "it never opens");
    }
    failures
}

#[tokio::test(start_paused = true)]
async fn p01_a_count_window_slides() {
    let last_hundred = Settings::of(100, 10);
    for successes in [1_000, 10_000] {
        let peer = Resilience::of(last_hundred);
        assert_eq!(failures_to_open(&peer, successes).await, successes, "its window never slides");
        let ours = Ours::of(last_hundred);
        assert_eq!(failures_to_open(&ours, successes).await, 50, "half of the last hundred");
    }
}

#[tokio::test(start_paused = true)]
async fn p02_the_minimum_of_calls_counts_before_the_window_is_full() {
    let ten_of_a_hundred = Settings::of(100, 10);
    let peer = Resilience::of(ten_of_a_hundred);
    assert_eq!(failures_to_open(&peer, 0).await, 100, "it waits for a full window");
    let ours = Ours::of(ten_of_a_hundred);
    assert_eq!(failures_to_open(&ours, 0).await, 10, "the minimum");
}

/// Bytes that a window in time holds behind so many calls.
async fn bytes_held<B: Breaker>(breaker: &B, calls: u32) -> i64 {
    let mut held = 0;
    for _ in 0..calls {
        let mut answer = breaker.call(up());
        let counted = allocation_counter::measure(|| {
            assert_eq!(poll_once(&mut answer), Some(Seen::Answered));
        });
        held += counted.bytes_current;
        // Or the runtime takes it for a task that lets nobody else in.
        tokio::task::yield_now().await;
    }
    held
}

/// A record a call is what makes a call dear: how dear, the bench says.
#[tokio::test(start_paused = true)]
async fn p03_a_window_in_time_keeps_no_record_a_call() {
    // Counted beside a window of calls, which holds nothing a call in either of them.
    const CALLS: u32 = 20_000;
    let grows = |in_time: i64, of_calls: i64| (in_time - of_calls) / i64::from(CALLS);
    let (in_time, of_calls) = (Resilience::in_time(), Resilience::of(Settings::of(100, 10)));
    let peer = grows(bytes_held(&in_time, CALLS).await, bytes_held(&of_calls, CALLS).await);
    assert!(peer >= 16, "{peer} bytes a call");
    let (in_time, of_calls) = (Ours::in_time(), Ours::of(Settings::of(100, 10)));
    let ours = grows(bytes_held(&in_time, CALLS).await, bytes_held(&of_calls, CALLS).await);
    assert_eq!(ours, 0, "bytes a call");
}

/// A hundred calls that hang, each given up behind a second, by a timeout that tells nobody.
async fn hundred_hang<B: Watched>(slow: Option<Duration>) -> (State, usize) {
    let breaker = B::of(Settings { slow, ..Settings::of(100, 10) });
    for _ in 0..100 {
        let answer = breaker.call(hangs());
        let seen = tokio::time::timeout(Duration::from_secs(1), answer).await;
        assert!(seen.is_err() || seen == Ok(Seen::Refused), "{seen:?}");
    }
    (breaker.state(), breaker.recorded().await)
}

/// Ours counts them because they were slow, and both were told what is slow.
///
/// By default nothing is slow. There a dropped call counts with us from the deadline of its request
/// on, which a foreign timeout does not write: behind one, ours records none of them either.
#[tokio::test(start_paused = true)]
async fn p04_slow_calls_that_are_dropped_behind_a_timeout_open_it() {
    let slow = Some(Duration::from_millis(100));
    assert_eq!(hundred_hang::<Resilience>(slow).await, (State::Closed, 0), "it saw none of them");
    assert_eq!(hundred_hang::<Ours>(slow).await.0, State::Open);
    assert_eq!(hundred_hang::<Ours>(None).await, (State::Closed, 0), "nothing is slow");
}

/// The state behind a late failure of a call that was let in before the break.
async fn late_failure<B: Watched>() -> State {
    let breaker = B::of(Settings { short_wait: true, ..Settings::of(10, 10) });
    let told = Arc::new(Notify::new());
    let mut early = breaker.call(down_on(Arc::clone(&told)));
    assert!(poll_once(&mut early).is_none(), "it is under way");
    for _ in 0..10 {
        assert_eq!(breaker.call(down()).await, Seen::Failed);
    }
    assert_eq!(breaker.state(), State::Open);
    breaker.wait_out().await;
    let mut trial = breaker.call(hangs());
    assert!(poll_once(&mut trial).is_none(), "it is let in");
    assert_eq!(breaker.state(), State::HalfOpen);
    told.notify_one();
    assert_eq!(early.await, Seen::Failed);
    breaker.state()
}

#[tokio::test(start_paused = true)]
async fn p05_a_call_from_before_the_break_does_not_decide_the_trial() {
    assert_eq!(late_failure::<Resilience>().await, State::Open, "an old failure opens it again");
    assert_eq!(late_failure::<Ours>().await, State::HalfOpen);
}

/// Does one of two threads wait for the other, in so many calls each?
fn threads_wait<B: Breaker + Sync>(breaker: &B, calls: u32) -> bool {
    let (begin, waited) = (Barrier::new(2), AtomicBool::new(false));
    let call_on = || {
        begin.wait();
        for _ in 0..calls {
            let mut answer = breaker.call(up());
            while poll_once(&mut answer).is_none() {
                waited.store(true, Ordering::Relaxed);
            }
            if waited.load(Ordering::Relaxed) {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(call_on);
        scope.spawn(call_on);
    });
    waited.into_inner()
}

/// Behind a call that waits, a thread parks: what that costs, the bench says.
#[test]
fn p06_no_thread_waits_for_another() {
    let peer = Resilience::of(Settings::of(100, 10));
    assert!(threads_wait(&peer, 10_000_000), "one lock for all calls");
    assert!(!threads_wait(&Ours::of(Settings::of(100, 10)), 200_000));
}

/// Calls that reach the backend out of a thousand at once, behind the open wait.
async fn let_in<B: Breaker>() -> usize {
    let breaker = B::of(Settings { short_wait: true, ..Settings::of(10, 10) });
    for _ in 0..10 {
        assert_eq!(breaker.call(down()).await, Seen::Failed);
    }
    breaker.wait_out().await;
    let reached = Arc::new(AtomicUsize::new(0));
    let mut calls: Vec<_> = (0..1_000)
        .map(|_| {
            let reached = Arc::clone(&reached);
            breaker.call(Ask(Box::pin(async move {
                reached.fetch_add(1, Ordering::Relaxed);
                std::future::pending().await
            })))
        })
        .collect();
    for call in &mut calls {
        poll_once(call);
    }
    reached.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn p07_a_half_open_breaker_lets_a_few_in() {
    assert_eq!(let_in::<Failsafe>().await, 1_000, "failsafe: all");
    assert_eq!(let_in::<Recloser>().await, 1_000, "recloser: all");
    assert_eq!(let_in::<Ours>().await, 3);
}
