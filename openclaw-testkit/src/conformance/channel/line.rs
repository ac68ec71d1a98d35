//! A channel and its other end, and the steps that laws are made of.

use std::{fmt, num::NonZeroUsize, time::Duration};

use openclaw_core::{
    Call, Content, Context, Conversation, Error, ErrorKind, MessageId, Result, TenantId,
    channel::{
        Ack, Admitted, Capabilities, Channel, Delivery, Outbound, Part, Receipt, Source, TextUnit,
    },
};
use tokio::time::timeout;

use super::{ChannelPeer, Heard};

/// A channel under trial, with its other end.
pub struct Line {
    channel: Box<dyn Channel>,
    peer: Box<dyn ChannelPeer>,
    /// How long something may take that must come.
    soon: Duration,
    /// How long nothing must come before it counts as nothing.
    quiet: Duration,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({:?})", self.channel)
    }
}

pub(super) const MANY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

impl Line {
    /// Puts a channel and its other end on trial.
    #[must_use]
    pub fn new(channel: Box<dyn Channel>, peer: Box<dyn ChannelPeer>, real_time: bool) -> Self {
        let hour = Duration::from_secs(3_600);
        let (soon, quiet) = match real_time {
            true => (Duration::from_secs(20), Duration::from_millis(250)),
            false => (hour, hour),
        };
        Self { channel, peer, soon, quiet }
    }

    pub(super) fn channel(&self) -> &dyn Channel {
        &*self.channel
    }

    pub(super) fn can(&self) -> &Capabilities {
        self.channel.capabilities()
    }

    pub(super) async fn say(&self, conversation: &str, text: &str) {
        self.peer.say(conversation, text).await;
    }

    pub(super) async fn hang_up(&self) {
        self.peer.hang_up().await;
    }

    pub(super) fn place(&self, name: &str) -> Conversation {
        self.peer.conversation(self.channel.id(), name)
    }

    /// Connects.
    pub(super) async fn source(&self) -> Box<dyn Source> {
        let source = timeout(self.soon, self.channel.receive()).await;
        let source = source.expect("`receive` does not answer").expect("a connection");
        source.expect("a source, as this channel receives")
    }

    /// What `next` gives when something must come.
    pub(super) async fn next(
        &self,
        source: &mut dyn Source,
        max: NonZeroUsize,
    ) -> Result<Vec<Delivery>> {
        timeout(self.soon, source.next(max)).await.expect("`next` does not answer")
    }

    /// Pulls until this many messages have come.
    pub(super) async fn take(&self, source: &mut dyn Source, n: usize) -> Vec<Delivery> {
        let mut taken = Vec::new();
        while taken.len() < n {
            let more = self.next(source, MANY).await.expect("messages");
            assert!(!more.is_empty(), "the source ended behind {} of {n} messages", taken.len());
            taken.extend(more);
        }
        assert_eq!(taken.len(), n, "more messages than were said: {:?}", texts(&taken));
        taken
    }

    /// Takes this many messages and accepts them.
    pub(super) async fn accept(&self, source: &mut dyn Source, n: usize) {
        for delivery in self.take(source, n).await {
            settle(delivery, accepted()).await;
        }
    }

    /// Nothing more may come.
    pub(super) async fn nothing_comes(&self, source: &mut dyn Source) {
        if let Ok(Ok(came)) = timeout(self.quiet, source.next(MANY)).await {
            assert!(came.is_empty(), "it came again: {:?}", texts(&came));
        }
    }

    pub(super) fn call(&self, outbound: Outbound) -> Call<Outbound> {
        let tenant = TenantId::new("law").expect("a tenant");
        Call::outbound(Context::new(tenant), &*self.channel, outbound)
    }

    pub(super) fn post(&self, place: &str, part: Part) -> Call<Outbound> {
        self.call(Outbound::Post { to: self.place(place), part, reply_to: None })
    }

    pub(super) async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        timeout(self.soon, self.channel.send(call)).await.expect("`send` does not answer")
    }

    /// What has come out so far, once at least `n` messages have.
    pub(super) async fn heard(&self, n: usize) -> Vec<Heard> {
        let listen = async {
            loop {
                let heard = self.peer.heard().await;
                if heard.len() >= n {
                    return heard;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match timeout(self.soon, listen).await {
            Ok(heard) => heard,
            Err(_) => panic!("of {n} messages the peer heard {:?}", self.peer.heard().await),
        }
    }

    /// The same, and waits whether more comes out.
    pub(super) async fn heard_exactly(&self, n: usize) -> Vec<Heard> {
        self.heard(n).await;
        tokio::time::sleep(self.quiet.min(Duration::from_secs(60))).await;
        let heard = self.peer.heard().await;
        assert_eq!(heard.len(), n, "the peer heard {heard:?}");
        heard
    }
}

pub(super) fn accepted() -> Ack {
    Ack::Accept(Admitted::new(MessageId::from_u128(1), false))
}

pub(super) fn retry(after: Duration) -> Ack {
    Ack::Retry { after, error: Error::new(ErrorKind::Overloaded, "later, please") }
}

pub(super) fn dead() -> Ack {
    Ack::DeadLetter { reason: Error::new(ErrorKind::ValidationError, "not like this") }
}

pub(super) async fn settle(delivery: Delivery, ack: Ack) {
    delivery.settle(ack).await.expect("a verdict that is heard");
}

pub(super) fn text(delivery: &Delivery) -> String {
    delivery.envelope().content.to_text().into_owned()
}

pub(super) fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(text).collect()
}

pub(super) fn part(text: &str) -> Part {
    Part::new(Content::text(text))
}

/// The length of a part's text, as the platform counts.
pub(super) fn length(part: &Part, unit: TextUnit) -> usize {
    unit.len(&part.content.to_text())
}
