//! A thousand schedules: people decide in any order, processes die, and a payment happens once.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    AgentId,
    agent::agent_fn,
    gateway::{Gateway, MessageState},
    records::{ApprovalState, Vote},
};
use openclaw_testkit::{env::SeededRng, fault::Fault};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::guarded::{Bank, asks, person, said};
use crate::support::Run;

const SCHEDULES: u64 = 1_000;

/// What one person does, and when.
#[derive(Clone, Debug)]
struct Act {
    after: Duration,
    by: &'static str,
    yes: bool,
}

impl Act {
    fn vote(&self) -> Vote {
        if self.yes { Vote::yes() } else { Vote::no() }
    }
}

fn acts(rng: &SeededRng, denied: bool) -> Vec<Act> {
    let people = ["carol", "dave", "carol", "erin"];
    let act = |by| {
        let yes = !(denied && by == "erin");
        Act { after: Duration::from_millis(rng.below(30)), by, yes }
    };
    people.map(act).into()
}

async fn start(bank: &Bank) -> Run {
    let payer = agent_fn(AgentId::new("payer").unwrap(), |mut turn| async move {
        said(turn.skill("pay", "pay", json!({ "amount": 7 })).await)
    });
    bank.start(payer).await
}

/// Breaks one commit of a process, or none, and slows others down.
fn harm(rng: &SeededRng, run: &Run) {
    for label in ["vote", "claim", "turn"] {
        run.plan.delay(label, Duration::from_millis(rng.below(8)));
    }
    if rng.chance(0.5) {
        let label = if rng.chance(0.5) { "vote" } else { "claim" };
        let fault = if rng.chance(0.5) { Fault::CrashBefore } else { Fault::CrashAfter };
        run.plan.nth(label, 1 + rng.below(2), fault);
    }
}

/// A person's word at its time; whoever hears nothing gives up for now.
async fn say(gateway: Gateway, id: Arc<str>, act: Act) {
    sleep(act.after).await;
    let by = person(act.by);
    let told = gateway.decide_approval(&by, &id, act.vote());
    drop(timeout(Duration::from_secs(1), told).await);
}

/// The same process, or its heir when it is dead, or dies now.
async fn heir(bank: &Bank, run: Run, dies: bool) -> Run {
    if !dies && !run.power.is_cut() {
        return run;
    }
    run.kill().await;
    start(bank).await
}

/// One schedule; how often was paid, and what became of the approval.
async fn schedule(seed: u64, denied: bool) -> (u64, ApprovalState) {
    let rng = SeededRng::new(seed);
    let bank = Bank::new(asks(&json!({ "quorum": 2, "ttl": "1h", "reason": "money" })));
    let run = start(&bank).await;
    let message = bank.world.tell("c1", "m1", "pay").await;
    let id = bank.asked(&run, message).await;
    harm(&rng, &run);
    let acts = acts(&rng, denied);
    let say = |act: &Act| tokio::spawn(say(run.gateway.clone(), Arc::clone(&id), act.clone()));
    let people: Vec<_> = acts.iter().map(say).collect();
    sleep(Duration::from_millis(rng.below(60))).await;
    let run = heir(&bank, run, rng.chance(0.3)).await;
    for person in people {
        person.await.unwrap();
    }
    let run = heir(&bank, run, false).await;
    // Those who heard nothing say it again.
    for act in &acts {
        drop(run.decide_approval(&person(act.by), &id, act.vote()).await);
    }
    let end = run.end(message).await;
    assert_eq!(end.state, MessageState::Done, "seed {seed}: {end:?}");
    (bank.remote.effects_total(), bank.state(&id).await)
}

#[tokio::test(start_paused = true)]
async fn an_approval_is_used_once_in_every_schedule() {
    for seed in 0..SCHEDULES / 2 {
        let seen = schedule(seed, false).await;
        assert_eq!(seen, (1, ApprovalState::Consumed), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_no_among_them_is_heard_or_comes_too_late_and_never_both() {
    let (mut paid, mut denied) = (0, 0);
    for seed in SCHEDULES / 2..SCHEDULES {
        match schedule(seed, true).await {
            (1, ApprovalState::Consumed) => paid += 1,
            (0, ApprovalState::Denied) => denied += 1,
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(paid > 20 && denied > 20, "{paid} paid, {denied} denied");
}
