//! A platform does with each send what it was told, and keeps the verdicts.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use openclaw_core::{
    Call, ChannelId, Content, Context, Conversation, Effect, Envelope, ErrorKind, Happened,
    IdempotencyKey, MessageId, Result, Sender, TenantId, Timestamp,
    channel::{Ack, Admitted, Capabilities, Channel, Intent, Outbound, Part, Receipt, Reconciled},
};
use openclaw_testkit::{
    env::SeededRng,
    fault::Power,
    platform::{Platform, PlatformChannel, Sending, Verdict},
    trace::{Event, Trace},
};
use tokio::time::{Instant, timeout};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const MANY: NonZeroUsize = NonZeroUsize::new(100).unwrap();

fn platform() -> Platform {
    Platform::new(ChannelId::new("desk").unwrap(), Trace::default())
}

fn channel(platform: &Platform) -> PlatformChannel {
    let mut capabilities = Capabilities::default();
    capabilities.post = Effect::Reconcilable;
    platform.channel(capabilities, Power::on())
}

fn key(operation: &str) -> IdempotencyKey {
    IdempotencyKey::of(MessageId::from_u128(1), operation).unwrap()
}

async fn post(channel: &PlatformChannel, operation: &str) -> Result<Receipt> {
    let to = Conversation::new(channel.id().clone(), "c1");
    let part = Part::new(Content::text(operation));
    let post = Outbound::Post { to, part, reply_to: None };
    let context = Context::new(TenantId::new("acme").unwrap());
    channel.send(Call::outbound(context, channel, post).with_key(key(operation))).await
}

fn said(text: &str) -> Envelope {
    let chat = Conversation::new(ChannelId::new("desk").unwrap(), "c1");
    Envelope::new(TenantId::new("acme").unwrap(), chat, Sender::new("ann"), Content::text(text))
}

#[tokio::test(start_paused = true)]
async fn each_sending_is_what_it_says() {
    for (sending, posts, error) in [
        (Sending::Take, 1, None),
        (Sending::Refuse(ErrorKind::NotFound), 0, Some((ErrorKind::NotFound, Happened::No))),
        (Sending::Limit(SECOND), 0, Some((ErrorKind::RateLimited, Happened::No))),
        (Sending::LoseAnswer, 1, Some((ErrorKind::Unavailable, Happened::Maybe))),
        (Sending::LoseRequest, 0, Some((ErrorKind::Unavailable, Happened::Maybe))),
        (Sending::Late(SECOND), 1, None),
    ] {
        let platform = platform();
        platform.script([sending]);
        let began = Instant::now();
        let outcome = post(&channel(&platform), "reply").await;
        let told = outcome.as_ref().err().map(|e| (e.kind(), e.happened()));
        assert_eq!((told, platform.texts().len()), (error, posts), "{sending:?}");
        let late = if sending == Sending::Late(SECOND) { SECOND } else { Duration::ZERO };
        assert_eq!(began.elapsed(), late, "{sending:?}");
        let after = outcome.err().and_then(|e| e.retry_after());
        assert_eq!(after.is_some(), matches!(sending, Sending::Limit(_)));
        assert!(post(&channel(&platform), "next").await.is_ok(), "the script is over");
        assert_eq!(platform.requests().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_hangs_once_taken_or_panics_before() {
    let platform = platform();
    platform.script([Sending::Hang, Sending::Panic]);
    let desk = channel(&platform);
    assert!(timeout(HOUR, post(&desk, "hangs")).await.is_err());
    let panicked = tokio::spawn(async move { post(&desk, "panics").await }).await;
    assert!(panicked.unwrap_err().is_panic());
    assert_eq!(platform.texts(), ["hangs"]);
}

#[tokio::test(start_paused = true)]
async fn without_power_nothing_is_sent_received_or_settled() {
    let (platform, power) = (platform(), Power::on());
    let desk = platform.channel(Capabilities::default(), power.clone());
    let mut source = desk.receive().await.unwrap().unwrap();
    let ticket = platform.deliver(said("hello"), None);
    let delivery = source.next(MANY).await.unwrap().remove(0);
    power.cut();
    platform.deliver(said("too late"), None);
    assert!(timeout(HOUR, post(&desk, "reply")).await.is_err());
    assert!(timeout(HOUR, source.next(MANY)).await.is_err());
    let accept = Ack::Accept(Admitted::new(MessageId::from_u128(1), false));
    assert!(timeout(HOUR, delivery.settle(accept)).await.is_err());
    assert_eq!(platform.verdict(ticket).await, Verdict::Abandoned);
    assert_eq!((platform.texts().len(), platform.waiting()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_verdict_that_never_comes_is_overdue() {
    let platform = platform();
    let began = Instant::now();
    assert_eq!(platform.verdict(platform.deliver(said("hello"), None)).await, Verdict::Overdue);
    assert_eq!(began.elapsed(), HOUR);
}

#[tokio::test(start_paused = true)]
async fn every_verdict_is_heard_once_and_in_order() {
    let (trace, id) = (Trace::default(), ChannelId::new("desk").unwrap());
    let platform = Platform::new(id, trace.clone());
    let mut source = channel(&platform).receive().await.unwrap().unwrap();
    let tickets = ["one", "two"].map(|text| platform.deliver(said(text), None));
    let mut both = source.next(MANY).await.unwrap();
    drop(both.pop());
    let message = MessageId::from_u128(1);
    both.remove(0).settle(Ack::Accept(Admitted::new(message, true))).await.unwrap();
    let accepted = Verdict::Accepted { message, duplicate: true };
    assert_eq!(platform.any_verdict().await, (tickets[1], Verdict::Abandoned));
    assert_eq!(platform.any_verdict().await, (tickets[0], accepted));
    assert!(timeout(HOUR, platform.any_verdict()).await.is_err());
    assert_eq!(platform.peek(tickets[0]), Some(accepted));
    let settled = |event: &Event| matches!(event, Event::Settled(_));
    assert_eq!(trace.events().iter().filter(|event| settled(event)).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_honoured_is_one_post() {
    for (honoured, posts) in [(false, 2), (true, 1)] {
        let platform = platform();
        if honoured {
            platform.honour_keys();
        }
        let desk = channel(&platform);
        let first = post(&desk, "reply").await.unwrap();
        let second = post(&desk, "reply").await.unwrap();
        assert_eq!((platform.texts().len(), first == second), (posts, honoured));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconciliation_tells_the_truth_behind_its_script() {
    let platform = platform();
    let desk = channel(&platform);
    post(&desk, "reply").await.unwrap();
    platform.reconcile_as([Reconciled::CannotKnow]);
    let hook = desk.reconcile().unwrap();
    let intent =
        |operation| Intent::new(key(operation), "desk", Arc::default(), Timestamp::default());
    let (sent, never) = (intent("reply"), intent("other"));
    assert!(matches!(hook.reconcile(&sent).await, Ok(Reconciled::CannotKnow)));
    assert!(matches!(hook.reconcile(&sent).await, Ok(Reconciled::Happened(_))));
    assert!(matches!(hook.reconcile(&never).await, Ok(Reconciled::DidNotHappen)));
}

/// What twenty sends come to under this seed.
async fn stormy(seed: u64) -> Vec<bool> {
    let platform = platform();
    platform.chaos(SeededRng::new(seed), 0.5);
    let mut outcomes = Vec::new();
    for n in 0..20 {
        outcomes.push(post(&channel(&platform), &format!("reply.{n}")).await.is_ok());
    }
    platform.chaos(SeededRng::new(seed), 0.0);
    assert!(post(&channel(&platform), "calm").await.is_ok());
    outcomes
}

#[tokio::test(start_paused = true)]
async fn chaos_repeats_with_its_seed() {
    let first = stormy(7).await;
    assert!(first.contains(&true) && first.contains(&false));
    assert_eq!(stormy(7).await, first);
    assert_ne!(stormy(8).await, first);
}
