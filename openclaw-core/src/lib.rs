//! The core of an embeddable gateway between channels, agents and skills.

mod traits;
mod words;

pub mod gateway;
pub mod middleware;
pub mod records;
pub mod store;

pub use traits::{agent, channel, http, model, policy, rules, skill};
/// A strict JSON reader.
pub mod json {
    pub use crate::words::json::{JsonError, parse};
}

/// Bugs that a simulator must find, in builds with `--cfg openclaw_planted` only.
///
/// `RUSTFLAGS="--cfg openclaw_planted" cargo test`, best with a target folder of its own. Doc tests
/// need the same in `RUSTDOCFLAGS`.
#[cfg(openclaw_planted)]
pub mod planted {
    pub use crate::words::planted::{Bug, plant, planted};
}

pub use words::{
    call::{Call, Effect, Touches},
    context::{Cancel, Canceller, Context, Effects, Principal, TraceParent, Trust},
    digest::Digest,
    env::{Clock, Env, Rng, SystemClock, SystemRng, Timestamp},
    envelope::{
        Attachment, ChannelSeed, Content, Conversation, ConversationKind, Envelope, SeedError,
        SeedMessage, SeedMetadata, SeedPayload, Sender, SenderKind, SenderSeed,
    },
    error::{Error, OrFail, Result},
    id::{
        AgentId, ChannelId, InvalidId, MAX_ID_LEN, MessageId, ModelId, SessionId, SkillId, Subject,
        TenantId,
    },
    key::{IdempotencyKey, InvalidOperation, KeyBuilder},
    kind::{ErrorKind, Happened},
    limits::Limits,
    payer::Payer,
    refusal::{Reason, Refusal, Scope},
    secret::Secret,
};
