//! A channel's faults on the way in: what is pulled, and what becomes of its verdict.

use std::num::NonZeroUsize;

use openclaw_core::{
    ChannelId, Content, Conversation, Envelope, Error, ErrorKind, Happened, MessageId, Sender,
    TenantId,
    channel::{Ack, Admitted, Channel, Delivery, Nonce, Source},
};
use openclaw_testkit::{
    env::SeededRng,
    fault::{Fault, Plan},
    platform::{Platform, Ticket, Verdict},
};

use super::{MINUTE, after, channel::desk, failed, hangs, injected, once};

const MANY: NonZeroUsize = NonZeroUsize::new(100).unwrap();

fn said(place: &str, text: &str) -> Envelope {
    let chat = Conversation::new(ChannelId::new("desk").unwrap(), place);
    Envelope::new(TenantId::new("acme").unwrap(), chat, Sender::new("ann"), Content::text(text))
}

async fn connect(plan: &Plan) -> (Platform, Box<dyn Source>) {
    let (platform, channel) = desk(plan);
    let source = channel.receive().await.unwrap().unwrap();
    (platform, source)
}

fn text(delivery: &Delivery) -> String {
    delivery.envelope().content.to_text().into_owned()
}

/// Two conversations say three things each, turn by turn; what one pull makes of it.
async fn pulled(plan: &Plan) -> Vec<String> {
    let (platform, mut source) = connect(plan).await;
    for n in 0..3 {
        platform.deliver(said("a", &format!("a{n}")), None);
        platform.deliver(said("b", &format!("b{n}")), None);
    }
    source.next(MANY).await.unwrap().iter().map(text).collect()
}

/// What became of the one delivery that came.
async fn settled(plan: &Plan) -> (Platform, Ticket, openclaw_core::Result<()>) {
    let (platform, mut source) = connect(plan).await;
    let ticket = platform.deliver(said("a", "hello"), None);
    let delivery = source.next(MANY).await.unwrap().remove(0);
    let outcome = delivery.settle(accept()).await;
    (platform, ticket, outcome)
}

fn accept() -> Ack {
    Ack::Accept(Admitted::new(MessageId::from_u128(1), false))
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_fails_loses_nothing() {
    let plan = once("next", Fault::Fail);
    let (platform, mut source) = connect(&plan).await;
    platform.deliver(said("a", "hello"), None);
    failed(source.next(MANY).await, Happened::No);
    assert_eq!(platform.waiting(), 1);
    assert_eq!(source.next(MANY).await.unwrap().len(), 1);
    injected(&plan, Fault::Fail);
}

#[tokio::test(start_paused = true)]
async fn a_pull_whose_answer_is_lost_drops_what_it_pulled() {
    let plan = once("next", Fault::LoseAnswer);
    let (platform, mut source) = connect(&plan).await;
    let ticket = platform.deliver(said("a", "hello"), None);
    failed(source.next(MANY).await, Happened::Maybe);
    assert_eq!((platform.waiting(), platform.peek(ticket)), (0, Some(Verdict::Abandoned)));
    injected(&plan, Fault::LoseAnswer);
}

#[tokio::test(start_paused = true)]
async fn a_pull_is_late_hangs_or_crashes() {
    let (platform, mut source) = connect(&once("next", Fault::Delay(MINUTE))).await;
    platform.deliver(said("a", "hello"), None);
    assert_eq!(after(MINUTE, source.next(MANY)).await.unwrap().len(), 1);
    let (platform, mut source) = connect(&once("next", Fault::Hang)).await;
    platform.deliver(said("a", "hello"), None);
    hangs(source.next(MANY)).await;
    assert_eq!(platform.waiting(), 1);
    let plan = once("next", Fault::CrashAfter);
    let (platform, mut source) = connect(&plan).await;
    let ticket = platform.deliver(said("a", "hello"), None);
    hangs(source.next(MANY)).await;
    assert!(!plan.power().is_on());
    assert_eq!(platform.peek(ticket), Some(Verdict::Abandoned), "it died with its process");
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_comes_again_with_the_next_pull() {
    let plan = once("next", Fault::Duplicate);
    let (platform, mut source) = connect(&plan).await;
    let nonce = Nonce::new("shop", "n1", MINUTE);
    let ticket = platform.deliver(said("a", "hello"), Some(nonce.clone()));
    let first = source.next(NonZeroUsize::MIN).await.unwrap().remove(0);
    let second = source.next(NonZeroUsize::MIN).await.unwrap().remove(0);
    assert_eq!(first.envelope(), second.envelope());
    assert_eq!((first.nonce(), second.nonce()), (Some(&nonce), Some(&nonce)));
    let reason = Error::new(ErrorKind::Conflict, "it came twice");
    second.settle(Ack::DeadLetter { reason }).await.unwrap();
    assert_eq!(platform.peek(ticket), None, "nobody hears the second verdict");
    first.settle(accept()).await.unwrap();
    assert!(matches!(platform.peek(ticket), Some(Verdict::Accepted { .. })));
    injected(&plan, Fault::Duplicate);
    hangs(source.next(MANY)).await;
}

#[tokio::test(start_paused = true)]
async fn reordered_conversations_stay_in_order_themselves() {
    let whole = ["a0", "b0", "a1", "b1", "a2", "b2"];
    for seed in 0..20 {
        let plan = Plan::seeded(SeededRng::new(seed));
        plan.every("next", Fault::Reorder);
        let came = pulled(&plan).await;
        assert_ne!(came, whole);
        for lane in ["a", "b"] {
            let lane: Vec<&String> = came.iter().filter(|text| text.starts_with(lane)).collect();
            assert!(lane.len() == 3 && lane.is_sorted(), "{came:?}");
        }
        let again = Plan::seeded(SeededRng::new(seed));
        again.every("next", Fault::Reorder);
        assert_eq!(pulled(&again).await, came, "seed {seed} did not repeat");
    }
}

#[tokio::test(start_paused = true)]
async fn shuffled_messages_all_come_in_another_order() {
    let mut torn = 0;
    for seed in 0..20 {
        let plan = Plan::seeded(SeededRng::new(seed));
        plan.every("next", Fault::Shuffle);
        let mut came = pulled(&plan).await;
        assert_ne!(came, ["a0", "b0", "a1", "b1", "a2", "b2"]);
        let lane: Vec<&String> = came.iter().filter(|text| text.starts_with('a')).collect();
        torn += usize::from(!lane.is_sorted());
        came.sort();
        assert_eq!(came, ["a0", "a1", "a2", "b0", "b1", "b2"]);
    }
    assert!(torn > 5, "conversations are torn apart too: {torn} of 20");
}

#[tokio::test(start_paused = true)]
async fn what_has_one_order_only_is_not_said_to_be_reordered() {
    let plan = Plan::default();
    plan.every("next", Fault::Reorder);
    let (platform, mut source) = connect(&plan).await;
    for text in ["one", "two"] {
        platform.deliver(said("a", text), None);
    }
    let came: Vec<String> = source.next(MANY).await.unwrap().iter().map(text).collect();
    assert_eq!(came, ["one", "two"]);
    assert!(plan.injected().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_verdict_that_fails_leaves_the_delivery_unsettled() {
    let plan = once("settle", Fault::Fail);
    let (platform, ticket, outcome) = settled(&plan).await;
    failed(outcome, Happened::No);
    assert_eq!(platform.peek(ticket), Some(Verdict::Abandoned));
    injected(&plan, Fault::Fail);
}

#[tokio::test(start_paused = true)]
async fn a_verdict_whose_answer_is_lost_was_heard() {
    let (platform, ticket, outcome) = settled(&once("settle", Fault::LoseAnswer)).await;
    failed(outcome, Happened::Maybe);
    assert!(matches!(platform.peek(ticket), Some(Verdict::Accepted { .. })));
    let (platform, ticket, outcome) = settled(&once("settle", Fault::LoseRequest)).await;
    failed(outcome, Happened::Maybe);
    assert_eq!(platform.peek(ticket), Some(Verdict::Abandoned));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_over_a_verdict_told_it_or_not() {
    for (fault, heard) in [(Fault::CrashBefore, false), (Fault::CrashAfter, true)] {
        let plan = once("settle", fault);
        let (platform, mut source) = connect(&plan).await;
        let ticket = platform.deliver(said("a", "hello"), None);
        let delivery = source.next(MANY).await.unwrap().remove(0);
        hangs(delivery.settle(accept())).await;
        let accepted = matches!(platform.peek(ticket), Some(Verdict::Accepted { .. }));
        assert_eq!((accepted, plan.power().is_on()), (heard, false), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_delivery_is_abandoned_through_the_wrapper() {
    let (platform, mut source) = connect(&Plan::default()).await;
    let ticket = platform.deliver(said("a", "hello"), None);
    drop(source.next(MANY).await.unwrap());
    assert_eq!(platform.peek(ticket), Some(Verdict::Abandoned));
}

#[tokio::test(start_paused = true)]
async fn a_close_that_fails_did_not_close() {
    let plan = once("close", Fault::Fail);
    let (platform, source) = connect(&plan).await;
    failed(source.close().await, Happened::No);
    assert_eq!(platform.closed(), 0);
    let (platform, source) = connect(&plan).await;
    source.close().await.unwrap();
    assert_eq!(platform.closed(), 1);
}
