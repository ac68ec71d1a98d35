//! Expectations that do not come true, and what is told of them.

use openclaw_core::{ErrorKind, agent::Waiting};
use openclaw_testkit::{
    agent::ScriptedAgent,
    fault::Fault,
    flow::{Step, TestGateway, minutes, seconds},
    remote::Behaviour,
};
use serde_json::json;

use super::{keyed, shop, shop_gateway};

async fn problems(step: Step<'_>) -> Vec<String> {
    step.await.expect_err("it has to be unmet").problems().to_vec()
}

#[tokio::test(start_paused = true)]
async fn the_story_is_enough_to_act_on() {
    let shop = shop();
    let gateway = shop_gateway(&shop, keyed()).start().await.unwrap();
    gateway.advance(seconds(90)).await;
    shop.script([Behaviour::AnswerLate(seconds(2))]);
    let unmet = gateway
        .user("alice")
        .says("refund order 1042")
        .expect_skill("order.look")
        .with(json!({"order": 1042}))
        .expect_reply("Refunded: 9")
        .await
        .unwrap_err();
    let story = r#"alice said "refund order 1042" at 90s:
  expected a call of the skill order.look with {"order":1042}, but there was none (in this order)
  expected the reply "Refunded: 9", but the reply was "Refunded: 1"
what came by 92s:
  skill refund.create {"order":1042,"why":"late"} -> 1 (operation "refund")
  reply "Refunded: 1"
  the message is done"#;
    assert_eq!(unmet.to_string(), story);
    assert_eq!(format!("{unmet:?}"), story, "a test that returns it shows its Debug");
    assert_eq!(unmet.heard().unwrap().replies(), ["Refunded: 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_nobody_expects_is_told_with_its_reason() {
    let gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
    let unmet = gateway.user("alice").says("break").expect_reply("ok").await.unwrap_err();
    assert_eq!(
        unmet.to_string(),
        r#"alice said "break" at 0ms:
  expected the reply "ok", but no reply came
  a dead letter came, and no expectation names it
what came by 3s:
  no reply
  the message is a dead letter, because: there is no such skill"#
    );
    assert_eq!(
        problems(gateway.user("alice").says("break").expect_no_reply()).await,
        ["a dead letter came, and no expectation names it"]
    );
}

#[tokio::test(start_paused = true)]
async fn each_expectation_of_a_reply_can_fail() {
    let gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
    let hm = || gateway.user("alice").says("hm");
    for (step, problem) in [
        (hm().expect_reply("x"), r#"expected the reply "x", but the reply was "What?""#),
        (
            hm().expect_reply_containing("x"),
            r#"expected a reply that contains "x", but the reply was "What?""#,
        ),
        (
            hm().expect_one_of(["x", "y"]),
            r#"expected one of the replies ["x", "y"], but the reply was "What?""#,
        ),
        (
            hm().expect_reply_that(str::is_empty),
            r#"expected a reply that fulfils the test's condition, but the reply was "What?""#,
        ),
        (
            hm().expect_reply("What?").expect_reply("What?"),
            r#"expected the reply "What?", but no reply came"#,
        ),
        (hm().expect_no_reply(), "expected no reply"),
        (hm().expect_nothing(), "expected nothing: no reply, no skill call, no suspension"),
    ] {
        assert_eq!(problems(step).await, [problem]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_more_than_expected_is_unmet() {
    let caps = {
        let mut caps = openclaw_core::channel::Capabilities::default();
        caps.max_text = std::num::NonZeroUsize::new(4);
        caps
    };
    let agent = ScriptedAgent::new("a").unwrap().always().then_say("one two");
    let gateway = TestGateway::builder()
        .channel_with("sms", caps)
        .gateway(move |builder| builder.agent(agent.clone()))
        .start()
        .await
        .unwrap();
    let alice = gateway.user("alice");
    alice.says("x").expect_reply("one ").expect_reply("two").await.unwrap();
    assert_eq!(
        problems(alice.says("x").expect_reply("one ")).await,
        ["expected no further reply, but 1 more came"]
    );
}

#[tokio::test(start_paused = true)]
async fn each_expectation_of_an_end_can_fail() {
    let gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
    let hm = || gateway.user("alice").says("hm");
    for (step, problem) in [
        (hm().expect_suspended(), "expected a suspended turn"),
        (hm().expect_refused(ErrorKind::ValidationError), "expected a refusal (VALIDATION_ERROR)"),
        (hm().expect_dead_letter(), "expected a dead letter"),
        (hm().expect_parked(), "expected a parked message"),
        (hm().expect_crash(), "expected a crash"),
        (hm().because("x"), r#"expected a dead or parked letter because of "x""#),
        (
            hm().expect_skill("refund.create"),
            "expected a call of the skill refund.create, but there was none (in this order)",
        ),
        (hm().with(json!({})), "the test is wrong: `with` goes behind `expect_skill`"),
    ] {
        assert_eq!(problems(step).await, [problem]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_skill_call_that_must_not_be_is_unmet() {
    let gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
    let refund = || gateway.user("alice").says("refund order 1042");
    assert_eq!(problems(refund().expect_no_skill()).await, ["expected no skill call"]);
    assert_eq!(problems(refund().expect_nothing()).await.len(), 1);
    let wrong = refund().expect_skill("refund.create").with(json!({"order": 1043}));
    assert_eq!(problems(wrong).await.len(), 1);
    refund().expect_skill("refund.create").with(json!({"why": "late"})).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_suspension_is_not_nothing() {
    let waiting = Waiting::Question { text: "which?".into() };
    let agent = ScriptedAgent::new("a").unwrap().always().then_wait(waiting);
    let gateway = TestGateway::builder()
        .gateway(move |builder| builder.agent(agent.clone()))
        .start()
        .await
        .unwrap();
    assert_eq!(problems(gateway.user("alice").says("x").expect_nothing()).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crash_or_a_refusal_that_nobody_expects_is_unmet() {
    let gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
    let huge = gateway.user("alice").says("x".repeat(2 << 20));
    assert_eq!(problems(huge).await, ["a refusal came, and no expectation names it"]);
    gateway.crash_before("turn");
    let unmet = gateway.user("alice").says("hm").await.unwrap_err();
    assert_eq!(unmet.problems(), ["a crash came, and no expectation names it"]);
    let story = unmet.to_string();
    assert!(story.ends_with("queued: no agent has answered yet\n  the gateway has no power"));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_end_is_not_nothing() {
    let gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
    gateway.plan().every("admit", Fault::Fail);
    let step = gateway.user("alice").says("bye").expect_nothing();
    assert_eq!(problems(step).await, ["the message came to no end within 10m"]);
    assert_eq!(gateway.elapsed(), minutes(10));
    gateway.plan().heal();
    gateway.plan().every("turn", Fault::Fail);
    let step = gateway.user("bob").says("bye").expect_no_reply();
    let story = step.await.unwrap_err().to_string();
    assert!(story.ends_with("the message is queued: no agent has answered yet"), "{story}");
    gateway.user("bob").waits().expect_nothing().within(seconds(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_step_that_cannot_be_played_says_why() {
    let gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
    let alice = gateway.user("alice");
    let unmet = alice.waits().await.unwrap_err();
    assert!(unmet.to_string().contains("this user has said nothing here"), "{unmet}");
    assert!(unmet.heard().is_none());
    let unmet = alice.clone().on("fax").says("x").await.unwrap_err();
    assert!(unmet.to_string().contains("the test has no such channel"), "{unmet}");
    let unmet = alice.clone().of("").says("x").await.unwrap_err();
    assert!(unmet.to_string().contains("VALIDATION_ERROR"), "{unmet}");
}

#[tokio::test(start_paused = true)]
async fn a_builder_with_wrong_names_does_not_start() {
    for builder in [
        TestGateway::builder().channel(""),
        TestGateway::builder().tenant("\n"),
        TestGateway::builder().channel("web").channel("web"),
    ] {
        assert_eq!(builder.start().await.unwrap_err().kind(), ErrorKind::ValidationError);
    }
}
