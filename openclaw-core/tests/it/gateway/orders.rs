//! An operator's orders: fenced, followed to their end, and refused while a turn still runs.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use openclaw_core::{
    AgentId, Effect, ErrorKind, MessageId,
    agent::{Agent, Answer, Resolution, Waiting, agent_fn},
    gateway::MessageState,
    records::EffectState,
    skill::SkillAnswer,
};
use openclaw_testkit::{
    fault::{Fault, FaultAgent, Plan},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;
use tokio::{task::yield_now, time::timeout};

use crate::support::{Run, World, echo, tenant};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// An echo whose first attempts fail.
fn failing(attempts: u64) -> impl Agent {
    let plan = Plan::default();
    plan.fail_next("handle", attempts);
    FaultAgent::new(echo(), plan)
}

/// A message that is dead; it would work now.
async fn dead(world: &World) -> (Run, MessageId) {
    let agent = failing(3);
    let run = world.start(|b| b.agent(agent)).await;
    let message = world.tell("c1", "m1", "hello").await;
    run.ends(message, MessageState::Dead).await;
    (run, message)
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_was_taken_over_purges_nothing() {
    let world = World::new(1);
    let (first, message) = dead(&world).await;
    let second = world.start(|b| b.agent(echo())).await;
    let purged = first.purge(&tenant(), message, "ops").await;
    assert_eq!(purged.map_err(|e| e.kind()), Err(ErrorKind::Conflict));
    assert!(second.dead_letters(&tenant()).show(message).await.unwrap().is_some());
    assert!(second.purge(&tenant(), message, "ops").await.unwrap());
}

/// Pays in every run of it but the second one, which does not ask.
fn forgetful() -> impl Agent {
    let runs = AtomicU32::new(0);
    agent_fn(AgentId::new("forgetful").unwrap(), move |mut turn| {
        let n = runs.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            if n != 2 {
                turn.skill("pay", "pay", json!({"amount": 7})).await?;
            }
            Ok(Answer::text("paid"))
        }
    })
}

/// A gateway whose agent pays at a remote that knows no keys.
async fn paying(world: &World, agent: impl Agent) -> (Run, CountingRemote) {
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let skill = RemoteSkill::named("pay", Effect::AtMostOnce, remote.clone()).unwrap();
    (world.start(|b| b.agent(agent).skill(skill)).await, remote)
}

async fn is_on_its_way(run: &Run) -> bool {
    let all = run.ledger(&tenant()).all().await.unwrap();
    all.iter().any(|(.., record)| matches!(record.state, EffectState::Dispatching { .. }))
}

/// A shelved turn left its effect on its way; it is decided like this, and replayed.
async fn decided(answer: Option<SkillAnswer>) -> u64 {
    let world = World::new(1);
    let (run, remote) = paying(&world, forgetful()).await;
    run.plan.nth("settle", 1, Fault::Fail);
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Parked).await;
    assert!(is_on_its_way(&run).await);
    run.decide(&tenant(), message, "pay", answer, "ops").await.unwrap();
    run.replay(&tenant(), message, "ops").await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["paid"]);
    remote.calls_total()
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_a_shelved_turn_left_on_its_way_can_be_decided() {
    assert_eq!(decided(Some(SkillAnswer::done(json!("ok")))).await, 1);
    assert_eq!(decided(None).await, 2);
}

#[tokio::test(start_paused = true)]
async fn an_effect_on_its_way_is_not_decided_while_its_turn_runs() {
    let world = World::new(1);
    let (run, remote) = paying(&world, forgetful()).await;
    run.plan.delay("settle", MINUTE);
    let message = world.tell("c1", "m1", "pay").await;
    while remote.calls_total() == 0 {
        yield_now().await;
    }
    assert!(is_on_its_way(&run).await);
    let refused = run.decide(&tenant(), message, "pay", None, "ops").await;
    assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::Conflict));
    run.ends(message, MessageState::Done).await;
    assert_eq!(remote.calls_total(), 1);
}

/// Asks a person, and says what was answered.
fn asking() -> impl Agent {
    agent_fn(AgentId::new("asking").unwrap(), |turn| async move {
        let text = "really?".into();
        Ok(turn.resolution().map_or_else(
            || Answer::Suspended(Waiting::Question { text }),
            |resolution| Answer::text(resolution.value.to_string()),
        ))
    })
}

/// A turn waits; it is resolved by somebody who gives up before the commit is through.
async fn resolved_in_haste(world: &World) -> (Run, MessageId) {
    let run = world.start(|b| b.agent(asking())).await;
    let message = world.tell("c1", "m1", "ask").await;
    let state = async || run.status(&tenant(), message).await.unwrap().map(|status| status.state);
    while state().await != Some(MessageState::Waiting) {
        yield_now().await;
    }
    run.plan.delay("resolve", 10 * SECOND);
    let acme = tenant();
    let order = run.resolve(&acme, message, Resolution::new("ann", json!(1)));
    assert!(timeout(SECOND, order).await.is_err(), "the caller gave up");
    (run, message)
}

/// A dead letter is replayed by somebody who gives up before the commit is through.
async fn replayed_in_haste(world: &World) -> (Run, MessageId) {
    let (run, message) = dead(world).await;
    run.plan.delay("replay", 10 * SECOND);
    let acme = tenant();
    let order = run.replay(&acme, message, "ops");
    assert!(timeout(SECOND, order).await.is_err(), "the caller gave up");
    (run, message)
}

#[tokio::test(start_paused = true)]
async fn a_resolution_goes_on_when_its_caller_gives_up() {
    let world = World::new(1);
    let (run, message) = resolved_in_haste(&world).await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_goes_on_when_its_caller_gives_up() {
    let world = World::new(1);
    let (run, message) = replayed_in_haste(&world).await;
    tokio::time::sleep(MINUTE).await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_an_order_whose_caller_gave_up() {
    let world = World::new(1);
    let (run, _) = resolved_in_haste(&world).await;
    run.drain(MINUTE).await.unwrap();
    assert_eq!(world.platform.texts(), ["1"]);
    let world = World::new(1);
    let (run, _) = replayed_in_haste(&world).await;
    run.drain(MINUTE).await.unwrap();
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_an_end_hear_of_it_in_the_order_of_waiting() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.plan.delay("turn", MINUTE);
    let message = world.tell("c1", "m1", "hello").await;
    let told: Arc<Mutex<Vec<u32>>> = Arc::default();
    let waiting: Vec<_> = (0..40)
        .map(|n| {
            let (gateway, told) = (run.gateway.clone(), Arc::clone(&told));
            tokio::spawn(async move {
                gateway.settled(&tenant(), message).await.unwrap();
                told.lock().unwrap().push(n);
            })
        })
        .collect();
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(*told.lock().unwrap(), (0..40).collect::<Vec<_>>());
}
