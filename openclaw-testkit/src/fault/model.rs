//! A model whose requests and streams meet faults.

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_core::{
    Call, ModelId, Result,
    model::{Model, ModelReply, ModelStream, Prompt},
};

use super::{Fault, Plan, pass::injected};

/// A [`Model`] whose operations meet the faults of a [`Plan`].
///
/// * `"complete"` and `"stream"`: call.
/// * `"next"` and `"finish"`, of a stream: ask.
///
/// Each also has the model's id for a name.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use openclaw_core::{Call, Context, ModelId, TenantId, model::{Model, ModelReply, Prompt}};
/// use openclaw_testkit::fault::{FaultModel, Plan};
///
/// #[derive(Debug)]
/// struct Parrot(ModelId);
///
/// #[async_trait::async_trait]
/// impl Model for Parrot {
///     fn id(&self) -> &ModelId {
///         &self.0
///     }
///     async fn complete(&self, _: Call<Arc<Prompt>>) -> openclaw_core::Result<ModelReply> {
///         Ok(ModelReply::text("hello"))
///     }
/// }
///
/// let plan = Plan::default();
/// let model = FaultModel::new(Parrot(ModelId::new("parrot")?), plan.clone());
/// let call = Call::model(Context::new(TenantId::new("acme")?), &model, Arc::default());
/// plan.fail_next("complete", 1);
/// assert!(model.complete(call.clone()).await.is_err());
/// assert_eq!(model.complete(call).await?.text, "hello");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FaultModel<M> {
    inner: M,
    plan: Plan,
}

impl<M: Model> FaultModel<M> {
    /// This model under this plan.
    #[must_use]
    pub const fn new(inner: M, plan: Plan) -> Self {
        Self { inner, plan }
    }

    /// The plan that it meets.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<M: Model> Model for FaultModel<M> {
    fn id(&self) -> &ModelId {
        self.inner.id()
    }

    async fn complete(&self, call: Call<Arc<Prompt>>) -> Result<ModelReply> {
        let names = ["complete", self.id().as_str()];
        let pass = self.plan.enter(&names, Fault::calling, injected).await?;
        let again = pass.twice().then(|| call.clone());
        let outcome = self.inner.complete(call).await;
        if let Some(again) = again {
            drop(self.inner.complete(again).await);
        }
        pass.leave(outcome).await
    }

    async fn stream(&self, call: Call<Arc<Prompt>>) -> Result<Box<dyn ModelStream>> {
        let names = ["stream", self.id().as_str()];
        let pass = self.plan.enter(&names, Fault::calling, injected).await?;
        let again = pass.twice().then(|| call.clone());
        let outcome = self.inner.stream(call).await;
        if let Some(again) = again {
            drop(self.inner.stream(again).await);
        }
        let inner = pass.leave(outcome).await?;
        Ok(Box::new(FaultStream { inner, model: self.id().clone(), plan: self.plan.clone() }))
    }
}

#[derive(Debug)]
struct FaultStream {
    inner: Box<dyn ModelStream>,
    model: ModelId,
    plan: Plan,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ModelStream for FaultStream {
    async fn next(&mut self) -> Result<Option<String>> {
        let names = ["next", self.model.as_str()];
        let pass = self.plan.enter(&names, Fault::asking, injected).await?;
        pass.leave(self.inner.next().await).await
    }

    async fn finish(self: Box<Self>) -> Result<ModelReply> {
        let names = ["finish", self.model.as_str()];
        let pass = self.plan.enter(&names, Fault::asking, injected).await?;
        pass.leave(self.inner.finish().await).await
    }
}
