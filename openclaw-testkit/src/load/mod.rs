//! Load at a stated rate, measured so that a stall can't hide itself.
//!
//! A closed loop waits for an answer before it asks again: while the service stalls it asks
//! nothing, and the stall shows as one slow operation. [`Load`] is an open loop. Each operation
//! has an intended start, decided by the rate alone, and its latency counts from there, whether
//! or not it could be started then. The service time, from the real start, stands beside it.
//!
//! * [`Load`]: a constant or random rate, warm-up, phases, a bound on what is under way.
//! * [`Overload`]: what a service does when more is asked than it can do.
//! * [`Soak`]: what grows over time: memory, rows, tasks.
//! * [`Offers`]: a channel that offers messages to a gateway and times verdict and reply.
//!
//! All of it waits in tokio's time. In paused time a run is exact and takes no time; in real
//! time tokio's timer adds up to a millisecond to each intended start.

mod arrivals;
mod errors;
mod latencies;
mod offers;
mod overload;
mod report;
mod rss;
mod run;
mod schedule;
mod slope;
mod soak;

use std::{future::Future, time::Duration};

use tokio::time::Instant;

pub use self::{
    arrivals::Arrivals,
    errors::{Named, OTHER},
    latencies::Latencies,
    offers::{OfferChannel, Offers, Timings},
    overload::{Overload, OverloadReport},
    report::Report,
    rss::resident_bytes,
    slope::slope,
    soak::{Growth, Soak, SoakReport, Verdict},
};
use self::{run::Run, schedule::Schedule};
use crate::env::SeededRng;

/// A stretch of a run with a rate of its own.
#[derive(Clone, Debug)]
struct Phase {
    name: String,
    per_s: f64,
    span: Duration,
}

/// An open-loop load generator.
///
/// ```
/// use std::{convert::Infallible, time::Duration};
/// use openclaw_testkit::load::Load;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let report = Load::open_loop(100.0)
///     .for_(Duration::from_secs(10))
///     .warm_up(Duration::from_secs(1))
///     .run(|_n| async {
///         tokio::time::sleep(Duration::from_millis(2)).await;
///         Ok::<(), Infallible>(())
///     })
///     .await;
/// assert_eq!((report.offered(), report.ok()), (1000, 1000));
/// assert_eq!(report.latency().p99(), Duration::from_millis(2));
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "end it with `run`"]
pub struct Load {
    phases: Vec<Phase>,
    rng: Option<SeededRng>,
    warm_up: Duration,
    in_flight: usize,
    queue: usize,
    patience: Duration,
}

impl Load {
    /// This many operations a second, for ten seconds unless [`for_`](Self::for_) says otherwise.
    ///
    /// A rate that is not above zero offers one operation.
    pub fn open_loop(per_s: f64) -> Self {
        let phase = Phase { name: String::new(), per_s, span: Duration::from_secs(10) };
        Self {
            phases: vec![phase],
            rng: None,
            warm_up: Duration::ZERO,
            in_flight: 1024,
            queue: 65_536,
            patience: Duration::from_secs(30),
        }
    }

    /// How long the present phase offers operations. 10 s.
    pub fn for_(mut self, span: Duration) -> Self {
        if let Some(phase) = self.phases.last_mut() {
            phase.span = span;
        }
        self
    }

    /// Names the present phase, for the report.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        if let Some(phase) = self.phases.last_mut() {
            phase.name = name.into();
        }
        self
    }

    /// Adds a phase of this rate, for ten seconds unless `for_` follows.
    pub fn then(mut self, name: impl Into<String>, per_s: f64) -> Self {
        self.phases.push(Phase { name: name.into(), per_s, span: Duration::from_secs(10) });
        self
    }

    /// Arrivals at random, as of many senders; the seed decides them.
    pub fn poisson(mut self, rng: SeededRng) -> Self {
        self.rng = Some(rng);
        self
    }

    /// Offers at the first phase's rate for this long before anything is measured. None.
    pub const fn warm_up(mut self, span: Duration) -> Self {
        self.warm_up = span;
        self
    }

    /// The most operations under way at once, at least one. 1,024.
    pub fn in_flight(mut self, most: usize) -> Self {
        self.in_flight = most.max(1);
        self
    }

    /// The most operations that wait for a place; beyond it they are `not_started`. 65,536.
    pub const fn queue(mut self, most: usize) -> Self {
        self.queue = most;
        self
    }

    /// How long the last operations may take once the schedule has ended. 30 s.
    pub const fn patience(mut self, span: Duration) -> Self {
        self.patience = span;
        self
    }

    /// Runs the operation at every moment of the schedule; `n` counts from zero.
    ///
    /// Dropping the future aborts what is under way. An operation that panics is an error named
    /// `panicked`.
    pub async fn run<F, Fut, E>(self, mut operation: F) -> Report
    where
        F: FnMut(u64) -> Fut + Send,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Named + Send + 'static,
    {
        self.run_at(move |n, _intended| operation(n)).await
    }

    /// As [`run`](Self::run); the operation hears its intended start, too.
    pub async fn run_at<F, Fut, E>(self, operation: F) -> Report
    where
        F: FnMut(u64, Instant) -> Fut + Send,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Named + Send + 'static,
    {
        let Self { phases, rng, warm_up, in_flight, queue, patience } = self;
        let schedule = Schedule::new(phases.clone(), warm_up, rng);
        Run::new(phases, warm_up, in_flight, queue, patience).go(schedule, operation).await
    }
}
