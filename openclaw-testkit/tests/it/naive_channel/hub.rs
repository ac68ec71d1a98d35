//! What a naive channel and its peer share.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use openclaw_core::channel::Ack;
use openclaw_testkit::conformance::channel::Heard;
use tokio::{sync::Notify, time::Instant};

use super::Flaw;

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) conversation: String,
    pub(super) text: String,
    due: Instant,
}

#[derive(Debug)]
pub(super) struct Hub {
    pub(super) flaw: Flaw,
    pub(super) arrived: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    said: u64,
    connection: u64,
    gone: bool,
    waiting: VecDeque<Message>,
    out: BTreeMap<u64, Message>,
    heard: Vec<Heard>,
    keys: BTreeMap<String, String>,
}

/// What a source finds when it looks.
pub(super) enum Found {
    Messages(Vec<Message>),
    Nothing(Option<Instant>),
    Gone,
}

impl Hub {
    pub(super) fn new(flaw: Flaw) -> Arc<Self> {
        Arc::new(Self { flaw, arrived: Notify::new(), state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn say(&self, conversation: &str, text: &str) {
        let mut state = self.lock();
        state.said += 1;
        let number = state.said;
        if self.flaw == Flaw::LosesSome && number.is_multiple_of(5) {
            return;
        }
        let id = match self.flaw {
            Flaw::IdsAreEqual => "m".to_owned(),
            _ => format!("m{number}"),
        };
        let (conversation, text) = (conversation.to_owned(), text.to_owned());
        let message = Message { number, id, conversation, text, due: Instant::now() };
        if self.flaw == Flaw::SwapsOrder && number.is_multiple_of(4) {
            state.waiting.push_front(message.clone());
        } else {
            state.waiting.push_back(message.clone());
        }
        if self.flaw == Flaw::SaysItTwice && number.is_multiple_of(3) {
            state.waiting.push_back(Message { number: number + 1_000, ..message });
        }
        drop(state);
        self.arrived.notify_waiters();
    }

    pub(super) fn connect(&self) -> u64 {
        let mut state = self.lock();
        state.connection += 1;
        state.gone = false;
        state.connection
    }

    pub(super) fn hang_up(&self) {
        let mut state = self.lock();
        state.gone = true;
        let out = std::mem::take(&mut state.out);
        state.waiting.extend(out.into_values());
        drop(state);
        self.arrived.notify_waiters();
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        match self.flaw {
            Flaw::CloseForgetsWhatIsOut => state.out.clear(),
            Flaw::CloseTakesBackWhatIsOut => {
                let out = std::mem::take(&mut state.out);
                state.waiting.extend(out.into_values());
            }
            _ => {}
        }
    }

    pub(super) fn look(&self, connection: u64, max: usize) -> Found {
        let mut state = self.lock();
        if (state.gone || state.connection != connection) && self.flaw != Flaw::HangUpIsSilent {
            return Found::Gone;
        }
        let max = if self.flaw == Flaw::GivesMoreThanMax { max + 1 } else { max };
        let now = Instant::now();
        let (due, later): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut state.waiting).into_iter().partition(|m| m.due <= now);
        let mut due = due;
        let rest = due.split_off(max.min(due.len()));
        state.waiting = rest.into_iter().chain(later).collect();
        if due.is_empty() {
            return Found::Nothing(state.waiting.iter().map(|m| m.due).min());
        }
        for message in &due {
            state.out.insert(message.number, message.clone());
        }
        Found::Messages(due.into())
    }

    /// A verdict; `false` when the platform won't hear it.
    pub(super) fn settle(&self, number: u64, ack: &Ack) -> bool {
        let mut state = self.lock();
        let Some(message) = state.out.remove(&number) else { return false };
        match (ack, self.flaw) {
            (Ack::Accept(_), Flaw::AcceptsCountForTheEarlier) => {
                state.out.retain(|other, _| *other > number);
            }
            (Ack::Accept(_), Flaw::AcceptedComeAgain)
            | (Ack::DeadLetter { .. }, Flaw::DeadLettersComeAgain) => {
                state.waiting.push_back(message);
            }
            (Ack::Accept(_) | Ack::DeadLetter { .. }, _) => {}
            (Ack::Retry { after, .. }, _) => {
                let wait = if self.flaw == Flaw::RetriesAreHasty { Duration::ZERO } else { *after };
                state.waiting.push_front(Message { due: Instant::now() + wait, ..message });
            }
        }
        drop(state);
        self.arrived.notify_waiters();
        true
    }

    pub(super) fn abandon(&self, number: u64) {
        let mut state = self.lock();
        let Some(mut message) = state.out.remove(&number) else { return };
        match self.flaw {
            Flaw::DropsAreForgotten => return,
            Flaw::IdsAreNew => message.id.push('+'),
            _ => {}
        }
        state.waiting.push_front(message);
        drop(state);
        self.arrived.notify_waiters();
    }

    pub(super) fn hear(&self, key: Option<String>, heard: Heard) -> String {
        let mut state = self.lock();
        let known = key.as_ref().and_then(|key| state.keys.get(key).cloned());
        if let Some(known) = known.filter(|_| self.flaw != Flaw::KeysAreIgnored) {
            return known;
        }
        let message = format!("s{}", state.heard.len());
        if let Some(key) = key {
            state.keys.insert(key, message.clone());
        }
        let heard = heard.with_message(message.as_str());
        let count = state.heard.len();
        if self.flaw == Flaw::SendsOutOfOrder && count % 3 == 2 {
            state.heard.insert(count - 1, heard.clone());
        } else {
            state.heard.push(heard.clone());
        }
        if self.flaw == Flaw::PostsTwice {
            state.heard.push(heard);
        }
        message
    }

    pub(super) fn sent(&self, key: &str) -> bool {
        self.lock().keys.contains_key(key)
    }

    pub(super) fn heard(&self) -> Vec<Heard> {
        self.lock().heard.clone()
    }
}
