//! The laws of [`Channel`]: one function for each sentence of its contract.

mod identity;
mod line;
mod list;
mod receive;
mod render;
mod send;
mod settle;

use std::{fmt, pin::Pin, sync::Arc};

use async_trait::async_trait;
use openclaw_core::{ChannelId, Conversation, Effect, channel::Channel};

pub use self::line::Line;
use super::{Report, Verdict, run};

/// Makes the channels that the laws try, each with somebody at its other end.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use openclaw_core::{Call, ChannelId, Error, ErrorKind, Result};
/// use openclaw_core::channel::{Capabilities, Channel, Outbound, Receipt, Source};
/// use openclaw_testkit::conformance::channel::{ChannelHarness, ChannelPeer, Heard, check_all};
///
/// #[derive(Debug)]
/// struct Board(ChannelId, Capabilities, Notes);
/// type Notes = Arc<Mutex<Vec<Heard>>>;
///
/// #[async_trait::async_trait]
/// impl Channel for Board {
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
///         let Outbound::Post { to, part, .. } = call.into_payload() else {
///             return Err(Error::new(ErrorKind::Unsupported, "a board shows posts only"));
///         };
///         self.2.lock().expect("notes").push(Heard::new(to.id, part.content.to_text()));
///         Ok(Receipt::default())
///     }
/// }
///
/// struct Boards;
/// struct Reader(Notes);
///
/// #[async_trait::async_trait]
/// impl ChannelHarness for Boards {
///     async fn fresh(&self) -> (Box<dyn Channel>, Box<dyn ChannelPeer>) {
///         let notes = Notes::default();
///         let id = ChannelId::new("board").expect("an id");
///         (Box::new(Board(id, Capabilities::default(), notes.clone())), Box::new(Reader(notes)))
///     }
///     fn receives(&self) -> bool {
///         false
///     }
/// }
///
/// #[async_trait::async_trait]
/// impl ChannelPeer for Reader {
///     async fn say(&self, _conversation: &str, _text: &str) {}
///     async fn heard(&self) -> Vec<Heard> {
///         self.0.lock().expect("notes").clone()
///     }
/// }
///
/// let report = check_all(&Boards);
/// assert!(report.held.contains(&"a_post_is_heard_once"));
/// assert!(report.not_declared.contains(&("an_accepted_message_never_comes_again", "receiving")));
/// ```
#[async_trait]
pub trait ChannelHarness: Send + Sync {
    /// A new channel, and its other end.
    async fn fresh(&self) -> (Box<dyn Channel>, Box<dyn ChannelPeer>);

    /// Does the channel receive, or does it only send?
    fn receives(&self) -> bool {
        true
    }

    /// Can the peer break the connection?
    fn hangs_up(&self) -> bool {
        false
    }

    /// Has the channel threads or sockets of its own, so that time must not be paused?
    fn real_time(&self) -> bool {
        false
    }
}

/// Who is at the other end of a channel: the platform, as a test plays it.
#[async_trait]
pub trait ChannelPeer: Send + Sync {
    /// Sends a message in. Must not wait until it is settled.
    async fn say(&self, conversation: &str, text: &str);

    /// Everything that has come out so far, in order.
    async fn heard(&self) -> Vec<Heard>;

    /// Breaks the connection.
    async fn hang_up(&self) {}

    /// How the channel calls this conversation.
    fn conversation(&self, channel: &ChannelId, name: &str) -> Conversation {
        Conversation::new(channel.clone(), name)
    }
}

/// A message that came out of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heard {
    /// The platform's id of the place.
    pub conversation: Arc<str>,
    /// What it said.
    pub text: String,
    /// The platform's id of the message, when there are such ids.
    pub message: Option<Arc<str>>,
}

impl Heard {
    /// This text in this place.
    #[must_use]
    pub fn new(conversation: impl Into<Arc<str>>, text: impl Into<String>) -> Self {
        Self { conversation: conversation.into(), text: text.into(), message: None }
    }

    /// Tells the platform's id.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Arc<str>>) -> Self {
        self.message = Some(message.into());
        self
    }
}

/// A law of channels: its name, what must be declared, and how it is run.
#[derive(Clone, Copy)]
pub struct Law {
    name: &'static str,
    need: Need,
    run: for<'a> fn(&'a Line) -> Running<'a>,
}

type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What a channel must declare for a law to apply.
#[derive(Clone, Copy)]
enum Need {
    Nothing,
    Receiving,
    Redelivery,
    HangUps,
    KeyedPosts,
    MaxText,
    Hook,
}

impl Need {
    /// What is missing.
    fn missing(self, harness: &dyn ChannelHarness, channel: &dyn Channel) -> Option<&'static str> {
        let (receives, can) = (harness.receives(), channel.capabilities());
        let (met, what) = match self {
            Self::Nothing => (true, ""),
            Self::Receiving => (receives, "receiving"),
            Self::Redelivery => (receives && can.redelivers, "redelivery"),
            Self::HangUps => (receives && harness.hangs_up(), "a peer that hangs up"),
            Self::KeyedPosts => (matches!(can.post, Effect::Keyed { .. }), "keyed posts"),
            Self::MaxText => (can.max_text.is_some(), "a longest text"),
            Self::Hook => (channel.reconcile().is_some(), "a hook"),
        };
        (!met).then_some(what)
    }
}

impl Law {
    /// Its name: that of its function.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Tries it on a new channel of this harness; panics when it is broken.
    pub async fn run(&self, harness: &dyn ChannelHarness) -> Verdict {
        let (channel, peer) = harness.fresh().await;
        if let Some(what) = self.need.missing(harness, &*channel) {
            return Verdict::NotDeclared(what);
        }
        (self.run)(&Line::new(channel, peer, harness.real_time())).await;
        Verdict::Held
    }
}

impl fmt::Debug for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Law({})", self.name)
    }
}

/// Runs the law of this name to its end; panics when it is broken.
///
/// Not from inside a runtime: the law gets one of its own. There, use [`Law::run`].
pub fn check(law: &str, harness: &dyn ChannelHarness) -> Verdict {
    let found = LAWS.iter().find(|found| found.name == law);
    let found = found.unwrap_or_else(|| panic!("there is no law of the name {law}"));
    run::block_on(law, harness.real_time(), found.run(harness))
}

/// Runs every law in turn, and tells which were run; panics at the first that is broken.
pub fn check_all(harness: &dyn ChannelHarness) -> Report {
    let mut report = Report::default();
    for law in LAWS {
        report.add(law.name, check(law.name, harness));
    }
    report
}

crate::__channel_laws! { __channel_table {} }
