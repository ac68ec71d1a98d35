//! Lanes: order inside a conversation, fairness between them, and what happens when all is full.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use openclaw_core::{
    AgentId, ErrorKind, TenantId,
    agent::{Agent, Answer, agent_fn},
    gateway::{GatewayConfig, MessageState},
};
use openclaw_testkit::{
    fault::Fault,
    platform::{Ticket, Verdict},
};
use tokio::{sync::Semaphore, time::Instant};

use crate::support::{World, echo, envelope, number};

/// Echoes, each message after a permit.
fn gated(gate: &Arc<Semaphore>) -> impl Agent + use<> {
    let gate = Arc::clone(gate);
    agent_fn(AgentId::new("gated").unwrap(), move |turn| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(Answer::text(&*turn.text()))
        }
    })
}

/// Echoes after as many seconds as the text says, and keeps how many ran at once, by place.
fn slow(running: &Arc<Mutex<BTreeMap<String, (usize, usize)>>>) -> impl Agent + use<> {
    let running = Arc::clone(running);
    agent_fn(AgentId::new("slow").unwrap(), move |turn| {
        let running = Arc::clone(&running);
        async move {
            let place = turn.envelope().conversation.id.to_string();
            let entered = |by: isize| {
                let mut all = running.lock().unwrap();
                let (now, most) = all.entry(place.clone()).or_default();
                *now = now.checked_add_signed(by).unwrap();
                *most = (*most).max(*now);
            };
            entered(1);
            tokio::time::sleep(Duration::from_secs(number(&turn.text()))).await;
            entered(-1);
            Ok(Answer::text(&*turn.text()))
        }
    })
}

fn config(change: impl FnOnce(&mut GatewayConfig)) -> GatewayConfig {
    let mut config = GatewayConfig::default();
    change(&mut config);
    config
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_answered_in_order_one_at_a_time() {
    let world = World::new(1);
    let running = Arc::default();
    let run = world.start(|b| b.agent(slow(&running))).await;
    let texts = ["wait 9", "wait 1", "wait 5", "wait 0"];
    let tickets: Vec<Ticket> = texts.iter().map(|text| world.say("c1", text, text)).collect();
    for ticket in tickets {
        run.ends(run.accepted(ticket).await, MessageState::Done).await;
    }
    assert_eq!(world.platform.texts(), texts);
    assert_eq!(running.lock().unwrap()["c1"], (0, 1), "at most one at a time");
}

#[tokio::test(start_paused = true)]
async fn conversations_run_side_by_side() {
    let world = World::new(1);
    let running = Arc::default();
    let run = world.start(|b| b.agent(slow(&running))).await;
    let since = Instant::now();
    let tickets: Vec<Ticket> =
        (0..50).map(|n| world.say(&format!("c{n}"), &format!("m{n}"), "10")).collect();
    for (n, ticket) in tickets.into_iter().enumerate() {
        let verdict = world.platform.verdict(ticket).await;
        let Verdict::Accepted { message, .. } = verdict else { panic!("{n}: {verdict:?}") };
        run.ends(message, MessageState::Done).await;
    }
    assert!(since.elapsed() < Duration::from_secs(11), "{:?}", since.elapsed());
}

/// The texts of the first posts, once there are `n`.
async fn first(world: &World, n: usize) -> Vec<String> {
    while world.platform.posts().len() < n {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.platform.texts().into_iter().take(n).collect()
}

#[tokio::test(start_paused = true)]
async fn a_flood_in_one_conversation_does_not_starve_another() {
    let world = World::new(1);
    let gate = Arc::new(Semaphore::new(0));
    let config = config(|c| c.turns = 1);
    let run = world.start(|b| b.agent(gated(&gate)).config(config)).await;
    for n in 0..30 {
        world.tell("flood", &format!("m{n}"), &format!("flood {n}")).await;
    }
    world.tell("quiet", "q", "quiet 0").await;
    gate.add_permits(31);
    let posts = first(&world, 3).await;
    assert!(posts.contains(&"quiet 0".to_owned()), "{posts:?}");
    drop(run);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_with_many_conversations_does_not_starve_another() {
    let world = World::new(1);
    let gate = Arc::new(Semaphore::new(0));
    let config = config(|c| c.turns = 1);
    let run = world.start(|b| b.agent(gated(&gate)).config(config)).await;
    for n in 0..30 {
        world.tell(&format!("c{n}"), &format!("m{n}"), &format!("big {n}")).await;
    }
    let mut small = envelope("c0", Some("s"), "small 0");
    small.tenant = TenantId::new("small").unwrap();
    run.accepted(world.platform.deliver(small, None)).await;
    gate.add_permits(31);
    let posts = first(&world, 3).await;
    assert!(posts.contains(&"small 0".to_owned()), "{posts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_sends_the_next_message_back_and_takes_it_later() {
    let world = World::new(1);
    let gate = Arc::new(Semaphore::new(0));
    let config = config(|c| c.lane = 2);
    let run = world.start(|b| b.agent(gated(&gate)).config(config)).await;
    for n in 0..2 {
        world.tell("c1", &format!("m{n}"), &format!("text {n}")).await;
    }
    let verdict = world.platform.verdict(world.say("c1", "m2", "text 2")).await;
    assert!(
        matches!(verdict, Verdict::Retry { kind: ErrorKind::Overloaded, after } if !after.is_zero()),
        "{verdict:?}"
    );
    world.tell("c2", "m3", "elsewhere 3").await;
    gate.add_permits(4);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let message = world.tell("c1", "m2", "text 2").await;
    run.ends(message, MessageState::Done).await;
    let texts = world.platform.texts();
    let here: Vec<&String> = texts.iter().filter(|text| text.starts_with("text")).collect();
    assert_eq!(here, ["text 0", "text 1", "text 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_pulling_source_is_held_back_by_credits() {
    let world = World::new(1);
    let gate = Arc::new(Semaphore::new(0));
    let config = config(|c| c.pending = 5);
    let run = world.start(|b| b.agent(gated(&gate)).config(config)).await;
    let said = |n| world.say(&format!("c{n}"), &format!("m{n}"), "hello");
    let tickets: Vec<Ticket> = (0..20).map(said).collect();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.platform.waiting(), 15, "what fits is taken, the rest stays outside");
    assert!(world.platform.pulled().iter().all(|max| *max <= 5), "{:?}", world.platform.pulled());
    assert_eq!(run.depths().turns, 5);
    gate.add_permits(20);
    for ticket in tickets {
        run.ends(run.accepted(ticket).await, MessageState::Done).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_who_is_told_is_sent_back_when_all_is_full() {
    let mut world = World::new(1);
    world.capabilities.tells_refusals = true;
    let gate = Arc::new(Semaphore::new(0));
    let config = config(|c| c.pending = 3);
    let run = world.start(|b| b.agent(gated(&gate)).config(config)).await;
    let said = |n| world.say(&format!("c{n}"), &format!("m{n}"), "hello");
    let tickets: Vec<Ticket> = (0..5).map(said).collect();
    let mut refused = 0;
    for ticket in tickets {
        let verdict = world.platform.verdict(ticket).await;
        refused +=
            usize::from(matches!(verdict, Verdict::Retry { kind: ErrorKind::Overloaded, .. }));
    }
    assert_eq!((refused, run.depths().turns), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn what_is_behind_a_message_that_did_not_get_in_does_not_overtake_it() {
    let world = World::new(1);
    let tickets = [1, 2, 3].map(|n| world.say("c1", &format!("m{n}"), &format!("text {n}")));
    let elsewhere = world.say("c2", "m4", "elsewhere 4");
    let run = world.start_with(|plan| plan.nth("admit", 1, Fault::Fail), |b| b.agent(echo())).await;
    for ticket in tickets {
        let verdict = world.platform.verdict(ticket).await;
        assert!(matches!(verdict, Verdict::Retry { .. }), "{verdict:?}");
    }
    run.accepted(elsewhere).await;
    for n in 1..=3 {
        let message = world.tell("c1", &format!("m{n}"), &format!("text {n}")).await;
        run.ends(message, MessageState::Done).await;
    }
    assert_eq!(world.platform.texts(), ["elsewhere 4", "text 1", "text 2", "text 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_between_them_lets_nothing_overtake_a_refused_message() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    let before = world.tell("c1", "m0", "text 0").await;
    run.ends(before, MessageState::Done).await;
    run.plan.nth("admit", 1, Fault::Fail);
    let [first, copy, last] =
        [1, 0, 2].map(|n| world.say("c1", &format!("m{n}"), &format!("text {n}")));
    let first = world.platform.verdict(first).await;
    assert!(matches!(first, Verdict::Retry { .. }), "{first:?}");
    let copy = world.platform.verdict(copy).await;
    assert_eq!(copy, Verdict::Accepted { message: before, duplicate: true });
    let last = world.platform.verdict(last).await;
    assert!(matches!(last, Verdict::Retry { .. }), "{last:?}");
    for n in 1..=2 {
        let message = world.tell("c1", &format!("m{n}"), &format!("text {n}")).await;
        run.ends(message, MessageState::Done).await;
    }
    assert_eq!(world.platform.texts(), ["text 0", "text 1", "text 2"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_behind_a_duplicate_gets_in_with_it() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    let before = world.tell("c1", "m0", "text 0").await;
    run.ends(before, MessageState::Done).await;
    let [copy, next] = [0, 1].map(|n| world.say("c1", &format!("m{n}"), &format!("text {n}")));
    assert_eq!(run.accepted(copy).await, before);
    run.ends(run.accepted(next).await, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["text 0", "text 1"]);
}
