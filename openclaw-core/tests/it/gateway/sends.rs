//! Stacks around sends: what waits is not sent, what is refused costs nothing, order is kept.

use std::time::Duration;

use openclaw_core::{
    ChannelId, Content, Conversation, Effect, Envelope, ErrorKind, MessageId, Sender,
    gateway::{GatewayConfig, MessageState},
    middleware::stack::{Resilience, ResilienceConfig},
};
use openclaw_testkit::{
    fault::{Fault, Power},
    platform::{Platform, Sending, Verdict},
    trace::Trace,
};
use tokio::time::Instant;

use crate::support::{Run, World, echo, tenant};

const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(86_400) };

/// What lets one send out in twenty seconds, and makes the others wait for their place.
const SLOW: &str = r#"{ "rate_limit": { "calls": 1, "per": "20s", "max_wait": "25s" },
    "total_timeout": "1m" }"#;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn config(desk: &str) -> ResilienceConfig {
    ResilienceConfig::from_json(&format!(r#"{{ "send": {{ "desk": {desk} }} }}"#)).unwrap()
}

fn stacks(desk: &str) -> Resilience {
    Resilience::new(config(desk)).unwrap()
}

async fn start(world: &World, resilience: &Resilience) -> Run {
    world.start(|b| b.agent(echo()).resilience(resilience.clone())).await
}

/// One reply that is out, and one in another conversation that waits for the limiter.
async fn waiting(world: &World, resilience: &Resilience) -> (Run, MessageId) {
    let run = start(world, resilience).await;
    run.ends(world.tell("c1", "m1", "first").await, MessageState::Done).await;
    let second = world.tell("c2", "m2", "second").await;
    tokio::time::sleep(seconds(2)).await;
    assert_eq!(world.platform.requests().len(), 1, "it waits");
    (run, second)
}

/// The next process, without stacks, finds the waiting reply not sent, and sends it.
async fn goes_on(world: &World, message: MessageId) {
    let next = world.start(|b| b.agent(echo())).await;
    assert_eq!((next.recovered().replies, next.recovered().in_doubt), (1, 0));
    next.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_keeps_a_reply_and_costs_no_attempt() {
    let world = World::new(1);
    world.platform.script([Sending::Refuse(ErrorKind::Unavailable)]);
    let resilience = stacks(
        r#"{ "retry": "off", "breaker": { "consecutive_failures": 1, "open_wait": "1h", "max_open_wait": "2h" } }"#,
    );
    let web = Platform::new(ChannelId::new("web").unwrap(), Trace::default());
    let other = web.channel(world.capabilities.clone(), Power::on());
    let mut settings = GatewayConfig::default();
    (settings.send_attempts, settings.sends) = (2, 1);
    let run = world
        .start(|b| b.agent(echo()).channel(other).config(settings).resilience(resilience.clone()))
        .await;
    let message = world.tell("c1", "m1", "hello").await;
    let behind = world.tell("c1", "m2", "behind").await;
    for n in 0..20 {
        tokio::time::sleep(seconds(60)).await;
        let place = Conversation::new(ChannelId::new("web").unwrap(), "c1");
        let said = Envelope::new(tenant(), place, Sender::new("ann"), Content::text("elsewhere"));
        let since = Instant::now();
        let ticket = web.deliver(said.with_id(format!("w{n}")), None);
        let Verdict::Accepted { message, .. } = web.verdict(ticket).await else { panic!("{n}") };
        run.ends(message, MessageState::Done).await;
        assert!(since.elapsed() < seconds(1), "one send at a time, and its place is free");
    }
    assert_eq!((world.platform.requests().len(), web.posts().len()), (1, 20));
    resilience.send("desk").breaker(&tenant()).unwrap().reset();
    run.ends(message, MessageState::Done).await;
    run.ends(behind, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello", "behind"]);
    assert_eq!(world.platform.requests().len(), 3, "the second attempt of two");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_nobody_can_date_is_looked_at_again_for_hours() {
    let world = World::new(1);
    let resilience = stacks("{}");
    let run = start(&world, &resilience).await;
    run.ends(world.tell("c1", "m1", "first").await, MessageState::Done).await;
    let breaker = resilience.send("desk").breaker(&tenant()).unwrap();
    breaker.force_open();
    let message = world.tell("c1", "m2", "second").await;
    let before = world.trace.commits().len();
    tokio::time::sleep(seconds(7200)).await;
    let after = world.trace.commits();
    assert!(!after[before..].contains(&"attempt"), "{after:?}");
    breaker.reset();
    run.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_limiters_queue_leaves_no_doubt() {
    let world = World::new(1);
    let (run, message) = waiting(&world, &stacks(SLOW)).await;
    run.kill().await;
    goes_on(&world, message).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_leaves_a_reply_that_waits_for_the_next_start() {
    let world = World::new(1);
    let (run, message) = waiting(&world, &stacks(SLOW)).await;
    run.drain(seconds(5)).await.unwrap_err();
    goes_on(&world, message).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_the_pause_of_a_retry() {
    let world = World::new(1);
    let resilience = stacks(r#"{ "retry": { "base": "25s", "cap": "25s", "jitter": "none" } }"#);
    let run = start(&world, &resilience).await;
    run.ends(world.tell("c1", "m1", "first").await, MessageState::Done).await;
    world.platform.script([Sending::Refuse(ErrorKind::Unavailable)]);
    let message = world.tell("c2", "m2", "second").await;
    tokio::time::sleep(seconds(2)).await;
    let since = Instant::now();
    run.drain(seconds(20)).await.unwrap_err();
    assert!(since.elapsed() < seconds(1), "{:?}", since.elapsed());
    goes_on(&world, message).await;
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_was_taken_over_sends_nothing_more() {
    let world = World::new(1);
    let (old, message) = waiting(&world, &stacks(SLOW)).await;
    goes_on(&world, message).await;
    tokio::time::sleep(seconds(120)).await;
    assert_eq!(world.platform.requests().len(), 2);
    old.kill().await;
}

#[tokio::test(start_paused = true)]
async fn what_may_have_gone_out_is_parked_and_not_tried_again() {
    for lost in [Sending::LoseAnswer, Sending::LoseRequest, Sending::Hang] {
        let world = World::new(1);
        world.platform.script([lost]);
        let run = start(&world, &stacks("{}")).await;
        run.ends(world.tell("c1", "m1", "hello").await, MessageState::Parked).await;
        assert_eq!(world.platform.requests().len(), 1, "{lost:?}");
        run.ends(world.tell("c1", "m2", "next").await, MessageState::Done).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_keyed_send_is_tried_again_under_its_key() {
    for lost in [Sending::LoseAnswer, Sending::LoseRequest, Sending::Hang] {
        let mut world = World::new(1);
        world.capabilities.post = KEYED;
        world.platform.honour_keys();
        world.platform.script([lost, lost]);
        let resilience = stacks(r#"{ "attempt_timeout": "2s" }"#);
        let run = start(&world, &resilience).await;
        run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
        assert_eq!((world.platform.posts().len(), world.platform.requests().len()), (1, 3));
        let retries = resilience.send("desk").snapshot().retry.retries;
        assert_eq!(retries, 2, "{lost:?}: in the stack");
    }
}

#[tokio::test(start_paused = true)]
async fn the_tries_of_the_stack_are_the_attempts_of_the_reply() {
    let world = World::new(1);
    world.platform.script(std::iter::repeat_n(Sending::Refuse(ErrorKind::Unavailable), 20));
    let resilience = stacks(r#"{ "retry": { "attempts": 10, "base": "1ms" }, "breaker": "off" }"#);
    let mut settings = GatewayConfig::default();
    settings.send_attempts = 3;
    let run =
        world.start(|b| b.agent(echo()).config(settings).resilience(resilience.clone())).await;
    let message = world.tell("c1", "m1", "hello").await;
    run.ends(message, MessageState::Dead).await;
    assert_eq!(world.platform.requests().len(), 3);
    let letter = run.dead_letters(&tenant()).show(message).await.unwrap().unwrap();
    assert_eq!((letter.attempts, letter.kind), (3, ErrorKind::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_pause_of_a_retry_leaves_no_doubt() {
    let world = World::new(1);
    let resilience = stacks(r#"{ "retry": { "base": "25s", "cap": "25s", "jitter": "none" } }"#);
    let run = start(&world, &resilience).await;
    run.ends(world.tell("c1", "m1", "first").await, MessageState::Done).await;
    world.platform.script([Sending::Refuse(ErrorKind::Unavailable)]);
    let message = world.tell("c2", "m2", "second").await;
    tokio::time::sleep(seconds(2)).await;
    run.kill().await;
    goes_on(&world, message).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_platform_asks_for_is_waited_for_in_the_stack_or_behind_it() {
    for wait in [20, 1800] {
        let world = World::new(1);
        world.platform.script([Sending::Limit(seconds(wait))]);
        let run = start(&world, &stacks("{}")).await;
        run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
        let requests = world.platform.requests();
        assert_eq!(requests.len(), 2);
        let gap = requests[1] - requests[0];
        assert!(gap >= seconds(wait) && gap < seconds(wait + 5), "{gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_changes_while_a_reply_waits_for_it() {
    let world = World::new(1);
    let resilience = stacks(r#"{ "rate_limit": { "calls": 1, "per": "10h" } }"#);
    let run = start(&world, &resilience).await;
    run.ends(world.tell("c1", "m1", "first").await, MessageState::Done).await;
    let message = world.tell("c2", "m2", "second").await;
    tokio::time::sleep(seconds(3600)).await;
    assert_eq!(world.platform.texts(), ["first"]);
    let since = Instant::now();
    resilience.reload(config(r#"{ "rate_limit": "off" }"#)).unwrap();
    run.ends(message, MessageState::Done).await;
    assert!(since.elapsed() <= seconds(301), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_send_in_doubt_that_is_refused_stays_as_it_is() {
    let mut world = World::new(1);
    world.capabilities.post = KEYED;
    world.platform.honour_keys();
    let resilience = stacks(r#"{ "rate_limit": { "calls": 1, "per": "10h" } }"#);
    let first = start(&world, &resilience).await;
    first.plan.nth("done", 1, Fault::CrashBefore);
    world.say("c1", "m1", "hello");
    first.dies().await;
    let second = start(&world, &resilience).await;
    let message = world.tell("c1", "m1", "hello").await;
    assert_eq!(second.recovered().in_doubt, 1);
    tokio::time::sleep(seconds(1800)).await;
    assert_eq!(world.platform.requests().len(), 1, "the quota is used up");
    assert!(!world.trace.commits().contains(&"attempt"), "{:?}", world.trace.commits());
    resilience.reload(config(r#"{ "rate_limit": "off" }"#)).unwrap();
    second.ends(message, MessageState::Done).await;
    assert_eq!((world.platform.posts().len(), world.platform.requests().len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_send_ends_with_the_time_of_its_stack() {
    let world = World::new(1);
    world.platform.script([Sending::Hang]);
    let resilience = stacks(r#"{ "total_timeout": "5s", "attempt_timeout": "off" }"#);
    let run = start(&world, &resilience).await;
    let since = Instant::now();
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Parked).await;
    assert_eq!(since.elapsed().as_secs(), 5);
}
