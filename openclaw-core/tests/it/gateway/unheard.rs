//! Calls of skills whose end an agent did not wait for.

use std::time::Duration;

use openclaw_core::{
    AgentId, Effect, MessageId,
    agent::{Agent, Answer, agent_fn},
    gateway::MessageState,
};
use openclaw_testkit::remote::{Behaviour, CountingRemote, RemoteKind, RemoteSkill};
use serde_json::json;
use tokio::time::timeout;

use crate::support::{Run, World, tenant};

/// An agent that waits a second for a payment, and says it is paid whatever came of it.
fn hasty() -> impl Agent {
    agent_fn(AgentId::new("hasty").unwrap(), |mut turn| async move {
        let paid = timeout(Duration::from_secs(1), turn.skill("pay", "pay", json!(7))).await;
        drop(paid);
        Ok(Answer::text("paid"))
    })
}

async fn hastily(effect: Effect, kind: RemoteKind) -> (World, CountingRemote, MessageState) {
    let world = World::new(1);
    let remote = CountingRemote::new(kind);
    remote.script([Behaviour::Hang]);
    let skill = RemoteSkill::named("pay", effect, remote.clone()).unwrap();
    let run = world.start(|b| b.agent(hasty()).skill(skill)).await;
    let message = world.tell("c1", "m1", "pay").await;
    let ended = ended(&run, message).await;
    (world, remote, ended)
}

async fn ended(run: &Run, message: MessageId) -> MessageState {
    loop {
        let status = run.status(&tenant(), message).await.unwrap().unwrap();
        if status.state.is_final() {
            return status.state;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_payment_that_nobody_waited_for_is_parked_and_not_said_to_be_done() {
    let (world, remote, state) = hastily(Effect::AtMostOnce, RemoteKind::Unkeyed).await;
    assert_eq!(state, MessageState::Parked);
    assert_eq!((remote.calls_total(), world.platform.texts().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_may_be_asked_for_again_is_and_then_the_turn_is_done() {
    let keyed = Effect::Keyed { retention: Duration::from_secs(86_400) };
    let (world, remote, state) = hastily(keyed, RemoteKind::Keyed).await;
    assert_eq!(state, MessageState::Done);
    assert_eq!((remote.effects_total(), world.platform.texts().len()), (1, 1));
}
