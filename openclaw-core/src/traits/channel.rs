//! `Channel`: where messages come from and where replies go.

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use super::render::TextUnit;
use super::render::render;
use crate::{
    Call, ChannelId, Content, Context, Conversation, Effect, Envelope, Error, IdempotencyKey,
    MessageId, Result, Timestamp,
};

/// The order in which a channel delivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ordering {
    /// Any.
    None,
    /// In order inside a conversation. The default.
    #[default]
    Conversation,
    /// In order altogether.
    Total,
}

/// What a channel is able to do; facts, proven by the conformance laws.
///
/// An outbound kind that is not declared is refused with `UNSUPPORTED`.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own; none excludes another"
)]
pub struct Capabilities {
    /// A delivery that is not settled, or settled with `Retry`, comes again. False.
    pub redelivers: bool,
    /// How long a message may come again; 7 days, unless the channel knows better.
    ///
    /// The platform delivers it again, by itself or by hand, or its sender repeats its id.
    /// A gateway knows the ids of finished messages for at least this long, or does not start.
    pub redelivery_horizon: Duration,
    /// The sender itself is told a refusal, so the gateway keeps no dead letter of it. False.
    pub tells_refusals: bool,
    /// In which order deliveries come. `Conversation`.
    pub ordering: Ordering,
    /// What a post may do to the world when nobody knows its outcome. `AtMostOnce`.
    pub post: Effect,
    /// Messages can be edited. False.
    pub edit: bool,
    /// Messages can be deleted. False.
    pub delete: bool,
    /// Messages can be reacted to. False.
    pub react: bool,
    /// "Is typing" can be shown. False.
    pub typing: bool,
    /// The longest text of one message, in `unit`; unlimited when `None`. `None`.
    pub max_text: Option<NonZeroUsize>,
    /// How the platform counts. By characters.
    pub unit: TextUnit,
    /// The most messages one reply may be split into. 32.
    pub max_parts: usize,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            redelivers: false,
            redelivery_horizon: Duration::from_secs(7 * 86_400),
            tells_refusals: false,
            ordering: Ordering::Conversation,
            post: Effect::AtMostOnce,
            edit: false,
            delete: false,
            react: false,
            typing: false,
            max_text: None,
            unit: TextUnit::Chars,
            max_parts: 32,
        }
    }
}

impl Capabilities {
    /// Is this kind of outbound declared?
    #[must_use]
    pub const fn allows(&self, outbound: &Outbound) -> bool {
        match outbound {
            Outbound::Post { .. } => true,
            Outbound::Edit { .. } => self.edit,
            Outbound::Delete { .. } => self.delete,
            Outbound::React { .. } => self.react,
            Outbound::Typing { .. } => self.typing,
        }
    }

    /// What this outbound may do to the world.
    ///
    /// Edits, deletes and reactions set a state: doing them twice is doing them once.
    #[must_use]
    pub const fn effect_of(&self, outbound: &Outbound) -> Effect {
        match outbound {
            Outbound::Post { .. } => self.post,
            Outbound::Edit { .. } | Outbound::Delete { .. } | Outbound::React { .. } => {
                Effect::AtLeastOnce
            }
            Outbound::Typing { .. } => Effect::Pure,
        }
    }
}

/// One rendered message: what fits into one platform request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Part {
    /// What it says.
    pub content: Content,
}

impl Part {
    /// A part with this content.
    #[must_use]
    pub const fn new(content: Content) -> Self {
        Self { content }
    }
}

/// What a channel is asked to send: exactly one platform request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "a channel must handle every kind")]
pub enum Outbound {
    /// A new message.
    Post {
        /// Where to.
        to: Conversation,
        /// What.
        part: Part,
        /// The message it answers, when it answers one.
        reply_to: Option<MessageId>,
    },
    /// New content for a message of ours.
    Edit {
        /// Where it stands.
        to: Conversation,
        /// The platform's id of it.
        message: Arc<str>,
        /// The new content.
        part: Part,
    },
    /// Takes a message of ours back.
    Delete {
        /// Where it stands.
        to: Conversation,
        /// The platform's id of it.
        message: Arc<str>,
    },
    /// A reaction to a message.
    React {
        /// Where it stands.
        to: Conversation,
        /// The platform's id of it.
        message: Arc<str>,
        /// The reaction, usually an emoji.
        emoji: Arc<str>,
    },
    /// Shows that an answer is being made.
    Typing {
        /// Where.
        to: Conversation,
    },
}

impl Outbound {
    /// Where it goes.
    #[must_use]
    pub const fn to(&self) -> &Conversation {
        match self {
            Self::Post { to, .. }
            | Self::Edit { to, .. }
            | Self::Delete { to, .. }
            | Self::React { to, .. }
            | Self::Typing { to } => to,
        }
    }
}

impl Call<Outbound> {
    /// A call of this channel, its effect stamped by the channel's capabilities.
    #[must_use]
    pub fn outbound(context: Context, channel: &dyn Channel, outbound: Outbound) -> Self {
        let effect = channel.capabilities().effect_of(&outbound);
        Self::stamped(context, channel.id().as_str(), effect, outbound)
    }
}

/// Proof that the platform took a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Receipt {
    /// The platform's id of what was sent, when it told one.
    pub message: Option<Arc<str>>,
}

impl Receipt {
    /// A receipt with the platform's id.
    #[must_use]
    pub fn new(message: impl Into<Arc<str>>) -> Self {
        Self { message: Some(message.into()) }
    }
}

/// How a channel or a gateway is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// Works.
    Up,
    /// Works with restrictions, for this reason.
    Degraded(String),
    /// Does not work, for this reason.
    Down(String),
}

/// A fact that a message was admitted, told to whoever delivered it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admitted {
    /// The message's id in this gateway.
    pub message: MessageId,
    /// True when it had been admitted before: this delivery changed nothing.
    pub duplicate: bool,
}

impl Admitted {
    /// An admission under this id.
    #[must_use]
    pub const fn new(message: MessageId, duplicate: bool) -> Self {
        Self { message, duplicate }
    }
}

/// What becomes of a delivery.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a channel must handle every answer")]
pub enum Ack {
    /// It is durable here: never deliver it again.
    Accept(Admitted),
    /// It is not durable: deliver it again, not before `after`.
    Retry {
        /// The shortest wait.
        after: Duration,
        /// Why.
        error: Error,
    },
    /// It is refused for good: never deliver it again.
    DeadLetter {
        /// Why; what the sender may read is [`Error::public`].
        reason: Error,
    },
}

/// The channel's side of a delivery: takes the verdict to the platform.
#[async_trait]
pub trait Acker: Send + fmt::Debug + 'static {
    /// Tells the platform. Called at most once.
    ///
    /// # Errors
    /// The platform did not hear it: expect a redelivery, which the gateway dedupes.
    async fn settle(self: Box<Self>, ack: Ack) -> Result<()>;

    /// The delivery was dropped unsettled: same as `Retry` at once. Must not block.
    fn abandon(self: Box<Self>);
}

/// A token that may be seen only once: a webhook's nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Nonce {
    /// Which signatures it belongs to.
    pub scope: Arc<str>,
    /// The token.
    pub token: Arc<str>,
    /// How long it must be remembered.
    pub keep: Duration,
}

impl Nonce {
    /// A token remembered for `keep`.
    #[must_use]
    pub fn new(scope: impl Into<Arc<str>>, token: impl Into<Arc<str>>, keep: Duration) -> Self {
        Self { scope: scope.into(), token: token.into(), keep }
    }
}

/// One message on its way in, with the duty to settle it.
///
/// Dropped unsettled it is abandoned: the channel treats it as `Retry`.
///
/// ```
/// use openclaw_core::{ChannelId, Content, Conversation, Envelope, Sender, TenantId};
/// use openclaw_core::channel::{Ack, Acker, Admitted, Delivery};
///
/// #[derive(Debug)]
/// struct Print;
///
/// #[async_trait::async_trait]
/// impl Acker for Print {
///     async fn settle(self: Box<Self>, ack: Ack) -> openclaw_core::Result<()> {
///         assert!(matches!(ack, Ack::Accept(_)));
///         Ok(())
///     }
///     fn abandon(self: Box<Self>) {
///         unreachable!("this one is settled");
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let chat = Conversation::new(ChannelId::new("web")?, "c1");
/// let envelope = Envelope::new(TenantId::new("acme")?, chat, Sender::new("ann"), Content::text("hi"));
/// let (envelope, settle) = Delivery::new(envelope, Print).into_parts();
/// assert_eq!(envelope.content.to_text(), "hi");
/// settle.settle(Ack::Accept(Admitted::new(openclaw_core::MessageId::from_u128(1), false))).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Delivery {
    envelope: Envelope,
    nonce: Option<Nonce>,
    settle: Settle,
}

/// The duty to settle, once the envelope was taken out.
#[derive(Debug)]
pub struct Settle(Option<Box<dyn Acker>>);

impl Delivery {
    /// A delivery settled through this acker.
    #[must_use]
    pub fn new(envelope: Envelope, acker: impl Acker) -> Self {
        Self { envelope, nonce: None, settle: Settle(Some(Box::new(acker))) }
    }

    /// Asks that this token be recorded in the commit that admits the message.
    ///
    /// A token seen before makes the gateway refuse the delivery with `AUTHENTICATION_FAILED`.
    #[must_use]
    pub fn with_nonce(mut self, nonce: Nonce) -> Self {
        self.nonce = Some(nonce);
        self
    }

    /// What was delivered.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The token to record with it.
    #[must_use]
    pub const fn nonce(&self) -> Option<&Nonce> {
        self.nonce.as_ref()
    }

    /// Settles it.
    ///
    /// # Errors
    /// As [`Acker::settle`].
    pub async fn settle(self, ack: Ack) -> Result<()> {
        self.settle.settle(ack).await
    }

    /// The envelope, and the duty to settle apart from it.
    #[must_use]
    pub fn into_parts(self) -> (Envelope, Settle) {
        (self.envelope, self.settle)
    }
}

impl Settle {
    /// The duty; nothing is left to settle here.
    pub(crate) const fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// Settles it.
    ///
    /// # Errors
    /// As [`Acker::settle`].
    pub async fn settle(mut self, ack: Ack) -> Result<()> {
        match self.0.take() {
            Some(acker) => acker.settle(ack).await,
            None => Ok(()),
        }
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        if let Some(acker) = self.0.take() {
            acker.abandon();
        }
    }
}

/// The receiving half of a channel: pulled by one task, so that credits can hold it back.
#[async_trait]
pub trait Source: Send + fmt::Debug + 'static {
    /// Waits for messages; 1 to `max` of them, in order. Empty means ended.
    ///
    /// Cancel-safe: a dropped call loses no message.
    ///
    /// # Errors
    /// The connection is gone; the gateway calls [`Channel::receive`] again.
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>>;

    /// Stops the intake. Deliveries handed out before can still be settled.
    ///
    /// # Errors
    /// The platform did not hear it.
    async fn close(self: Box<Self>) -> Result<()>;
}

/// What was meant to be sent: the question that [`Reconcile`] answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Intent {
    /// The key that the remote was given.
    pub key: IdempotencyKey,
    /// What was called.
    pub target: Arc<str>,
    /// The arguments, or the outbound as JSON.
    pub request: Arc<serde_json::Value>,
    /// When it was first sent.
    pub first_at: Timestamp,
}

impl Intent {
    /// What was sent under this key.
    #[must_use]
    pub fn new(
        key: IdempotencyKey,
        target: impl Into<Arc<str>>,
        request: Arc<serde_json::Value>,
        first_at: Timestamp,
    ) -> Self {
        Self { key, target: target.into(), request, first_at }
    }
}

/// What the owner of an effect knows about it afterwards.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the ledger must handle every answer")]
pub enum Reconciled {
    /// It happened, with this answer.
    Happened(Arc<serde_json::Value>),
    /// It surely did not happen, and can't happen any more.
    DidNotHappen,
    /// Ask again later.
    NotYetKnown {
        /// The shortest wait.
        retry_after: Duration,
    },
    /// Nobody will ever know: a person has to look.
    CannotKnow,
}

/// Tells afterwards whether an effect happened.
#[async_trait]
pub trait Reconcile: Send + Sync + fmt::Debug {
    /// Looks the intent up at its owner. Changes nothing.
    ///
    /// # Errors
    /// The owner can't be asked now; same as `NotYetKnown`.
    async fn reconcile(&self, intent: &Intent) -> Result<Reconciled>;
}

/// Where messages come from and where replies go.
///
/// The contract, each sentence a law in `openclaw_testkit::conformance::channel`:
///
/// * `receive` (re)connects and subscribes. `None` means that the channel only sends. After a
///   source ended or failed, `receive` gives a new one.
/// * `send` makes exactly one platform request. An outbound that is not declared answers
///   `UNSUPPORTED`. An error says whether the message went out (`happened`).
/// * `render` is pure: every part of text fits `max_text`, and nothing is lost. What is over
///   `max_parts` parts ends with a mark that says so.
/// * `health` answers within a second and never fails.
/// * `reconcile` is there where posts are `Reconcilable`. It tells the truth and posts nothing.
///
/// A custom channel is `receive` and `send`:
///
/// ```
/// use openclaw_core::{Call, ChannelId, Result};
/// use openclaw_core::channel::{Capabilities, Channel, Outbound, Receipt, Source};
///
/// #[derive(Debug)]
/// struct Shout(ChannelId, Capabilities);
///
/// #[async_trait::async_trait]
/// impl Channel for Shout {
///     fn id(&self) -> &ChannelId {
///         &self.0
///     }
///     fn capabilities(&self) -> &Capabilities {
///         &self.1
///     }
///     async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
///         Ok(None)
///     }
///     async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
///         let Outbound::Post { part, .. } = call.into_payload() else {
///             return Err(openclaw_core::Error::new(openclaw_core::ErrorKind::Unsupported, "posts only"));
///         };
///         Ok(Receipt::new(part.content.to_text().to_uppercase()))
///     }
/// }
/// # fn main() -> std::result::Result<(), openclaw_core::InvalidId> {
/// let shout = Shout(ChannelId::new("shout")?, Capabilities::default());
/// assert_eq!(shout.render(&"hi".into()).len(), 1);
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Channel: Send + Sync + fmt::Debug + 'static {
    /// The channel's name in this gateway.
    fn id(&self) -> &ChannelId;

    /// What it is able to do.
    fn capabilities(&self) -> &Capabilities;

    /// Connects, or connects again, and subscribes. `None`: the channel only sends.
    ///
    /// # Errors
    /// The platform can't be reached; the gateway tries again later.
    async fn receive(&self) -> Result<Option<Box<dyn Source>>>;

    /// Makes exactly one platform request.
    ///
    /// # Errors
    /// [`Error::happened`] says whether the message went out.
    async fn send(&self, call: Call<Outbound>) -> Result<Receipt>;

    /// Splits content into parts that the platform takes.
    fn render(&self, content: &Content) -> Vec<Part> {
        let Capabilities { max_text, unit, max_parts, .. } = *self.capabilities();
        render(content, max_text, unit, max_parts).into_iter().map(Part::new).collect()
    }

    /// How the channel is, within a second.
    async fn health(&self) -> Health {
        Health::Up
    }

    /// Tells afterwards whether a message went out, when the platform can be asked.
    fn reconcile(&self) -> Option<&dyn Reconcile> {
        None
    }
}
