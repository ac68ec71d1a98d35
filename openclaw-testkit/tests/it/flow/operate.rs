//! What operators do: resolve, approve, decide, replay, purge.

use std::sync::Arc;

use openclaw_core::{
    AgentId, Effect, ErrorKind,
    agent::{Agent, Answer, Waiting, agent_fn},
    skill::{SkillAnswer, SkillRequest},
};
use openclaw_testkit::{
    fault::{Fault, FaultAgent, Plan},
    flow::TestGateway,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;

use super::{desk, keyed, shop, shop_gateway};

/// Pays under an approval, once somebody says which.
fn payer() -> impl Agent {
    agent_fn(AgentId::new("payer").unwrap(), |mut turn| async move {
        let Some(resolution) = turn.resolution().cloned() else {
            return Ok(Answer::Suspended(Waiting::Approval { approval: "a-1".into() }));
        };
        let approval = resolution.value.as_str().unwrap_or_default().to_owned();
        let request = SkillRequest::new("pay".try_into().unwrap(), "pay", json!({"eur": 5}));
        match turn.call(request.approved(approval)).await {
            Ok(SkillAnswer::Done(paid)) => Ok(Answer::text(format!("Paid: {paid}"))),
            Ok(_) => Ok(Answer::Silent),
            Err(e) => Ok(Answer::text(format!("Not paid: {}", e.message()))),
        }
    })
}

async fn bank(remote: &CountingRemote) -> TestGateway {
    let pay = RemoteSkill::named("pay", keyed(), remote.clone()).unwrap();
    let payer = Arc::new(payer());
    let builder = TestGateway::builder()
        .gateway(move |builder| builder.agent(Arc::clone(&payer)).skill(pay.clone()));
    builder.start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_approval_is_good_for_one_call_of_its_tenant() {
    let remote = shop();
    let gateway = bank(&remote).await;
    let (alice, bob) = (gateway.user("alice"), gateway.operator("bob"));
    let input = json!({"eur": 5});
    bob.approve("a-1", "pay", "1.0.0", &input).await.unwrap();
    let again = bob.approve("a-1", "pay", "1.0.0", &input).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
    bob.clone().of("globex").approve("a-2", "pay", "1.0.0", &input).await.unwrap();
    for (approval, reply) in [
        ("a-2", "Not paid: there is no such approval"),
        ("a-1", "Paid: 1"),
        ("a-1", "Not paid: the approval was used before"),
    ] {
        let heard = alice.says("pay").expect_suspended().expect_no_skill().await.unwrap();
        bob.resolve(&heard, json!(approval)).await.unwrap();
        alice.waits().expect_reply(reply).await.unwrap();
    }
    assert_eq!(remote.effects_total(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_turn_waits_over_a_crash() {
    let mut gateway = bank(&shop()).await;
    let heard = gateway.user("alice").says("pay").expect_suspended().await.unwrap();
    gateway.crash().await.unwrap();
    gateway.restart().await.unwrap();
    gateway.operator("bob").resolve(&heard, json!("none")).await.unwrap();
    gateway.user("alice").waits().expect_reply_containing("Not paid").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_person_decides_and_the_message_goes_on() {
    for (happened, effects, reply) in [(Some(json!(1)), 1, "Refunded: 1"), (None, 2, "Refunded: 2")]
    {
        let shop = CountingRemote::new(RemoteKind::Unkeyed).answering(|n, _| json!(n));
        let mut gateway = shop_gateway(&shop, Effect::AtMostOnce).start().await.unwrap();
        gateway.crash_in_skill("refund.create");
        gateway.user("alice").says("refund order 1042").expect_crash().await.unwrap();
        gateway.restart().await.unwrap();
        let heard = gateway.user("alice").waits().expect_parked().await.unwrap();
        let bob = gateway.operator("bob");
        bob.decide(&heard, "refund", happened).await.unwrap();
        bob.replay(&heard).await.unwrap();
        gateway.user("alice").waits().expect_reply(reply).await.unwrap();
        assert_eq!(shop.effects_total(), effects);
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_replayed_or_purged() {
    let plan = Plan::default();
    plan.next("handle", 4, Fault::Fail);
    let flaky = FaultAgent::new(desk(), plan.clone());
    let gateway = TestGateway::builder()
        .gateway(move |builder| builder.agent(flaky.clone()))
        .start()
        .await
        .unwrap();
    let bob = gateway.operator("bob");
    let heard = gateway.user("alice").says("hm").expect_dead_letter().await.unwrap();
    bob.replay(&heard).await.unwrap();
    gateway.user("alice").waits().expect_reply("What?").await.unwrap();
    plan.next("handle", 3, Fault::Fail);
    let heard = gateway.user("carol").says("hm").expect_dead_letter().await.unwrap();
    assert!(bob.purge(&heard).await.unwrap());
    assert!(!bob.purge(&heard).await.unwrap());
    assert_eq!(bob.replay(&heard).await.unwrap_err().kind(), ErrorKind::NotFound);
}
