//! The memory channel: settling, redelivery, bounds, the connection, what was sent.

use std::{num::NonZeroUsize, time::Duration};

use openclaw_channels::memory::{MemoryChannel, MemoryPeer};
use openclaw_core::{
    Call, ChannelId, Context, Conversation, Effect, Error, ErrorKind, IdempotencyKey, MessageId,
    TenantId,
    channel::{Ack, Admitted, Capabilities, Channel, Delivery, Health, Outbound, Part, Source},
};
use tokio::time::Instant;

const MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

fn pair() -> (MemoryChannel, MemoryPeer) {
    MemoryChannel::pair(ChannelId::new("mem").unwrap(), TenantId::new("acme").unwrap())
}

async fn source(channel: &MemoryChannel) -> Box<dyn Source> {
    channel.receive().await.unwrap().unwrap()
}

fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|d| d.envelope().content.to_text().into_owned()).collect()
}

fn accept(n: u128) -> Ack {
    Ack::Accept(Admitted::new(MessageId::from_u128(n), false))
}

fn retry(after: Duration) -> Ack {
    Ack::Retry { after, error: Error::new(ErrorKind::Overloaded, "lanes full") }
}

fn post(channel: &MemoryChannel, text: &str) -> Call<Outbound> {
    let to = Conversation::new(channel.id().clone(), "c1");
    let post = Outbound::Post { to, part: Part::new(text.into()), reply_to: None };
    Call::outbound(Context::new(TenantId::new("acme").unwrap()), channel, post)
}

#[tokio::test(start_paused = true)]
async fn one_call_takes_all_that_waits_up_to_max() {
    let (channel, peer) = pair();
    let mut source = source(&channel).await;
    for text in ["1", "2", "3", "4"] {
        peer.say("c1", text).unwrap();
    }
    let three = NonZeroUsize::new(3).unwrap();
    assert_eq!(texts(&source.next(three).await.unwrap()), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn an_accepted_message_never_comes_again() {
    let (channel, peer) = pair();
    let mut source = source(&channel).await;
    peer.say("c1", "1").unwrap();
    for delivery in source.next(MAX).await.unwrap() {
        delivery.settle(accept(1)).await.unwrap();
    }
    peer.disconnect();
    let mut source = self::source(&channel).await;
    peer.say("c1", "2").unwrap();
    assert_eq!(texts(&source.next(MAX).await.unwrap()), ["2"]);
    assert_eq!(peer.counts().accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_comes_again_in_order_and_not_before_its_time() {
    let (channel, peer) = pair();
    let mut source = source(&channel).await;
    peer.say("c1", "1").unwrap();
    let began = Instant::now();
    for delivery in source.next(MAX).await.unwrap() {
        delivery.settle(retry(Duration::from_secs(7))).await.unwrap();
    }
    peer.say("c1", "2").unwrap();
    peer.say("other", "3").unwrap();
    let others = source.next(MAX).await.unwrap();
    assert_eq!(texts(&others), ["3"]);
    let late = source.next(MAX).await.unwrap();
    assert_eq!(texts(&late), ["1", "2"]);
    assert!(began.elapsed() >= Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_delivery_comes_again_at_once() {
    let (channel, peer) = pair();
    let mut source = source(&channel).await;
    peer.say("c1", "1").unwrap();
    drop(source.next(MAX).await.unwrap());
    let again = source.next(MAX).await.unwrap();
    assert_eq!(texts(&again), ["1"]);
    assert_eq!(peer.counts().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_never_comes_again_and_the_sender_is_told() {
    let (channel, peer) = pair();
    let mut source = source(&channel).await;
    let admitted = peer.admit(peer.envelope("c1", "1"));
    let refused = async {
        for delivery in source.next(MAX).await.unwrap() {
            let reason = Error::new(ErrorKind::Conflict, "another body");
            delivery.settle(Ack::DeadLetter { reason }).await.unwrap();
        }
    };
    let (verdict, ()) = tokio::join!(admitted, refused);
    assert_eq!(verdict.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!((peer.counts().dead_lettered, peer.backlog()), (1, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_fails_the_source_and_brings_the_unsettled_again() {
    let (channel, peer) = pair();
    let mut first = source(&channel).await;
    peer.say("c1", "1").unwrap();
    peer.say("c1", "2").unwrap();
    let mut out = first.next(MAX).await.unwrap();
    peer.disconnect();
    assert_eq!(first.next(MAX).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(matches!(channel.health().await, Health::Down(_)));

    let mut second = source(&channel).await;
    assert_eq!(channel.health().await, Health::Up);
    assert_eq!(texts(&second.next(MAX).await.unwrap()), ["1", "2"]);
    let late = out.remove(0).settle(accept(1)).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Unavailable, "the platform did not hear it");
    assert_eq!(peer.counts().accepted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_waits_hears_of_the_lost_connection() {
    let (channel, peer) = pair();
    let mut first = source(&channel).await;
    let waiting = tokio::spawn(async move { first.next(MAX).await.map(|d| d.len()) });
    tokio::task::yield_now().await;
    peer.disconnect();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_next_loses_nothing() {
    let (channel, peer) = pair();
    let mut source = source(&channel).await;
    let nothing = tokio::time::timeout(Duration::from_millis(1), source.next(MAX)).await;
    assert!(nothing.is_err());
    peer.say("c1", "1").unwrap();
    assert_eq!(texts(&source.next(MAX).await.unwrap()), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_peer_ends_the_source_once_everything_is_settled() {
    let (channel, peer) = pair();
    let mut source = source(&channel).await;
    peer.say("c1", "1").unwrap();
    peer.close();
    let out = source.next(MAX).await.unwrap();
    let ended = tokio::spawn(async move { source.next(MAX).await.unwrap().len() });
    for delivery in out {
        delivery.settle(accept(1)).await.unwrap();
    }
    assert_eq!(ended.await.unwrap(), 0);
    assert_eq!(peer.say("c1", "2").unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_closed_source_can_still_settle_what_it_handed_out() {
    let (channel, peer) = pair();
    let mut source = source(&channel).await;
    peer.say("c1", "1").unwrap();
    let out = source.next(MAX).await.unwrap();
    source.close().await.unwrap();
    for delivery in out {
        delivery.settle(accept(1)).await.unwrap();
    }
    assert_eq!(peer.counts_when(|c| c.finished() == 1).await.accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_channel_refuses_in_both_directions() {
    let one = NonZeroUsize::MIN;
    let id = ChannelId::new("mem").unwrap();
    let tenant = TenantId::new("acme").unwrap();
    let (channel, peer) = MemoryChannel::builder(id, tenant).capacity(one).build();
    peer.say("c1", "1").unwrap();
    assert_eq!(peer.say("c1", "2").unwrap_err().kind(), ErrorKind::Overloaded);
    channel.send(post(&channel, "a")).await.unwrap();
    let full = channel.send(post(&channel, "b")).await.unwrap_err();
    assert!(full.kind() == ErrorKind::Overloaded && full.is_safe_to_retry());
    assert_eq!(peer.next_sent().await.text(), "a");
    channel.send(post(&channel, "b")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_not_declared_or_too_long_is_not_sent() {
    let mut capabilities = Capabilities::default();
    capabilities.max_text = NonZeroUsize::new(3);
    let builder =
        MemoryChannel::builder(ChannelId::new("mem").unwrap(), TenantId::new("acme").unwrap());
    let (channel, peer) = builder.capabilities(capabilities).build();
    let to = Conversation::new(channel.id().clone(), "c1");
    let typing = post(&channel, "").map(|_| Outbound::Typing { to });
    assert_eq!(channel.send(typing).await.unwrap_err().kind(), ErrorKind::Unsupported);
    let long = channel.send(post(&channel, "four")).await.unwrap_err();
    assert_eq!(long.kind(), ErrorKind::ValidationError);
    assert!(peer.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_keyed_post_is_taken_once_for_each_key() {
    let mut capabilities = Capabilities::default();
    capabilities.post = Effect::Keyed { retention: Duration::from_secs(60) };
    let builder =
        MemoryChannel::builder(ChannelId::new("mem").unwrap(), TenantId::new("acme").unwrap());
    let (channel, peer) = builder.capabilities(capabilities).build();
    let key = |n| IdempotencyKey::of(MessageId::from_u128(n), "reply").unwrap();
    let first = channel.send(post(&channel, "a").with_key(key(1))).await.unwrap();
    let again = channel.send(post(&channel, "a").with_key(key(1))).await.unwrap();
    let other = channel.send(post(&channel, "b").with_key(key(2))).await.unwrap();
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_eq!(peer.take_sent().len(), 2);
}
