//! The other side of a channel: what people write, what they are sent, what breaks on the way.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{
    Call, ChannelId, Envelope, Error, ErrorKind, Happened, MessageId, Result,
    channel::{
        Ack, Acker, Capabilities, Channel, Delivery, Health, Intent, Nonce, Outbound, Receipt,
        Reconcile, Reconciled, Source,
    },
};
use openclaw_testkit::env::SeededRng;
use tokio::{sync::Notify, time::Instant};

use super::{Event, LONG, Power, Trace};

/// Names one delivery.
pub(crate) type Ticket = u64;

/// What a delivery came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted { message: MessageId, duplicate: bool },
    Retry { after: Duration, kind: ErrorKind },
    Refused(ErrorKind),
    Abandoned,
}

/// What becomes of one send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// Taken, with a receipt.
    Take,
    /// Surely not taken.
    Refuse(ErrorKind),
    /// Surely not taken, and not before this long.
    Limit(Duration),
    /// Taken, and the answer is lost.
    LoseAnswer,
    /// Not taken, and nobody can know.
    LoseRequest,
    /// Taken, and the answer comes this much later.
    Late(Duration),
    /// Taken, and no answer ever.
    Hang,
    /// The channel panics before it sends.
    Panic,
}

/// A post that the platform took.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) chat: String,
    pub(crate) text: String,
    pub(crate) key: String,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) at: Instant,
}

#[derive(Debug)]
struct Hub {
    id: ChannelId,
    trace: Trace,
    books: Mutex<Books>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Books {
    waiting: VecDeque<(Ticket, Envelope, Option<Nonce>)>,
    next: Ticket,
    verdicts: BTreeMap<Ticket, Verdict>,
    /// Verdicts that nobody has asked for.
    unread: VecDeque<Ticket>,
    pulled: Vec<usize>,
    closed: u32,
    keyed: bool,
    requests: Vec<Instant>,
    posts: Vec<Post>,
    sending: VecDeque<Sending>,
    chaos: Option<(SeededRng, f64)>,
    reconciled: VecDeque<Reconciled>,
}

/// The platform. Clones are the same platform; it outlives every gateway.
#[derive(Clone, Debug)]
pub(crate) struct Platform(Arc<Hub>);

impl Platform {
    pub(crate) fn new(id: &str, trace: Trace) -> Self {
        let id = ChannelId::new(id).unwrap();
        Self(Arc::new(Hub { id, trace, books: Mutex::default(), changed: Notify::new() }))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap()
    }

    /// The channel of one process.
    pub(crate) fn channel(&self, capabilities: Capabilities, power: Power) -> Desk {
        Desk { platform: self.clone(), capabilities, power }
    }

    pub(crate) fn deliver(&self, envelope: Envelope, nonce: Option<Nonce>) -> Ticket {
        let ticket = {
            let mut books = self.books();
            books.next += 1;
            let ticket = books.next;
            books.waiting.push_back((ticket, envelope, nonce));
            ticket
        };
        self.0.changed.notify_waiters();
        ticket
    }

    /// Waits for the verdict over a delivery.
    pub(crate) async fn verdict(&self, ticket: Ticket) -> Verdict {
        let verdict = async {
            loop {
                let changed = self.0.changed.notified();
                if let Some(verdict) = self.peek(ticket) {
                    return verdict;
                }
                changed.await;
            }
        };
        tokio::time::timeout(LONG, verdict).await.expect("a verdict comes")
    }

    /// The verdict, if there is one yet.
    pub(crate) fn peek(&self, ticket: Ticket) -> Option<Verdict> {
        self.books().verdicts.get(&ticket).copied()
    }

    /// Waits for any verdict that was not taken before.
    pub(crate) async fn any_verdict(&self) -> (Ticket, Verdict) {
        loop {
            let changed = self.0.changed.notified();
            {
                let mut books = self.books();
                if let Some(ticket) = books.unread.pop_front() {
                    return (ticket, books.verdicts[&ticket]);
                }
            }
            changed.await;
        }
    }

    fn settle(&self, ticket: Ticket, verdict: Verdict) {
        self.0.trace.push(Event::Settled(verdict));
        {
            let mut books = self.books();
            books.verdicts.insert(ticket, verdict);
            books.unread.push_back(ticket);
        }
        self.0.changed.notify_waiters();
    }

    /// Makes the platform honour keys.
    pub(crate) fn honour_keys(&self) {
        self.books().keyed = true;
    }

    /// Decides what becomes of the next sends; behind these it takes everything.
    pub(crate) fn script(&self, next: impl IntoIterator<Item = Sending>) {
        self.books().sending.extend(next);
    }

    /// Breaks sends with this probability; 0 ends it.
    pub(crate) fn chaos(&self, rng: SeededRng, p: f64) {
        self.books().chaos = (p > 0.0).then_some((rng, p));
    }

    /// Decides what the next reconciliations say; behind these it tells the truth.
    pub(crate) fn reconcile_as(&self, next: impl IntoIterator<Item = Reconciled>) {
        self.books().reconciled.extend(next);
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.books().posts.clone()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.books().posts.iter().map(|post| post.text.clone()).collect()
    }

    /// When each request came, whatever became of it.
    pub(crate) fn requests(&self) -> Vec<Instant> {
        self.books().requests.clone()
    }

    /// How much each pull asked for.
    pub(crate) fn pulled(&self) -> Vec<usize> {
        self.books().pulled.clone()
    }

    /// Messages that nobody has pulled.
    pub(crate) fn waiting(&self) -> usize {
        self.books().waiting.len()
    }

    pub(crate) fn closed(&self) -> u32 {
        self.books().closed
    }

    fn take(&self, call: &Call<Outbound>) -> Receipt {
        let key = call.key().map(ToString::to_string).unwrap_or_default();
        let mut books = self.books();
        if let Some(at) = books.posts.iter().position(|post| books.keyed && post.key == key) {
            return Receipt::new(format!("p{at}"));
        }
        let (text, reply_to) = match call.payload() {
            Outbound::Post { part, reply_to, .. } => (part.content.to_text().into(), *reply_to),
            other => (format!("{other:?}"), None),
        };
        self.0.trace.push(Event::Sent { key: key.clone(), text: String::clone(&text) });
        let chat = call.payload().to().id.to_string();
        books.posts.push(Post { chat, text, key, reply_to, at: Instant::now() });
        Receipt::new(format!("p{}", books.posts.len() - 1))
    }

    fn next_sending(&self) -> Sending {
        let mut books = self.books();
        books.requests.push(Instant::now());
        if let Some(scripted) = books.sending.pop_front() {
            return scripted;
        }
        let ways = [
            Sending::Refuse(ErrorKind::Unavailable),
            Sending::Limit(Duration::from_secs(2)),
            Sending::LoseAnswer,
            Sending::LoseRequest,
            Sending::Late(Duration::from_millis(700)),
        ];
        match &books.chaos {
            Some((rng, p)) if rng.chance(*p) => *rng.pick(&ways).unwrap(),
            _ => Sending::Take,
        }
    }
}

/// The channel of one process to the platform.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    platform: Platform,
    capabilities: Capabilities,
    power: Power,
}

#[async_trait]
impl Channel for Desk {
    fn id(&self) -> &ChannelId {
        &self.platform.0.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        self.power.gate().await;
        Ok(Some(Box::new(Inlet(self.clone()))))
    }

    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        self.power.gate().await;
        let sending = self.platform.next_sending();
        let error = |kind, happened| Error::new(kind, "the test says so").with_happened(happened);
        match sending {
            Sending::Take => Ok(self.platform.take(&call)),
            Sending::Refuse(kind) => Err(error(kind, Happened::No)),
            Sending::Limit(after) => {
                Err(error(ErrorKind::RateLimited, Happened::No).with_retry_after(after))
            }
            Sending::LoseAnswer => {
                self.platform.take(&call);
                Err(error(ErrorKind::Unavailable, Happened::Maybe))
            }
            Sending::LoseRequest => Err(error(ErrorKind::Unavailable, Happened::Maybe)),
            Sending::Late(by) => {
                let receipt = self.platform.take(&call);
                tokio::time::sleep(by).await;
                Ok(receipt)
            }
            Sending::Hang => {
                self.platform.take(&call);
                std::future::pending().await
            }
            Sending::Panic => panic!("the channel panics, as the test asked"),
        }
    }

    async fn health(&self) -> Health {
        Health::Up
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        (self.capabilities.post == openclaw_core::Effect::Reconcilable).then_some(self)
    }
}

#[async_trait]
impl Reconcile for Desk {
    async fn reconcile(&self, intent: &Intent) -> Result<Reconciled> {
        self.power.gate().await;
        let mut books = self.platform.books();
        if let Some(scripted) = books.reconciled.pop_front() {
            return Ok(scripted);
        }
        let at = books.posts.iter().position(|post| post.key == intent.key.as_str());
        Ok(at.map_or(Reconciled::DidNotHappen, |at| {
            Reconciled::Happened(Arc::new(format!("p{at}").into()))
        }))
    }
}

#[derive(Debug)]
struct Inlet(Desk);

#[async_trait]
impl Source for Inlet {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        let platform = &self.0.platform;
        platform.books().pulled.push(max.get());
        loop {
            self.0.power.gate().await;
            let changed = platform.0.changed.notified();
            let batch: Vec<Delivery> = {
                let mut books = platform.books();
                let n = books.waiting.len().min(max.get());
                let some = books.waiting.drain(..n);
                some.map(|(ticket, envelope, nonce)| {
                    let slip = Slip { desk: self.0.clone(), ticket, settled: false };
                    let delivery = Delivery::new(envelope, slip);
                    match nonce {
                        Some(nonce) => delivery.with_nonce(nonce),
                        None => delivery,
                    }
                })
                .collect()
            };
            if !batch.is_empty() {
                return Ok(batch);
            }
            changed.await;
        }
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.0.platform.books().closed += 1;
        Ok(())
    }
}

/// The duty to settle one delivery; lost with its process, the platform takes it as abandoned.
#[derive(Debug)]
struct Slip {
    desk: Desk,
    ticket: Ticket,
    settled: bool,
}

#[async_trait]
impl Acker for Slip {
    async fn settle(mut self: Box<Self>, ack: Ack) -> Result<()> {
        self.desk.power.gate().await;
        let verdict = match ack {
            Ack::Accept(admitted) => {
                Verdict::Accepted { message: admitted.message, duplicate: admitted.duplicate }
            }
            Ack::Retry { after, error } => Verdict::Retry { after, kind: error.kind() },
            Ack::DeadLetter { reason } => Verdict::Refused(reason.kind()),
        };
        self.settled = true;
        self.desk.platform.settle(self.ticket, verdict);
        Ok(())
    }

    fn abandon(self: Box<Self>) {}
}

impl Drop for Slip {
    fn drop(&mut self) {
        if !self.settled {
            self.desk.platform.settle(self.ticket, Verdict::Abandoned);
        }
    }
}
