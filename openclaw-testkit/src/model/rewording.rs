//! A model that words its answers differently at every request, as models do.

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_core::{
    Call, Env, ModelId, Result,
    model::{Model, ModelReply, ModelStream, Prompt},
};

use super::pieces::Pieces;
use crate::{agent::rewording::reword, env::SeededRng};

/// A [`Model`] whose words and tool arguments are worded anew at every request.
///
/// It asks for the same tools, under other call ids. Its streams come in seeded pieces.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use openclaw_core::{Call, Context, TenantId, model::{Model, Prompt}};
/// use openclaw_testkit::{env::test_env, model::{RewordingModel, ScriptedModel}};
///
/// let script = ScriptedModel::new("test/model")?.otherwise("Hello");
/// let model = RewordingModel::new(script, test_env(7));
/// let context = Context::new(TenantId::new("acme")?);
/// let ask = || Call::model(context.clone(), &model, Arc::new(Prompt::default()));
/// let (a, b) = (model.complete(ask()).await?, model.complete(ask()).await?);
/// assert!(a.text.starts_with("Hello") && b.text.starts_with("Hello"));
/// assert_ne!(a.text, b.text);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RewordingModel<M> {
    inner: M,
    env: Env,
}

impl<M: Model> RewordingModel<M> {
    /// Says what this model says, in words that `env` decides.
    #[must_use]
    pub const fn new(inner: M, env: Env) -> Self {
        Self { inner, env }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<M: Model> Model for RewordingModel<M> {
    fn id(&self) -> &ModelId {
        self.inner.id()
    }

    async fn complete(&self, call: Call<Arc<Prompt>>) -> Result<ModelReply> {
        let mut reply = self.inner.complete(call).await?;
        let wording = format!("{:08x}", self.env.next_u64() >> 32);
        if !reply.text.is_empty() {
            reply.text = format!("{} – or: {wording}", reply.text);
        }
        for call in &mut reply.calls {
            call.input = reword(std::mem::take(&mut call.input), &wording);
            call.id = format!("{}-{wording}", call.id).into();
        }
        Ok(reply)
    }

    async fn stream(&self, call: Call<Arc<Prompt>>) -> Result<Box<dyn ModelStream>> {
        let reply = self.complete(call).await?;
        Ok(Box::new(Pieces::of(reply, &SeededRng::new(self.env.next_u64()))))
    }
}
