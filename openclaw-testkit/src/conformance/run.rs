//! Running a law to its end, on a runtime of its own.

use std::{
    future::poll_fn,
    sync::{Arc, Barrier, mpsc},
    task::Poll,
    time::Duration,
};

use openclaw_core::Error;

/// What came of a law that was not broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It holds.
    Held,
    /// It asks for something that this type does not declare.
    NotDeclared(&'static str),
}

/// Which laws were run against one implementation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The laws that hold.
    pub held: Vec<&'static str>,
    /// The laws that don't apply, with what is not declared.
    pub not_declared: Vec<(&'static str, &'static str)>,
}

impl Report {
    pub(super) fn add(&mut self, law: &'static str, verdict: Verdict) {
        match verdict {
            Verdict::Held => self.held.push(law),
            Verdict::NotDeclared(what) => self.not_declared.push((law, what)),
        }
    }
}

/// Runs a law on one thread, in paused time unless the type lives in real time.
pub(super) fn block_on<T>(law: &str, real_time: bool, running: impl Future<Output = T>) -> T {
    // Paused time costs nothing to wait for; some laws wait for hours of it.
    let limit = Duration::from_secs(if real_time { 120 } else { 7 * 24 * 3_600 });
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(!real_time).build().expect("a runtime");
    runtime.block_on(async {
        let ended = tokio::time::timeout(limit, running).await;
        ended.unwrap_or_else(|_| {
            panic!(
                "{law} did not end. (Something with threads or sockets of its own needs a harness \
                 whose `real_time` is true.)"
            )
        })
    })
}

/// Runs all futures side by side on this task, and gives their outputs in order.
#[doc(hidden)]
pub async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|f| (Box::pin(f), None)).collect();
    poll_fn(|cx| {
        let mut open = false;
        for (future, output) in &mut running {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(value) => *output = Some(value),
                    Poll::Pending => open = true,
                }
            }
        }
        if open { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

/// Runs all of these at once, each on a thread of its own, and waits for them.
pub(super) fn threads<T: Send + 'static>(
    jobs: impl IntoIterator<Item = impl FnOnce() -> T + Send + 'static>,
) -> Vec<T> {
    let jobs: Vec<_> = jobs.into_iter().collect();
    // Nobody begins before all are there: otherwise one thread could do two jobs in turn.
    let all_there = Arc::new(Barrier::new(jobs.len()));
    let start = |job: Box<dyn FnOnce() -> T + Send>| {
        let (all_there, (done, answer)) = (Arc::clone(&all_there), mpsc::channel());
        drop(tokio::task::spawn_blocking(move || {
            all_there.wait();
            drop(done.send(job()));
        }));
        answer
    };
    let running: Vec<_> = jobs.into_iter().map(|job| start(Box::new(job))).collect();
    let ended = running.into_iter().map(|answer| answer.recv());
    ended.map(|answer| answer.expect("a thread that ends without a panic")).collect()
}

/// Runs the second to its end while the first goes on, too.
pub(super) async fn beside<F: Future>(background: impl Future, running: F) -> F::Output {
    let background = async {
        background.await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        never = background => never,
        output = running => output,
    }
}

/// Polls a future at most this often, and then drops it.
///
/// A future that nothing wakes within the limit is dropped too.
#[doc(hidden)]
pub async fn abandon<F: Future>(running: F, polls: usize, limit: Duration) -> Option<F::Output> {
    let mut running = Box::pin(running);
    let mut left = polls;
    let some = poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match running.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    tokio::time::timeout(limit, some).await.unwrap_or(None)
}

/// Does what this error shows to people quote this text?
#[doc(hidden)]
#[must_use]
pub fn quotes(e: &Error, text: &str) -> bool {
    [e.to_string(), format!("{e:?}"), e.public().to_owned()]
        .iter()
        .any(|shown| shown.contains(text))
}
