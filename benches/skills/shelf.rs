//! What is measured: a typed skill, its inputs, and a registry with ten thousand versions.

use openclaw_benches::Outcome;
use openclaw_core::{
    Effect, Env, Result, SkillId,
    skill::{RouteKey, Skill, SkillManifest},
};
use openclaw_skills::{
    Schemas, SkillCx,
    registry::{Registry, Release},
    schemars,
};
use serde_json::{Value, json};

/// Versions in the registry: a hundred of each of a hundred skills.
pub(crate) const VERSIONS: usize = 10_000;

/// The draft that half of all routes meet, where a canary is measured.
pub(crate) const CANARY: &str = "1.99.0";

const EACH: usize = 100;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    #[schemars(length(min = 1, max = 40))]
    number: String,
    lines: Vec<Line>,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Line {
    #[schemars(range(min = 1, max = 1000))]
    count: u32,
    cents: u32,
}

#[derive(Debug, serde::Serialize, schemars::JsonSchema)]
pub(crate) struct Total {
    number: String,
    cents: u64,
}

/// The function behind the skill.
pub(crate) async fn total(_: SkillCx, order: Order) -> Result<Total> {
    let cents = order.lines.iter().map(|line| u64::from(line.count) * u64::from(line.cents)).sum();
    Ok(Total { number: order.number, cents })
}

/// The skill, with this effect.
pub(crate) fn place(effect: Effect, version: &str) -> Outcome<impl Skill> {
    named(&Schemas::new(), "order.total", effect, version)
}

fn named(
    schemas: &Schemas,
    id: &str,
    effect: Effect,
    version: &str,
) -> Outcome<impl Skill + use<>> {
    let manifest = SkillManifest::new(SkillId::new(id)?, version).effect(effect);
    Ok(schemas.skill_fn(manifest.describe("Adds an order up"), total)?)
}

pub(crate) fn order() -> Order {
    let line = |count| Line { count, cents: 1_999 };
    Order { number: "order-00000042".to_owned(), lines: vec![line(1), line(2), line(3)] }
}

pub(crate) fn input() -> Value {
    let line = |count: u32| json!({ "count": count, "cents": 1_999 });
    json!({ "number": "order-00000042", "lines": [line(1), line(2), line(3)] })
}

pub(crate) fn wrong_input() -> Value {
    json!({ "number": "order-00000042", "lines": [{ "count": 0, "cents": 1_999 }] })
}

/// The registry, and the skills in it. The last minor version of each is a draft.
pub(crate) fn registry() -> Outcome<(Registry, Vec<SkillId>)> {
    let registry = Registry::new(Env::system());
    let schemas = Schemas::new();
    let mut ids = Vec::new();
    for skill in 0..VERSIONS / EACH {
        let id = format!("shop.skill-{skill:03}");
        for minor in 0..EACH {
            let version = format!("1.{minor}.0");
            let release = Release::of(named(&schemas, &id, Effect::Pure, &version)?);
            registry.publish(if version == CANARY { release.draft() } else { release })?;
        }
        ids.push(SkillId::new(&id)?);
    }
    Ok((registry, ids))
}

/// A thousand conversations.
pub(crate) fn routes() -> Vec<RouteKey> {
    (0..1_000).map(|n| RouteKey::new(format!("acme/desk/conversation-{n:04}"))).collect()
}
