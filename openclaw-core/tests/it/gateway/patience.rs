//! What a platform asked for, and the order of replies: both outlive lost commits and processes.

use std::time::Duration;

use openclaw_core::{
    AgentId, MessageId,
    agent::{Agent, Answer, Resolution, Waiting, agent_fn},
    gateway::{AckPolicy, Gateway, MessageState},
};
use openclaw_testkit::{
    fault::{Fault, FaultStore, Plan, Power},
    platform::{Sending, Verdict},
};
use serde_json::json;
use tokio::{task::yield_now, time::sleep};

use crate::support::{Run, World, echo, tenant};

const SHORT: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(600);

/// How long the platform was left alone between its refusal and the next request.
fn pause(world: &World) -> Duration {
    let requests = world.platform.requests();
    requests[1] - requests[0]
}

/// A reply that is refused for this long, on a store that is broken like this.
async fn refused(asked: Duration, harm: impl FnOnce(&Plan)) -> Duration {
    let world = World::new(1);
    world.platform.script([Sending::Limit(asked)]);
    let run = world.start_with(harm, |b| b.agent(echo())).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
    pause(&world)
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_was_asked_for_holds_when_the_attempt_can_not_be_written() {
    for fault in [Fault::Fail, Fault::LoseRequest, Fault::LoseAnswer] {
        let paused = refused(SHORT, |plan| plan.nth("attempt", 1, fault)).await;
        assert!(paused >= SHORT, "{fault:?}: {paused:?}");
        let unread = |plan: &Plan| {
            plan.nth("attempt", 1, fault);
            plan.when("attempt", |plan| plan.fail_next("read", 1));
        };
        let paused = refused(SHORT, unread).await;
        assert!(paused >= SHORT, "{fault:?}, and nobody can look: {paused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_was_asked_for_holds_when_its_deferral_can_not_be_written() {
    for fault in [Fault::Fail, Fault::LoseRequest, Fault::LoseAnswer] {
        let paused = refused(LONG, |plan| plan.nth("defer", 1, fault)).await;
        assert!(paused >= LONG, "{fault:?}: {paused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_was_asked_for_outlives_the_process() {
    let world = World::new(1);
    world.platform.script([Sending::Limit(SHORT)]);
    let first = world.start(|b| b.agent(echo())).await;
    let message = world.tell("c1", "m1", "hello").await;
    sleep(SHORT / 4).await;
    first.kill().await;
    let second = world.start(|b| b.agent(echo())).await;
    second.ends(message, MessageState::Done).await;
    assert!(pause(&world) >= SHORT, "{:?}", pause(&world));
}

/// "ask" waits for a person; everything else is echoed.
fn desk() -> impl Agent {
    agent_fn(AgentId::new("desk").unwrap(), |turn| async move {
        if &*turn.text() == "ask" && turn.resolution().is_none() {
            return Ok(Answer::Suspended(Waiting::Question { text: "really?".into() }));
        }
        Ok(Answer::text(&*turn.text()))
    })
}

/// A gateway whose turn waits for a person.
async fn asked(world: &World) -> (Run, MessageId) {
    let run = world.start(|b| b.agent(desk())).await;
    let message = world.tell("c1", "m1", "ask").await;
    let state = async || run.status(&tenant(), message).await.unwrap().map(|status| status.state);
    while state().await != Some(MessageState::Waiting) {
        yield_now().await;
    }
    (run, message)
}

/// A later message is answered, then the one that waited; neither reply is out.
async fn in_order(dies: bool) {
    let world = World::new(1);
    let (first, asked) = asked(&world).await;
    world.platform.script([Sending::Limit(SHORT)]);
    let later = world.tell("c1", "m2", "later").await;
    sleep(Duration::from_secs(1)).await;
    first.resolve(&tenant(), asked, Resolution::new("ann", json!("yes"))).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(world.platform.texts().is_empty());
    let mut run = first;
    if dies {
        run.kill().await;
        run = world.start(|b| b.agent(desk())).await;
        assert_eq!(run.recovered().replies, 2);
    }
    run.ends(asked, MessageState::Done).await;
    run.ends(later, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["later", "ask"]);
}

#[tokio::test(start_paused = true)]
async fn replies_go_out_as_they_were_made() {
    in_order(false).await;
}

#[tokio::test(start_paused = true)]
async fn replies_go_out_as_they_were_made_over_a_restart() {
    in_order(true).await;
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_duplicate_that_can_not_be_read_is_not_acknowledged() {
    let mut retried = 0;
    for nth in 0..6 {
        let world = World::new(1);
        let plan = Plan::new(Power::on());
        let store = FaultStore::new(world.rows.clone(), plan.clone());
        let desk = world.platform.channel(world.capabilities.clone(), Power::on());
        let builder = Gateway::builder(world.env.clone(), store);
        let builder = builder.channel_with(desk, AckPolicy::Replied).agent(echo());
        let _gateway = builder.start().await.unwrap();
        plan.delay("turn", LONG / 2);
        world.say("c1", "m1", "hello");
        sleep(Duration::from_secs(5)).await;
        let again = world.say("c1", "m1", "hello");
        plan.nth("read", nth + 1, Fault::Fail);
        sleep(Duration::from_secs(5)).await;
        match world.platform.peek(again) {
            None => {}
            Some(Verdict::Retry { .. }) => retried += 1,
            other => panic!("read {nth} failed: {other:?}"),
        }
    }
    assert!(retried > 0, "a read fails");
}
