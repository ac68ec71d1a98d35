//! The skill the tests share, and short ways to call it.

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_channels::guarded_http::{EgressPolicy, GuardedHttp};
use openclaw_core::{
    Call, Context, Effect, Error, ErrorKind, IdempotencyKey, MessageId, Result, SkillId, TenantId,
    skill::{Skill, SkillAnswer, SkillManifest, SkillPort, SkillRequest},
};
use openclaw_skills::{SkillCx, schemars};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema and serde look at all of it")]
pub(crate) struct Order {
    #[schemars(regex(pattern = "^[0-9]+$"))]
    pub(crate) number: String,
    #[schemars(length(min = 1))]
    pub(crate) lines: Vec<Line>,
    pub(crate) pay: Option<Pay>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(crate) struct Line {
    /// The schema says nothing about the upper end of a `u64`: only serde knows.
    #[schemars(range(min = 1))]
    pub(crate) count: u64,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(tag = "by", rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema and serde look at all of it")]
pub(crate) enum Pay {
    Card { number: u32 },
    Invoice { name: String },
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Placed {
    #[schemars(range(max = 100))]
    pub(crate) total: u64,
    pub(crate) key: Option<String>,
}

/// Adds the counts up; more than a hundred breaks the output's contract.
pub(crate) async fn place(cx: SkillCx, order: Order) -> Result<Placed> {
    let total = order.lines.iter().map(|line| line.count).sum();
    Ok(Placed { total, key: cx.key().map(ToString::to_string) })
}

pub(crate) fn manifest(effect: Effect) -> SkillManifest {
    SkillManifest::new(SkillId::new("order.place").expect("an id"), "1.0.0").effect(effect)
}

pub(crate) fn skill(effect: Effect) -> impl Skill {
    openclaw_skills::skill_fn(manifest(effect), place).expect("the schemas compile")
}

/// The one HTTP client there is, for servers on loopback.
pub(crate) fn client() -> GuardedHttp {
    let client = GuardedHttp::builder().policy(EgressPolicy::loopback());
    client.build().expect("a client")
}

pub(crate) fn context() -> Context {
    Context::new(TenantId::new("acme").expect("an id"))
}

pub(crate) fn key() -> IdempotencyKey {
    IdempotencyKey::of(MessageId::from_u128(7), "place").expect("a name")
}

pub(crate) async fn run(skill: &(impl Skill + ?Sized), input: Value) -> Result<SkillAnswer> {
    skill.run(Call::skill(context(), skill.manifest(), Arc::new(input)).with_key(key())).await
}

/// The pairs of one problem after the other: pointer, schema path, text.
pub(crate) fn pairs(error: &Error) -> Vec<(&'static str, &str)> {
    let of_a_problem = ["pointer", "schema_path", "problem"];
    error.context().filter(|(key, _)| of_a_problem.contains(key)).collect()
}

/// Skills that others may call, without a gateway between them.
#[derive(Debug)]
pub(crate) struct Bare(pub(crate) Vec<Arc<dyn Skill>>);

#[async_trait]
impl SkillPort for Bare {
    fn manifests(&self) -> Vec<&SkillManifest> {
        self.0.iter().map(|skill| skill.manifest()).collect()
    }

    async fn call(&self, context: &Context, request: SkillRequest) -> Result<SkillAnswer> {
        let missing = || Error::new(ErrorKind::NotFound, "there is no such skill");
        let wanted = |skill: &&Arc<dyn Skill>| skill.manifest().id == request.skill;
        let skill = self.0.iter().find(wanted).ok_or_else(missing)?;
        let key = IdempotencyKey::of(MessageId::from_u128(8), &request.operation).expect("a name");
        let call = Call::skill(context.clone(), skill.manifest(), request.input);
        skill.run(call.with_key(key)).await
    }
}
