//! A model whose first requests come to trouble.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{
    Call, Error, ErrorKind, Happened, ModelId, Result,
    model::{Model, ModelReply, ModelStream, Prompt},
};

use super::pieces::{Pieces, broken};
use crate::env::SeededRng;

/// What a request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Glitch {
    /// `RATE_LIMITED`, and not before this long.
    Limit(Duration),
    /// `SERVER_ERROR`.
    Fail,
    /// A panic.
    Panic,
    /// No answer ever.
    Hang,
    /// The stream breaks off in its middle; a request without a stream fails.
    Cut,
}

/// A [`Model`] whose first requests come to trouble.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use openclaw_core::{Call, Context, ErrorKind, TenantId, model::{Model, Prompt}};
/// use openclaw_testkit::model::{FlakyModel, Glitch, ScriptedModel};
///
/// let calm = ScriptedModel::new("test/model")?.otherwise("Hello");
/// let model = FlakyModel::new(calm, Glitch::Fail).times(1);
/// let context = Context::new(TenantId::new("acme")?);
/// let ask = || Call::model(context.clone(), &model, Arc::new(Prompt::default()));
/// assert_eq!(model.complete(ask()).await.unwrap_err().kind(), ErrorKind::ServerError);
/// assert_eq!(model.complete(ask()).await?.text, "Hello");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct FlakyModel<M> {
    inner: M,
    glitch: Glitch,
    left: AtomicU32,
    rng: SeededRng,
}

impl<M: Model> FlakyModel<M> {
    /// Comes to this trouble at every request.
    #[must_use]
    pub fn new(inner: M, glitch: Glitch) -> Self {
        Self { inner, glitch, left: AtomicU32::new(u32::MAX), rng: SeededRng::new(1) }
    }

    /// Comes to trouble only at the first `times` requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.left = AtomicU32::new(times);
        self
    }

    /// The trouble of this request, if there is one left.
    fn glitch(&self) -> Option<Glitch> {
        let less = |left: u32| left.checked_sub(1);
        let had = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        had.is_ok().then_some(self.glitch)
    }
}

#[expect(clippy::panic, reason = "to panic is what it is for")]
async fn meet(glitch: Glitch) -> Error {
    match glitch {
        Glitch::Limit(after) => Error::new(ErrorKind::RateLimited, "too many requests")
            .with_happened(Happened::No)
            .with_retry_after(after),
        Glitch::Fail => Error::new(ErrorKind::ServerError, "the model fails, as the test asked"),
        Glitch::Panic => panic!("the model panics, as the test asked"),
        Glitch::Hang => pending().await,
        Glitch::Cut => broken(),
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<M: Model> Model for FlakyModel<M> {
    fn id(&self) -> &ModelId {
        self.inner.id()
    }

    async fn complete(&self, call: Call<Arc<Prompt>>) -> Result<ModelReply> {
        match self.glitch() {
            Some(glitch) => Err(meet(glitch).await),
            None => self.inner.complete(call).await,
        }
    }

    async fn stream(&self, call: Call<Arc<Prompt>>) -> Result<Box<dyn ModelStream>> {
        match self.glitch() {
            Some(Glitch::Cut) => {
                let reply = self.inner.complete(call).await?;
                Ok(Box::new(Pieces::of(reply, &self.rng).cut_in_half()))
            }
            Some(glitch) => Err(meet(glitch).await),
            None => self.inner.stream(call).await,
        }
    }
}
