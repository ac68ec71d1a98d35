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
///
/// ```
/// use std::{collections::VecDeque, future::pending, sync::{Arc, Mutex}};
///
/// use openclaw_core::{Call, Error, ErrorKind, ModelId, Result};
/// use openclaw_core::model::{Model, ModelReply, Prompt};
/// use openclaw_testkit::conformance::model::{Meets, ModelHarness, ModelPeer, check_all};
///
/// #[derive(Clone, Debug, Default)]
/// struct Provider(Arc<Mutex<(usize, VecDeque<Meets>)>>);
///
/// #[derive(Debug)]
/// struct Parrot(ModelId, Provider);
///
/// #[async_trait::async_trait]
/// impl Model for Parrot {
///     fn id(&self) -> &ModelId {
///         &self.0
///     }
///     async fn complete(&self, call: Call<Arc<Prompt>>) -> Result<ModelReply> {
///         let last = call.payload().messages.last().map(|message| message.text.to_string());
///         let meets = {
///             let mut provider = self.1.0.lock().expect("a provider");
///             provider.0 += 1;
///             provider.1.pop_front()
///         };
///         match meets {
///             None => Ok(ModelReply::text(last.unwrap_or_default())),
///             Some(Meets::Answer(reply)) => Ok(reply),
///             Some(Meets::Refuse { retry_after }) => {
///                 Err(Error::new(ErrorKind::RateLimited, "429").with_retry_after(retry_after))
///             }
///             Some(Meets::Silence) => pending().await,
///             Some(_) => Err(Error::new(ErrorKind::Unavailable, "the reply broke off")),
///         }
///     }
/// }
///
/// struct Parrots;
///
/// #[async_trait::async_trait]
/// impl ModelHarness for Parrots {
///     async fn fresh(&self) -> (Box<dyn Model>, Box<dyn ModelPeer>) {
///         let provider = Provider::default();
///         let id = ModelId::new("parrot").expect("an id");
///         (Box::new(Parrot(id, provider.clone())), Box::new(provider))
///     }
/// }
///
/// #[async_trait::async_trait]
/// impl ModelPeer for Provider {
///     async fn script(&self, next: Meets) {
///         self.0.lock().expect("a provider").1.push_back(next);
///     }
///     async fn requests(&self) -> usize {
///         self.0.lock().expect("a provider").0
///     }
/// }
///
/// let report = check_all(&Parrots);
/// assert!(report.held.contains(&"stream_and_complete_agree"));
/// assert!(report.not_declared.contains(&("a_stream_comes_in_pieces", "pieces")));
/// ```
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
