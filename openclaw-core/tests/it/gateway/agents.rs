//! Agents that fail, panic or hang: attempts, then a dead letter, and the conversation goes on.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use openclaw_core::{
    AgentId, Effect, Error, ErrorKind,
    agent::{Agent, Answer, Budget, agent_fn},
    gateway::{GatewayConfig, MessageState},
    records::DeadLetter,
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    fault::{Fault, FaultAgent, FaultChannel, Plan},
    platform::Verdict,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Run, World, echo, tenant};

async fn letters(run: &Run) -> Vec<DeadLetter> {
    let many = NonZeroUsize::new(100).unwrap();
    run.dead_letters(&tenant()).list(None, many).await.unwrap()
}

/// A poisoned message comes to its letter, and the one behind it is answered.
async fn poison(fault: Fault, kind: ErrorKind) {
    let world = World::new(1);
    let plan = Plan::default();
    plan.every("poison", fault);
    let agent = FaultAgent::new(echo(), plan);
    let run = world.start(|b| b.agent(agent)).await;
    let (bad, good) = (world.say("c1", "m1", "poison"), world.say("c1", "m2", "fine"));
    let (bad, good) = (run.accepted(bad).await, run.accepted(good).await);
    run.ends(bad, MessageState::Dead).await;
    run.ends(good, MessageState::Done).await;
    let letters = letters(&run).await;
    let letter = &letters[0];
    assert_eq!((letters.len(), letter.id, letter.kind, letter.attempts), (1, bad, kind, 3));
    assert_eq!(world.platform.texts(), ["fine"]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_fails_leaves_a_dead_letter() {
    poison(Fault::Fail, ErrorKind::ServerError).await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_panics_leaves_a_dead_letter() {
    poison(Fault::Panic, ErrorKind::Unclassified).await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_hangs_leaves_a_dead_letter() {
    poison(Fault::Hang, ErrorKind::Timeout).await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_recovers_answers() {
    let world = World::new(1);
    let plan = Plan::default();
    plan.next("handle", 2, Fault::Panic);
    let agent = FaultAgent::new(echo(), plan);
    let run = world.start(|b| b.agent(agent)).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

/// When each attempt at a turn began.
type Starts = Arc<Mutex<Vec<Instant>>>;

/// Fails with this error at every attempt.
fn failing(starts: &Starts, error: impl Fn() -> Error + Send + Sync + 'static) -> impl Agent {
    let starts = Arc::clone(starts);
    agent_fn(AgentId::new("failing").unwrap(), move |_turn| {
        starts.lock().unwrap().push(Instant::now());
        let e = error();
        async move { Err(e) }
    })
}

/// The seconds at which a turn that fails with this error is attempted.
async fn attempts(error: impl Fn() -> Error + Send + Sync + 'static) -> Vec<u64> {
    let world = World::new(1);
    let starts = Starts::default();
    let run = world.start(|b| b.agent(failing(&starts, error))).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Dead).await;
    let starts = starts.lock().unwrap();
    starts.iter().map(|at| at.duration_since(starts[0]).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_pauses_between_attempts_double() {
    let found = attempts(|| Error::new(ErrorKind::ServerError, "no")).await;
    assert_eq!(found, [0, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_may_ask_for_a_longer_pause() {
    let later = Duration::from_secs(20);
    let error = move || Error::new(ErrorKind::RateLimited, "later").with_retry_after(later);
    assert_eq!(attempts(error).await, [0, 20, 40]);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_no_attempt_can_help_ends_at_once() {
    for kind in [ErrorKind::ValidationError, ErrorKind::Unsupported, ErrorKind::PermissionDenied] {
        assert_eq!(attempts(move || Error::new(kind, "no")).await, [0], "{kind}");
    }
    let spent = || Error::new(ErrorKind::Unavailable, "no").exhausted();
    assert_eq!(attempts(spent).await, [0]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_leaves_no_trace_in_the_session() {
    let world = World::new(1);
    let agent = agent_fn(AgentId::new("notes").unwrap(), |turn| async move {
        let seen = turn.session().to_string();
        turn.set_session(json!(format!("{} at attempt {}", turn.text(), turn.context().attempt())));
        Ok(Answer::text(seen))
    });
    let plan = Plan::default();
    plan.nth("first", 1, Fault::LoseAnswer);
    let agent = FaultAgent::new(agent, plan);
    let run = world.start(|b| b.agent(agent)).await;
    run.ends(world.tell("c1", "m1", "first").await, MessageState::Done).await;
    run.ends(world.tell("c1", "m2", "second").await, MessageState::Done).await;
    run.ends(world.tell("c2", "m3", "other").await, MessageState::Done).await;
    let expected = ["null", "\"first at attempt 2\"", "null"];
    assert_eq!(world.platform.texts(), expected, "what each turn found");
}

#[tokio::test(start_paused = true)]
async fn a_turn_has_no_more_skill_calls_than_its_budget() {
    let world = World::new(1);
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let skill = RemoteSkill::named("pay", Effect::AtMostOnce, remote.clone()).unwrap();
    let mut script = ScriptedAgent::new("greedy").unwrap().always();
    for n in 0..5 {
        script = script.call("pay", format!("pay.{n}"), json!({ "n": n }));
    }
    let mut config = GatewayConfig::default();
    config.budget = Budget::default().skill_calls(3);
    let agent = script.or_say("that is all").then_say("all paid");
    let run = world.start(|b| b.agent(agent).skill(skill).config(config)).await;
    run.ends(world.tell("c1", "m1", "pay").await, MessageState::Done).await;
    assert_eq!((remote.effects_total(), world.platform.texts()), (3, vec!["that is all".into()]));
}

#[tokio::test(start_paused = true)]
async fn a_skill_that_is_not_there_is_an_error_for_the_agent() {
    let world = World::new(1);
    let agent = ScriptedAgent::new("lost").unwrap().always();
    let agent = agent.call("nothing", "do", json!({})).or_say("no such thing").then_say("done");
    let run = world.start(|b| b.agent(agent)).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["no such thing"]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_says_nothing_sends_nothing() {
    let world = World::new(1);
    let agent = ScriptedAgent::new("mute").unwrap().always().then_nothing();
    let run = world.start(|b| b.agent(agent)).await;
    let end = run.end(world.tell("c1", "m1", "hello").await).await;
    assert_eq!((end.state, end.reply), (MessageState::Done, None));
    assert!(world.platform.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_can_not_be_rendered_is_a_dead_letter() {
    let world = World::new(1);
    let plan = Plan::default();
    plan.every("poison", Fault::Panic);
    let desk = world.platform.channel(world.capabilities.clone(), plan.power().clone());
    let clumsy = FaultChannel::new(desk, plan);
    let gateway = openclaw_core::gateway::Gateway::builder(world.env.clone(), world.rows.clone())
        .channel(clumsy)
        .agent(echo())
        .start()
        .await
        .unwrap();
    let (bad, good) = (world.say("c1", "m1", "poison"), world.say("c1", "m2", "fine"));
    let (mut ends, tenant) = (Vec::new(), tenant());
    for ticket in [bad, good] {
        let verdict = world.platform.verdict(ticket).await;
        let Verdict::Accepted { message, .. } = verdict else { panic!() };
        let end = gateway.settled(&tenant, message);
        let end = tokio::time::timeout(Duration::from_secs(600), end).await.unwrap();
        ends.push(end.unwrap().state);
    }
    assert_eq!(ends, [MessageState::Dead, MessageState::Done]);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_any_length_comes_to_its_letter() {
    let world = World::new(1);
    let agent = agent_fn(AgentId::new("verbose").unwrap(), |_turn| async move {
        // The body of an answer, put into an error.
        Err(Error::new(ErrorKind::ServerError, "ä".repeat(5 << 20)))
    });
    let run = world.start(|b| b.agent(agent)).await;
    let message = world.tell("c1", "m1", "hi").await;
    run.ends(message, MessageState::Dead).await;
    let letter = letters(&run).await.remove(0);
    assert!(letter.reason.starts_with("ää"), "the beginning is kept");
    assert!(letter.reason.len() <= 8 << 10, "{} bytes are kept", letter.reason.len());
}

#[tokio::test(start_paused = true)]
async fn times_without_an_end_are_times() {
    let world = World::new(1);
    let mut config = GatewayConfig::default();
    (config.turn_timeout, config.send_timeout) = (Duration::MAX, Duration::MAX);
    let run = world.start(|b| b.agent(echo()).config(config)).await;
    let message = world.tell("c1", "m1", "hi").await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hi"]);
    run.drain(Duration::MAX).await.unwrap();
}
