//! What the server asks of the gateway behind it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use openclaw_core::{
    Content, MessageId, Result, TenantId,
    gateway::{Gateway, MessageStatus},
};

/// What a client may know of a message.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever answers for a gateway makes them")]
pub struct Standing {
    /// The state in one word: `queued`, `waiting`, `delivering`, `done`, `dead`, `parked`.
    pub status: String,
    /// The reply, once there is one.
    pub reply: Option<Content>,
}

/// How the gateway is, for probes.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever answers for a gateway makes them")]
pub struct Condition {
    /// The process works.
    pub live: bool,
    /// New messages are welcome.
    pub ready: bool,
    /// It is being drained.
    pub draining: bool,
    /// What is wrong.
    pub problems: Vec<String>,
}

/// Answers for a gateway: what became of a message, and how the gateway is.
#[async_trait]
pub trait Desk: Send + Sync + fmt::Debug + 'static {
    /// What became of a message of this tenant; `None` when there is none.
    ///
    /// # Errors
    /// It can't be looked up now.
    async fn status(&self, tenant: &TenantId, id: MessageId) -> Result<Option<Standing>>;

    /// Waits until nothing more will happen to a message. The caller puts a limit around it.
    ///
    /// # Errors
    /// It can't be looked up now.
    async fn settled(&self, tenant: &TenantId, id: MessageId) -> Result<Standing>;

    /// How the gateway is.
    async fn condition(&self) -> Condition;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Desk + ?Sized> Desk for Arc<T> {
    async fn status(&self, tenant: &TenantId, id: MessageId) -> Result<Option<Standing>> {
        (**self).status(tenant, id).await
    }

    async fn settled(&self, tenant: &TenantId, id: MessageId) -> Result<Standing> {
        (**self).settled(tenant, id).await
    }

    async fn condition(&self) -> Condition {
        (**self).condition().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Desk for Gateway {
    async fn status(&self, tenant: &TenantId, id: MessageId) -> Result<Option<Standing>> {
        Ok(Self::status(self, tenant, id).await?.map(Standing::of))
    }

    async fn settled(&self, tenant: &TenantId, id: MessageId) -> Result<Standing> {
        Self::settled(self, tenant, id).await.map(Standing::of)
    }

    async fn condition(&self) -> Condition {
        let health = self.health().await;
        Condition {
            live: health.live,
            ready: health.ready,
            draining: health.draining,
            problems: health.problems,
        }
    }
}

impl Standing {
    /// Leaves out why a message is dead or parked. That is in words for operators.
    fn of(status: MessageStatus) -> Self {
        let word = serde_json::to_value(status.state).ok();
        let word = word.and_then(|word| word.as_str().map(str::to_owned));
        Self { status: word.unwrap_or_default(), reply: status.reply }
    }
}
