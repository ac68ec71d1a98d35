//! The end of a gateway: drained, taken over, or asked how it is.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    AgentId, ChannelId, Effect, Error, ErrorKind, SkillId,
    agent::{Agent, Answer, Resolution, Waiting, agent_fn},
    gateway::{AckPolicy, Gateway, GatewayConfig, MessageState},
    skill::SkillRequest,
};
use openclaw_testkit::{
    fault::{Fault, FaultChannel, Plan},
    platform::{Platform, Sending, Verdict},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
    trace::Event,
};
use serde_json::json;
use tokio::{sync::Semaphore, time::Instant};

use crate::support::{World, echo, envelope, tenant};

const MINUTE: Duration = Duration::from_secs(60);

/// Waits for a permit where the text is "hold"; fails at its first attempt where it is "fail".
fn desk(gate: &Arc<Semaphore>) -> impl Agent + Clone + use<> {
    let gate = Arc::clone(gate);
    Arc::new(agent_fn(AgentId::new("desk").unwrap(), move |turn| {
        let gate = Arc::clone(&gate);
        async move {
            match &*turn.text() {
                "hold" => gate.acquire().await.unwrap().forget(),
                "fail" if turn.context().attempt() == 1 => {
                    return Err(Error::new(ErrorKind::ServerError, "the first attempt fails"));
                }
                "wait" => {
                    let text = "really?".into();
                    return Ok(Answer::Suspended(Waiting::Question { text }));
                }
                _ => {}
            }
            Ok(Answer::text(&*turn.text()))
        }
    }))
}

fn gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_is_on_hand() {
    let (world, gate) = (World::new(1), gate());
    let run = world.start(|b| b.agent(desk(&gate))).await;
    for n in 0..3 {
        world.tell("c1", &format!("m{n}"), "hold").await;
    }
    let opened = Arc::clone(&gate);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        opened.add_permits(3);
    });
    run.drain(MINUTE).await.unwrap();
    assert_eq!(world.platform.texts(), ["hold"; 3]);
    assert_eq!(world.platform.closed(), 1, "the source is closed");
    let next = world.start(|b| b.agent(desk(&gate))).await;
    assert!(next.recovered().is_empty(), "{:?}", next.recovered());
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_the_last_commits() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.plan.delay("done", Duration::from_secs(10));
    world.tell("c1", "m1", "hello").await;
    while world.platform.posts().is_empty() {
        tokio::task::yield_now().await;
    }
    run.drain(MINUTE).await.unwrap();
    let next = world.start(|b| b.agent(echo())).await;
    assert!(next.recovered().is_empty(), "{:?}", next.recovered());
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_loses_its_last_commit_says_so() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.plan.every("done", Fault::Fail);
    world.tell("c1", "m1", "hello").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(run.drain(MINUTE).await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn what_a_drain_leaves_goes_on_at_the_next_start() {
    let (world, gate) = (World::new(1), gate());
    let run = world.start(|b| b.agent(desk(&gate))).await;
    let held = world.tell("c1", "m1", "hold").await;
    let behind = world.tell("c1", "m2", "behind").await;
    let since = Instant::now();
    let left = run.drain(Duration::from_secs(5)).await.unwrap_err();
    assert_eq!((left.kind(), since.elapsed().as_secs()), (ErrorKind::Timeout, 5));
    assert!(world.platform.texts().is_empty());
    gate.add_permits(1);
    let next = world.start(|b| b.agent(desk(&gate))).await;
    next.ends(held, MessageState::Done).await;
    next.ends(behind, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hold", "behind"]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_a_drain_leaves_in_its_pause_is_not_overtaken() {
    let (world, gate) = (World::new(1), gate());
    let run = world.start(|b| b.agent(desk(&gate))).await;
    let failed = world.tell("c1", "m1", "fail").await;
    let behind = world.tell("c1", "m2", "behind").await;
    run.drain(MINUTE).await.unwrap_err();
    let next = world.start(|b| b.agent(desk(&gate))).await;
    next.ends(failed, MessageState::Done).await;
    next.ends(behind, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["fail", "behind"]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_a_drain_leaves_in_its_pause_is_not_overtaken() {
    let world = World::new(1);
    world.platform.script([Sending::Limit(Duration::from_secs(20))]);
    let run = world.start(|b| b.agent(echo())).await;
    let tickets = [world.say("c1", "m1", "first"), world.say("c1", "m2", "second")];
    tokio::time::sleep(Duration::from_secs(5)).await;
    run.drain(MINUTE).await.unwrap_err();
    let next = world.start(|b| b.agent(echo())).await;
    for ticket in tickets {
        next.ends(next.accepted(ticket).await, MessageState::Done).await;
    }
    assert_eq!(world.platform.texts(), ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_deferred_reply() {
    let world = World::new(1);
    world.platform.script([Sending::Limit(Duration::from_secs(36_000))]);
    let run = world.start(|b| b.agent(echo())).await;
    world.tell("c1", "m1", "hello").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let since = Instant::now();
    run.drain(MINUTE).await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_in_time_when_its_seal_hangs() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    run.plan.every("seal", Fault::Hang);
    let since = Instant::now();
    tokio::time::timeout(2 * MINUTE, run.drain(MINUTE)).await.expect("it ends").unwrap();
    assert_eq!(since.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_the_verdict_of_what_has_ended() {
    let (world, plan) = (World::new(1), Plan::default());
    plan.delay("settle", Duration::from_secs(5));
    let channel = world.platform.channel(world.capabilities.clone(), plan.power().clone());
    let gateway = Gateway::builder(world.env.clone(), world.rows.clone())
        .channel_with(FaultChannel::new(channel, plan), AckPolicy::Replied)
        .agent(desk(&gate()))
        .start()
        .await
        .unwrap();
    let (ended, suspended) = (world.say("c1", "m1", "hello"), world.say("c2", "m2", "wait"));
    while world.platform.posts().is_empty() {
        tokio::task::yield_now().await;
    }
    let since = Instant::now();
    gateway.drain(MINUTE).await.unwrap();
    let verdict = world.platform.peek(ended);
    assert!(matches!(verdict, Some(Verdict::Accepted { .. })), "{verdict:?}");
    assert_eq!(since.elapsed().as_secs(), 5, "nobody waits for {suspended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_no_lane_that_nobody_can_start() {
    let (world, gate) = (World::new(1), gate());
    let mut config = GatewayConfig::default();
    config.turns = 1;
    let run = world.start(|b| b.agent(desk(&gate)).config(config)).await;
    world.tell("c1", "m1", "fail").await;
    let other = world.tell("c2", "m2", "other").await;
    let since = Instant::now();
    run.drain(MINUTE).await.unwrap_err();
    assert!(since.elapsed() < MINUTE, "{:?}", since.elapsed());
    let other = run.status(&tenant(), other).await.unwrap().unwrap();
    assert_eq!(other.state, MessageState::Done, "it was on hand and could be finished");
}

#[tokio::test(start_paused = true)]
async fn a_new_message_stays_outside_while_the_gateway_drains() {
    let (world, gate) = (World::new(1), gate());
    let run = world.start(|b| b.agent(desk(&gate))).await;
    world.tell("c1", "m1", "hold").await;
    let (drained, ()) = tokio::join!(run.drain(MINUTE), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.say("c2", "m2", "too late");
        gate.add_permits(1);
    });
    drained.unwrap();
    assert_eq!((world.platform.waiting(), world.platform.texts()), (1, vec!["hold".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_sender_who_is_told_is_sent_back_while_the_gateway_drains() {
    let (mut world, gate) = (World::new(1), gate());
    world.capabilities.tells_refusals = true;
    let run = world.start(|b| b.agent(desk(&gate))).await;
    world.tell("c1", "m1", "hold").await;
    let (drained, verdict) = tokio::join!(run.drain(MINUTE), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let verdict = world.platform.verdict(world.say("c2", "m2", "too late")).await;
        gate.add_permits(1);
        verdict
    });
    drained.unwrap();
    assert!(matches!(verdict, Verdict::Retry { kind: ErrorKind::Unavailable, .. }), "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drained_gateway_takes_no_orders() {
    let (world, gate) = (World::new(1), gate());
    let run = world.start(|b| b.agent(desk(&gate))).await;
    let message = world.tell("c1", "m1", "wait").await;
    run.drain(MINUTE).await.unwrap();
    world.trace.clear();
    let (tenant, yes) = (tenant(), Resolution::new("ann", json!("yes")));
    let orders = [
        run.resolve(&tenant, message, yes).await.unwrap_err(),
        run.replay(&tenant, message, "ops").await.unwrap_err(),
        run.purge(&tenant, message, "ops").await.unwrap_err(),
        run.decide(&tenant, message, "pay", None, "ops").await.unwrap_err(),
    ];
    assert!(orders.iter().all(|e| e.kind() == ErrorKind::Unavailable), "{orders:?}");
    tokio::time::sleep(MINUTE).await;
    assert!(world.trace.events().is_empty(), "{:?}", world.trace.events());
}

#[tokio::test(start_paused = true)]
async fn a_healthy_gateway_is_ready() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    let health = run.health().await;
    assert!(health.live && health.ready && !health.draining && health.problems.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_draining_gateway_lives_and_is_not_ready() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.drain(MINUTE).await.unwrap();
    let health = run.health().await;
    assert!(health.live && !health.ready && health.draining, "{health:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_without_its_store_is_not_ready() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.plan.fail(Plan::ANY);
    let health = run.health().await;
    assert!(!health.ready && health.problems.iter().any(|p| p.contains("store")), "{health:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_gateway_is_not_ready() {
    let (world, gate) = (World::new(1), gate());
    let mut config = GatewayConfig::default();
    config.pending = 1;
    let run = world.start(|b| b.agent(desk(&gate)).config(config)).await;
    world.tell("c1", "m1", "hold").await;
    let health = run.health().await;
    assert!(health.live && !health.ready, "{health:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_was_taken_over_writes_nothing_more() {
    let (world, first_gate, second_gate) = (World::new(1), gate(), gate());
    let first = world.start(|b| b.agent(desk(&first_gate))).await;
    let held = world.tell("c1", "m1", "hold").await;
    let second = world.start(|b| b.agent(desk(&second_gate))).await;
    let applied = first.store.applied();
    // The second one has not touched the message yet: only the fence stops the first.
    first_gate.add_permits(1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    second_gate.add_permits(1);
    second.ends(held, MessageState::Done).await;
    let health = first.health().await;
    assert!(!health.live && !health.ready, "{health:?}");
    let orders = [
        first.replay(&tenant(), held, "ops").await.map(drop),
        first.purge(&tenant(), held, "ops").await.map(drop),
    ];
    assert!(orders.iter().all(Result::is_err), "{orders:?}");
    first.drain(MINUTE).await.ok();
    assert_eq!(first.store.applied(), applied, "{:?}", world.trace.commits());
    assert_eq!(world.platform.texts(), ["hold"], "the second one answered");
    let sent = |event: &Event| matches!(event, Event::Conflict { label: "turn" });
    assert!(world.trace.events().iter().any(sent), "the first one tried");
}

/// Pays when there is a permit, and then takes half a minute.
fn payer(gate: &Arc<Semaphore>) -> impl Agent + use<> {
    let gate = Arc::clone(gate);
    agent_fn(AgentId::new("payer").unwrap(), move |mut turn| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            let pay = SkillRequest::new(SkillId::new("pay").unwrap(), "pay", json!(7));
            let paid = turn.call(pay).await;
            tokio::time::sleep(MINUTE / 2).await;
            paid.map(|_| Answer::text("paid"))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_was_taken_over_learns_it_from_an_effect() {
    let (world, first_gate, second_gate) = (World::new(1), gate(), gate());
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let pay = || RemoteSkill::named("pay", Effect::AtMostOnce, remote.clone()).unwrap();
    let first = world.start(|b| b.agent(payer(&first_gate)).skill(pay())).await;
    let message = world.tell("c1", "m1", "pay").await;
    let second = world.start(|b| b.agent(payer(&second_gate)).skill(pay())).await;
    first_gate.add_permits(1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let health = first.health().await;
    assert!(!health.live, "its turn still runs: {health:?}");
    assert_eq!(remote.calls_total(), 0);
    second_gate.add_permits(1);
    second.ends(message, MessageState::Done).await;
    assert_eq!((remote.effects_total(), world.platform.texts()), (1, vec!["paid".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_was_taken_over_sends_nothing_more() {
    let world = World::new(1);
    world.platform.script([Sending::Limit(Duration::from_secs(20))]);
    let first = world.start(|b| b.agent(echo())).await;
    let message = world.tell("c1", "m1", "hello").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let applied = first.store.applied();
    // The second one hesitates: when the first one's pause ends, the row is as it was.
    let slow = |plan: &Plan| plan.delay("dispatch", MINUTE);
    let second = world.start_with(slow, |b| b.agent(echo())).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((first.store.applied(), world.platform.texts().len()), (applied, 0));
    second.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_was_taken_over_acknowledges_nothing() {
    let world = World::new(1);
    let first = world.start(|b| b.agent(echo())).await;
    let platform = Platform::new(ChannelId::new("desk").unwrap(), world.trace.clone());
    let other = World { platform, ..world };
    let _second = other.start(|b| b.agent(echo())).await;
    let platform = first.platform();
    let ticket = platform.deliver(envelope("c1", Some("m1"), "hello"), None);
    let verdict = platform.verdict(ticket).await;
    assert!(matches!(verdict, Verdict::Retry { .. }), "{verdict:?}");
    assert!(platform.texts().is_empty());
}
