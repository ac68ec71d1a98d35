//! The other side of a channel: what people write, what they are sent, what breaks on the way.

mod channel;
mod source;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use openclaw_core::{
    Call, ChannelId, Envelope, ErrorKind, MessageId,
    channel::{Capabilities, Nonce, Outbound, Receipt, Reconciled},
};
use tokio::{sync::Notify, time::Instant};

pub use self::channel::PlatformChannel;
use crate::{
    env::SeededRng,
    fault::Power,
    trace::{Event, Trace},
};

/// Names one delivery.
pub type Ticket = u64;

/// What a delivery came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is durable in the gateway.
    Accepted {
        /// The message's id there.
        message: MessageId,
        /// It had been accepted before.
        duplicate: bool,
    },
    /// It is to come again.
    Retry {
        /// The shortest wait.
        after: Duration,
        /// Why.
        kind: ErrorKind,
    },
    /// It is refused for good.
    Refused(ErrorKind),
    /// It was dropped unsettled.
    Abandoned,
    /// None came within an hour: the answer of [`Platform::verdict`] that fails a test.
    Overdue,
}

/// What becomes of one send, once it reached the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sending {
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
#[non_exhaustive]
pub struct Post {
    /// The conversation it stands in.
    pub chat: String,
    /// What it says; of an edit, a deletion or a reaction its debug form.
    pub text: String,
    /// The idempotency key that it came with; empty when there was none.
    pub key: String,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
    /// When it was taken.
    pub at: Instant,
}

/// The platform behind a channel: it outlives every gateway. Clones are the same platform.
///
/// What people write waits until a channel pulls it; a delivery that is abandoned or is to
/// come again is not delivered again unless the test does so.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use openclaw_core::{
///     AgentId, ChannelId, Content, Conversation, Envelope, Sender, TenantId,
///     agent::{Answer, agent_fn}, channel::Capabilities, gateway::Gateway, store::MemoryStore,
/// };
/// use openclaw_testkit::{env::test_env, fault::Power, platform::{Platform, Verdict}, trace::Trace};
///
/// let (env, desk) = (test_env(7), ChannelId::new("desk")?);
/// let platform = Platform::new(desk.clone(), Trace::default());
/// let echo = agent_fn(AgentId::new("echo")?, |turn| async move { Ok(Answer::text(&*turn.text())) });
/// let gateway = Gateway::builder(env.clone(), MemoryStore::new(env.clock()))
///     .channel(platform.channel(Capabilities::default(), Power::on()))
///     .agent(echo)
///     .start()
///     .await?;
/// let (tenant, chat) = (TenantId::new("acme")?, Conversation::new(desk, "c1"));
/// let said = Envelope::new(tenant.clone(), chat, Sender::new("ann"), Content::text("hello"));
/// let verdict = platform.verdict(platform.deliver(said, None)).await;
/// let Verdict::Accepted { message, .. } = verdict else { return Err("not accepted".into()) };
/// gateway.settled(&tenant, message).await?;
/// assert_eq!(platform.texts(), ["hello"]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Platform(Arc<Hub>);

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
    unread: VecDeque<(Ticket, Verdict)>,
    pulled: Vec<usize>,
    closed: u32,
    keyed: bool,
    requests: Vec<Instant>,
    posts: Vec<Post>,
    sending: VecDeque<Sending>,
    chaos: Option<(SeededRng, f64)>,
    reconciled: VecDeque<Reconciled>,
}

/// Longer than anything a healthy gateway takes.
const LONG: Duration = Duration::from_secs(3600);

impl Platform {
    /// An empty platform for a channel of this name; what happens goes into the trace.
    #[must_use]
    pub fn new(id: ChannelId, trace: Trace) -> Self {
        Self(Arc::new(Hub { id, trace, books: Mutex::default(), changed: Notify::new() }))
    }

    /// The channel of one process.
    #[must_use]
    pub fn channel(&self, capabilities: Capabilities, power: Power) -> PlatformChannel {
        PlatformChannel::new(self.clone(), capabilities, power)
    }

    /// Somebody writes: it waits until a channel pulls it.
    pub fn deliver(&self, envelope: Envelope, nonce: Option<Nonce>) -> Ticket {
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

    /// Waits for the verdict over a delivery: an hour at most, then it is [`Verdict::Overdue`].
    pub async fn verdict(&self, ticket: Ticket) -> Verdict {
        let verdict = async {
            loop {
                let changed = self.0.changed.notified();
                if let Some(verdict) = self.peek(ticket) {
                    return verdict;
                }
                changed.await;
            }
        };
        tokio::time::timeout(LONG, verdict).await.unwrap_or(Verdict::Overdue)
    }

    /// The verdict, if there is one yet.
    #[must_use]
    pub fn peek(&self, ticket: Ticket) -> Option<Verdict> {
        self.books().verdicts.get(&ticket).copied()
    }

    /// Waits for any verdict that was not taken from here before.
    pub async fn any_verdict(&self) -> (Ticket, Verdict) {
        loop {
            let changed = self.0.changed.notified();
            let unread = self.books().unread.pop_front();
            if let Some(verdict) = unread {
                return verdict;
            }
            changed.await;
        }
    }

    /// Makes the platform honour keys: a key seen before is the same post.
    pub fn honour_keys(&self) {
        self.books().keyed = true;
    }

    /// Decides what becomes of the next sends; behind these it takes everything.
    pub fn script(&self, next: impl IntoIterator<Item = Sending>) {
        self.books().sending.extend(next);
    }

    /// Breaks sends with this probability, as the seed decides; 0 ends it.
    ///
    /// It then refuses, limits, loses the request or the answer, or is late.
    pub fn chaos(&self, rng: SeededRng, p: f64) {
        self.books().chaos = (p > 0.0).then_some((rng, p));
    }

    /// Decides what the next reconciliations say; behind these it tells the truth.
    pub fn reconcile_as(&self, next: impl IntoIterator<Item = Reconciled>) {
        self.books().reconciled.extend(next);
    }

    /// What it took, in order.
    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        self.books().posts.clone()
    }

    /// What the posts say, in order.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.books().posts.iter().map(|post| post.text.clone()).collect()
    }

    /// When each request came, whatever became of it.
    #[must_use]
    pub fn requests(&self) -> Vec<Instant> {
        self.books().requests.clone()
    }

    /// How much each pull asked for.
    #[must_use]
    pub fn pulled(&self) -> Vec<usize> {
        self.books().pulled.clone()
    }

    /// Messages that nobody has pulled.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.books().waiting.len()
    }

    /// How many sources were closed.
    #[must_use]
    pub fn closed(&self) -> u32 {
        self.books().closed
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, ticket: Ticket, verdict: Verdict) {
        self.0.trace.push(Event::Settled(verdict));
        {
            let mut books = self.books();
            books.verdicts.insert(ticket, verdict);
            books.unread.push_back((ticket, verdict));
        }
        self.0.changed.notify_waiters();
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
            Some((rng, p)) if rng.chance(*p) => rng.pick(&ways).copied().unwrap_or(Sending::Take),
            _ => Sending::Take,
        }
    }
}
