//! A message as the gateway knows it: CloudEvents names, typed conversation and content.

mod base64;
mod cloudevent;
mod seed;
mod session;

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::seed::{ChannelSeed, SeedError, SeedMessage, SeedMetadata, SeedPayload, SenderSeed};
use crate::{ChannelId, TenantId, Timestamp, TraceParent};

/// What kind of place a conversation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConversationKind {
    /// Two parties.
    #[default]
    Dm,
    /// Several people.
    Group,
    /// One to many.
    Broadcast,
    /// No person on the other side.
    Machine,
}

/// Where a message belongs; order is kept inside one conversation.
///
/// The tenant is not part of it: it stands beside it in the [`Envelope`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Conversation {
    /// The channel it lives on.
    pub channel: ChannelId,
    /// Our account on that channel; empty when there is only one.
    pub account: Arc<str>,
    /// The platform's id of the place.
    pub id: Arc<str>,
    /// The thread inside the place.
    pub thread: Option<Arc<str>>,
    /// What kind of place it is.
    pub kind: ConversationKind,
}

impl Conversation {
    /// A direct conversation on this channel.
    #[must_use]
    pub fn new(channel: ChannelId, id: impl Into<Arc<str>>) -> Self {
        Self {
            channel,
            account: "".into(),
            id: id.into(),
            thread: None,
            kind: ConversationKind::Dm,
        }
    }

    /// The same place as seen by another account of ours.
    #[must_use]
    pub fn on_account(mut self, account: impl Into<Arc<str>>) -> Self {
        self.account = account.into();
        self
    }

    /// A thread inside the place.
    #[must_use]
    pub fn in_thread(mut self, thread: impl Into<Arc<str>>) -> Self {
        self.thread = Some(thread.into());
        self
    }

    /// The same place with another kind.
    #[must_use]
    pub const fn of_kind(mut self, kind: ConversationKind) -> Self {
        self.kind = kind;
        self
    }
}

/// Who or what writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SenderKind {
    /// A person.
    #[default]
    Human,
    /// Another program.
    Bot,
    /// Ourselves: an echo of what we sent.
    SelfBot,
    /// The platform.
    System,
}

/// The sender, in the platform's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sender {
    /// The platform's id.
    pub id: Arc<str>,
    /// Who or what it is.
    pub kind: SenderKind,
    /// Did the channel check that the sender is who it says?
    pub verified: bool,
}

impl Sender {
    /// An unverified person.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), kind: SenderKind::Human, verified: false }
    }

    /// The same sender with another kind.
    #[must_use]
    pub const fn of_kind(mut self, kind: SenderKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same sender, checked by the channel.
    #[must_use]
    pub const fn verified(mut self) -> Self {
        self.verified = true;
        self
    }
}

/// What a message says.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Plain text.
    Text(Arc<str>),
    /// A JSON document.
    Json(#[serde(with = "crate::words::json::embedded")] Arc<Value>),
    /// Bytes with a media type.
    Bytes {
        /// `application/pdf`, …
        media_type: Arc<str>,
        /// The bytes.
        data: Bytes,
    },
    /// Several contents, in order.
    Parts(Arc<[Self]>),
}

impl Content {
    /// Plain text.
    #[must_use]
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A JSON document.
    #[must_use]
    pub fn json(value: Value) -> Self {
        Self::Json(Arc::new(value))
    }

    /// The content as text: JSON is printed, parts are joined by blank lines, bytes are named.
    #[must_use]
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Json(value) => match &**value {
                Value::String(text) => Cow::Borrowed(text),
                other => Cow::Owned(other.to_string()),
            },
            Self::Bytes { media_type, data } => {
                Cow::Owned(format!("[{media_type}, {} bytes]", data.len()))
            }
            Self::Parts(parts) => {
                Cow::Owned(parts.iter().map(Self::to_text).collect::<Vec<_>>().join("\n\n"))
            }
        }
    }

    /// Bytes this content holds, about: what limits and queues count.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Json(value) => value.to_string().len(),
            Self::Bytes { data, .. } => data.len(),
            Self::Parts(parts) => parts.iter().map(Self::len).sum(),
        }
    }

    /// Is there nothing in it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, len) = match self {
            Self::Text(_) => ("Text", self.len()),
            Self::Json(_) => ("Json", self.len()),
            Self::Bytes { .. } => ("Bytes", self.len()),
            Self::Parts(parts) => return f.debug_list().entries(parts.iter()).finish(),
        };
        write!(f, "{name}({len} bytes)")
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

/// A file that a message points to; fetched by its channel when somebody needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attachment {
    /// The channel's own reference, opaque to everybody else.
    pub reference: Arc<str>,
    /// The media type the platform told.
    pub media_type: Arc<str>,
    /// The file name the platform told.
    pub name: Option<Arc<str>>,
    /// The size the platform told, in bytes.
    pub size: Option<u64>,
}

impl Attachment {
    /// An attachment known by the channel's reference.
    #[must_use]
    pub fn new(reference: impl Into<Arc<str>>, media_type: impl Into<Arc<str>>) -> Self {
        Self { reference: reference.into(), media_type: media_type.into(), name: None, size: None }
    }
}

/// One inbound event, as its channel read it.
///
/// Attribute names are those of CloudEvents 1.0; `Envelope::to_cloudevent` is that view.
/// Headers are the sender's own words: nothing in them is proof of who sent them.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Envelope {
    /// The platform's id of the event; with channel and tenant it is the dedupe key. `None`
    /// when the platform gives none: then every delivery is a new message.
    pub id: Option<Arc<str>>,
    /// Where it came from: `openclaw:<channel>/<account>`.
    pub source: Arc<str>,
    /// What happened: `message.created`, `webhook`, …
    pub kind: Arc<str>,
    /// When it happened, by the platform's clock.
    pub time: Option<Timestamp>,
    /// Whose data it is; set by the channel's configuration, never by the sender.
    pub tenant: TenantId,
    /// Where it belongs.
    pub conversation: Conversation,
    /// Who sent it.
    pub sender: Sender,
    /// What it says.
    pub content: Content,
    /// The topic it was published under.
    pub topic: Option<Arc<str>>,
    /// Metadata, in the order it came. Part of what makes two deliveries the same message: a
    /// channel leaves out what its transport changes, such as retry counters.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// The files it points to.
    pub attachments: Vec<Attachment>,
    /// The trace it belongs to.
    pub traceparent: Option<TraceParent>,
    /// What spreads it over partitions, when it isn't the conversation.
    pub partitionkey: Option<Arc<str>>,
    /// Joins all events of one business case.
    pub correlationid: Option<Arc<str>>,
    /// The event that caused this one.
    pub causationid: Option<Arc<str>>,
    /// The bytes as they came, for signatures and audit; empty when the channel keeps none.
    pub raw: Bytes,
}

impl Envelope {
    /// A `message.created` in this conversation.
    ///
    /// ```
    /// use openclaw_core::{ChannelId, Content, Conversation, Envelope, Sender, TenantId};
    ///
    /// let chat = Conversation::new(ChannelId::new("web")?, "c1");
    /// let envelope =
    ///     Envelope::new(TenantId::new("acme")?, chat, Sender::new("ann"), Content::text("hello"))
    ///         .with_id("m-1")
    ///         .with_header("lang", "en");
    /// assert_eq!(&*envelope.source, "openclaw:web/");
    /// assert_eq!(envelope.header("lang"), Some("en"));
    /// # Ok::<(), openclaw_core::InvalidId>(())
    /// ```
    #[must_use]
    pub fn new(
        tenant: TenantId,
        conversation: Conversation,
        sender: Sender,
        content: Content,
    ) -> Self {
        Self {
            id: None,
            source: format!("openclaw:{}/{}", conversation.channel, conversation.account).into(),
            kind: "message.created".into(),
            time: None,
            tenant,
            conversation,
            sender,
            content,
            topic: None,
            headers: Vec::new(),
            attachments: Vec::new(),
            traceparent: None,
            partitionkey: None,
            correlationid: None,
            causationid: None,
            raw: Bytes::new(),
        }
    }

    /// Names the event by the platform's id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Says what kind of event it is.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<Arc<str>>) -> Self {
        self.kind = kind.into();
        self
    }

    /// Says when it happened.
    #[must_use]
    pub const fn with_time(mut self, time: Timestamp) -> Self {
        self.time = Some(time);
        self
    }

    /// Names the topic.
    #[must_use]
    pub fn with_topic(mut self, topic: impl Into<Arc<str>>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Keeps the bytes as they came.
    #[must_use]
    pub fn with_raw(mut self, raw: Bytes) -> Self {
        self.raw = raw;
        self
    }

    /// The first header of this name, compared without case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("id", &self.id)
            .field("source", &self.source)
            .field("kind", &self.kind)
            .field("tenant", &self.tenant)
            .field("conversation", &self.conversation.id)
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}
