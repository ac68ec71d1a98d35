//! The channel of a run: hands messages out, hears the replies, keeps the book.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use openclaw_core::{
    Call, ChannelId, Content, Conversation, Effect, Envelope, Error, ErrorKind, Result, Sender,
    TenantId,
    channel::{Ack, Acker, Capabilities, Channel, Delivery, Outbound, Receipt, Source},
};
use openclaw_testkit::load::Latencies;
use tokio::{sync::Notify, time::Instant};

use super::{
    Scenario,
    book::{Book, Entry},
};

/// Fills a message up to about a hundred bytes.
const FILLER: &str = "where is my parcel? it was to arrive on tuesday, and the page says nothing";

/// One message in so many is handed out twice when the run is to fail.
const TWICE_EVERY: u64 = 1000;

/// Both ends of the channel, and what the run asks of it.
#[derive(Debug)]
pub(super) struct Wire {
    /// One envelope a conversation: a message is a copy with its own id and text.
    templates: Vec<Envelope>,
    state: Mutex<State>,
    /// Something is due.
    ready: Notify,
    /// Nothing is due and nothing waits for its answer.
    quiet: Notify,
    refused: AtomicU64,
    twice: bool,
}

#[derive(Debug)]
struct State {
    book: Book,
    /// When each message was meant to go out; `None`: when it does.
    due: VecDeque<Option<Instant>>,
    /// Messages that may still become due.
    left: u64,
    /// An answer makes the next message due.
    closed_loop: bool,
    window: Option<Latencies>,
    again: u64,
    unknown: u64,
}

/// What a run left in its book.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accounts {
    pub(super) next: u64,
    pub(super) waiting: u64,
    pub(super) again: u64,
    pub(super) unknown: u64,
    pub(super) refused: u64,
}

impl Wire {
    pub(super) fn new(tenant: &TenantId, channel: &ChannelId, scenario: &Scenario) -> Arc<Self> {
        let templates = (0..scenario.conversations.get()).map(|n| {
            let chat = Conversation::new(channel.clone(), format!("c-{n:05}"));
            let sender = Sender::new(format!("u-{n:05}"));
            Envelope::new(tenant.clone(), chat, sender, Content::text(""))
        });
        let state = State {
            book: Book::starting_at(scenario.first),
            due: VecDeque::new(),
            left: scenario.messages.unwrap_or(u64::MAX),
            closed_loop: scenario.pace.is_none(),
            window: None,
            again: 0,
            unknown: 0,
        };
        Arc::new(Self {
            templates: templates.collect(),
            state: Mutex::new(state),
            ready: Notify::new(),
            quiet: Notify::new(),
            refused: AtomicU64::new(0),
            twice: scenario.twice,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a message due for each of these moments, as far as the run still wants any.
    pub(super) fn push(&self, moments: impl IntoIterator<Item = Option<Instant>>) {
        let mut state = self.lock();
        for at in moments {
            if state.left > 0 {
                state.left -= 1;
                state.due.push_back(at);
            }
        }
        drop(state);
        self.ready.notify_one();
    }

    pub(super) fn open_window(&self) {
        self.lock().window = Some(Latencies::default());
    }

    /// Latencies of every message that was answered since the window was opened.
    pub(super) fn close_window(&self) -> Option<Latencies> {
        self.lock().window.take()
    }

    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.left = 0;
        state.due.clear();
        drop(state);
        self.quiet.notify_one();
    }

    /// Waits until everything that was due is answered.
    pub(super) async fn quiet(&self) {
        while !self.lock().is_quiet() {
            self.quiet.notified().await;
        }
    }

    pub(super) fn accounts(&self) -> Accounts {
        let state = self.lock();
        Accounts {
            next: state.book.next(),
            waiting: state.book.waiting(),
            again: state.again,
            unknown: state.unknown,
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    fn hand_out(&self, max: usize) -> Vec<u64> {
        let now = Instant::now();
        let mut state = self.lock();
        let count = state.due.len().min(max);
        let State { due, book, .. } = &mut *state;
        due.drain(..count).map(|at| book.hand_out(at.unwrap_or(now))).collect()
    }

    fn deliver(self: &Arc<Self>, number: u64, prefix: char) -> Option<Delivery> {
        // Spread like real traffic: now and then two messages meet in one conversation.
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let at = usize::try_from(mixed).unwrap_or_default() % self.templates.len();
        let mut envelope = self.templates.get(at)?.clone();
        envelope.id = Some(format!("{prefix}-{number:010}").into());
        envelope.content = Content::text(format!("m-{number:010} {FILLER}"));
        Some(Delivery::new(envelope, Settler(Arc::clone(self))))
    }

    fn answered(&self, content: &Content) {
        let now = Instant::now();
        let Content::Text(text) = content else { return self.lock().unknown += 1 };
        let number = text.get(2..12).and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX);
        let mut state = self.lock();
        let entry = state.book.answer(number);
        let next = matches!(entry, Entry::First(_)) && state.closed_loop && state.left > 0;
        match entry {
            Entry::First(at) => {
                if let Some(window) = &mut state.window {
                    window.record(now - at);
                }
            }
            Entry::Again => state.again += 1,
            Entry::Unknown => state.unknown += 1,
        }
        if next {
            state.left -= 1;
            state.due.push_back(None);
        }
        // The source looks before it sleeps: only the first one due has to wake it.
        let (wake, quiet) = (next && state.due.len() == 1, state.is_quiet());
        drop(state);
        if wake {
            self.ready.notify_one();
        }
        if quiet {
            self.quiet.notify_one();
        }
    }
}

impl State {
    fn is_quiet(&self) -> bool {
        self.due.is_empty() && self.book.waiting() == 0
    }
}

/// Hears whether a message was taken. Nothing may be refused here.
#[derive(Debug)]
struct Settler(Arc<Wire>);

#[async_trait]
impl Acker for Settler {
    async fn settle(self: Box<Self>, ack: Ack) -> Result<()> {
        if !matches!(ack, Ack::Accept(_)) {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn abandon(self: Box<Self>) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// The channel: posts are sent at most once, and are not repeated when in doubt.
#[derive(Debug)]
pub(super) struct Loop {
    id: ChannelId,
    capabilities: Capabilities,
    wire: Arc<Wire>,
}

impl Loop {
    pub(super) fn new(id: ChannelId, wire: Arc<Wire>) -> Self {
        let mut capabilities = Capabilities::default();
        capabilities.post = Effect::AtMostOnce;
        Self { id, capabilities, wire }
    }
}

#[async_trait]
impl Channel for Loop {
    fn id(&self) -> &ChannelId {
        &self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        Ok(Some(Box::new(Feed(Arc::clone(&self.wire)))))
    }

    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        let Outbound::Post { part, .. } = call.payload() else {
            return Err(Error::new(ErrorKind::Unsupported, "posts only"));
        };
        self.wire.answered(&part.content);
        Ok(Receipt::default())
    }
}

#[derive(Debug)]
struct Feed(Arc<Wire>);

#[async_trait]
impl Source for Feed {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        loop {
            let numbers = self.0.hand_out(max.get());
            if numbers.is_empty() {
                self.0.ready.notified().await;
                continue;
            }
            let mut deliveries = Vec::with_capacity(numbers.len());
            for number in numbers {
                deliveries.extend(self.0.deliver(number, 'm'));
                if self.0.twice && number % TWICE_EVERY == 0 {
                    deliveries.extend(self.0.deliver(number, 'x'));
                }
            }
            return Ok(deliveries);
        }
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
