//! A skill's faults, counted by the remote behind it.

use std::sync::Arc;

use openclaw_core::{
    Call, Effect, Happened, IdempotencyKey, MessageId, Timestamp,
    channel::{Intent, Reconciled},
    skill::Skill,
};
use openclaw_testkit::{
    fault::{Fault, FaultSkill, Plan},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::{Value, json};

use super::{MINUTE, after, context, failed, hangs, injected, once};

/// A remote, and the skill to it that meets the plan.
fn bank(kind: RemoteKind, plan: &Plan) -> (CountingRemote, FaultSkill<RemoteSkill>) {
    let remote = CountingRemote::new(kind);
    let skill = RemoteSkill::named("transfer", Effect::Reconcilable, remote.clone()).unwrap();
    (remote, FaultSkill::new(skill, plan.clone()))
}

fn key() -> IdempotencyKey {
    IdempotencyKey::of(MessageId::from_u128(1), "pay").unwrap()
}

fn pay(skill: &dyn Skill) -> Call<Arc<Value>> {
    Call::skill(context(), skill.manifest(), Arc::new(json!({"amount": 7}))).with_key(key())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_never_reached_the_remote() {
    let plan = once("run", Fault::Fail);
    let (remote, skill) = bank(RemoteKind::Keyed, &plan);
    failed(skill.run(pay(&skill)).await, Happened::No);
    assert_eq!(remote.calls_total(), 0);
    injected(&plan, Fault::Fail);
    skill.run(pay(&skill)).await.unwrap();
    assert_eq!(remote.effects_total(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_answer_is_lost_had_its_effect() {
    let plan = once("transfer", Fault::LoseAnswer);
    let (remote, skill) = bank(RemoteKind::Keyed, &plan);
    failed(skill.run(pay(&skill)).await, Happened::Maybe);
    assert_eq!(remote.effects_total(), 1);
    injected(&plan, Fault::LoseAnswer);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_request_is_lost_had_none() {
    let plan = once("run", Fault::LoseRequest);
    let (remote, skill) = bank(RemoteKind::Keyed, &plan);
    failed(skill.run(pay(&skill)).await, Happened::Maybe);
    assert_eq!(remote.calls_total(), 0);
    injected(&plan, Fault::LoseRequest);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_call_is_two_effects_unless_the_key_is_honoured() {
    for (kind, effects) in [(RemoteKind::Keyed, 1), (RemoteKind::Unkeyed, 2)] {
        let plan = once("run", Fault::Duplicate);
        let (remote, skill) = bank(kind, &plan);
        skill.run(pay(&skill)).await.unwrap();
        assert_eq!((remote.calls_total(), remote.effects_total()), (2, effects), "{kind:?}");
        assert_eq!(remote.by_key(), [(key().to_string(), effects)], "both have the key");
        injected(&plan, Fault::Duplicate);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_late_hangs_panics_or_crashes() {
    let (remote, skill) = bank(RemoteKind::Keyed, &once("run", Fault::Delay(MINUTE)));
    after(MINUTE, skill.run(pay(&skill))).await.unwrap();
    assert_eq!(remote.effects_total(), 1);
    let (remote, skill) = bank(RemoteKind::Keyed, &once("run", Fault::Hang));
    hangs(skill.run(pay(&skill))).await;
    assert_eq!(remote.calls_total(), 0);
    let (remote, skill) = bank(RemoteKind::Keyed, &once("run", Fault::Panic));
    let call = pay(&skill);
    assert!(tokio::spawn(async move { skill.run(call).await }).await.unwrap_err().is_panic());
    assert_eq!(remote.calls_total(), 0);
    for (fault, effects) in [(Fault::CrashBefore, 0), (Fault::CrashAfter, 1)] {
        let plan = once("run", fault);
        let (remote, skill) = bank(RemoteKind::Keyed, &plan);
        hangs(skill.run(pay(&skill))).await;
        assert_eq!((remote.effects_total(), plan.power().is_on()), (effects, false), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_hook_is_there_when_the_skill_has_one_and_meets_faults() {
    let plan = once("reconcile", Fault::Fail);
    let (_, skill) = bank(RemoteKind::Unkeyed, &plan);
    skill.run(pay(&skill)).await.unwrap();
    let intent = Intent::new(key(), "transfer", Arc::default(), Timestamp::default());
    let hook = skill.reconcile().unwrap();
    failed(hook.reconcile(&intent).await, Happened::No);
    assert!(matches!(hook.reconcile(&intent).await, Ok(Reconciled::Happened(_))));
    let plain = CountingRemote::new(RemoteKind::Unkeyed);
    let plain = RemoteSkill::named("note", Effect::AtMostOnce, plain).unwrap();
    assert!(FaultSkill::new(plain, plan).reconcile().is_none());
}
