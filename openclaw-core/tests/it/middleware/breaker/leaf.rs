//! A service that does as it is told, and counts what is asked of it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use openclaw_core::{
    Call, Error, ErrorKind,
    middleware::breaker::{BreakerHandle, BreakerLayer},
};
use openclaw_testkit::conformance::layer::Ask;
use tokio::time::{Instant, Sleep};
use tower::{Layer, Service, ServiceExt};

/// What a leaf does, and what was done to it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The kind it fails with.
    pub(crate) fails: Option<ErrorKind>,
    pub(crate) ready_after: Duration,
    pub(crate) answers_after: Duration,
    /// Polls that only wake, before it is ready, and before it answers.
    pub(crate) pends: u32,
    pub(crate) ready_polls: u32,
    pub(crate) calls: u32,
    pub(crate) refuses_readiness: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Leaf(Arc<Mutex<Told>>);

impl Leaf {
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }

    pub(crate) fn service(&self) -> Ready {
        Ready { leaf: self.clone(), wait: None }
    }
}

/// What waits first: for a time, then for some polls.
struct Wait(Option<Pin<Box<Sleep>>>, u32);

impl Wait {
    fn new(after: Duration, polls: u32) -> Self {
        let sleep = (!after.is_zero()).then(|| Box::pin(tokio::time::sleep(after)));
        Self(sleep, polls)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.1 > 0 {
            self.1 -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.0.as_mut().map_or(Poll::Ready(()), |sleep| sleep.as_mut().poll(cx))
    }
}

pub(crate) struct Ready {
    leaf: Leaf,
    wait: Option<Wait>,
}

impl Clone for Ready {
    fn clone(&self) -> Self {
        self.leaf.service()
    }
}

impl<R> Service<R> for Ready {
    type Response = ();
    type Error = Error;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut told = self.leaf.told();
        told.ready_polls += 1;
        if told.refuses_readiness {
            return Poll::Ready(Err(Error::new(ErrorKind::Unavailable, "it can't get ready")));
        }
        let (after, pends) = (told.ready_after, told.pends);
        drop(told);
        self.wait.get_or_insert_with(|| Wait::new(after, pends)).poll(cx).map(Ok)
    }

    fn call(&mut self, _: R) -> Answer {
        let mut told = self.leaf.told();
        told.calls += 1;
        Answer { fails: told.fails, wait: Wait::new(told.answers_after, told.pends) }
    }
}

pub(crate) struct Answer {
    fails: Option<ErrorKind>,
    wait: Wait,
}

impl Future for Answer {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.wait.poll(cx).map(|()| match self.fails {
            None => Ok(()),
            Some(kind) => Err(Error::new(kind, "as told")),
        })
    }
}

/// A call of our own.
pub(crate) fn request() -> Call<u64> {
    Call::ask(1)
}

pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A breaker around a leaf, and its handle.
pub(crate) struct Rig {
    pub(crate) leaf: Leaf,
    pub(crate) handle: BreakerHandle,
    pub(crate) layer: BreakerLayer,
}

impl Rig {
    pub(crate) fn new(layer: BreakerLayer) -> Self {
        Self { leaf: Leaf::default(), handle: layer.handle(), layer }
    }

    /// One call, as the layer answers it.
    pub(crate) async fn call(&self) -> Result<(), Error> {
        self.layer.layer(self.leaf.service()).oneshot(request()).await
    }

    /// So many calls that end like this.
    pub(crate) async fn calls(&self, n: u32, fails: impl Into<Option<ErrorKind>>) {
        self.leaf.told().fails = fails.into();
        for _ in 0..n {
            drop(self.call().await);
        }
    }

    pub(crate) async fn fail(&self, n: u32) {
        self.calls(n, ErrorKind::Unavailable).await;
    }

    pub(crate) async fn succeed(&self, n: u32) {
        self.calls(n, None).await;
    }

    /// Fails until it is open, and waits until it would try again.
    pub(crate) async fn half_open(&self) {
        self.fail(5).await;
        let wait = self.handle.would_refuse(Instant::now()).expect("it is not open");
        tokio::time::advance(wait).await;
    }
}
