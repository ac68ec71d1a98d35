//! What a service does when more is asked than it can do.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use super::{Load, arrivals::float, errors::Named, report::Report};

/// How long the last operations of the closed loop may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures the capacity of a service, offers a multiple of it, and looks at what is left.
///
/// The capacity is what a closed loop of `in_flight` callers gets done. A good service keeps most
/// of its goodput under overload and refuses the rest soon; a bad one works on what nobody waits
/// for any more.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use openclaw_testkit::load::Overload;
/// use tokio::{sync::Semaphore, time::sleep};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), String> {
/// // Four at a time, 10 ms each, at most eight present: 400 a second, the rest is refused.
/// let (places, doors) = (Arc::new(Semaphore::new(4)), Arc::new(Semaphore::new(8)));
/// let report = Overload::times(2.0)
///     .in_flight(8)
///     .run(move |_n| {
///         let (places, doors) = (Arc::clone(&places), Arc::clone(&doors));
///         async move {
///             let _door = doors.try_acquire().map_err(|_full| "OVERLOADED")?;
///             let _place = places.acquire().await.map_err(|_closed| "closed")?;
///             sleep(Duration::from_millis(10)).await;
///             Ok::<(), &'static str>(())
///         }
///     })
///     .await;
/// report.check(0.9, 64)?;
/// assert!(report.load().errors_of("OVERLOADED") > 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "end it with `run`"]
pub struct Overload {
    times: f64,
    capacity: Option<f64>,
    in_flight: usize,
    most: usize,
    queue: usize,
    span: Duration,
}

impl Overload {
    /// Offers so many times the capacity.
    pub const fn times(times: f64) -> Self {
        Self {
            times,
            capacity: None,
            in_flight: 64,
            most: 1024,
            queue: 1024,
            span: Duration::from_secs(5),
        }
    }

    /// A capacity a second that is known: it is not measured then.
    pub const fn capacity(mut self, per_s: f64) -> Self {
        self.capacity = Some(per_s);
        self
    }

    /// How long the capacity is measured, and how long it is exceeded. 5 s.
    pub const fn for_(mut self, span: Duration) -> Self {
        self.span = span;
        self
    }

    /// How many callers measure the capacity. 64.
    pub fn in_flight(mut self, callers: usize) -> Self {
        self.in_flight = callers.max(1);
        self
    }

    /// The most operations under way, and the most that wait, while overloaded. 1,024 each.
    pub const fn bounds(mut self, under_way: usize, waiting: usize) -> Self {
        (self.most, self.queue) = (under_way, waiting);
        self
    }

    /// Measures, overloads and reports. `n` counts from zero through both runs.
    ///
    /// An operation that panics ends its caller while the capacity is measured.
    pub async fn run<F, Fut, E>(self, operation: F) -> OverloadReport
    where
        F: Fn(u64) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Named + Send + 'static,
    {
        let operation = Arc::new(operation);
        let numbers = Arc::new(AtomicU64::new(0));
        let capacity_per_s = match self.capacity {
            Some(per_s) => per_s,
            None => {
                closed(self.in_flight, self.span, Arc::clone(&operation), Arc::clone(&numbers))
                    .await
            }
        };
        let load = Load::open_loop(capacity_per_s * self.times)
            .for_(self.span)
            .in_flight(self.most)
            .queue(self.queue)
            .run(|_n| operation(numbers.fetch_add(1, Ordering::Relaxed)))
            .await;
        OverloadReport { capacity_per_s, times: self.times, load }
    }
}

/// Operations a second that so many callers get done, each asking anew after its answer.
async fn closed<F, Fut, E>(
    callers: usize,
    span: Duration,
    operation: Arc<F>,
    numbers: Arc<AtomicU64>,
) -> f64
where
    F: Fn(u64) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Named + Send + 'static,
{
    let (start, done) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (operation, numbers) = (Arc::clone(&operation), Arc::clone(&numbers));
        let done = Arc::clone(&done);
        tasks.spawn(async move {
            while start.elapsed() < span {
                if operation(numbers.fetch_add(1, Ordering::Relaxed)).await.is_ok() {
                    done.fetch_add(1, Ordering::Relaxed);
                } else {
                    // A refusal that takes no time must not keep the thread.
                    sleep(Duration::from_millis(1)).await;
                }
            }
        });
    }
    // Dropping the tasks aborts what hangs.
    let all = async { while tasks.join_next().await.is_some() {} };
    let _late = timeout_at(start + span + PATIENCE, all).await;
    let seconds = start.elapsed().as_secs_f64();
    if seconds > 0.0 { float(done.load(Ordering::Relaxed)) / seconds } else { 0.0 }
}

/// What overload did to a service.
#[derive(Clone, Debug)]
pub struct OverloadReport {
    capacity_per_s: f64,
    times: f64,
    load: Report,
}

impl OverloadReport {
    /// What the service gets done a second when nobody exceeds it.
    #[must_use]
    pub const fn capacity_per_s(&self) -> f64 {
        self.capacity_per_s
    }

    /// The run above the capacity: latency is that of the accepted operations.
    #[must_use]
    pub const fn load(&self) -> &Report {
        &self.load
    }

    /// Operations that were not accepted: refused, failed, unfinished or not even started.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.load.offered() - self.load.ok()
    }

    /// The goodput under overload as a share of the capacity.
    #[must_use]
    pub fn kept(&self) -> f64 {
        if self.capacity_per_s > 0.0 {
            self.load.goodput_per_s() / self.capacity_per_s
        } else {
            0.0
        }
    }

    /// Does it keep this share of its goodput, with no more than so many callers waiting or under way?
    ///
    /// # Errors
    /// What does not hold, in one line.
    pub fn check(&self, share: f64, present: usize) -> Result<(), String> {
        let (kept, times) = (self.kept(), self.times);
        if kept < share {
            return Err(format!(
                "at {times} times the capacity {:.0} % of the goodput is left, not {:.0} %",
                kept * 100.0,
                share * 100.0
            ));
        }
        let peak = self.load.in_flight_peak() + self.load.queue_peak();
        if peak > present {
            return Err(format!("{peak} operations were present at once, more than {present}"));
        }
        Ok(())
    }

    /// Everything, as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "capacity_per_s": self.capacity_per_s,
            "times": self.times,
            "kept": self.kept(),
            "refused": self.refused(),
            "load": self.load.to_json(),
        })
    }
}

impl fmt::Display for OverloadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "capacity {:.0} /s; at {} times that, {:.0} % of it is left, {} refused",
            self.capacity_per_s,
            self.times,
            self.kept() * 100.0,
            self.refused()
        )?;
        self.load.fmt(f)
    }
}
