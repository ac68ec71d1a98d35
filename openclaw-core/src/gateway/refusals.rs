//! Refusals that keep the order: behind a refused message its conversation waits.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    Envelope, Timestamp,
    channel::{Capabilities, Ordering},
    store::Key,
};

/// How long a conversation waits for a message that was refused.
const PATIENCE: Duration = Duration::from_secs(300);
/// Conversations that may wait at once; beyond it order gives way to memory.
const MOST: usize = 10_000;

/// How a channel takes a refusal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    /// The sender is told.
    pub(super) tells: bool,
    /// It delivers in order, and delivers a refused message again.
    pub(super) ordered: bool,
}

impl Manners {
    pub(super) fn of(capabilities: &Capabilities) -> Self {
        Self {
            tells: capabilities.tells_refusals,
            ordered: capabilities.redelivers && capabilities.ordering != Ordering::None,
        }
    }
}

/// The first refused message of each conversation: nothing behind it may pass.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<Key, (Arc<str>, Timestamp)>);

impl Refusals {
    /// May this message of the conversation be admitted?
    pub(super) fn may_pass(&self, lane: &Key, envelope: &Envelope, now: Timestamp) -> bool {
        self.0
            .get(lane)
            .is_none_or(|(first, until)| envelope.id.as_ref() == Some(first) || *until <= now)
    }

    /// The message was refused and will come again; it is the first one, unless one is.
    pub(super) fn refused(&mut self, lane: &Key, envelope: &Envelope, now: Timestamp) {
        let Some(id) = &envelope.id else { return };
        self.0.retain(|_, (_, until)| *until > now);
        if self.0.len() < MOST {
            self.0.entry(lane.clone()).or_insert_with(|| (Arc::clone(id), now.after(PATIENCE)));
        }
    }

    /// The message is in: what is behind it may come.
    pub(super) fn admitted(&mut self, lane: &Key, envelope: &Envelope) {
        if self.0.get(lane).is_some_and(|(first, _)| envelope.id.as_ref() == Some(first)) {
            self.0.remove(lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChannelId, Content, Conversation, Sender, TenantId};

    fn message(id: &str) -> Envelope {
        let place = Conversation::new(ChannelId::new("c").unwrap(), "p");
        Envelope::new(TenantId::new("t").unwrap(), place, Sender::new("s"), Content::text("x"))
            .with_id(id)
    }

    #[test]
    fn what_is_behind_a_refused_message_waits_for_it() {
        let (lane, now) = (Key::system("lane").build(), Timestamp::from_millis(0));
        let mut refusals = Refusals::default();
        refusals.refused(&lane, &message("1"), now);
        refusals.refused(&lane, &message("2"), now);
        assert!(!refusals.may_pass(&lane, &message("2"), now));
        assert!(refusals.may_pass(&lane, &message("1"), now));
        refusals.admitted(&lane, &message("1"));
        assert!(refusals.may_pass(&lane, &message("2"), now));
    }

    #[test]
    fn a_message_that_never_comes_again_is_not_waited_for_for_ever() {
        let (lane, now) = (Key::system("lane").build(), Timestamp::from_millis(0));
        let mut refusals = Refusals::default();
        refusals.refused(&lane, &message("1"), now);
        assert!(refusals.may_pass(&lane, &message("2"), now.after(PATIENCE)));
    }
}
