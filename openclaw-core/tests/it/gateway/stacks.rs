//! Stacks around the calls of skills and the turns of agents: under one claim, for one attempt.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use openclaw_core::{
    AgentId, Effect, Error, ErrorKind,
    agent::{Agent, Answer, agent_fn},
    gateway::{GatewayConfig, MessageState},
    middleware::stack::{Resilience, ResilienceConfig},
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    remote::{Behaviour, CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;

use crate::support::{Run, World, tenant};

/// A gateway with this configuration, whose agent pays through a remote that behaves like this.
async fn paying(
    world: &World,
    config: &str,
    effect: Effect,
    behaviour: &[Behaviour],
) -> (Run, CountingRemote, Resilience) {
    let remote = CountingRemote::new(RemoteKind::Keyed);
    remote.script(behaviour.iter().copied());
    let skill = RemoteSkill::named("pay", effect, remote.clone()).unwrap();
    let agent = ScriptedAgent::new("payer").unwrap().always();
    let agent = agent.call("pay", "pay", json!({"amount": 7})).then_say("paid");
    let resilience = Resilience::new(ResilienceConfig::from_json(config).unwrap()).unwrap();
    let stacks = resilience.clone();
    let run = world.start(|b| b.agent(agent).skill(skill).resilience(stacks)).await;
    (run, remote, resilience)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_surely_failed_is_tried_again_under_one_claim() {
    let world = World::new(1);
    let fails = [Behaviour::FailBefore, Behaviour::FailBefore];
    let (run, remote, resilience) = paying(&world, "{}", Effect::AtMostOnce, &fails).await;
    run.ends(world.tell("c1", "m1", "pay").await, MessageState::Done).await;
    assert_eq!((remote.effects_total(), remote.calls_total()), (1, 3));
    let (_, _, seen) = resilience.snapshot().remove(0);
    assert_eq!(seen.retry.retries, 2, "inside one attempt of the turn");
    assert_eq!(world.platform.texts(), ["paid"]);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_is_parked_and_not_tried_again() {
    let world = World::new(1);
    let (run, remote, _) = paying(&world, "{}", Effect::AtMostOnce, &[Behaviour::LoseAnswer]).await;
    run.ends(world.tell("c1", "m1", "pay").await, MessageState::Parked).await;
    assert_eq!((remote.effects_total(), remote.calls_total()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_sends_nothing_and_leaves_no_doubt() {
    let world = World::new(1);
    let config = r#"{ "skill": { "pay": { "retry": "off",
        "breaker": { "consecutive_failures": 1, "open_wait": "1h", "max_open_wait": "1h" } } } }"#;
    let (run, remote, resilience) =
        paying(&world, config, Effect::AtMostOnce, &[Behaviour::FailBefore]).await;
    run.ends(world.tell("c1", "m1", "pay").await, MessageState::Dead).await;
    assert_eq!((remote.effects_total(), remote.calls_total()), (0, 1), "refused ever since");
    let breaker = resilience.skill("pay").breaker(&tenant()).unwrap();
    breaker.reset();
    run.ends(world.tell("c1", "m2", "pay").await, MessageState::Done).await;
    assert_eq!(remote.effects_total(), 1);
}

#[tokio::test(start_paused = true)]
async fn settings_change_while_the_gateway_runs() {
    let world = World::new(1);
    let once = r#"{ "skill": { "default": { "retry": "off", "rate_limit": { "calls": 1, "per": "1h" } } } }"#;
    let (run, remote, resilience) = paying(&world, once, Effect::AtMostOnce, &[]).await;
    run.ends(world.tell("c1", "m1", "pay").await, MessageState::Done).await;
    run.ends(world.tell("c1", "m2", "pay").await, MessageState::Dead).await;
    assert_eq!(remote.calls_total(), 1, "the quota is used up");
    let more = once.replace(r#""calls": 1"#, r#""calls": 100000"#);
    resilience.reload(ResilienceConfig::from_json(&more).unwrap()).unwrap();
    run.ends(world.tell("c1", "m3", "pay").await, MessageState::Done).await;
    assert_eq!(remote.effects_total(), 2);
}

/// An agent that fails so often, and counts how often it is asked.
fn failing(times: u32) -> (impl Agent, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let agent = agent_fn(AgentId::new("frail").unwrap(), move |_| {
        let fails = counter.fetch_add(1, Ordering::Relaxed) < times;
        let down = || Error::new(ErrorKind::Unavailable, "the model is down");
        async move { if fails { Err(down()) } else { Ok(Answer::text("well")) } }
    });
    (agent, asked)
}

fn of_agents(settings: &str) -> Resilience {
    let config = format!(r#"{{ "agent": {{ "frail": {settings} }} }}"#);
    Resilience::new(ResilienceConfig::from_json(&config).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_its_stack_refuses_waits_and_costs_no_attempt() {
    let world = World::new(1);
    let resilience = of_agents(
        r#"{ "breaker": { "consecutive_failures": 1, "open_wait": "1h", "max_open_wait": "2h" } }"#,
    );
    let (agent, asked) = failing(1);
    let mut config = GatewayConfig::default();
    (config.turn_attempts, config.turns) = (2, 1);
    let run = world.start(|b| b.agent(agent).config(config).resilience(resilience.clone())).await;
    let messages = [world.tell("c1", "m1", "one").await, world.tell("c2", "m2", "two").await];
    tokio::time::sleep(Duration::from_secs(1800)).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1, "the breaker is open");
    resilience.agent("frail").breaker(&tenant()).unwrap().reset();
    for message in messages {
        run.ends(message, MessageState::Done).await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_a_turn_are_the_gateways() {
    let world = World::new(1);
    let (agent, asked) = failing(100);
    let resilience = of_agents(r#"{ "retry": { "attempts": 5, "base": "1ms" } }"#);
    let run = world.start(|b| b.agent(agent).resilience(resilience)).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Dead).await;
    assert_eq!(asked.load(Ordering::Relaxed), 3, "a stack's retry does not multiply them");
}

#[tokio::test(start_paused = true)]
async fn a_drain_leaves_a_turn_that_waits_for_its_stack() {
    let world = World::new(1);
    let (agent, _) = failing(0);
    let resilience = of_agents(r#"{ "rate_limit": { "calls": 1, "per": "10m" } }"#);
    let run = world.start(|b| b.agent(agent).resilience(resilience)).await;
    run.ends(world.tell("c1", "m1", "one").await, MessageState::Done).await;
    let message = world.tell("c2", "m2", "two").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    run.drain(Duration::from_secs(60)).await.unwrap_err();
    let (agent, _) = failing(0);
    let next = world.start(|b| b.agent(agent)).await;
    assert_eq!(next.recovered().turns, 1);
    next.ends(message, MessageState::Done).await;
}
