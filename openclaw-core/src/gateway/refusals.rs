//! Refusals that keep the order: behind a refused message its conversation waits.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use crate::{
    Envelope, Timestamp,
    channel::{Capabilities, Ordering},
    store::Key,
};

/// How long a conversation waits for a message that was refused.
const PATIENCE: Duration = Duration::from_secs(300);
/// Conversations that may wait at once; beyond it order gives way to memory.
const MOST: usize = 10_000;
/// Refused messages of one conversation that are remembered.
const DEEPEST: usize = 256;

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

/// The refused messages of each conversation, in order: only the first may pass.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<Key, VecDeque<Refused>>);

/// A message that will come again.
#[derive(Debug)]
struct Refused {
    id: Arc<str>,
    until: Timestamp,
}

impl Refusals {
    /// May this message of the conversation go on? If so, the one behind it is the first now.
    pub(super) fn pass(&mut self, lane: &Key, envelope: &Envelope, now: Timestamp) -> bool {
        let Some(waiting) = self.0.get_mut(lane) else { return true };
        while waiting.front().is_some_and(|first| first.until <= now) {
            waiting.pop_front();
        }
        let passes = match waiting.front() {
            None => true,
            Some(first) => envelope.id.as_ref() == Some(&first.id),
        };
        if passes {
            waiting.pop_front();
        }
        if waiting.is_empty() {
            self.0.remove(lane);
        }
        passes
    }

    /// The message is refused before it went on: it waits behind those before it.
    pub(super) fn refused(&mut self, lane: &Key, envelope: &Envelope, now: Timestamp) {
        self.keep(lane, envelope, now, VecDeque::push_back);
    }

    /// The message went on and did not come in: it is the first again.
    pub(super) fn failed(&mut self, lane: &Key, envelope: &Envelope, now: Timestamp) {
        // A copy of it may have been refused meanwhile, behind others.
        self.came_in(lane, envelope);
        self.keep(lane, envelope, now, VecDeque::push_front);
    }

    /// The message is in, in one of its copies: nobody waits for it any more.
    pub(super) fn came_in(&mut self, lane: &Key, envelope: &Envelope) {
        let Some(waiting) = self.0.get_mut(lane) else { return };
        waiting.retain(|refused| envelope.id.as_ref() != Some(&refused.id));
        if waiting.is_empty() {
            self.0.remove(lane);
        }
    }

    fn keep(
        &mut self,
        lane: &Key,
        envelope: &Envelope,
        now: Timestamp,
        put: impl FnOnce(&mut VecDeque<Refused>, Refused),
    ) {
        let Some(id) = &envelope.id else { return };
        if self.0.len() >= MOST {
            self.0.retain(|_, waiting| waiting.back().is_some_and(|last| last.until > now));
        }
        if self.0.len() >= MOST && !self.0.contains_key(lane) {
            return;
        }
        let waiting = self.0.entry(lane.clone()).or_default();
        if waiting.len() < DEEPEST && !waiting.iter().any(|refused| refused.id == *id) {
            put(waiting, Refused { id: Arc::clone(id), until: now.after(PATIENCE) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChannelId, Content, Conversation, Sender, TenantId};

    const NOW: Timestamp = Timestamp::from_millis(0);

    fn message(id: &str) -> Envelope {
        let place = Conversation::new(ChannelId::new("c").unwrap(), "p");
        let tenant = TenantId::new("t").unwrap();
        Envelope::new(tenant, place, Sender::new("s"), Content::text("x")).with_id(id)
    }

    fn lane() -> Key {
        Key::system("lane").build()
    }

    #[test]
    fn refused_messages_come_in_in_the_order_they_were_refused() {
        let mut refusals = Refusals::default();
        ["1", "2", "3"].iter().for_each(|id| refusals.refused(&lane(), &message(id), NOW));
        assert!(!refusals.pass(&lane(), &message("2"), NOW));
        for id in ["1", "2", "3", "4"] {
            assert!(refusals.pass(&lane(), &message(id), NOW), "{id}");
        }
    }

    #[test]
    fn a_message_that_failed_behind_the_gate_is_the_first_again() {
        let mut refusals = Refusals::default();
        ["1", "2"].iter().for_each(|id| refusals.refused(&lane(), &message(id), NOW));
        assert!(refusals.pass(&lane(), &message("1"), NOW));
        refusals.failed(&lane(), &message("1"), NOW);
        assert!(!refusals.pass(&lane(), &message("2"), NOW));
        assert!(refusals.pass(&lane(), &message("1"), NOW));
    }

    #[test]
    fn a_copy_that_was_refused_meanwhile_does_not_lose_its_place() {
        let mut refusals = Refusals::default();
        ["1", "2"].iter().for_each(|id| refusals.refused(&lane(), &message(id), NOW));
        assert!(refusals.pass(&lane(), &message("1"), NOW));
        assert!(!refusals.pass(&lane(), &message("1"), NOW));
        refusals.refused(&lane(), &message("1"), NOW);
        refusals.failed(&lane(), &message("1"), NOW);
        assert!(!refusals.pass(&lane(), &message("2"), NOW));
        assert!(refusals.pass(&lane(), &message("1"), NOW));
    }

    #[test]
    fn nobody_waits_for_a_copy_of_what_is_in() {
        let mut refusals = Refusals::default();
        ["1", "2"].iter().for_each(|id| refusals.refused(&lane(), &message(id), NOW));
        refusals.came_in(&lane(), &message("1"));
        assert!(refusals.pass(&lane(), &message("2"), NOW));
    }

    #[test]
    fn a_message_that_never_comes_again_is_not_waited_for_for_ever() {
        let mut refusals = Refusals::default();
        refusals.refused(&lane(), &message("1"), NOW);
        assert!(refusals.pass(&lane(), &message("2"), NOW.after(PATIENCE)));
    }
}
