//! A model that plays a script: one entry for each request.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use openclaw_core::{
    Call, Error, ErrorKind, InvalidId, ModelId, Result,
    model::{Model, ModelReply, ModelStream, Prompt, Stop, ToolCall},
};
use serde_json::Value;

use super::pieces::{Pieces, broken};
use crate::env::SeededRng;

/// A [`Model`] that plays a script, one entry for each request. Clones play the same script.
///
/// Behind the script it fails, unless [`otherwise`](Self::otherwise) says what it answers.
/// Streams come in pieces of one to twelve characters, which the seed decides.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use openclaw_core::{Call, Context, ErrorKind, TenantId, model::{Model, Prompt, Stop}};
/// use openclaw_testkit::model::ScriptedModel;
/// use serde_json::json;
///
/// let model = ScriptedModel::new("test/model")?
///     .calls("refund.create", json!({"order": 1042}))
///     .fails(ErrorKind::RateLimited)
///     .says("Refunded.");
/// let ask = || {
///     let context = Context::new(TenantId::new("acme")?);
///     Ok::<_, openclaw_core::InvalidId>(Call::model(context, &model, Arc::new(Prompt::default())))
/// };
/// let reply = model.complete(ask()?).await?;
/// assert_eq!((reply.stop, &*reply.calls[0].name), (Stop::Tools, "refund.create"));
/// assert_eq!(model.complete(ask()?).await.unwrap_err().kind(), ErrorKind::RateLimited);
/// let mut stream = model.stream(ask()?).await?;
/// let mut text = String::new();
/// while let Some(piece) = stream.next().await? {
///     text.push_str(&piece);
/// }
/// assert_eq!(text, "Refunded.");
/// assert_eq!(model.prompts().len(), 3);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ScriptedModel {
    id: ModelId,
    rng: SeededRng,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<Entry>,
    otherwise: Option<ModelReply>,
    prompts: Vec<Arc<Prompt>>,
    calls: u64,
}

#[derive(Clone, Debug)]
enum Entry {
    Reply(ModelReply),
    Fail(ErrorKind),
    Cut(ModelReply),
}

impl ScriptedModel {
    /// A model of this name without a script.
    ///
    /// # Errors
    /// The name is no [`ModelId`].
    pub fn new(name: &str) -> Result<Self, InvalidId> {
        Ok(Self { id: ModelId::new(name)?, rng: SeededRng::new(1), state: Arc::default() })
    }

    /// Cuts its streams into pieces as this seed decides. 1 unless set.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.rng = SeededRng::new(seed);
        self
    }

    /// Answers these words.
    #[must_use]
    pub fn says(self, text: impl Into<String>) -> Self {
        self.replies(ModelReply::text(text))
    }

    /// Asks for this tool.
    #[must_use]
    pub fn calls(self, tool: &str, input: Value) -> Self {
        self.calls_all([(tool, input)])
    }

    /// Asks for these tools at once.
    #[must_use]
    pub fn calls_all<'a>(self, tools: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let mut reply = ModelReply::default();
        reply.stop = Stop::Tools;
        for (tool, input) in tools {
            let id = {
                let mut state = self.state();
                state.calls += 1;
                format!("call-{}", state.calls)
            };
            reply.calls.push(ToolCall::new(id, tool, input));
        }
        self.replies(reply)
    }

    /// Answers exactly this.
    #[must_use]
    pub fn replies(self, reply: ModelReply) -> Self {
        self.push(Entry::Reply(reply))
    }

    /// Refuses with an error of this kind.
    #[must_use]
    pub fn fails(self, kind: ErrorKind) -> Self {
        self.push(Entry::Fail(kind))
    }

    /// Streams these words and breaks off; a request without a stream fails.
    #[must_use]
    pub fn breaks_off(self, text: impl Into<String>) -> Self {
        self.push(Entry::Cut(ModelReply::text(text)))
    }

    /// Answers these words to every request behind the script.
    #[must_use]
    pub fn otherwise(self, text: impl Into<String>) -> Self {
        self.state().otherwise = Some(ModelReply::text(text));
        self
    }

    /// What it was asked, in order.
    #[must_use]
    pub fn prompts(&self) -> Vec<Arc<Prompt>> {
        self.state().prompts.clone()
    }

    /// Entries that no request has met yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.state().script.len()
    }

    fn push(self, entry: Entry) -> Self {
        self.state().script.push_back(entry);
        self
    }

    fn next(&self, call: Call<Arc<Prompt>>) -> Result<Entry> {
        let mut state = self.state();
        state.prompts.push(call.into_payload());
        let over = || Error::new(ErrorKind::Unsupported, "the model's script is at its end");
        let next = state.script.pop_front();
        next.or_else(|| state.otherwise.clone().map(Entry::Reply)).ok_or_else(over)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(kind: ErrorKind) -> Error {
    Error::new(kind, "the model refuses, as the test asked")
}

#[async_trait]
impl Model for ScriptedModel {
    fn id(&self) -> &ModelId {
        &self.id
    }

    async fn complete(&self, call: Call<Arc<Prompt>>) -> Result<ModelReply> {
        match self.next(call)? {
            Entry::Reply(reply) => Ok(reply),
            Entry::Fail(kind) => Err(refusal(kind)),
            Entry::Cut(_) => Err(broken()),
        }
    }

    async fn stream(&self, call: Call<Arc<Prompt>>) -> Result<Box<dyn ModelStream>> {
        match self.next(call)? {
            Entry::Reply(reply) => Ok(Box::new(Pieces::of(reply, &self.rng))),
            Entry::Fail(kind) => Err(refusal(kind)),
            Entry::Cut(reply) => Ok(Box::new(Pieces::of(reply, &self.rng).cut())),
        }
    }
}
