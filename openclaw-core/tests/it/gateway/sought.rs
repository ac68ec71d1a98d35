//! A message whose admission nobody can confirm keeps its place in its conversation.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use openclaw_core::{
    AgentId, ErrorKind,
    agent::{Agent, Answer, agent_fn},
    channel::Ordering,
    gateway::{Gateway, MessageState},
};
use openclaw_testkit::{
    fault::{Fault, Plan},
    platform::{Ticket, Verdict},
};

use crate::support::{Run, World, echo};

/// Longer than a few looks at the store.
const WHILE: Duration = Duration::from_secs(60);

/// A gateway that meets these faults when "text 1" and "text 2" come at once.
async fn both(world: &World, harm: impl FnOnce(&Plan)) -> (Run, [Ticket; 2]) {
    let run = world.start(|b| b.agent(echo())).await;
    harm(&run.plan);
    let said = [("m1", "text 1"), ("m2", "text 2")];
    (run, said.map(|(id, text)| world.say("c1", id, text)))
}

/// Nobody hears that the first admission was applied.
fn unheard(plan: &Plan) {
    plan.nth("admit", 1, Fault::LoseAnswer);
    plan.fail_next("read", 1);
}

/// The first admission is lost, and nobody hears of that.
fn lost(plan: &Plan) {
    plan.nth("admit", 1, Fault::LoseRequest);
    plan.fail_next("read", 1);
}

async fn is_sent_back(world: &World, ticket: Ticket) {
    let verdict = world.platform.verdict(ticket).await;
    assert!(matches!(verdict, Verdict::Retry { kind: ErrorKind::Unavailable, .. }), "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_of_the_same_batch_does_not_overtake_it() {
    let world = World::new(1);
    let (run, [first, second]) = both(&world, unheard).await;
    is_sent_back(&world, first).await;
    run.ends(run.accepted(second).await, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["text 1", "text 2"]);
    let again = world.tell("c1", "m1", "text 1").await;
    run.ends(again, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["text 1", "text 2"], "it was admitted once");
}

#[tokio::test(start_paused = true)]
async fn two_of_them_are_answered_in_their_order_whichever_is_found_first() {
    let world = World::new(1);
    // Behind each commit one look fails, and so does the next look for the first.
    let harm = |plan: &Plan| {
        plan.next("admit", 2, Fault::LoseAnswer);
        plan.fail_next("read", 3);
    };
    let (_run, tickets) = both(&world, harm).await;
    for ticket in tickets {
        is_sent_back(&world, ticket).await;
    }
    tokio::time::sleep(WHILE).await;
    assert_eq!(world.platform.texts(), ["text 1", "text 2"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_did_not_get_in_is_admitted_when_it_comes_again() {
    let world = World::new(1);
    let (run, tickets) = both(&world, lost).await;
    for ticket in tickets {
        is_sent_back(&world, ticket).await;
    }
    tokio::time::sleep(WHILE).await;
    assert!(world.platform.texts().is_empty(), "neither is in");
    for (id, text) in [("m1", "text 1"), ("m2", "text 2")] {
        run.ends(world.tell("c1", id, text).await, MessageState::Done).await;
    }
    assert_eq!(world.platform.texts(), ["text 1", "text 2"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_did_not_get_in_holds_up_nobody_for_ever() {
    let mut world = World::new(1);
    // Without order the second is admitted, whatever becomes of the first.
    world.capabilities.ordering = Ordering::None;
    let (run, [first, second]) = both(&world, lost).await;
    is_sent_back(&world, first).await;
    run.ends(run.accepted(second).await, MessageState::Done).await;
    run.ends(world.tell("c1", "m1", "text 1").await, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["text 2", "text 1"]);
}

/// Drains, and starts anew; what was shown before and after.
async fn drained(world: &World, run: Run) -> (bool, Vec<String>, Gateway) {
    let drained = run.drain(WHILE).await.is_ok();
    let shown = world.platform.texts();
    let next = world.start(|b| b.agent(echo())).await;
    tokio::time::sleep(WHILE).await;
    (drained, shown, next.gateway)
}

#[tokio::test(start_paused = true)]
async fn a_drain_looks_for_it_once_more() {
    let world = World::new(1);
    let (run, [_, second]) = both(&world, unheard).await;
    run.accepted(second).await;
    let (drained, shown, next) = drained(&world, run).await;
    assert_eq!((drained, shown), (true, vec!["text 1".to_owned(), "text 2".to_owned()]));
    assert!(next.recovered().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_can_not_find_it_leaves_what_is_behind_it() {
    let world = World::new(1);
    let (run, [_, second]) = both(&world, unheard).await;
    run.accepted(second).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    run.plan.fail_next("read", 1);
    let (drained, shown, next) = drained(&world, run).await;
    assert_eq!((drained, shown), (false, Vec::new()), "nothing overtakes it");
    assert_eq!(next.recovered().turns, 2);
    assert_eq!(world.platform.texts(), ["text 1", "text 2"]);
}

/// Takes this long, and notes what it is asked.
fn noting(asked: &Arc<Mutex<Vec<String>>>, span: Duration) -> impl Agent + use<> {
    let asked = Arc::clone(asked);
    agent_fn(AgentId::new("noting").unwrap(), move |turn| {
        asked.lock().unwrap().push(turn.text().into_owned());
        async move {
            tokio::time::sleep(span).await;
            Ok(Answer::text(&*turn.text()))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_was_taken_over_does_not_begin_it() {
    let world = World::new(1);
    let asked = Arc::default();
    let first = world.start(|b| b.agent(noting(&asked, WHILE / 120))).await;
    world.tell("c0", "m0", "text 0").await;
    unheard(&first.plan);
    is_sent_back(&world, world.say("c1", "m1", "text 1")).await;
    let second = world.start(|b| b.agent(noting(&Arc::default(), WHILE / 2))).await;
    // The first one hears of it at the end of its turn, before it has looked again.
    assert_eq!(second.recovered().turns, 2);
    tokio::time::sleep(WHILE).await;
    assert_eq!(*asked.lock().unwrap(), ["text 0"]);
    assert_eq!(world.platform.texts(), ["text 0", "text 1"]);
}
