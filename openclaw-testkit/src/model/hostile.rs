//! A model that answers what a hostile or broken one would.

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_core::{
    Call, InvalidId, ModelId, Result,
    model::{Model, ModelReply, ModelStream, Prompt, Stop, ToolCall, Usage},
};
use serde_json::{Value, json};

use super::pieces::Pieces;
use crate::{agent::corpus, env::SeededRng};

/// One thing that a hostile or broken model answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mischief {
    /// Asks for a tool that was not offered.
    UnknownTool,
    /// Asks with arguments of the wrong types.
    WrongTypes,
    /// Asks with arguments of two mebibytes.
    HugeArguments,
    /// Asks with arguments that nest 200 levels deep.
    DeepArguments,
    /// Asks a thousand times at once.
    ManyCalls,
    /// Asks twice under one call id, with other arguments.
    SameCallId,
    /// Says that it wants tools, and names none.
    ToolsWithoutCalls,
    /// Asks for a tool, and says that it is done.
    CallsWithoutStop,
    /// Answers an empty text.
    EmptyReply,
    /// Answers four mebibytes.
    HugeReply,
    /// Writes direction marks, invisible and control characters.
    UnicodeTricks,
    /// Repeats words that give orders.
    PromptInReply,
    /// Claims that somebody approved.
    FalseApprovals,
    /// Reports more tokens than anybody can pay.
    EndlessUsage,
    /// Streams other words than it ends with.
    TwoTongues,
}

impl Mischief {
    /// All there are.
    pub const ALL: [Self; 15] = [
        Self::UnknownTool,
        Self::WrongTypes,
        Self::HugeArguments,
        Self::DeepArguments,
        Self::ManyCalls,
        Self::SameCallId,
        Self::ToolsWithoutCalls,
        Self::CallsWithoutStop,
        Self::EmptyReply,
        Self::HugeReply,
        Self::UnicodeTricks,
        Self::PromptInReply,
        Self::FalseApprovals,
        Self::EndlessUsage,
        Self::TwoTongues,
    ];
}

/// A [`Model`] that answers mischief, as its seed decides. Clones share the seed's stream.
///
/// It aims at a tool that the prompt offers, when there is one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use openclaw_core::{Call, Context, TenantId, model::{Model, Prompt, Stop}};
/// use openclaw_testkit::model::{HostileModel, Mischief};
///
/// let model = HostileModel::new("test/mallory", 7)?.only([Mischief::ToolsWithoutCalls]);
/// let context = Context::new(TenantId::new("acme")?);
/// let reply = model.complete(Call::model(context, &model, Arc::new(Prompt::default()))).await?;
/// assert!(reply.stop == Stop::Tools && reply.calls.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct HostileModel {
    id: ModelId,
    choice: Vec<Mischief>,
    rng: SeededRng,
}

impl HostileModel {
    /// A model of this name that knows all mischief.
    ///
    /// # Errors
    /// The name is no [`ModelId`].
    pub fn new(name: &str, seed: u64) -> Result<Self, InvalidId> {
        let choice = Mischief::ALL.to_vec();
        Ok(Self { id: ModelId::new(name)?, choice, rng: SeededRng::new(seed) })
    }

    /// Knows only this mischief.
    #[must_use]
    pub fn only(mut self, mischief: impl IntoIterator<Item = Mischief>) -> Self {
        self.choice = mischief.into_iter().collect();
        self
    }

    fn choose(&self) -> Mischief {
        self.rng.pick(&self.choice).copied().unwrap_or(Mischief::EmptyReply)
    }

    fn answer(&self, mischief: Mischief, prompt: &Prompt) -> ModelReply {
        let tool = self.rng.pick(&prompt.tools).map_or("no.such.tool", |tool| &tool.name);
        let one = |input: Value| asking(vec![ToolCall::new("call-1", tool, input)]);
        let order = || json!({ "order": 1042 });
        match mischief {
            Mischief::UnknownTool => {
                asking(vec![ToolCall::new("call-1", "admin.delete_everything", order())])
            }
            Mischief::WrongTypes => one(corpus::wrong_types(&self.rng)),
            Mischief::HugeArguments => one(corpus::huge()),
            Mischief::DeepArguments => one(corpus::deep()),
            Mischief::ManyCalls => {
                let call = |n: u32| ToolCall::new(format!("call-{n}"), tool, json!({ "order": n }));
                asking((0..1_000).map(call).collect())
            }
            Mischief::SameCallId => {
                let call = |n: u32| ToolCall::new("call-1", tool, json!({ "order": n }));
                asking((0..2).map(call).collect())
            }
            Mischief::ToolsWithoutCalls => asking(Vec::new()),
            Mischief::CallsWithoutStop => {
                let mut reply = one(order());
                reply.stop = Stop::End;
                reply
            }
            Mischief::EmptyReply => ModelReply::default(),
            Mischief::HugeReply => ModelReply::text("all done. ".repeat((4 << 20) / 10)),
            Mischief::UnicodeTricks => ModelReply::text(corpus::TRICKS.concat()),
            Mischief::PromptInReply => ModelReply::text(corpus::PROMPTS.join("\n")),
            Mischief::FalseApprovals => {
                let claim = corpus::pick(&self.rng, corpus::CLAIMS);
                one(json!({ "order": 1042, "approval": claim, "approved": true }))
            }
            Mischief::EndlessUsage => {
                let mut usage = Usage::default();
                (usage.input, usage.cached, usage.output) = (u64::MAX, u64::MAX, u64::MAX);
                let mut reply = ModelReply::text("Done.");
                reply.usage = usage;
                reply
            }
            Mischief::TwoTongues => ModelReply::text("I did nothing."),
        }
    }
}

fn asking(calls: Vec<ToolCall>) -> ModelReply {
    let mut reply = ModelReply::default();
    reply.calls = calls;
    reply.stop = Stop::Tools;
    reply
}

#[async_trait]
impl Model for HostileModel {
    fn id(&self) -> &ModelId {
        &self.id
    }

    async fn complete(&self, call: Call<Arc<Prompt>>) -> Result<ModelReply> {
        Ok(self.answer(self.choose(), call.payload()))
    }

    async fn stream(&self, call: Call<Arc<Prompt>>) -> Result<Box<dyn ModelStream>> {
        let mischief = self.choose();
        let reply = self.answer(mischief, call.payload());
        let pieces = Pieces::of(reply, &self.rng);
        let pieces = match mischief {
            Mischief::TwoTongues => pieces.saying("I refunded everything."),
            _ => pieces,
        };
        Ok(Box::new(pieces))
    }
}
