//! One of many does the work, and the others get what it got.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use openclaw_core::{Error, ErrorKind, Happened, Result};
use tokio::{
    sync::oneshot,
    task::{AbortHandle, JoinSet},
};

/// Work for many.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// What becomes of work when all who waited for it are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abandoned {
    /// It is dropped: it has changed nothing.
    Dropped,
    /// It goes on by itself, in a task of the flight. It may have changed something elsewhere.
    GoesOn,
}

/// A single flight: callers that come while work is under way get its outcome.
///
/// The work belongs to the flight, not to a caller: when the caller who waits for it is dropped,
/// the next one waits for the same work. It ends with the flight at the latest.
pub(crate) struct Flight<T> {
    abandoned: Abandoned,
    waiting: AtomicUsize,
    work: tokio::sync::Mutex<Option<Running<T>>>,
    last: Mutex<Last<T>>,
    /// Work that is nobody else's, in tasks of their own.
    alone: tokio::sync::Mutex<JoinSet<()>>,
}

/// Work under way, and the task that does it, if it has one.
struct Running<T> {
    work: Work<T>,
    task: Option<AbortHandle>,
}

impl<T: Send + 'static> Running<T> {
    fn start(work: Work<T>, abandoned: Abandoned) -> Self {
        if abandoned == Abandoned::Dropped {
            return Self { work, task: None };
        }
        let task = tokio::spawn(work);
        let handle = task.abort_handle();
        let work = async move {
            let broken = |_panicked| Error::new(ErrorKind::Unclassified, "shared work broke off");
            task.await.map_err(broken)?
        };
        Self { work: Box::pin(work), task: Some(handle) }
    }

    /// Has it ended, though nobody was there?
    fn is_over(&self) -> bool {
        self.task.as_ref().is_some_and(AbortHandle::is_finished)
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Last<T> {
    landed: u64,
    outcome: Option<Result<T>>,
}

impl<T: Clone + Send + 'static> Flight<T> {
    pub(crate) fn new(abandoned: Abandoned) -> Self {
        Self {
            abandoned,
            waiting: AtomicUsize::new(0),
            work: tokio::sync::Mutex::new(None),
            last: Mutex::new(Last { landed: 0, outcome: None }),
            alone: tokio::sync::Mutex::default(),
        }
    }

    /// The outcome of the work under way, or of the work that `begin` starts.
    pub(crate) async fn join(&self, begin: impl FnOnce() -> Work<T> + Send) -> Result<T> {
        let asked = self.last().landed;
        // Before the lock, so that it is dropped behind it.
        let _place = Place::take(self);
        let mut work = self.work.lock().await;
        if let Some(outcome) = self.since(asked) {
            return outcome;
        }
        // What ended while nobody waited may be long ago.
        if work.as_ref().is_some_and(Running::is_over) {
            *work = None;
        }
        work.get_or_insert_with(|| Running::start(begin(), self.abandoned));
        let outcome = drive(&mut work).await;
        self.land(outcome)
    }

    /// The outcome of work that is not shared. It goes on when its caller is dropped.
    pub(crate) async fn alone<R: Send + 'static>(
        &self,
        work: impl Future<Output = Result<R>> + Send + 'static,
    ) -> Result<R> {
        let (told, outcome) = oneshot::channel();
        let mut tasks = self.alone.lock().await;
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            // Whoever began it may have left.
            let _left = told.send(work.await);
        });
        drop(tasks);
        let broken = |_| Err(Error::new(ErrorKind::Unclassified, "the work broke off"));
        outcome.await.unwrap_or_else(broken)
    }

    /// Ends the work under way, if there is any: the outcome of what is shared.
    pub(crate) async fn settle(&self) -> Option<Result<T>> {
        let mut tasks = self.alone.lock().await;
        while tasks.join_next().await.is_some() {}
        drop(tasks);
        let mut work = self.work.lock().await;
        work.as_ref()?;
        let outcome = drive(&mut work).await;
        Some(self.land(outcome))
    }

    fn land(&self, outcome: Result<T>) -> Result<T> {
        let mut last = self.last();
        last.landed += 1;
        last.outcome = Some(again(&outcome));
        outcome
    }

    /// What landed after `asked`.
    fn since(&self, asked: u64) -> Option<Result<T>> {
        let last = self.last();
        last.outcome.as_ref().filter(|_| last.landed > asked).map(again)
    }

    fn last(&self) -> MutexGuard<'_, Last<T>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller's place among those who wait.
struct Place<'a, T>(&'a Flight<T>);

impl<'a, T> Place<'a, T> {
    fn take(flight: &'a Flight<T>) -> Self {
        flight.waiting.fetch_add(1, Ordering::AcqRel);
        Self(flight)
    }
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        let last = self.0.waiting.fetch_sub(1, Ordering::AcqRel) == 1;
        // Whoever has the lock by now waits for the work.
        if last
            && self.0.abandoned == Abandoned::Dropped
            && let Ok(mut work) = self.0.work.try_lock()
        {
            *work = None;
        }
    }
}

/// Polls the work where it lies. Work that panics is gone, so that nobody polls it again.
async fn drive<T>(slot: &mut Option<Running<T>>) -> Result<T> {
    poll_fn(|cx| {
        let Some(mut running) = slot.take() else {
            let lost = Error::new(ErrorKind::Unclassified, "shared work was polled after its end");
            return Poll::Ready(Err(lost.with_happened(Happened::No)));
        };
        let polled = running.work.as_mut().poll(cx);
        if polled.is_pending() {
            *slot = Some(running);
        }
        polled
    })
    .await
}

/// The outcome for somebody else who waits for it.
fn again<T: Clone>(outcome: &Result<T>) -> Result<T> {
    match outcome {
        Ok(value) => Ok(value.clone()),
        Err(error) => Err(same(error)),
    }
}

/// The same error without its cause, which stays with the first who got it.
fn same(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.message().to_owned());
    let copy = error.context().fold(copy, |copy, (key, value)| copy.with(key, value));
    let copy = copy.with_happened(error.happened()).with_public(error.public());
    match error.retry_after() {
        Some(after) => copy.with_retry_after(after),
        None => copy,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, atomic::AtomicU32},
        time::Duration,
    };

    use super::*;

    fn slow(runs: &Arc<AtomicU32>) -> Work<u32> {
        let runs = Arc::clone(runs);
        Box::pin(async move {
            let run = runs.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(run)
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_leader_leaves_its_work_to_the_next() {
        let (flight, runs) =
            (Arc::new(Flight::new(Abandoned::GoesOn)), Arc::new(AtomicU32::new(0)));
        let half = Duration::from_millis(500);
        let gone = tokio::time::timeout(half, flight.join(|| slow(&runs))).await;
        assert!(gone.is_err());
        let began = tokio::time::Instant::now();
        assert_eq!(flight.join(|| slow(&runs)).await.ok(), Some(0));
        assert_eq!(began.elapsed(), half, "it goes on, it does not begin again");
        assert_eq!(flight.join(|| slow(&runs)).await.ok(), Some(1), "later work is new");
    }

    #[tokio::test(start_paused = true)]
    async fn work_without_effect_ends_with_the_last_who_waits() {
        let (flight, runs) = (Flight::new(Abandoned::Dropped), Arc::new(AtomicU32::new(0)));
        let half = Duration::from_millis(500);
        assert!(tokio::time::timeout(half, flight.join(|| slow(&runs))).await.is_err());
        assert_eq!(flight.join(|| slow(&runs)).await.ok(), Some(1), "it begins again");
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_goes_on_needs_nobody_and_is_not_taken_for_new() {
        let (flight, runs) = (Flight::new(Abandoned::GoesOn), Arc::new(AtomicU32::new(0)));
        let half = Duration::from_millis(500);
        assert!(tokio::time::timeout(half, flight.join(|| slow(&runs))).await.is_err());
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(flight.join(|| slow(&runs)).await.ok(), Some(1), "the first is long ago");
        assert!(flight.settle().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_with_its_flight() {
        let (flight, done) = (Flight::new(Abandoned::GoesOn), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&done);
        let work = || -> Work<()> {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                counted.fetch_add(1, Ordering::Relaxed);
                Ok(())
            })
        };
        let half = Duration::from_millis(500);
        assert!(tokio::time::timeout(half, flight.join(work)).await.is_err());
        drop(flight);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(done.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_panics_does_not_panic_for_ever() {
        for abandoned in [Abandoned::Dropped, Abandoned::GoesOn] {
            let flight = Arc::new(Flight::<u32>::new(abandoned));
            let first = Arc::clone(&flight);
            let broken = async move { first.join(|| Box::pin(async { panic!("broken") })).await };
            let outcome = tokio::spawn(broken).await;
            assert!(!matches!(outcome, Ok(Ok(_))), "{outcome:?}");
            assert_eq!(flight.join(|| Box::pin(async { Ok(7) })).await.ok(), Some(7));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_everybodys() {
        let flight = Arc::new(Flight::<u32>::new(Abandoned::GoesOn));
        let runs = Arc::new(AtomicU32::new(0));
        let mut callers = JoinSet::new();
        for _ in 0..100 {
            let (flight, runs) = (Arc::clone(&flight), Arc::clone(&runs));
            callers.spawn(async move {
                let work = || -> Work<u32> {
                    Box::pin(async move {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        runs.fetch_add(1, Ordering::Relaxed);
                        Err(Error::new(ErrorKind::Unavailable, "down").with("grant", "crm"))
                    })
                };
                flight.join(work).await
            });
        }
        while let Some(outcome) = callers.join_next().await {
            let said = outcome.unwrap().unwrap_err().to_string();
            assert_eq!(said, "UNAVAILABLE: down (grant=crm)");
        }
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }
}
