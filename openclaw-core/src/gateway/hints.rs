//! Streamed hints: a reply shown while it is being made, on channels that can edit.
//!
//! A hint is never recorded: a crash may leave one behind. The committed reply replaces it.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{oneshot, watch};

use super::{Inner, lock};
use crate::{
    Call, Content, Context, Conversation, MessageId, TenantId,
    agent::Emit,
    channel::{Channel, Outbound, Part, Receipt},
    words::caught::caught,
};

/// The shortest time between two edits of one hint.
const EVERY: Duration = Duration::from_secs(1);
/// The longest a hint may take; the reply does not wait for it any longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The hints of one turn. Nothing is started before the first one.
pub(super) struct Hints {
    inner: Arc<Inner>,
    channel: Arc<dyn Channel>,
    tenant: TenantId,
    to: Conversation,
    turn: MessageId,
    started: Mutex<Option<Started>>,
}

struct Started {
    latest: watch::Sender<Content>,
    posted: oneshot::Receiver<Option<Arc<str>>>,
    /// Dropped to end the task.
    _run: oneshot::Sender<()>,
}

impl fmt::Debug for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hints").field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl Hints {
    /// The hints of a turn; `None` where the channel can't edit.
    pub(super) fn open(
        inner: &Arc<Inner>,
        tenant: &TenantId,
        to: &Conversation,
        turn: MessageId,
    ) -> Option<Arc<Self>> {
        let channel =
            inner.channels.get(&to.channel).filter(|channel| channel.capabilities().edit)?;
        Some(Arc::new(Self {
            inner: Arc::clone(inner),
            channel: Arc::clone(channel),
            tenant: tenant.clone(),
            to: to.clone(),
            turn,
            started: Mutex::new(None),
        }))
    }

    /// Ends the hints: the platform's id of the message that shows them.
    pub(super) async fn close(&self) -> Option<Arc<str>> {
        let Started { posted, .. } = lock(&self.started).take()?;
        tokio::time::timeout(PATIENCE, posted).await.ok()?.ok()?
    }

    /// Takes a hint back when no reply came of it, where the channel can.
    pub(super) async fn withdraw(&self, message: Arc<str>) {
        if self.channel.capabilities().delete {
            let _gone = self.show(Outbound::Delete { to: self.to.clone(), message }).await;
        }
    }

    async fn show(&self, outbound: Outbound) -> Option<Receipt> {
        let call = Call::outbound(Context::new(self.tenant.clone()), &*self.channel, outbound);
        let sent =
            tokio::time::timeout(PATIENCE, caught("the channel", self.channel.send(call))).await;
        match sent {
            Ok(Ok(receipt)) => Some(receipt),
            Ok(Err(e)) => {
                tracing::debug!(message = %self.turn, error = %e, "a hint was not shown");
                None
            }
            Err(_) => None,
        }
    }
}

impl Emit for Arc<Hints> {
    fn emit(&self, so_far: Content) {
        let mut started = lock(&self.started);
        if let Some(started) = &*started {
            started.latest.send_replace(so_far);
            return;
        }
        let (latest, contents) = watch::channel(so_far);
        let (done, posted) = oneshot::channel();
        let (run, stop) = oneshot::channel();
        let hints = Self::clone(self);
        self.inner.tasks.spawn(async move {
            // The turn may have given up waiting: then nobody replaces the hint.
            let _heard = done.send(stream(&hints, contents, stop).await);
        });
        *started = Some(Started { latest, posted, _run: run });
    }
}

/// Posts the first hint and edits it until the turn ends. The id of the message, once known.
async fn stream(
    hints: &Hints,
    mut contents: watch::Receiver<Content>,
    mut stop: oneshot::Receiver<()>,
) -> Option<Arc<str>> {
    let mut shown: Option<Arc<str>> = None;
    loop {
        let content = contents.borrow_and_update().clone();
        let part =
            hints.channel.render(&content).into_iter().next().unwrap_or_else(|| Part::new(content));
        let to = hints.to.clone();
        shown = match shown {
            None => {
                let post = Outbound::Post { to, part, reply_to: Some(hints.turn) };
                Some(hints.show(post).await?.message?)
            }
            Some(message) => {
                hints.show(Outbound::Edit { to, message: Arc::clone(&message), part }).await;
                Some(message)
            }
        };
        let next = async {
            tokio::time::sleep(EVERY).await;
            contents.changed().await
        };
        tokio::select! {
            biased;
            _ = &mut stop => return shown,
            changed = next => if changed.is_err() { return shown },
        }
    }
}
