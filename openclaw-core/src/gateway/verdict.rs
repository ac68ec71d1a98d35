//! Verdicts: what a sender is told of its message, and when.

use std::{sync::Arc, time::Duration};

use super::Inner;
use crate::{
    Attachment, Content, Env, Envelope, Error, ErrorKind, Result,
    channel::{Ack, Settle},
    records::{
        audit::{AuditAction, AuditEntry},
        commit::{self, Known},
        dead_letters::{LetterRow, Shelf},
        inbox,
        partitions::partition_of,
        row::Row,
    },
    store::{Guard, Op, SharedStore, Txn},
    words::caught::caught,
    words::cut::{start_of, words_of},
    words::flag::Flag,
};

/// When a refused sender may try again, unless the refusal says so itself.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// How long a channel may take to hear a verdict.
const PATIENCE: Duration = Duration::from_secs(30);
/// A refused message over this size is kept without its content.
const KEPT: usize = 64 << 10;
/// A name of a refused message is kept up to this many bytes.
const NAME: usize = 1024;

/// What a sender is told, and when.
pub(super) struct Verdict {
    pub(super) settle: Settle,
    pub(super) ack: Ack,
    /// Only once the message is final.
    pub(super) at_end: Option<Arc<Flag>>,
}

impl Verdict {
    pub(super) const fn now(settle: Settle, ack: Ack) -> Self {
        Self { settle, ack, at_end: None }
    }

    pub(super) fn retry(settle: Settle, error: Error) -> Self {
        let after = error.retry_after().unwrap_or(SOON);
        Self::now(settle, Ack::Retry { after, error })
    }

    /// Refuses for good. Where nobody would hear it, the refusal is a dead letter first.
    pub(super) async fn refuse(
        inner: &Inner,
        tells: bool,
        settle: Settle,
        envelope: Arc<Envelope>,
        reason: Error,
    ) -> Self {
        if !tells && let Err(e) = keep(inner, envelope, &reason).await {
            return Self::retry(settle, e);
        }
        Self::now(settle, Ack::DeadLetter { reason })
    }
}

/// Tells every sender of a batch, in order, without holding up anybody else.
pub(super) fn tell_all(inner: &Arc<Inner>, verdicts: Vec<Verdict>) {
    inner.begin_closing();
    let closing = Arc::clone(inner);
    inner.tasks.spawn(async move {
        for Verdict { settle, ack, at_end } in verdicts {
            let Some(end) = at_end else {
                tell(settle, ack).await;
                continue;
            };
            let (here, number) = (Arc::clone(&closing), closing.owe(&end));
            closing.tasks.spawn(async move {
                end.wait().await;
                tell(settle, ack).await;
                here.told(number);
            });
        }
        closing.end_closing();
    });
}

pub(super) async fn tell(settle: Settle, ack: Ack) {
    let heard = tokio::time::timeout(PATIENCE, caught("the acker", settle.settle(ack))).await;
    if let Ok(Err(e)) = heard {
        // The channel delivers again, and the dedupe row answers.
        tracing::debug!(error = %e, "a settlement was not heard");
    }
}

/// Keeps a refused message as a dead letter.
async fn keep(inner: &Inner, envelope: Arc<Envelope>, reason: &Error) -> Result<()> {
    let fence = inner.fences.guard(partition_of(&envelope.tenant, &envelope.conversation));
    let txn = refusal(&inner.env, Txn::new("refuse").guard(fence), envelope, reason)?;
    inner.commit(txn).await.map(drop)
}

/// The same where its conversation is another replica's: the letter is nobody else's.
pub(super) async fn keep_apart(
    env: &Env,
    store: &SharedStore,
    envelope: Envelope,
    reason: &Error,
) -> Result<()> {
    let txn = refusal(env, Txn::new("refuse"), Arc::new(envelope), reason)?;
    match commit::commit(&**store, txn).await? {
        Known::Applied(_) => Ok(()),
        Known::Lost { .. } => Err(Error::new(ErrorKind::Conflict, "an id was used twice")),
    }
}

/// The commit of a letter for a refused message.
fn refusal(env: &Env, txn: Txn, envelope: Arc<Envelope>, reason: &Error) -> Result<Txn> {
    let tenant = envelope.tenant.clone();
    let (id, at) = (env.next_id(), env.now());
    let channel = envelope.conversation.channel.clone();
    let letter = LetterRow {
        row: None,
        refused: Some(cut(envelope)),
        kind: reason.kind(),
        reason: words_of(reason),
        attempts: 0,
        at,
    };
    let entry = AuditEntry::new(at, AuditAction::DeadLettered, id, channel.as_str())
        .because(reason.kind().code());
    let key = Shelf::Dead.key(&tenant, id);
    Ok(txn
        .guard(Guard::Absent(key.clone()))
        .op(Op::put(key, letter.encode()?))
        .op(inbox::tenant_mark(&tenant))
        .op(entry.append(&tenant)?))
}

/// The envelope, without what made it too large.
fn cut(envelope: Arc<Envelope>) -> Arc<Envelope> {
    let mut kept = Arc::unwrap_or_clone(envelope);
    let place = &mut kept.conversation;
    let names = [&mut place.account, &mut place.id, &mut kept.sender.id];
    let more = [&mut kept.source, &mut kept.kind];
    let optional = [
        &mut kept.id,
        &mut place.thread,
        &mut kept.topic,
        &mut kept.partitionkey,
        &mut kept.correlationid,
        &mut kept.causationid,
    ];
    let named = optional.into_iter().filter_map(Option::as_mut);
    names.into_iter().chain(more).chain(named).for_each(shorten);
    let headers: usize = kept.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let named = |file: &Attachment| {
        file.reference.len() + file.media_type.len() + file.name.as_ref().map_or(0, |n| n.len())
    };
    let files: usize = kept.attachments.iter().map(named).sum();
    let size = kept.content.len() + kept.raw.len() + headers + files;
    if size > KEPT {
        kept.content = Content::text(format!("[{size} bytes, not kept]"));
        kept.raw = bytes::Bytes::new();
        kept.headers = Vec::new();
        kept.attachments = Vec::new();
    }
    Arc::new(kept)
}

/// At most [`NAME`] bytes of a name.
fn shorten(name: &mut Arc<str>) {
    if name.len() > NAME {
        *name = start_of(name, NAME).into();
    }
}
