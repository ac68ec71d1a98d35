//! The laws of [`Model`]: one function for each sentence of its contract.

mod list;
mod reply;
mod stream;
mod trial;
mod trouble;

use std::time::Duration;

use async_trait::async_trait;
use openclaw_core::model::{Model, ModelReply, Prompt};

use self::trial::Need;
pub use self::trial::Trial;
use super::{Law, Report, Verdict};

/// Makes the models that the laws try, each with its provider.
#[async_trait]
pub trait ModelHarness: Send + Sync {
    /// A new model, and its provider.
    async fn fresh(&self) -> (Box<dyn Model>, Box<dyn ModelPeer>);

    /// Does a stream show a reply of many words in more than one piece?
    fn streams_in_pieces(&self) -> bool {
        false
    }

    /// Does the model tell what a call cost?
    fn counts_usage(&self) -> bool {
        true
    }

    /// Can the model ask for tools?
    fn calls_tools(&self) -> bool {
        true
    }

    /// Does the model itself end at its call's deadline?
    fn keeps_deadlines(&self) -> bool {
        false
    }

    /// Has the model threads or sockets of its own, so that time must not be paused?
    fn real_time(&self) -> bool {
        false
    }
}

/// A provider, as a test plays it.
#[async_trait]
pub trait ModelPeer: Send + Sync {
    /// Decides what the next request meets. Others are answered with the text of their last
    /// message.
    async fn script(&self, next: Meets);

    /// How many requests were read so far.
    async fn requests(&self) -> usize;

    /// The prompts that were read so far, when the provider can tell.
    async fn prompts(&self) -> Option<Vec<Prompt>> {
        None
    }
}

/// What a request to a provider meets.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Meets {
    /// This reply.
    Answer(ModelReply),
    /// A refusal: too many requests, come back later.
    Refuse {
        /// When.
        retry_after: Duration,
    },
    /// The beginning of a reply, and then the connection breaks.
    Break(String),
    /// No answer, and the connection stays.
    Silence,
}

crate::__model_laws! { __law_table {
    /// Every law of a model.
    ModelHarness, awaited
} }
