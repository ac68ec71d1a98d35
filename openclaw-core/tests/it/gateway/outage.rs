//! The store fails for a while: nothing is lost, nothing is done twice, no attempt is counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use openclaw_core::{
    AgentId, Effect, ErrorKind,
    agent::{Agent, Answer, agent_fn},
    gateway::{GatewayConfig, MessageState},
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    fault::{Fault, Plan},
    platform::Verdict,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;

use crate::support::{Run, World, echo, tenant};

/// Longer than all attempts with their pauses.
const OUTAGE: Duration = Duration::from_secs(120);

/// Breaks the store like this, says something, heals the store after the outage.
async fn ends(world: &World, run: &Run, harm: impl Fn(&Plan)) {
    harm(&run.plan);
    let ticket = world.say("c1", "m1", "hello");
    tokio::time::sleep(OUTAGE).await;
    run.plan.heal();
    let message = match world.platform.verdict(ticket).await {
        Verdict::Accepted { message, .. } => message,
        Verdict::Retry { kind: ErrorKind::Unavailable, .. } => {
            world.tell("c1", "m1", "hello").await
        }
        other => panic!("{other:?}"),
    };
    run.ends(message, MessageState::Done).await;
}

/// What a store does with the commits of one label.
type Harm = (&'static str, fn(&Plan, &'static str));

const fn harms() -> [Harm; 3] {
    [
        ("refuses", |plan, label| plan.every(label, Fault::Fail)),
        ("loses answers", |plan, label| plan.every(label, Fault::LoseAnswer)),
        ("loses answers and then all", |plan, label| {
            plan.nth(label, 1, Fault::LoseAnswer);
            plan.when(label, |plan| plan.fail("read"));
        }),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_echo_survives_an_outage_at_every_commit() {
    for label in ["admit", "turn", "dispatch", "done"] {
        for (name, harm) in harms() {
            let world = World::new(1);
            let run = world.start(|b| b.agent(echo())).await;
            ends(&world, &run, |plan| harm(plan, label)).await;
            assert_eq!(world.platform.texts(), ["hello"], "{label}: the store {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_effect_survives_an_outage_at_every_commit() {
    for label in ["claim", "dispatch", "settle", "turn"] {
        for (name, harm) in harms() {
            let world = World::new(1);
            let remote = CountingRemote::new(RemoteKind::Keyed);
            let keyed = Effect::Keyed { retention: Duration::from_secs(3600) };
            let skill = RemoteSkill::named("pay", keyed, remote.clone()).unwrap();
            let agent = ScriptedAgent::new("payer").unwrap().always();
            let agent = agent.call("pay", "pay", json!({"amount": 7})).then_say("paid");
            let run = world.start(|b| b.agent(agent).skill(skill)).await;
            ends(&world, &run, |plan| harm(plan, label)).await;
            let counts = (remote.effects_total(), world.platform.posts().len());
            assert_eq!(counts, (1, 1), "{label}: the store {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_makes_light_of_an_outage_hides_no_effect() {
    let world = World::new(1);
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let skill = RemoteSkill::named("pay", Effect::Reconcilable, remote.clone()).unwrap();
    let agent = ScriptedAgent::new("payer").unwrap().always();
    let agent = agent.call("pay", "pay", json!({"amount": 7})).or_say("sorry").then_say("paid");
    let run = world.start(|b| b.agent(agent).skill(skill)).await;
    run.plan.nth("settle", 1, Fault::Fail);
    run.ends(world.tell("c1", "m1", "pay").await, MessageState::Done).await;
    assert_eq!((remote.effects_total(), world.platform.texts()), (1, vec!["paid".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_acknowledges_nothing() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.plan.fail(Plan::ANY);
    let verdict = world.platform.verdict(world.say("c1", "m1", "hello")).await;
    assert!(matches!(verdict, Verdict::Retry { kind: ErrorKind::Unavailable, .. }), "{verdict:?}");
    run.plan.heal();
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_durable_unknown_to_anybody_is_answered() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.plan.nth("admit", 1, Fault::LoseAnswer);
    run.plan.fail("read");
    let verdict = world.platform.verdict(world.say("c1", "m1", "hello")).await;
    assert!(matches!(verdict, Verdict::Retry { .. }), "{verdict:?}");
    run.plan.heal();
    // Nobody delivers it again, and still it is answered: it was durable.
    tokio::time::sleep(OUTAGE).await;
    assert_eq!(world.platform.texts(), ["hello"]);
    drop(run);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_looked_for_is_not_overtaken() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.plan.nth("admit", 1, Fault::LoseAnswer);
    run.plan.fail("read");
    let verdict = world.platform.verdict(world.say("c1", "m1", "first")).await;
    assert!(matches!(verdict, Verdict::Retry { .. }), "{verdict:?}");
    // The look-up of the first second fails; the next one is still to come.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let again = world.platform.verdict(world.say("c1", "m1", "first")).await;
    assert!(matches!(again, Verdict::Retry { .. }), "nobody knows yet that it is in: {again:?}");
    run.plan.heal();
    world.platform.verdict(world.say("c1", "m2", "second")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let first = world.tell("c1", "m1", "first").await;
    let second = world.tell("c1", "m2", "second").await;
    run.ends(first, MessageState::Done).await;
    run.ends(second, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_whose_commit_nobody_can_confirm_is_decided_once() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.plan.nth("turn", 1, Fault::LoseAnswer);
    // The look behind the commit fails, and so does the one behind the pause.
    run.plan.when("turn", |plan| plan.fail_next("read", 2));
    let message = world.tell("c1", "m1", "hello").await;
    tokio::time::sleep(OUTAGE).await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
    let entries = run.audit(&tenant()).entries().await.unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
}

/// Fails at its first two attempts, and counts them all.
fn tired(attempts: &Arc<AtomicU32>) -> impl Agent + use<> {
    let attempts = Arc::clone(attempts);
    agent_fn(AgentId::new("tired").unwrap(), move |turn| {
        let n = attempts.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            if turn.context().attempt() < 3 {
                let e = openclaw_core::Error::new(ErrorKind::ServerError, "tired");
                return Err(e.with("attempt", n));
            }
            Ok(Answer::text(&*turn.text()))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_nobody_s_attempt() {
    let world = World::new(1);
    let attempts = Arc::default();
    let run = world.start(|b| b.agent(tired(&attempts))).await;
    // The first failure can't be counted while the store is away.
    ends(&world, &run, |plan| plan.every("attempt", Fault::Fail)).await;
    assert!(attempts.load(Ordering::Relaxed) > 3, "it was tried all the while");
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_until_the_store_takes_it() {
    let (world, asked) = (World::new(1), Arc::<AtomicU32>::default());
    let here = Arc::clone(&asked);
    let agent = agent_fn(AgentId::new("echo").unwrap(), move |turn| {
        here.fetch_add(1, Ordering::Relaxed);
        async move { Ok(Answer::text(&*turn.text())) }
    });
    let run = world.start(|b| b.agent(agent)).await;
    ends(&world, &run, |plan| plan.fail("turn")).await;
    assert_eq!((asked.load(Ordering::Relaxed), world.platform.texts().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_agent_is_asked_less_and_less_while_claims_fail() {
    let (world, asked) = (World::new(1), Arc::<AtomicU32>::default());
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let skill = RemoteSkill::named("pay", Effect::AtMostOnce, remote.clone()).unwrap();
    let here = Arc::clone(&asked);
    let agent = agent_fn(AgentId::new("payer").unwrap(), move |mut turn| {
        here.fetch_add(1, Ordering::Relaxed);
        async move { turn.skill("pay", "pay", json!(7)).await.map(|_| Answer::text("paid")) }
    });
    let run = world.start(|b| b.agent(agent).skill(skill)).await;
    run.plan.fail("claim");
    let message = world.tell("c1", "m1", "pay").await;
    tokio::time::sleep(OUTAGE).await;
    let times = asked.load(Ordering::Relaxed);
    assert!((4..=8).contains(&times), "asked {times} times");
    run.plan.heal();
    let since = tokio::time::Instant::now();
    run.ends(message, MessageState::Done).await;
    assert!(since.elapsed() <= Duration::from_secs(60), "{:?}", since.elapsed());
    assert_eq!((remote.effects_total(), world.platform.texts()), (1, vec!["paid".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_longer_than_a_turn_may_take_costs_no_attempt() {
    let world = World::new(1);
    let remote = CountingRemote::new(RemoteKind::Keyed);
    let keyed = Effect::Keyed { retention: Duration::from_secs(3600) };
    let skill = RemoteSkill::named("pay", keyed, remote.clone()).unwrap();
    let agent = ScriptedAgent::new("payer").unwrap().always();
    let agent = agent.call("pay", "pay", json!({"amount": 7})).then_say("paid");
    let mut config = GatewayConfig::default();
    config.turn_attempts = 1;
    let run = world.start(|b| b.agent(agent).skill(skill).config(config)).await;
    run.plan.nth("settle", 1, Fault::Delay(Duration::from_secs(90)));
    run.ends(world.tell("c1", "m1", "pay").await, MessageState::Done).await;
    assert_eq!((remote.effects_total(), remote.calls_total()), (1, 2));
    assert_eq!(world.platform.texts(), ["paid"]);
}
