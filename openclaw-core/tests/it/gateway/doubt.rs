//! Doubt: what may have happened is never called not sent, and never repeated unasked.

use std::time::Duration;

use openclaw_core::{Effect, ErrorKind, gateway::MessageState};
use openclaw_testkit::{
    agent::ScriptedAgent,
    fault::{FaultSkill, Plan},
    platform::Sending,
    remote::{Behaviour, CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;

use crate::support::{Run, World, echo};

const fn keyed(seconds: u64) -> Effect {
    Effect::Keyed { retention: Duration::from_secs(seconds) }
}

/// A gateway whose agent pays through a remote that behaves like this.
async fn paying(world: &World, effect: Effect, behaviour: &[Behaviour]) -> (Run, CountingRemote) {
    let remote = CountingRemote::new(RemoteKind::Keyed);
    remote.script(behaviour.iter().copied());
    let skill = RemoteSkill::named("pay", effect, remote.clone()).unwrap();
    let agent = ScriptedAgent::new("payer").unwrap().always();
    let agent = agent.call("pay", "pay", json!({"amount": 7})).then_say("paid");
    (world.start(|b| b.agent(agent).skill(skill)).await, remote)
}

#[tokio::test(start_paused = true)]
async fn an_early_call_in_doubt_outweighs_later_ones_that_surely_failed() {
    let world = World::new(1);
    let fails = [Behaviour::LoseAnswer, Behaviour::FailBefore, Behaviour::FailBefore];
    let (run, remote) = paying(&world, keyed(3600), &fails).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Parked).await;
    assert_eq!((remote.effects_total(), remote.calls_total()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_not_sent_beyond_its_retention_although_a_later_call_surely_failed() {
    let world = World::new(1);
    // The pauses are one second and two: the third call would come after three.
    let (run, remote) =
        paying(&world, keyed(3), &[Behaviour::LoseAnswer, Behaviour::FailBefore]).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Parked).await;
    assert_eq!((remote.effects_total(), remote.calls_total()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_call_in_doubt_is_repeated_under_its_key_until_it_is_answered() {
    let world = World::new(1);
    let (run, remote) =
        paying(&world, keyed(3600), &[Behaviour::LoseAnswer, Behaviour::FailBefore]).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Done).await;
    assert_eq!((remote.effects_total(), remote.calls_total()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn an_early_send_in_doubt_outweighs_later_ones_that_surely_failed() {
    for last in [ErrorKind::Unavailable, ErrorKind::PermissionDenied] {
        let mut world = World::new(1);
        world.capabilities.post = keyed(3600);
        world.platform.honour_keys();
        let refusals = std::iter::repeat_n(Sending::Refuse(last), 4);
        world.platform.script([Sending::LoseAnswer].into_iter().chain(refusals));
        let run = world.start(|b| b.agent(echo())).await;
        run.ends(world.tell("c1", "m1", "hello").await, MessageState::Parked).await;
        assert_eq!(world.platform.texts(), ["hello"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_can_not_hide_an_effect_in_doubt() {
    let world = World::new(1);
    let remote = CountingRemote::new(RemoteKind::Keyed);
    remote.script([Behaviour::LoseAnswer]);
    let skill = RemoteSkill::named("pay", keyed(3600), remote.clone()).unwrap();
    let agent = ScriptedAgent::new("payer").unwrap().always();
    let agent = agent.call("pay", "pay", json!({"amount": 7})).or_say("sorry").then_say("paid");
    let run = world.start(|b| b.agent(agent).skill(skill)).await;
    run.ends(world.tell("c1", "m1", "pay").await, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["paid"]);
    assert_eq!(remote.effects_total(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_agent_can_not_hide_a_doubt_whose_look_up_failed() {
    let world = World::new(1);
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    remote.script([Behaviour::LoseAnswer]);
    let skill = RemoteSkill::named("pay", Effect::Reconcilable, remote.clone()).unwrap();
    let plan = Plan::default();
    plan.fail_next("reconcile", 1);
    let skill = FaultSkill::new(skill, plan.clone());
    let agent = ScriptedAgent::new("payer").unwrap().always();
    let agent = agent.call("pay", "pay", json!({"amount": 7})).or_say("sorry").then_say("paid");
    let run = world.start(|b| b.agent(agent).skill(skill)).await;
    run.ends(world.tell("c1", "m1", "pay").await, MessageState::Done).await;
    assert_eq!(plan.injected()["fail"], 1, "the look-up failed");
    assert_eq!(world.platform.texts(), ["paid"]);
    assert_eq!(remote.effects_total(), 1);
}
