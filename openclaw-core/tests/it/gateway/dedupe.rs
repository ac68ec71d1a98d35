//! Dedupe and refusals: what a second delivery means, and who hears of a refusal.

use std::{num::NonZeroUsize, time::Duration};

use openclaw_core::{
    ChannelId, Content, Conversation, Envelope, ErrorKind, MessageId, Sender, TenantId,
    channel::Nonce,
    gateway::{MessageState, Route, Router},
    records::DeadLetter,
};

use crate::support::{Run, World, echo, envelope, tenant};
use openclaw_testkit::{
    fault::Power,
    platform::{Platform, Ticket, Verdict},
};

const MANY: NonZeroUsize = NonZeroUsize::new(100).unwrap();

async fn letters(run: &Run) -> Vec<DeadLetter> {
    run.dead_letters(&tenant()).list(None, MANY).await.unwrap()
}

/// Delivers both, and gives the ids that were told.
async fn both(world: &World, first: Envelope, second: Envelope) -> [(MessageId, bool); 2] {
    let tickets = [first, second].map(|envelope| world.platform.deliver(envelope, None));
    let mut told = Vec::new();
    for ticket in tickets {
        match world.platform.verdict(ticket).await {
            Verdict::Accepted { message, duplicate } => told.push((message, duplicate)),
            other => panic!("{other:?}"),
        }
    }
    told.try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_same_id_with_the_same_body_is_the_same_message() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    let again = || envelope("c1", Some("m1"), "hello");
    let [first, second] = both(&world, again(), again()).await;
    assert_eq!((first.1, second.1), (false, true));
    assert_eq!(first.0, second.0);
    run.ends(first.0, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_id_is_the_same_message_after_a_restart() {
    let world = World::new(1);
    let first = world.start(|b| b.agent(echo())).await;
    let message = world.tell("c1", "m1", "hello").await;
    first.ends(message, MessageState::Done).await;
    first.kill().await;
    let _second = world.start(|b| b.agent(echo())).await;
    assert_eq!(world.tell("c1", "m1", "hello").await, message);
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn without_an_id_every_delivery_is_a_message() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    let again = || envelope("c1", None, "hello");
    let [first, second] = both(&world, again(), again()).await;
    assert_ne!(first.0, second.0);
    run.ends(second.0, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello", "hello"]);
}

#[tokio::test(start_paused = true)]
async fn another_tenant_has_ids_of_its_own() {
    let world = World::new(1);
    let _run = world.start(|b| b.agent(echo())).await;
    let mut other = envelope("c1", Some("m1"), "hello");
    other.tenant = TenantId::new("beta").unwrap();
    let [first, second] = both(&world, envelope("c1", Some("m1"), "hello"), other).await;
    assert_ne!(first.0, second.0);
    assert!(!second.1);
}

#[tokio::test(start_paused = true)]
async fn another_channel_has_ids_of_its_own() {
    let world = World::new(1);
    let web = Platform::new(ChannelId::new("web").unwrap(), world.trace.clone());
    let power = Power::on();
    let channel = web.channel(world.capabilities.clone(), power);
    let run = world.start(|b| b.agent(echo()).channel(channel)).await;
    let place = Conversation::new(ChannelId::new("web").unwrap(), "c1");
    let hello = Content::text("hello");
    let there = Envelope::new(tenant(), place, Sender::new("ann"), hello).with_id("m1");
    let here = run.accepted(world.say("c1", "m1", "hello")).await;
    let verdict = web.verdict(web.deliver(there, None)).await;
    let Verdict::Accepted { message, duplicate: false } = verdict else { panic!("{verdict:?}") };
    assert_ne!(message, here);
    run.ends(message, MessageState::Done).await;
    assert_eq!((web.texts().len(), world.platform.texts().len()), (1, 1));
}

/// Says m1, then this under the same id: it must be refused, and the first message answered.
async fn refused(change: impl FnOnce(&mut Envelope)) {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    let first = world.tell("c1", "m1", "hello").await;
    let mut other = envelope("c1", Some("m1"), "hello");
    change(&mut other);
    let verdict = world.platform.verdict(world.platform.deliver(other, None)).await;
    assert_eq!(verdict, Verdict::Refused(ErrorKind::Conflict));
    run.ends(first, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_id_with_other_words_is_refused() {
    refused(|envelope| envelope.content = Content::text("goodbye")).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_id_from_another_sender_is_refused() {
    refused(|envelope| envelope.sender = Sender::new("bob")).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_id_in_another_thread_is_refused() {
    refused(|envelope| envelope.conversation = envelope.conversation.clone().in_thread("t1")).await;
}

/// Delivers something that can't come in, and gives its verdict and the letters.
async fn turned_away(world: &World, run: &Run, envelope: Envelope) -> (Verdict, Vec<DeadLetter>) {
    let verdict = world.platform.verdict(world.platform.deliver(envelope, None)).await;
    (verdict, letters(run).await)
}

/// A router that knows nobody on this topic.
fn only_orders() -> Router {
    let echo = openclaw_core::AgentId::new("echo").unwrap();
    Router::new(vec![Route::to(echo).topic("orders")], None)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_nobody_hears_is_a_dead_letter() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo()).router(only_orders())).await;
    let envelope = envelope("c1", Some("m1"), "hello");
    let (verdict, letters) = turned_away(&world, &run, envelope).await;
    assert_eq!(verdict, Verdict::Refused(ErrorKind::NotFound));
    let letter = &letters[0];
    assert_eq!((letters.len(), letter.kind), (1, ErrorKind::NotFound));
    assert_eq!((&*letter.content.to_text(), letter.is_reply), ("hello", false));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_the_sender_hears_is_not_kept() {
    let mut world = World::new(1);
    world.capabilities.tells_refusals = true;
    let run = world.start(|b| b.agent(echo()).router(only_orders())).await;
    let envelope = envelope("c1", Some("m1"), "hello");
    let (verdict, letters) = turned_away(&world, &run, envelope).await;
    assert_eq!((verdict, letters.len()), (Verdict::Refused(ErrorKind::NotFound), 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_over_a_limit_is_refused_for_good_and_not_kept_whole() {
    let long = || "x".repeat(5 << 20);
    let large: [fn(&mut Envelope, String); 5] = [
        |envelope, text| envelope.content = Content::text(text),
        |envelope, text| envelope.raw = text.into(),
        |envelope, text| envelope.headers.push(("h".into(), text.into())),
        |envelope, text| envelope.conversation = crate::support::chat(&text),
        |envelope, text| envelope.sender = Sender::new(text),
    ];
    for (n, enlarge) in large.into_iter().enumerate() {
        let world = World::new(1);
        let run = world.start(|b| b.agent(echo())).await;
        let mut envelope = envelope("c1", Some("m1"), "hello");
        enlarge(&mut envelope, long());
        let (verdict, letters) = turned_away(&world, &run, envelope).await;
        assert_eq!(verdict, Verdict::Refused(ErrorKind::ValidationError), "case {n}");
        assert_eq!(letters.len(), 1, "case {n}");
        assert!(letters[0].content.len() < 100_000, "case {n}");
    }
}

/// What is at a limit comes in.
#[tokio::test(start_paused = true)]
async fn what_is_at_a_limit_comes_in() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    let message = world.tell("c1", "m1", &"x".repeat(1 << 20)).await;
    run.ends(message, MessageState::Done).await;
}

fn signed(world: &World, id: &str, scope: &str) -> Ticket {
    world.say_once("c1", Some(id), Nonce::new(scope, "n1", Duration::from_secs(300)))
}

#[tokio::test(start_paused = true)]
async fn a_nonce_is_taken_once_while_it_is_kept() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.accepted(signed(&world, "m1", "hook")).await;
    let replayed = world.platform.verdict(signed(&world, "m2", "hook")).await;
    assert_eq!(replayed, Verdict::Refused(ErrorKind::AuthenticationFailed));
    run.accepted(signed(&world, "m3", "another hook")).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    run.accepted(signed(&world, "m4", "hook")).await;
}
