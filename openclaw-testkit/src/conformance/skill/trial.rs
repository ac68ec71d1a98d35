//! A skill and its remote, and the steps that laws are made of.

use std::{fmt, sync::Arc, time::Duration};

use openclaw_core::{
    Call, Context, Effect, Effects, IdempotencyKey, MessageId, Result, TenantId, Timestamp,
    channel::{Intent, Reconciled},
    skill::{Skill, SkillAnswer},
};
use serde_json::Value;
use tokio::time::timeout;

use super::{SkillHarness, SkillPeer};
use crate::{env::EPOCH, remote::Behaviour};

/// A skill under trial, with the system it acts on.
pub struct Trial<'a> {
    harness: &'a dyn SkillHarness,
    skill: Box<dyn Skill>,
    peer: Box<dyn SkillPeer>,
    /// How long something may take that must come.
    soon: Duration,
    /// How long something may take to happen that must not.
    quiet: Duration,
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trial({:?})", self.skill)
    }
}

/// What a skill must declare, or its harness offer, for a law to apply.
#[derive(Clone, Copy)]
pub(super) enum Need {
    Nothing,
    Pure,
    Acts,
    Keyed,
    Reconcilable,
    InputSchema,
    OutputSchema,
    Refusals,
    Answers,
    Mishaps,
    ActsMishaps,
    KeyedMishaps,
    TextMishaps,
    Deadlines,
    Hook,
    HookMishaps,
}

pub(super) const LATE: Duration = Duration::from_secs(2);

impl<'a> Trial<'a> {
    /// Puts a new skill of this harness on trial.
    pub async fn new(harness: &'a dyn SkillHarness) -> Self {
        let (skill, peer) = harness.fresh().await;
        let (soon, quiet) = match harness.real_time() {
            true => (Duration::from_secs(20), Duration::from_millis(250)),
            false => (Duration::from_secs(3_600), Duration::from_secs(3_600)),
        };
        Self { harness, skill, peer, soon, quiet }
    }

    pub(super) fn missing(&self, need: Need) -> Option<&'static str> {
        let effect = self.effect();
        let acts = (effect != Effect::Pure, "an effect");
        let keyed = (matches!(effect, Effect::Keyed { .. }), "keys");
        let mishaps = (self.peer.misbehaves(), "a remote that misbehaves");
        let hook = (self.skill.reconcile().is_some(), "a hook");
        let needs = match need {
            Need::Nothing => vec![],
            Need::Pure => vec![(effect == Effect::Pure, "a pure skill")],
            Need::Acts => vec![acts],
            Need::Keyed => vec![keyed],
            Need::Reconcilable => vec![(effect == Effect::Reconcilable, "a hook")],
            Need::InputSchema => vec![(self.skill.manifest().input.is_some(), "an input schema")],
            Need::OutputSchema => {
                vec![(self.skill.manifest().output.is_some(), "an output schema")]
            }
            Need::Refusals => vec![(!self.harness.refused().is_empty(), "input that is refused")],
            Need::Answers => vec![(self.tells(), "answers that can be told apart")],
            Need::Mishaps => vec![mishaps],
            Need::ActsMishaps => vec![acts, mishaps],
            Need::KeyedMishaps => vec![keyed, mishaps],
            Need::TextMishaps => vec![(!texts(&self.input(1)).is_empty(), "texts"), mishaps],
            Need::Deadlines => vec![(self.harness.keeps_deadlines(), "deadlines"), mishaps],
            Need::Hook => vec![acts, hook],
            Need::HookMishaps => vec![acts, hook, mishaps],
        };
        needs.into_iter().find(|(met, _)| !met).map(|(_, what)| what)
    }

    /// Can the harness tell one answer from another?
    fn tells(&self) -> bool {
        self.harness.is_answer(1, &SkillAnswer::done(Value::Null)).is_some()
    }

    pub(super) fn skill(&self) -> &dyn Skill {
        &*self.skill
    }

    pub(super) fn effect(&self) -> Effect {
        self.skill.manifest().effect
    }

    pub(super) fn input(&self, n: u64) -> Value {
        self.harness.input(n)
    }

    pub(super) fn refused(&self) -> Vec<Value> {
        self.harness.refused()
    }

    pub(super) const fn soon(&self) -> Duration {
        self.soon
    }

    pub(super) async fn quiet(&self) {
        tokio::time::sleep(self.quiet).await;
    }

    pub(super) fn is_answer(&self, n: u64, answer: &SkillAnswer) -> bool {
        self.harness.is_answer(n, answer).unwrap_or(true)
    }

    pub(super) async fn effects(&self) -> u64 {
        self.peer.effects().await
    }

    /// Decides what the next call meets.
    pub(super) async fn meets(&self, behaviour: Behaviour) {
        self.peer.script(behaviour).await;
    }

    /// A call under the key of this operation.
    pub(super) fn call(&self, operation: u64, input: Value) -> Call<Arc<Value>> {
        let context = Context::new(TenantId::new("law").expect("a tenant"));
        Call::skill(context, self.skill.manifest(), Arc::new(input)).with_key(key(operation))
    }

    /// Runs the input of this number under the key of this operation.
    pub(super) async fn ask(&self, operation: u64, n: u64) -> Result<SkillAnswer> {
        self.run(self.call(operation, self.input(n))).await
    }

    pub(super) async fn ask_withheld(&self, operation: u64, n: u64) -> Result<SkillAnswer> {
        let call = self.call(operation, self.input(n));
        let context = call.context().clone().with_effects(Effects::Withheld);
        self.run(call.with_context(context)).await
    }

    pub(super) async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        timeout(self.soon, self.skill.run(call)).await.expect("`run` does not answer")
    }

    /// What the hook says at once about the call of this operation.
    pub(super) async fn look(&self, operation: u64, n: u64) -> Result<Reconciled> {
        let hook = self.skill.reconcile().expect("a hook");
        let target = self.skill.manifest().id.as_str();
        let intent = Intent::new(key(operation), target, Arc::new(self.input(n)), first_at());
        timeout(self.soon, hook.reconcile(&intent)).await.expect("the hook does not answer")
    }

    /// What the hook says in the end: it is asked again as often as it wants to be.
    pub(super) async fn find(&self, operation: u64, n: u64) -> Reconciled {
        for _ in 0..100 {
            match self.look(operation, n).await.expect("the owner can be asked") {
                Reconciled::NotYetKnown { retry_after } => {
                    tokio::time::sleep(retry_after.max(Duration::from_millis(10))).await;
                }
                known => return known,
            }
        }
        panic!("asked a hundred times, the hook still says `NotYetKnown`");
    }
}

const fn first_at() -> Timestamp {
    EPOCH
}

fn key(operation: u64) -> IdempotencyKey {
    IdempotencyKey::of(MessageId::from_u128(u128::from(operation)), "law").expect("a key")
}

/// The texts in a value that are long enough to be known again.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if text.len() >= 8 => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
