//! Users, conversations, tenants and channels.

use std::time::Duration;

use openclaw_core::{
    ErrorKind,
    agent::Waiting,
    gateway::{MessageState, Route, Router},
    records::EffectState,
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    fault::{Fault, FaultAgent, Plan},
    flow::{TestGateway, hours, minutes, seconds},
};
use serde_json::json;

use super::{desk, keyed, shop, shop_gateway};

#[tokio::test(start_paused = true)]
async fn a_step_tells_what_came_of_the_words() {
    let shop = shop();
    let gateway = shop_gateway(&shop, keyed()).start().await.unwrap();
    let heard = gateway
        .user("alice")
        .says("refund order 1042")
        .expect_skill("refund.create")
        .with(json!({"order": 1042}))
        .expect_reply("Refunded: 1")
        .await
        .unwrap();
    assert_eq!(heard.replies(), ["Refunded: 1"]);
    assert_eq!(heard.state(), Some(MessageState::Done));
    assert!(heard.message().is_some() && heard.refused().is_none() && !heard.crashed());
    let [call] = heard.skills() else { panic!("{heard:?}") };
    assert_eq!((&*call.skill, &*call.operation), ("refund.create", "refund"));
    assert_eq!(*call.input, json!({"order": 1042, "why": "late"}));
    assert!(matches!(call.state, EffectState::Done { .. }));
}

#[tokio::test(start_paused = true)]
async fn every_way_to_expect_a_reply_passes_when_it_comes() {
    let gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
    let alice = gateway.user("alice");
    alice.says("say a").expect_reply("1: say a").await.unwrap();
    alice.says("say b").expect_reply_containing("say b").await.unwrap();
    alice.says("say c").expect_one_of(["x", "3: say c"]).await.unwrap();
    alice.says("say d").expect_reply_that(|text| text.starts_with('4')).await.unwrap();
    alice.says("bye").expect_nothing().expect_no_skill().expect_no_reply().await.unwrap();
    alice.says("hm").expect_no_skill().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn skill_calls_come_in_the_order_of_their_claims() {
    let gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
    let says = || gateway.user("alice").says("look and refund");
    says().expect_skill("order.look").expect_skill("refund.create").await.unwrap();
    says().expect_skill("refund.create").await.unwrap();
    says().expect_skill("refund.create").expect_skill("order.look").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn conversations_are_apart_by_tenant_channel_and_chat() {
    let gateway = TestGateway::builder()
        .channel("web")
        .channel("sms")
        .tenant("acme")
        .gateway(|builder| builder.agent(desk()))
        .start()
        .await
        .unwrap();
    let alice = gateway.user("alice");
    alice.says("say x").expect_reply("1: say x").await.unwrap();
    alice.clone().on("sms").says("say x").expect_reply("1: say x").await.unwrap();
    alice.clone().of("globex").says("say x").expect_reply("1: say x").await.unwrap();
    alice.clone().in_chat("room").says("say x").expect_reply("1: say x").await.unwrap();
    gateway.user("bob").in_chat("room").says("say x").expect_reply("2: say x").await.unwrap();
    alice.says("say x").expect_reply("2: say x").await.unwrap();
    assert_eq!(gateway.platform_of("sms").unwrap().texts(), ["1: say x"]);
    assert_eq!(gateway.platform().unwrap().posts().len(), 5);
    assert_eq!(gateway.platform_of("fax").unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn users_talk_at_the_same_time() {
    let gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
    let (alice, bob) = (gateway.user("alice"), gateway.user("bob"));
    let refund = alice.says("refund order 1042").expect_skill("refund.create");
    let (a, b) = tokio::join!(refund, bob.says("hm").expect_reply("What?").expect_no_skill());
    a.unwrap();
    b.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_verified_user_is_verified_and_others_are_not() {
    let route = |agent: &str| Route::to(agent.try_into().unwrap());
    let trusted = openclaw_core::agent::agent_fn("trust".try_into().unwrap(), |turn| async move {
        Ok(openclaw_core::agent::Answer::text(format!("{:?}", turn.context().trust())))
    });
    let trusted = std::sync::Arc::new(trusted);
    let gateway = TestGateway::builder()
        .gateway(move |builder| {
            let router = Router::new(vec![route("trust")], None);
            builder.agent(std::sync::Arc::clone(&trusted)).router(router)
        })
        .start()
        .await
        .unwrap();
    gateway.user("alice").says("x").expect_reply("Untrusted").await.unwrap();
    gateway.user("alice").verified().says("x").expect_reply("User").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_within_a_span_says_nothing_of_later() {
    let plan = Plan::default();
    plan.next("handle", 2, Fault::Fail);
    let slow = FaultAgent::new(desk(), plan);
    let gateway = TestGateway::builder()
        .gateway(move |builder| builder.agent(slow.clone()))
        .start()
        .await
        .unwrap();
    let alice = gateway.user("alice");
    alice.says("hm").expect_nothing().within(Duration::from_millis(500)).await.unwrap();
    assert_eq!(gateway.elapsed(), Duration::from_millis(500));
    alice.waits().expect_reply("What?").await.unwrap();
    assert_eq!(gateway.elapsed(), seconds(3), "two pauses of one and two seconds");
}

#[tokio::test(start_paused = true)]
async fn suspension_refusal_and_letters_are_ends_of_a_step() {
    let waiting = Waiting::Question { text: "which?".into() };
    let agent = ScriptedAgent::new("a")
        .unwrap()
        .when("wait")
        .then_wait(waiting)
        .when("break")
        .call("none", "x", json!({}))
        .then_say("never");
    let gateway = TestGateway::builder()
        .gateway(move |builder| builder.agent(agent.clone()))
        .start()
        .await
        .unwrap();
    let alice = gateway.user("alice");
    alice.says("wait").expect_suspended().expect_no_reply().await.unwrap();
    assert_eq!(gateway.elapsed(), Duration::ZERO, "a suspension ends the step");
    alice.says("break").expect_dead_letter().because("no such skill").await.unwrap();
    let huge = "x".repeat(2 << 20);
    let heard = alice.says(huge).whatever().await.unwrap();
    let kind = heard.refused().expect("a body over the limit is refused");
    alice.says("y".repeat(2 << 20)).expect_refused(kind).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn time_passes_with_what_happens_in_it() {
    let gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
    gateway.advance(minutes(5)).await;
    gateway.advance(hours(1) + seconds(1)).await;
    assert_eq!(gateway.elapsed(), Duration::from_secs(3_901));
}
