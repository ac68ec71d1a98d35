//! A model and its provider, and the steps that laws are made of.

use std::{fmt, sync::Arc, time::Duration};

use openclaw_core::{
    Call, Context, Result, TenantId,
    model::{Model, ModelReply, Prompt, PromptMessage, Role},
};
use tokio::time::timeout;

use super::{Meets, ModelHarness, ModelPeer};

/// A model under trial, with its provider.
pub struct Trial<'a> {
    harness: &'a dyn ModelHarness,
    model: Box<dyn Model>,
    peer: Box<dyn ModelPeer>,
    /// Does the provider tell what it was asked?
    tells: bool,
    soon: Duration,
    quiet: Duration,
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trial({:?})", self.model)
    }
}

/// What a model must declare, or its harness offer, for a law to apply.
#[derive(Clone, Copy)]
pub(super) enum Need {
    Nothing,
    Prompts,
    Tools,
    Usage,
    Pieces,
    Deadlines,
}

impl<'a> Trial<'a> {
    /// Puts a new model of this harness on trial.
    pub async fn new(harness: &'a dyn ModelHarness) -> Self {
        let (model, peer) = harness.fresh().await;
        let tells = peer.prompts().await.is_some();
        let (soon, quiet) = match harness.real_time() {
            true => (Duration::from_secs(20), Duration::from_millis(200)),
            false => (Duration::from_secs(3_600), Duration::from_secs(60)),
        };
        Self { harness, model, peer, tells, soon, quiet }
    }

    pub(super) fn missing(&self, need: Need) -> Option<&'static str> {
        let (met, what) = match need {
            Need::Nothing => (true, ""),
            Need::Prompts => (self.tells, "a provider that tells its prompts"),
            Need::Tools => (self.harness.calls_tools(), "tools"),
            Need::Usage => (self.harness.counts_usage(), "usage"),
            Need::Pieces => (self.harness.streams_in_pieces(), "pieces"),
            Need::Deadlines => (self.harness.keeps_deadlines(), "deadlines"),
        };
        (!met).then_some(what)
    }

    pub(super) fn model(&self) -> &dyn Model {
        &*self.model
    }

    pub(super) const fn soon(&self) -> Duration {
        self.soon
    }

    pub(super) async fn quiet(&self) {
        tokio::time::sleep(self.quiet).await;
    }

    pub(super) async fn meets(&self, next: Meets) {
        self.peer.script(next).await;
    }

    pub(super) async fn requests(&self) -> usize {
        self.peer.requests().await
    }

    pub(super) async fn prompts(&self) -> Vec<Prompt> {
        self.peer.prompts().await.expect("a provider that tells its prompts")
    }

    pub(super) fn call(&self, prompt: Prompt) -> Call<Arc<Prompt>> {
        let context = Context::new(TenantId::new("law").expect("a tenant"));
        Call::model(context, &*self.model, Arc::new(prompt))
    }

    pub(super) async fn complete(&self, prompt: Prompt) -> Result<ModelReply> {
        let answer = timeout(self.soon, self.model.complete(self.call(prompt))).await;
        answer.expect("`complete` does not answer")
    }

    /// Reads a whole stream: its pieces and its reply.
    pub(super) async fn stream(&self, prompt: Prompt) -> Result<(Vec<String>, ModelReply)> {
        let read = async {
            let mut stream = self.model.stream(self.call(prompt)).await?;
            let mut pieces = Vec::new();
            while let Some(piece) = stream.next().await? {
                pieces.push(piece);
            }
            Ok((pieces, stream.finish().await?))
        };
        timeout(self.soon, read).await.expect("the stream does not end")
    }
}

/// A prompt that says this.
pub(super) fn says(text: &str) -> Prompt {
    let system = PromptMessage::new(Role::System, "Repeat what you hear.");
    Prompt::new(vec![system, PromptMessage::new(Role::User, text)])
}

/// A reply of many words, with what is hard to cut.
pub(super) const WORDS: &str =
    "One  two\nthree — “four” 👩‍👩‍👧 fünf 六.\n\n{\"seven\": [8]} \\n nine \u{202e}ten ";
