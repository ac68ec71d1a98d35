//! What came of something that was said.

use std::{collections::BTreeMap, sync::Arc};

use openclaw_core::{
    ErrorKind, MessageId, Result, TenantId,
    gateway::{Gateway, MessageState},
    records::{AuditAction, EffectRecord, EffectState},
};
use serde_json::Value;

use super::{
    sent::{Admission, Sent},
    store::looking,
    world::World,
};

/// A skill call, as the ledger keeps it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SkillCall {
    /// The skill.
    pub skill: String,
    /// The operation's name in its turn.
    pub operation: String,
    /// The arguments as first asked.
    pub input: Arc<Value>,
    /// Where the effect stands.
    pub state: EffectState,
}

/// What came of something that was said: the answer of a [`Step`](super::Step).
#[derive(Clone, Debug)]
pub struct Heard {
    pub(super) tenant: TenantId,
    pub(super) admission: Option<Admission>,
    pub(super) state: Option<MessageState>,
    pub(super) reason: Option<String>,
    /// Those that no earlier step saw.
    pub(super) replies: Vec<String>,
    pub(super) skills: Vec<SkillCall>,
    pub(super) crashed: bool,
}

impl Heard {
    /// The tenant of who said it.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The message's id, once the gateway accepted it.
    #[must_use]
    pub const fn message(&self) -> Option<MessageId> {
        match self.admission {
            Some(Admission::Accepted(message)) => Some(message),
            Some(Admission::Refused(_)) | None => None,
        }
    }

    /// Why the gateway refused it, if it did.
    #[must_use]
    pub const fn refused(&self) -> Option<ErrorKind> {
        match self.admission {
            Some(Admission::Refused(kind)) => Some(kind),
            Some(Admission::Accepted(_)) | None => None,
        }
    }

    /// Where the message was when the step ended.
    #[must_use]
    pub const fn state(&self) -> Option<MessageState> {
        self.state
    }

    /// Why the message is dead or parked, in words for operators.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// What the platform took as replies to it, and no earlier step saw.
    #[must_use]
    pub fn replies(&self) -> &[String] {
        &self.replies
    }

    /// Every recorded skill call of the message so far, in the order of the claims.
    #[must_use]
    pub fn skills(&self) -> &[SkillCall] {
        &self.skills
    }

    /// Will nothing more come of it by itself?
    pub(super) fn has_ended(&self) -> bool {
        let ends = |state: MessageState| state.is_final() || state == MessageState::Waiting;
        self.crashed || self.refused().is_some() || self.state.is_some_and(ends)
    }

    /// Was the gateway without power when the step ended?
    #[must_use]
    pub const fn crashed(&self) -> bool {
        self.crashed
    }
}

/// Looks at everything that is known of a message, past all faults.
pub(super) async fn look(
    world: &World,
    gateway: &Gateway,
    sent: &Sent,
    crashed: bool,
) -> Result<Heard> {
    let mut heard = Heard {
        tenant: sent.tenant().clone(),
        admission: sent.admission(),
        state: None,
        reason: None,
        replies: Vec::new(),
        skills: Vec::new(),
        crashed,
    };
    // A process that crashes may have accepted it without telling.
    let known = sent.message().map_or_else(|| world.rows.admitted(&sent.envelope), |id| vec![id]);
    let mut found = None;
    for message in known {
        found = looking(gateway.status(sent.tenant(), message)).await?;
        if found.is_some() {
            break;
        }
    }
    let Some(status) = found else { return Ok(heard) };
    let message = status.id;
    heard.admission = Some(Admission::Accepted(message));
    let posts = world.platform(sent.channel())?.posts();
    let replies = posts.into_iter().filter(|post| post.reply_to == Some(message));
    let replies: Vec<String> = replies.map(|post| post.text).collect();
    heard.replies = replies.get(sent.heard()..).unwrap_or_default().to_vec();
    sent.hear(replies.len());
    heard.state = Some(status.state);
    heard.reason = status.error.map(|reason| reason.to_string());
    heard.skills = looking(skills(gateway, sent.tenant(), message)).await?;
    Ok(heard)
}

/// The recorded calls, in the order in which the audit trail has their claims.
async fn skills(
    gateway: &Gateway,
    tenant: &TenantId,
    message: MessageId,
) -> Result<Vec<SkillCall>> {
    let effects = gateway.ledger(tenant).of_turn(message).await?;
    let subject = |(operation, record): &(Arc<str>, EffectRecord)| {
        (format!("{}/{operation}", record.target), call(operation, record))
    };
    let mut calls: BTreeMap<String, SkillCall> = effects.iter().map(subject).collect();
    let entries = gateway.audit(tenant).entries().await?;
    let claims = entries
        .iter()
        .filter(|entry| entry.message == message && entry.action == AuditAction::EffectClaimed);
    Ok(claims.filter_map(|entry| calls.remove(&*entry.subject)).collect())
}

fn call(operation: &str, record: &EffectRecord) -> SkillCall {
    SkillCall {
        skill: record.target.to_string(),
        operation: operation.to_owned(),
        input: Arc::clone(&record.request),
        state: record.state.clone(),
    }
}
