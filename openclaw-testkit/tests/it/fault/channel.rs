//! A channel's faults on the way out, seen from the platform.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    Call, ChannelId, Content, Conversation, Effect, Happened, IdempotencyKey, MessageId, Timestamp,
    channel::{Capabilities, Channel, Health, Intent, Outbound, Part, Reconciled},
};
use openclaw_testkit::{
    fault::{Fault, FaultChannel, Plan},
    platform::{Platform, PlatformChannel},
    trace::Trace,
};

use super::{MINUTE, after, context, failed, hangs, injected, once};

/// A platform, and the channel to it that meets the plan.
pub(super) fn desk(plan: &Plan) -> (Platform, FaultChannel<PlatformChannel>) {
    let platform = Platform::new(ChannelId::new("desk").unwrap(), Trace::default());
    let mut capabilities = Capabilities::default();
    capabilities.post = Effect::Reconcilable;
    let channel = platform.channel(capabilities, plan.power().clone());
    (platform, FaultChannel::new(channel, plan.clone()))
}

fn key() -> IdempotencyKey {
    IdempotencyKey::of(MessageId::from_u128(1), "reply").unwrap()
}

fn post(channel: &dyn Channel) -> Call<Outbound> {
    let to = Conversation::new(channel.id().clone(), "c1");
    let part = Part::new(Content::text("hello"));
    let post = Outbound::Post { to, part, reply_to: None };
    Call::outbound(context(), channel, post).with_key(key())
}

#[tokio::test(start_paused = true)]
async fn a_send_that_fails_never_reached_the_platform() {
    let plan = once("send", Fault::Fail);
    let (platform, channel) = desk(&plan);
    failed(channel.send(post(&channel)).await, Happened::No);
    assert!(platform.requests().is_empty());
    injected(&plan, Fault::Fail);
    channel.send(post(&channel)).await.unwrap();
    assert_eq!(platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_send_whose_answer_is_lost_was_posted() {
    let plan = once("send", Fault::LoseAnswer);
    let (platform, channel) = desk(&plan);
    failed(channel.send(post(&channel)).await, Happened::Maybe);
    assert_eq!(platform.texts(), ["hello"]);
    injected(&plan, Fault::LoseAnswer);
}

#[tokio::test(start_paused = true)]
async fn a_send_whose_request_is_lost_was_not() {
    let plan = once("send", Fault::LoseRequest);
    let (platform, channel) = desk(&plan);
    failed(channel.send(post(&channel)).await, Happened::Maybe);
    assert!(platform.requests().is_empty());
    injected(&plan, Fault::LoseRequest);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_send_is_two_requests_and_one_receipt() {
    let plan = once("desk", Fault::Duplicate);
    let (platform, channel) = desk(&plan);
    let receipt = channel.send(post(&channel)).await.unwrap();
    assert_eq!(receipt.message.as_deref(), Some("p0"), "the first one's");
    let keys: Vec<String> = platform.posts().into_iter().map(|post| post.key).collect();
    assert_eq!(keys, [key().to_string(), key().to_string()]);
    injected(&plan, Fault::Duplicate);
}

#[tokio::test(start_paused = true)]
async fn a_send_is_late_hangs_panics_or_crashes() {
    let (platform, channel) = desk(&once("send", Fault::Delay(MINUTE)));
    after(MINUTE, channel.send(post(&channel))).await.unwrap();
    assert_eq!(platform.texts().len(), 1);
    let (platform, channel) = desk(&once("send", Fault::Hang));
    hangs(channel.send(post(&channel))).await;
    assert!(platform.requests().is_empty());
    let (platform, channel) = desk(&once("send", Fault::Panic));
    let sending = tokio::spawn(async move { channel.send(post(&channel)).await });
    assert!(sending.await.unwrap_err().is_panic());
    assert!(platform.requests().is_empty());
    for (fault, posts) in [(Fault::CrashBefore, 0), (Fault::CrashAfter, 1)] {
        let plan = once("send", fault);
        let (platform, channel) = desk(&plan);
        hangs(channel.send(post(&channel))).await;
        assert_eq!((platform.texts().len(), plan.power().is_on()), (posts, false), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_can_not_connect_can_later() {
    let plan = once("receive", Fault::Fail);
    let (_, channel) = desk(&plan);
    failed(channel.receive().await.map(drop), Happened::No);
    assert!(channel.receive().await.unwrap().is_some());
    let (_, channel) = desk(&once("receive", Fault::Hang));
    hangs(channel.receive()).await;
}

#[tokio::test(start_paused = true)]
async fn health_that_fails_is_down_and_then_up() {
    let plan = once("health", Fault::Fail);
    let (_, channel) = desk(&plan);
    assert!(matches!(channel.health().await, Health::Down(_)));
    assert_eq!(channel.health().await, Health::Up);
    plan.nth("health", 1, Fault::Delay(Duration::from_secs(2)));
    after(Duration::from_secs(2), channel.health()).await;
}

#[tokio::test(start_paused = true)]
async fn the_question_whether_it_was_sent_meets_faults_too() {
    let plan = Plan::default();
    let (_, channel) = desk(&plan);
    channel.send(post(&channel)).await.unwrap();
    let intent = Intent::new(key(), "desk", Arc::default(), Timestamp::default());
    let hook = channel.reconcile().expect("as the channel inside");
    plan.fail_next("reconcile", 1);
    failed(hook.reconcile(&intent).await, Happened::No);
    assert!(matches!(hook.reconcile(&intent).await, Ok(Reconciled::Happened(_))));
}

#[test]
fn a_channel_without_a_hook_gets_none() {
    let platform = Platform::new(ChannelId::new("desk").unwrap(), Trace::default());
    let plan = Plan::default();
    let inner = platform.channel(Capabilities::default(), plan.power().clone());
    assert!(FaultChannel::new(inner, plan).reconcile().is_none());
}

#[test]
fn rendering_panics_for_the_words_that_it_is_told() {
    let plan = Plan::default();
    let (_, channel) = desk(&plan);
    plan.every("poison", Fault::Panic);
    assert_eq!(channel.render(&Content::text("fine")).len(), 1);
    let poison = std::panic::AssertUnwindSafe(|| channel.render(&Content::text("poison")));
    assert!(std::panic::catch_unwind(poison).is_err());
    injected(&plan, Fault::Panic);
}
