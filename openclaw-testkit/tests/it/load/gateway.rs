//! The gateway driver: offer, verdict, reply.

use std::time::Duration;

use openclaw_core::{
    AgentId, ChannelId, Content, Conversation, Envelope, ErrorKind, Sender, TenantId,
    agent::{Answer, agent_fn},
    gateway::{Gateway, GatewayConfig},
    store::MemoryStore,
};
use openclaw_testkit::{
    env::test_env,
    load::{Load, Offers, Soak, Verdict},
};
use tokio::time::sleep;

use super::{ms, secs};

/// A gateway whose agent takes this long, and what offers it messages.
async fn gateway(took: Duration, config: GatewayConfig) -> (Gateway, Offers) {
    let env = test_env(9);
    let (channel, offers) = Offers::pair(ChannelId::new("load").unwrap());
    let agent = agent_fn(AgentId::new("slow").unwrap(), move |turn| async move {
        sleep(took).await;
        Ok(if &*turn.text() == "hush" { Answer::Silent } else { Answer::text("done") })
    });
    let store = MemoryStore::new(env.clock());
    let builder = Gateway::builder(env, store).channel(channel).agent(agent).config(config);
    (builder.start().await.unwrap(), offers)
}

fn envelope(chat: &str, text: &str) -> Envelope {
    let chat = Conversation::new(ChannelId::new("load").unwrap(), chat);
    Envelope::new(TenantId::new("acme").unwrap(), chat, Sender::new("ann"), Content::text(text))
}

#[tokio::test(start_paused = true)]
async fn verdicts_come_before_the_turn_and_replies_behind_it() {
    let (gateway, offers) = gateway(ms(300), GatewayConfig::default()).await;
    let load = Load::open_loop(20.0).for_(secs(2)).warm_up(secs(1));
    let timings = offers.drive(load, |n| envelope(&format!("c{n}"), "hi")).await;
    assert_eq!((timings.replies().offered(), timings.replies().ok()), (40, 40));
    assert_eq!(timings.verdicts().len(), 40, "a warm-up has no verdicts in the figures");
    assert!(timings.verdicts().max() < ms(10), "{:?}", timings.verdicts().max());
    assert_eq!(timings.replies().latency().p50(), ms(300));
    gateway.drain(secs(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_is_asked_too_much_is_refused_and_counted() {
    let mut config = GatewayConfig::default();
    config.lane = 4;
    let (gateway, offers) = gateway(ms(500), config).await;
    let load = Load::open_loop(20.0).for_(secs(5));
    let timings = offers.drive(load, |_| envelope("one", "hi")).await;
    let replies = timings.replies();
    assert_eq!((replies.offered(), replies.failed()), (100, replies.errors_of("OVERLOADED")));
    assert!((10..=16).contains(&replies.ok()), "two a second, and the four at the end: {replies}");
    assert_eq!(timings.verdicts().len(), replies.ok());
    assert!(replies.latency().max() <= ms(2000), "a full lane is four turns deep: {replies}");
    gateway.drain(secs(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_offer_hears_what_became_of_it() {
    let (gateway, offers) = gateway(ms(10), GatewayConfig::default()).await;
    let mut twice = envelope("c", "hi");
    twice.id = Some("one".into());
    let message = offers.deliver(twice.clone()).await.unwrap();
    offers.reply(message).await.unwrap();
    let again = offers.deliver(twice).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Duplicate);
    let silent = offers.deliver(envelope("c", "hush")).await.unwrap();
    let waited = tokio::time::timeout(secs(60), offers.reply(silent)).await;
    assert!(waited.is_err(), "a silent agent never replies");
    gateway.drain(secs(5)).await.unwrap();
    drop(gateway);
}

/// Somebody asks for the reply only when it is there already.
#[tokio::test(start_paused = true)]
async fn a_reply_that_is_early_is_not_lost() {
    let (gateway, offers) = gateway(ms(10), GatewayConfig::default()).await;
    let message = offers.deliver(envelope("c", "hi")).await.unwrap();
    sleep(secs(1)).await;
    let at = tokio::time::timeout(secs(1), offers.reply(message)).await.unwrap().unwrap();
    assert!(at.elapsed() >= ms(980), "it tells when the reply was sent, not when it was asked for");
    gateway.drain(secs(5)).await.unwrap();
}

/// A lane that grows is seen by a soak run beside the load.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_falls_behind_is_seen_by_a_soak_run() {
    let mut config = GatewayConfig::default();
    config.lane = 1000;
    let (gateway, offers) = gateway(ms(500), config).await;
    let watched = gateway.clone();
    let soak = Soak::new(secs(60), secs(1))
        .gauge("turns", 10.0, move || Some(watched.depths().turns as f64))
        .gauge("replies", 10.0, || Some(0.0));
    // Four a second are asked, two a second are answered.
    let load = Load::open_loop(4.0).for_(secs(60)).patience(secs(300));
    let run = tokio::spawn(async move { offers.drive(load, |_| envelope("one", "hi")).await });
    let (soaked, timings) = tokio::join!(soak.run(), run);
    assert_eq!(soaked.verdict("turns"), Verdict::Grows, "{soaked}");
    assert_eq!(soaked.verdict("replies"), Verdict::Holds, "{soaked}");
    let slope = soaked.gauges()[0].per_hour.unwrap();
    assert!((slope / 3600.0 - 2.0).abs() < 0.1, "two a second pile up: {soaked}");
    let timings = timings.unwrap();
    assert_eq!(timings.replies().ok(), 240);
    assert!(timings.replies().latency().max() > secs(55), "{}", timings.replies());
    gateway.drain(secs(5)).await.unwrap();
}
