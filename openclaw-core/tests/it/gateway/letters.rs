//! Dead and parked letters: shown, sent on their way again, decided on, and removed.

use std::num::NonZeroUsize;

use openclaw_core::{
    AgentId, Effect, ErrorKind, Happened, MessageId,
    agent::Agent,
    gateway::{GatewayBuilder, MessageState, Route, Router},
    records::AuditAction,
    skill::SkillAnswer,
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    fault::{Fault, FaultAgent, Plan},
    platform::Sending,
    remote::{Behaviour, CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;

use crate::support::{Run, World, echo, tenant};

const fn limit(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

/// The decisions about a message, in order.
async fn decisions(run: &Run, message: MessageId) -> Vec<AuditAction> {
    let entries = run.audit(&tenant()).entries().await.unwrap();
    entries.into_iter().filter(|e| e.message == message).map(|e| e.action).collect()
}

/// An echo whose first attempts fail.
fn failing(attempts: u64) -> impl Agent {
    let plan = Plan::default();
    plan.fail_next("handle", attempts);
    FaultAgent::new(echo(), plan)
}

/// A message that is dead because its agent failed three times; it would work now.
async fn dead(world: &World) -> (Run, MessageId) {
    let agent = failing(3);
    let run = world.start(|b| b.agent(agent)).await;
    let message = world.tell("c1", "m1", "hello").await;
    run.ends(message, MessageState::Dead).await;
    (run, message)
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_says_what_and_why() {
    let world = World::new(1);
    let (run, message) = dead(&world).await;
    let letter = run.dead_letters(&tenant()).show(message).await.unwrap().unwrap();
    assert_eq!((letter.id, letter.kind, letter.attempts), (message, ErrorKind::ServerError, 3));
    assert_eq!((&*letter.conversation.id, &*letter.content.to_text()), ("c1", "hello"));
    assert!(letter.reason.contains("a fault was injected"), "{}", letter.reason);
}

#[tokio::test(start_paused = true)]
async fn a_replayed_letter_has_all_its_attempts_again() {
    let world = World::new(1);
    let agent = failing(5);
    let run = world.start(|b| b.agent(agent)).await;
    let message = world.tell("c1", "m1", "hello").await;
    run.ends(message, MessageState::Dead).await;
    run.replay(&tenant(), message, "ops").await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
    assert!(run.dead_letters(&tenant()).show(message).await.unwrap().is_none());
    let expected = [AuditAction::DeadLettered, AuditAction::Replayed, AuditAction::Replied];
    assert_eq!(decisions(&run, message).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_replay_outlives_the_process() {
    let world = World::new(1);
    let (first, message) = dead(&world).await;
    first.replay(&tenant(), message, "ops").await.unwrap();
    first.kill().await;
    let second = world.start(|b| b.agent(echo())).await;
    second.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_nobody_can_confirm_goes_on_all_the_same() {
    let world = World::new(1);
    let (run, message) = dead(&world).await;
    run.plan.nth("replay", 1, Fault::LoseAnswer);
    run.plan.when("replay", |plan| plan.fail_next("read", 1));
    let e = run.replay(&tenant(), message, "ops").await.unwrap_err();
    assert_eq!(e.happened(), Happened::Maybe);
    run.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_replayed_reply_sends_only_what_did_not_arrive() {
    let mut world = World::new(1);
    world.capabilities.max_text = NonZeroUsize::new(10);
    world.platform.script([Sending::Take, Sending::Refuse(ErrorKind::PermissionDenied)]);
    let run = world.start(|b| b.agent(echo())).await;
    let message = world.tell("c1", "m1", "one two three four").await;
    run.ends(message, MessageState::Dead).await;
    run.replay(&tenant(), message, "ops").await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts().concat(), "one two three four");
}

#[tokio::test(start_paused = true)]
async fn a_parked_reply_is_sent_again_because_an_operator_says_so() {
    let world = World::new(1);
    world.platform.script([Sending::LoseRequest]);
    let run = world.start(|b| b.agent(echo())).await;
    let message = world.tell("c1", "m1", "hello").await;
    run.ends(message, MessageState::Parked).await;
    run.replay(&tenant(), message, "ops").await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

/// A gateway whose agent pays, at most once, and then fails this often.
fn pays(remote: &CountingRemote, failures: u64) -> impl FnOnce(GatewayBuilder) -> GatewayBuilder {
    let skill = RemoteSkill::named("pay", Effect::AtMostOnce, remote.clone()).unwrap();
    let payer = ScriptedAgent::new("payer").unwrap().always();
    let payer = payer.call("pay", "pay", json!({"amount": 7})).then_say("paid {}");
    let plan = Plan::default();
    plan.next("handle", failures, Fault::LoseAnswer);
    let agent = FaultAgent::new(payer, plan);
    move |b| b.agent(agent).skill(skill)
}

#[tokio::test(start_paused = true)]
async fn a_done_effect_answers_a_replay_from_the_ledger() {
    let world = World::new(1);
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let run = world.start(pays(&remote, 3)).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Dead).await;
    run.replay(&tenant(), message, "ops").await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!(remote.calls_total(), 1);
    assert_eq!(world.platform.texts(), ["paid {\"effect\":1}"]);
}

/// A parked effect, decided like this, and the message replayed.
async fn decided(answer: Option<SkillAnswer>) -> (World, CountingRemote) {
    let world = World::new(1);
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    remote.script([Behaviour::LoseAnswer]);
    let run = world.start(pays(&remote, 0)).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Parked).await;
    let parked = run.dead_letters(&tenant()).parked(None, limit(10)).await.unwrap();
    assert_eq!(parked.iter().map(|letter| letter.id).collect::<Vec<_>>(), [message]);
    run.decide(&tenant(), message, "pay", answer, "ops").await.unwrap();
    run.replay(&tenant(), message, "ops").await.unwrap();
    run.ends(message, MessageState::Done).await;
    (world, remote)
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_a_person_found_done_is_not_done_again() {
    let (world, remote) = decided(Some(SkillAnswer::done(json!("by hand")))).await;
    assert_eq!(world.platform.texts(), ["paid by hand"]);
    assert_eq!(remote.calls_total(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_a_person_did_not_find_is_done() {
    let (world, remote) = decided(None).await;
    assert_eq!(world.platform.texts(), ["paid {\"effect\":2}"]);
    assert_eq!(remote.calls_total(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_decision_on_an_effect_that_is_not_in_doubt_is_refused() {
    let world = World::new(1);
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let run = world.start(pays(&remote, 0)).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Done).await;
    let kind = |operation: &'static str| {
        let (run, tenant) = (&run, tenant());
        async move { run.decide(&tenant, message, operation, None, "ops").await.unwrap_err().kind() }
    };
    assert_eq!(kind("pay").await, ErrorKind::Conflict);
    assert_eq!(kind("other").await, ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_purged_letter_is_gone() {
    let world = World::new(1);
    let (run, message) = dead(&world).await;
    assert!(run.purge(&tenant(), message, "ops").await.unwrap());
    assert!(!run.purge(&tenant(), message, "ops").await.unwrap(), "there is none any more");
    assert!(run.status(&tenant(), message).await.unwrap().is_none());
    let replayed = run.replay(&tenant(), message, "ops").await.unwrap_err();
    assert_eq!(replayed.kind(), ErrorKind::NotFound);
    let expected = [AuditAction::DeadLettered, AuditAction::Purged];
    assert_eq!(decisions(&run, message).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_never_got_in_can_not_be_replayed() {
    let world = World::new(1);
    let echo_id = AgentId::new("echo").unwrap();
    let nobody = Router::new(vec![Route::to(echo_id).topic("orders")], None);
    let run = world.start(|b| b.agent(echo()).router(nobody)).await;
    world.platform.verdict(world.say("c1", "m1", "hello")).await;
    let letters = run.dead_letters(&tenant()).list(None, limit(10)).await.unwrap();
    let e = run.replay(&tenant(), letters[0].id, "ops").await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsupported);
    assert!(run.purge(&tenant(), letters[0].id, "ops").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn letters_are_listed_oldest_first_page_by_page() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(failing(u64::MAX))).await;
    let mut dead = Vec::new();
    for n in 0..5 {
        let message = world.tell("c1", &format!("m{n}"), "hello").await;
        run.ends(message, MessageState::Dead).await;
        dead.push(message);
    }
    let letters = run.dead_letters(&tenant());
    let mut found = Vec::new();
    loop {
        let page = letters.list(found.last().copied(), limit(2)).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        found.extend(page.into_iter().map(|letter| letter.id));
    }
    assert_eq!(found, dead);
}

#[tokio::test(start_paused = true)]
async fn another_tenant_sees_no_letter() {
    let world = World::new(1);
    let (run, message) = dead(&world).await;
    let other = openclaw_core::TenantId::new("beta").unwrap();
    assert!(run.dead_letters(&other).list(None, limit(10)).await.unwrap().is_empty());
    assert!(run.status(&other, message).await.unwrap().is_none());
    assert_eq!(run.replay(&other, message, "x").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!run.purge(&other, message, "x").await.unwrap());
}
