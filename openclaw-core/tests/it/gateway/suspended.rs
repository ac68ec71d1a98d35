//! Suspended turns: they free their lane, wait as long as it takes, and come back first.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    AgentId, Effect, ErrorKind, Happened, MessageId, Result,
    agent::{Agent, Answer, Resolution, Waiting, agent_fn},
    gateway::MessageState,
};
use openclaw_testkit::{
    fault::Fault,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::{Run, World, tenant};

/// "ask": pays, then waits for a person. "hold": waits for a permit. Everything else is echoed.
fn desk(gate: &Arc<Semaphore>) -> impl Agent + Clone + use<> {
    let gate = Arc::clone(gate);
    Arc::new(agent_fn(AgentId::new("desk").unwrap(), move |mut turn| {
        let gate = Arc::clone(&gate);
        async move {
            match &*turn.text() {
                "ask" => {
                    turn.skill("pay", "pay", json!({"amount": 7})).await?;
                    let Some(resolution) = turn.resolution() else {
                        let text = "really?".into();
                        return Ok(Answer::Suspended(Waiting::Question { text }));
                    };
                    Ok(Answer::text(format!("{} says {}", resolution.by, resolution.value)))
                }
                "hold" => {
                    gate.acquire().await.unwrap().forget();
                    Ok(Answer::text("held"))
                }
                text => Ok(Answer::text(text)),
            }
        }
    }))
}

/// A world with a bank, and a gateway on it whose turn "ask" waits.
struct Waits {
    world: World,
    remote: CountingRemote,
    gate: Arc<Semaphore>,
    message: MessageId,
}

impl Waits {
    async fn new() -> (Self, Run) {
        let (world, gate) = (World::new(1), Arc::new(Semaphore::new(0)));
        let remote = CountingRemote::new(RemoteKind::Unkeyed);
        let message = MessageId::from_u128(0);
        let mut waits = Self { world, remote, gate, message };
        let run = waits.start().await;
        waits.message = waits.world.tell("c1", "m1", "ask").await;
        while waits.state(&run).await != Some(MessageState::Waiting) {
            tokio::task::yield_now().await;
        }
        (waits, run)
    }

    async fn start(&self) -> Run {
        let skill = RemoteSkill::named("pay", Effect::AtMostOnce, self.remote.clone()).unwrap();
        self.world.start(|b| b.agent(desk(&self.gate)).skill(skill)).await
    }

    async fn state(&self, run: &Run) -> Option<MessageState> {
        run.status(&tenant(), self.message).await.unwrap().map(|status| status.state)
    }

    async fn resolve(&self, run: &Run) -> Result<()> {
        run.resolve(&tenant(), self.message, Resolution::new("ann", json!("yes"))).await
    }

    fn texts(&self) -> Vec<String> {
        self.world.platform.texts()
    }
}

const ANSWER: &str = "ann says \"yes\"";

#[tokio::test(start_paused = true)]
async fn a_suspended_turn_frees_its_lane() {
    let (waits, run) = Waits::new().await;
    run.ends(waits.world.tell("c1", "m2", "hello").await, MessageState::Done).await;
    assert_eq!(waits.texts(), ["hello"]);
    assert_eq!(waits.state(&run).await, Some(MessageState::Waiting));
    assert_eq!(run.depths().turns, 0);
}

#[tokio::test(start_paused = true)]
async fn a_resolved_turn_goes_on_and_its_effects_answer_from_the_ledger() {
    let (waits, run) = Waits::new().await;
    waits.resolve(&run).await.unwrap();
    run.ends(waits.message, MessageState::Done).await;
    assert_eq!((waits.texts(), waits.remote.calls_total()), (vec![ANSWER.to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn a_resolved_turn_goes_before_what_waits_in_its_lane() {
    let (waits, run) = Waits::new().await;
    waits.world.tell("c1", "m2", "hold").await;
    let last = waits.world.tell("c1", "m3", "last").await;
    waits.resolve(&run).await.unwrap();
    waits.gate.add_permits(1);
    run.ends(last, MessageState::Done).await;
    assert_eq!(waits.texts(), ["held", ANSWER, "last"]);
}

#[tokio::test(start_paused = true)]
async fn the_second_resolution_is_a_conflict() {
    let (waits, run) = Waits::new().await;
    waits.world.tell("c1", "m2", "hold").await;
    waits.resolve(&run).await.unwrap();
    assert_eq!(waits.resolve(&run).await.unwrap_err().kind(), ErrorKind::Conflict);
    waits.gate.add_permits(1);
    run.ends(waits.message, MessageState::Done).await;
    assert_eq!(waits.resolve(&run).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(waits.texts(), ["held", ANSWER]);
}

#[tokio::test(start_paused = true)]
async fn a_resolution_behind_a_commit_that_nobody_knew_of_is_not_forgotten() {
    let (world, gate) = (World::new(1), Arc::new(Semaphore::new(0)));
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let message = MessageId::from_u128(0);
    let mut waits = Waits { world, remote, gate, message };
    let run = waits.start().await;
    // The suspension is applied, and the gateway can't read that back: its first read is the
    // session's.
    run.plan.nth("turn", 1, Fault::LoseAnswer);
    run.plan.nth("read", 2, Fault::Fail);
    waits.message = waits.world.tell("c1", "m1", "ask").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    waits.resolve(&run).await.unwrap();
    run.ends(waits.message, MessageState::Done).await;
    assert_eq!(waits.texts(), [ANSWER]);
    let turns = waits.world.trace.commits().iter().filter(|label| **label == "turn").count();
    assert_eq!(turns, 2, "it is suspended once and answered once");
    assert_eq!(run.plan.injected().into_keys().collect::<Vec<_>>(), ["fail", "lose_answer"]);
}

#[tokio::test(start_paused = true)]
async fn one_of_two_resolutions_at_once_wins() {
    let (waits, run) = Waits::new().await;
    let (one, two) = tokio::join!(waits.resolve(&run), waits.resolve(&run));
    assert_eq!((one.is_ok(), two.is_ok()), (true, false));
    run.ends(waits.message, MessageState::Done).await;
    assert_eq!(waits.texts(), [ANSWER]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_does_not_wait_can_not_be_resolved() {
    let (mut waits, run) = Waits::new().await;
    waits.message = waits.world.tell("c2", "m2", "hold").await;
    assert_eq!(waits.resolve(&run).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_suspension_outlives_the_process() {
    let (waits, first) = Waits::new().await;
    first.kill().await;
    let second = waits.start().await;
    assert_eq!((second.recovered().waiting, second.recovered().turns), (1, 0));
    assert_eq!(waits.state(&second).await, Some(MessageState::Waiting));
    waits.resolve(&second).await.unwrap();
    second.ends(waits.message, MessageState::Done).await;
    assert_eq!((waits.texts(), waits.remote.calls_total()), (vec![ANSWER.to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn a_resolution_outlives_the_process() {
    for (label, fault) in [("resolve", Fault::CrashAfter), ("turn", Fault::CrashBefore)] {
        let (waits, first) = Waits::new().await;
        first.plan.nth(label, 1, fault);
        // The answer may never come: the process dies while it is asked.
        tokio::select! {
            biased;
            () = first.power.lost() => {}
            resolved = waits.resolve(&first) => resolved.unwrap(),
        }
        first.dies().await;
        let second = waits.start().await;
        second.ends(waits.message, MessageState::Done).await;
        assert_eq!(waits.texts(), [ANSWER], "{label}");
        assert_eq!(waits.remote.calls_total(), 1, "{label}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolution_nobody_can_confirm_goes_on_all_the_same() {
    let (waits, run) = Waits::new().await;
    run.plan.nth("resolve", 1, Fault::LoseAnswer);
    run.plan.when("resolve", |plan| plan.fail_next("read", 1));
    assert_eq!(waits.resolve(&run).await.unwrap_err().happened(), Happened::Maybe);
    run.ends(waits.message, MessageState::Done).await;
    assert_eq!(waits.texts(), [ANSWER]);
}
