//! A layer around a probe, without its types.

use std::{
    error::Error as StdError,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context as Task, Poll},
};

use openclaw_core::Error;
use tower_service::Service;

use super::{Ask, probe::FAILED};

type BoxError = Box<dyn StdError + Send + Sync>;
type Answering = Pin<Box<dyn Future<Output = Result<String, Failure>> + Send>>;

/// A layer around a probe.
pub struct Stack(Box<dyn Stacked>);

/// What a stack answers when it fails.
#[derive(Debug)]
pub struct Failure(BoxError);

impl Failure {
    /// Is it the probe's own error, or does it name that as its cause?
    #[must_use]
    pub fn is_inner(&self) -> bool {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&*self.0);
        while let Some(e) = cause {
            if e.downcast_ref::<Error>().is_some_and(|e| e.message() == FAILED) {
                return true;
            }
            cause = e.source();
        }
        false
    }
}

trait Stacked: Send + Sync {
    fn copied(&self) -> Box<dyn Stacked>;
    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), Failure>>;
    fn call(&mut self, n: u64) -> Answering;
    fn expected(&self, n: u64) -> (String, String);
}

struct Typed<R, S>(S, std::marker::PhantomData<fn(R)>);

impl<R, S> Stacked for Typed<R, S>
where
    R: Ask,
    S: Service<R, Response = R::Answer> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn copied(&self) -> Box<dyn Stacked> {
        Box::new(Self(self.0.clone(), self.1))
    }

    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), Failure>> {
        self.0.poll_ready(task).map_err(|e| Failure(e.into()))
    }

    fn call(&mut self, n: u64) -> Answering {
        let answering = self.0.call(R::ask(n));
        Box::pin(async move {
            let answer = answering.await.map_err(|e| Failure(e.into()))?;
            Ok(R::text(&answer))
        })
    }

    fn expected(&self, n: u64) -> (String, String) {
        let request = R::ask(n);
        (request.head(), R::text(&request.answer()))
    }
}

/// More polls than any call needs: whoever reaches it polls without end.
const ENDLESS: u32 = 10_000;

impl Stack {
    /// Takes a service that wraps a probe.
    ///
    /// A service that can't be cloned, sent or shared is none that a gateway can use: that
    /// is checked here, by the compiler.
    pub fn new<R, S>(service: S) -> Self
    where
        R: Ask,
        S: Service<R, Response = R::Answer> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        Self(Box::new(Typed(service, std::marker::PhantomData)))
    }

    /// Waits until the service is ready.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        poll_fn(|task| self.0.poll_ready(task)).await
    }

    /// Calls the service, which is ready. Also tells how often it was polled.
    pub(super) fn call(
        &mut self,
        n: u64,
    ) -> impl Future<Output = (Result<String, Failure>, u32)> + use<> {
        let mut answering = self.0.call(n);
        let mut polls = 0;
        poll_fn(move |task| {
            polls += 1;
            assert!(polls < ENDLESS, "it is polled without end");
            answering.as_mut().poll(task).map(|answer| (answer, polls))
        })
    }

    /// How this request must arrive, and what its answer must be.
    pub(super) fn expected(&self, n: u64) -> (String, String) {
        self.0.expected(n)
    }

    /// Makes the service ready and calls it.
    pub(super) async fn ask(&mut self, n: u64) -> Result<String, Failure> {
        self.ready().await?;
        self.call(n).await.0
    }
}

impl Clone for Stack {
    fn clone(&self) -> Self {
        Self(self.0.copied())
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stack")
    }
}
