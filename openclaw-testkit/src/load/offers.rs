//! A channel that offers messages to a gateway and times what comes back.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use openclaw_core::{
    Call, ChannelId, Envelope, Error, ErrorKind, MessageId, Result,
    channel::{Ack, Acker, Capabilities, Channel, Delivery, Outbound, Receipt, Source},
};
use tokio::{
    sync::{Mutex as Shared, mpsc, oneshot},
    time::Instant,
};

use super::{Latencies, Load, Report};

/// Deliveries that may wait for the gateway; an offer beyond them waits itself.
const ROOM: usize = 1024;

/// The near side of an [`OfferChannel`]: offers messages and hears verdicts and replies.
///
/// Clones are the same side. The gateway must be running: an offer waits until it is told.
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::{AgentId, ChannelId, Content, Conversation, Env, Envelope, Sender, TenantId};
/// use openclaw_core::{agent::{Answer, agent_fn}, gateway::Gateway, store::MemoryStore};
/// use openclaw_testkit::load::{Load, Offers};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let env = openclaw_testkit::env::test_env(7);
/// let (channel, offers) = Offers::pair(ChannelId::new("load")?);
/// let echo = agent_fn(AgentId::new("echo")?, |turn| async move { Ok(Answer::text(&*turn.text())) });
/// let store = MemoryStore::new(env.clock());
/// let gateway = Gateway::builder(env, store).channel(channel).agent(echo).start().await?;
///
/// let (tenant, web) = (TenantId::new("acme")?, ChannelId::new("load")?);
/// let load = Load::open_loop(50.0).for_(Duration::from_secs(2));
/// let timings = offers.drive(load, move |n| {
///     let chat = Conversation::new(web.clone(), format!("c{}", n % 10));
///     Envelope::new(tenant.clone(), chat, Sender::new("ann"), Content::text("hi"))
/// });
/// let timings = timings.await;
/// assert_eq!((timings.replies().ok(), timings.verdicts().len()), (100, 100));
/// gateway.drain(Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Offers {
    hub: Arc<Hub>,
    deliveries: mpsc::Sender<Delivery>,
}

/// What both sides share.
#[derive(Debug, Default)]
struct Hub(Mutex<Replies>);

#[derive(Debug, Default)]
struct Replies {
    /// Who waits, by the gateway's id of the message.
    awaited: BTreeMap<MessageId, oneshot::Sender<Instant>>,
    /// Replies that came before their verdict, and further parts of a reply: ids grow with time,
    /// so the first one is the oldest.
    early: BTreeMap<MessageId, Instant>,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Replies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replied(&self, message: MessageId) {
        let now = Instant::now();
        let mut replies = self.lock();
        if let Some(waiter) = replies.awaited.remove(&message) {
            // Whoever gave up does not hear it.
            let _gone = waiter.send(now);
            return;
        }
        replies.early.insert(message, now);
        if replies.early.len() > ROOM {
            replies.early.pop_first();
        }
    }

    /// When the message was answered, or where that will be told.
    fn await_reply(&self, message: MessageId) -> Result<Instant, oneshot::Receiver<Instant>> {
        let mut replies = self.lock();
        if let Some(at) = replies.early.remove(&message) {
            return Ok(at);
        }
        // Those who gave up waiting are cleared away now and then, not at each call.
        if replies.awaited.len().is_power_of_two() {
            replies.awaited.retain(|_, waiter| !waiter.is_closed());
        }
        let (tell, told) = oneshot::channel();
        replies.awaited.insert(message, tell);
        Err(told)
    }
}

impl Offers {
    /// A channel for the gateway, and its near side. The sender is told refusals.
    #[must_use]
    pub fn pair(id: ChannelId) -> (OfferChannel, Self) {
        let mut capabilities = Capabilities::default();
        capabilities.tells_refusals = true;
        Self::pair_with(id, capabilities)
    }

    /// A channel with these capabilities, and its near side.
    #[must_use]
    pub fn pair_with(id: ChannelId, capabilities: Capabilities) -> (OfferChannel, Self) {
        let hub = Arc::new(Hub::default());
        let (deliveries, taken) = mpsc::channel(ROOM);
        let taken = Arc::new(Shared::new(taken));
        (OfferChannel { id, capabilities, hub: Arc::clone(&hub), taken }, Self { hub, deliveries })
    }

    /// Delivers a message and waits for its verdict: the id that the gateway gave it.
    ///
    /// # Errors
    /// What the gateway refused it with; `DUPLICATE` when it was admitted before; `CANCELLED`
    /// when the gateway let it go unsettled.
    pub async fn deliver(&self, envelope: Envelope) -> Result<MessageId> {
        let gone = || Error::new(ErrorKind::Cancelled, "the gateway let the message go");
        let (tell, told) = oneshot::channel();
        let delivery = Delivery::new(envelope, Teller(tell));
        self.deliveries.send(delivery).await.map_err(|_closed| gone())?;
        match told.await.map_err(|_closed| gone())? {
            Ack::Accept(admitted) if admitted.duplicate => {
                Err(Error::new(ErrorKind::Duplicate, "the message was admitted before"))
            }
            Ack::Accept(admitted) => Ok(admitted.message),
            Ack::Retry { error, .. } | Ack::DeadLetter { reason: error } => Err(error),
        }
    }

    /// Waits until the first part of the reply to this message is sent.
    ///
    /// An agent that stays silent never ends this: put a timeout around it.
    ///
    /// # Errors
    /// `CANCELLED` when somebody else waits for the same reply.
    pub async fn reply(&self, message: MessageId) -> Result<Instant> {
        match self.hub.await_reply(message) {
            Ok(at) => Ok(at),
            Err(told) => told.await.map_err(|_replaced| {
                Error::new(ErrorKind::Cancelled, "somebody else waits for this reply")
            }),
        }
    }

    /// Offers messages at the rate of the load, and times verdicts and replies.
    ///
    /// Both are counted from the intended start. A message whose reply has not come when the
    /// load's patience ends is `unfinished`.
    pub async fn drive(
        &self,
        load: Load,
        mut envelope: impl FnMut(u64) -> Envelope + Send,
    ) -> Timings {
        let verdicts = Arc::new(Mutex::new(Latencies::default()));
        let measured_from = Instant::now() + load.warm_up;
        let replies = load
            .run_at(|n, intended| {
                let (offers, envelope) = (self.clone(), envelope(n));
                let verdicts = (intended >= measured_from).then(|| Arc::clone(&verdicts));
                async move {
                    let message = offers.deliver(envelope).await?;
                    if let Some(verdicts) = verdicts {
                        verdicts
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .record(intended.elapsed());
                    }
                    offers.reply(message).await.map(drop)
                }
            })
            .await;
        let verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Timings { verdicts, replies }
    }
}

/// How long verdicts and replies took, from the intended start of each message.
#[derive(Clone, Debug)]
pub struct Timings {
    verdicts: Latencies,
    replies: Report,
}

impl Timings {
    /// From the offer to the acceptance.
    #[must_use]
    pub const fn verdicts(&self) -> &Latencies {
        &self.verdicts
    }

    /// From the offer to the reply, with everything else that the run found.
    #[must_use]
    pub const fn replies(&self) -> &Report {
        &self.replies
    }
}

/// Takes a verdict to whoever offered the message. Dropped, it tells that nobody settled it.
#[derive(Debug)]
struct Teller(oneshot::Sender<Ack>);

#[async_trait]
impl Acker for Teller {
    async fn settle(self: Box<Self>, ack: Ack) -> Result<()> {
        // Whoever gave up does not hear it.
        let _gone = self.0.send(ack);
        Ok(())
    }

    fn abandon(self: Box<Self>) {}
}

/// The channel of [`Offers`]: what the gateway sends is timed and thrown away.
#[derive(Debug)]
pub struct OfferChannel {
    id: ChannelId,
    capabilities: Capabilities,
    hub: Arc<Hub>,
    taken: Arc<Shared<mpsc::Receiver<Delivery>>>,
}

#[async_trait]
impl Channel for OfferChannel {
    fn id(&self) -> &ChannelId {
        &self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        Ok(Some(Box::new(Intake(Arc::clone(&self.taken)))))
    }

    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        if !self.capabilities.allows(call.payload()) {
            return Err(Error::new(ErrorKind::Unsupported, "not declared"));
        }
        if let Outbound::Post { reply_to: Some(message), .. } = call.payload() {
            self.hub.replied(*message);
        }
        Ok(Receipt::default())
    }
}

/// The source of an [`OfferChannel`].
#[derive(Debug)]
struct Intake(Arc<Shared<mpsc::Receiver<Delivery>>>);

#[async_trait]
impl Source for Intake {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        let mut batch = Vec::with_capacity(max.get().min(ROOM));
        self.0.lock().await.recv_many(&mut batch, max.get()).await;
        Ok(batch)
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
