//! The service at the bottom: strict about readiness, and it keeps what it sees.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as Task, Poll},
    time::Duration,
};

use openclaw_core::{Error, ErrorKind, Happened};
use tokio::time::Sleep;
use tower_service::Service;

use super::Ask;

/// What all probes of one stack share: how they behave, and what they saw.
#[derive(Clone, Debug, Default)]
pub struct Inner(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(super) struct State {
    /// How long a probe takes to be ready.
    pub(super) ready_after: Duration,
    /// How long an answer takes.
    pub(super) answer_after: Duration,
    pub(super) fails: bool,
    pub(super) fails_to_be_ready: bool,
    /// What arrived, in order.
    pub(super) heads: Vec<String>,
    /// Calls of probes that were not ready.
    pub(super) unready: usize,
    /// Calls that have neither ended nor been dropped.
    pub(super) open: usize,
}

impl Inner {
    /// A probe on this side.
    #[must_use]
    pub fn probe<R: Ask>(&self) -> Probe<R> {
        Probe { inner: self.clone(), ready: false, wait: None, request: PhantomData }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A service that is ready only for one call behind each `poll_ready`, and never as a clone.
pub struct Probe<R> {
    inner: Inner,
    ready: bool,
    wait: Option<Pin<Box<Sleep>>>,
    request: PhantomData<fn(R)>,
}

impl<R> Clone for Probe<R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), ready: false, wait: None, request: PhantomData }
    }
}

impl<R> fmt::Debug for Probe<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("ready", &self.ready).finish_non_exhaustive()
    }
}

pub(super) const FAILED: &str = "the probe failed";

fn failure() -> Error {
    Error::new(ErrorKind::Unavailable, FAILED).with_happened(Happened::No)
}

impl<R: Ask> Service<R> for Probe<R> {
    type Response = R::Answer;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<R::Answer, Error>> + Send>>;

    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), Error>> {
        let (fails, after) = {
            let state = self.inner.state();
            (state.fails_to_be_ready, state.ready_after)
        };
        if fails {
            return Poll::Ready(Err(failure()));
        }
        if !self.ready && !after.is_zero() {
            let wait = self.wait.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
            if wait.as_mut().poll(task).is_pending() {
                return Poll::Pending;
            }
            self.wait = None;
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (after, fails) = {
            let mut state = self.inner.state();
            state.unready += usize::from(!self.ready);
            state.heads.push(request.head());
            state.open += 1;
            (state.answer_after, state.fails)
        };
        self.ready = false;
        let open = Open(self.inner.clone());
        let answer = if fails { Err(failure()) } else { Ok(request.answer()) };
        Box::pin(async move {
            let _open = open;
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            answer
        })
    }
}

/// A call that has not ended.
struct Open(Inner);

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open -= 1;
    }
}
