//! `Model`: a language model behind one small port.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Call, Context, Effect, Error, ErrorKind, ModelId, Result};

/// Who speaks in a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// The program's instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
}

/// A tool call that a model asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCall {
    /// The model's own id of the call.
    pub id: Arc<str>,
    /// The tool's name.
    pub name: Arc<str>,
    /// The arguments, unchecked.
    pub input: Value,
}

impl ToolCall {
    /// A call of this tool.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>, name: impl Into<Arc<str>>, input: Value) -> Self {
        Self { id: id.into(), name: name.into(), input }
    }
}

/// One message of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PromptMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: Arc<str>,
    /// What the assistant asked for in this message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// Which call this is the result of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Arc<str>>,
}

impl PromptMessage {
    /// Words by this role.
    #[must_use]
    pub fn new(role: Role, text: impl Into<Arc<str>>) -> Self {
        Self { role, text: text.into(), calls: Vec::new(), answers: None }
    }
}

/// A tool as a model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tool {
    /// Its name.
    pub name: Arc<str>,
    /// What it is for.
    pub description: Arc<str>,
    /// JSON Schema of its input.
    pub input: Arc<Value>,
}

impl Tool {
    /// A tool with this input schema.
    #[must_use]
    pub fn new(
        name: impl Into<Arc<str>>,
        description: impl Into<Arc<str>>,
        input: Arc<Value>,
    ) -> Self {
        Self { name: name.into(), description: description.into(), input }
    }
}

/// What a model is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Prompt {
    /// The conversation, oldest first.
    pub messages: Vec<PromptMessage>,
    /// The tools it may ask for.
    pub tools: Vec<Tool>,
    /// At most this many tokens of output; the provider's default when `None`.
    pub max_output: Option<u32>,
}

impl Prompt {
    /// A prompt of these messages.
    #[must_use]
    pub const fn new(messages: Vec<PromptMessage>) -> Self {
        Self { messages, tools: Vec::new(), max_output: None }
    }
}

impl Call<Arc<Prompt>> {
    /// A call of this model. Model calls are pure: they may be repeated.
    #[must_use]
    pub fn model(context: Context, model: &dyn Model, prompt: Arc<Prompt>) -> Self {
        Self::stamped(context, model.id().as_str(), Effect::Pure, prompt)
    }
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stop {
    /// It was done.
    #[default]
    End,
    /// It wants tools called.
    Tools,
    /// The output limit was reached.
    Length,
    /// The provider withheld the rest.
    Filtered,
}

/// Tokens of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub input: u64,
    /// Tokens read from the provider's cache.
    pub cached: u64,
    /// Tokens written.
    pub output: u64,
}

/// What a model answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelReply {
    /// The words.
    pub text: String,
    /// The tools it wants called.
    pub calls: Vec<ToolCall>,
    /// Why it stopped.
    pub stop: Stop,
    /// What it cost.
    pub usage: Usage,
}

impl ModelReply {
    /// A reply of words alone.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// A reply as it comes in.
///
/// The pieces, none of them empty, join to the text of the reply that `finish` gives.
#[async_trait]
pub trait ModelStream: Send + fmt::Debug {
    /// The next piece of text; `None` when the reply is whole, and from then on.
    ///
    /// # Errors
    /// The stream broke; the reply so far is not a reply.
    async fn next(&mut self) -> Result<Option<String>>;

    /// The whole reply, once `next` answered `None`.
    ///
    /// # Errors
    /// The stream did not end.
    async fn finish(self: Box<Self>) -> Result<ModelReply>;
}

/// A language model behind one small port.
///
/// Each sentence is a law in `openclaw_testkit::conformance::model`:
///
/// * `complete` makes exactly one request, with the whole prompt; retries, limits and fail-over
///   are layers around it. So does `stream`, and both give the same reply.
/// * `stream` returns only once the provider has accepted the request, so that a refusal (a
///   429) is an error of the call and not of the first piece. It is a `RATE_LIMITED` that says
///   when a repeat makes sense.
/// * A stream that breaks is an error, never a short reply.
/// * No error quotes the prompt.
/// * Calls side by side neither wait for each other nor mix up their replies.
#[async_trait]
pub trait Model: Send + Sync + fmt::Debug + 'static {
    /// The model's name, with its provider.
    fn id(&self) -> &ModelId;

    /// Asks once.
    ///
    /// # Errors
    /// The provider refused, failed or did not answer.
    async fn complete(&self, call: Call<Arc<Prompt>>) -> Result<ModelReply>;

    /// Asks once and reads the reply as it comes; by default in one piece.
    ///
    /// # Errors
    /// As [`Model::complete`].
    async fn stream(&self, call: Call<Arc<Prompt>>) -> Result<Box<dyn ModelStream>> {
        let reply = self.complete(call).await?;
        Ok(Box::new(Whole { text: Some(reply.text.clone()), reply, read: false }))
    }
}

#[derive(Debug)]
struct Whole {
    text: Option<String>,
    reply: ModelReply,
    read: bool,
}

#[async_trait]
impl ModelStream for Whole {
    async fn next(&mut self) -> Result<Option<String>> {
        let piece = self.text.take().filter(|text| !text.is_empty());
        self.read = piece.is_none();
        Ok(piece)
    }

    async fn finish(self: Box<Self>) -> Result<ModelReply> {
        if self.read {
            return Ok(self.reply);
        }
        Err(Error::new(ErrorKind::Conflict, "the stream has not ended: read it until `None`"))
    }
}
