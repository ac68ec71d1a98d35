//! The core of an embeddable gateway between channels, agents and skills.

mod traits;
mod words;

pub mod store;

pub use traits::{agent, channel, http, model, skill};
/// A strict JSON reader.
pub mod json {
    pub use crate::words::json::{JsonError, parse};
}

pub use words::{
    call::{Call, Effect, IdempotencyKey, InvalidOperation, Touches},
    context::{Cancel, Canceller, Context, Effects, Principal, TraceParent, Trust},
    digest::Digest,
    env::{Clock, Env, Rng, SystemClock, SystemRng, Timestamp},
    envelope::{Attachment, Content, Conversation, ConversationKind, Envelope, Sender, SenderKind},
    error::{Error, ErrorKind, Happened, OrFail, Result},
    id::{
        AgentId, ChannelId, InvalidId, MAX_ID_LEN, MessageId, ModelId, SkillId, Subject, TenantId,
    },
    limits::Limits,
    secret::Secret,
};
