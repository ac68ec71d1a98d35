//! One message of a user, from its first delivery on.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use openclaw_core::{ChannelId, Envelope, ErrorKind, MessageId, TenantId};

use crate::platform::Ticket;

/// A message that a user sent; it is delivered again until the gateway has it.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) envelope: Envelope,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ticket: Ticket,
    end: Option<Admission>,
    /// Replies to it that earlier steps saw.
    heard: usize,
    /// Lines about it that are in the transcript.
    told: BTreeSet<String>,
}

/// What the gateway said to a delivery for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Accepted(MessageId),
    Refused(ErrorKind),
}

impl Sent {
    pub(super) fn new(envelope: Envelope, ticket: Ticket) -> Self {
        let state = State { ticket, end: None, heard: 0, told: BTreeSet::new() };
        Self { envelope, state: Mutex::new(state) }
    }

    pub(super) const fn tenant(&self) -> &TenantId {
        &self.envelope.tenant
    }

    pub(super) const fn channel(&self) -> &ChannelId {
        &self.envelope.conversation.channel
    }

    pub(super) fn ticket(&self) -> Ticket {
        self.state().ticket
    }

    pub(super) fn delivered_again(&self, ticket: Ticket) {
        self.state().ticket = ticket;
    }

    pub(super) fn admission(&self) -> Option<Admission> {
        self.state().end
    }

    pub(super) fn settled(&self, end: Admission) {
        self.state().end = Some(end);
    }

    pub(super) fn message(&self) -> Option<MessageId> {
        match self.admission() {
            Some(Admission::Accepted(message)) => Some(message),
            Some(Admission::Refused(_)) | None => None,
        }
    }

    pub(super) fn heard(&self) -> usize {
        self.state().heard
    }

    pub(super) fn hear(&self, replies: usize) {
        self.state().heard = replies;
    }

    /// True when this line about the message was not told before.
    pub(super) fn tell(&self, line: &str) -> bool {
        self.state().told.insert(line.to_owned())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
