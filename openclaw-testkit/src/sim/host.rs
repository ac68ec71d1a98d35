//! What a host brings to a run, and the gateway of one process that is made of it.

use std::sync::Arc;

use openclaw_core::{
    Env, Error, ErrorKind, Result,
    gateway::{Gateway, GatewayBuilder},
    middleware::stack::{Resilience, ResilienceConfig},
    rules::Rules,
    skill::Skill as _,
};

use super::{
    clerk::Clerk,
    here::Here,
    line::SimChannel,
    remotes::SimSkill,
    second::{FIRST, TWICE},
    spending::budgets,
    store::SimStore,
    versions::{Open, Watched},
};
use crate::env::SeededRng;

/// How a host composes its own gateway.
pub(super) type Compose = Arc<dyn Fn(GatewayBuilder) -> GatewayBuilder + Send + Sync>;

/// Stacks whose limits are met: what goes out waits, is refused, and is tried again.
const NARROW: &str = r#"{
    "send": { "default": {
        "total_timeout": "6s", "attempt_timeout": "2s",
        "retry": { "attempts": 3, "base": "200ms", "cap": "2s" },
        "rate_limit": { "calls": 3, "per": "1s", "burst": 2, "max_wait": "2s" },
        "concurrency": { "limit": 2, "max_wait": "500ms" },
        "breaker": { "consecutive_failures": 3, "open_wait": "2s", "max_open_wait": "6s", "half_open_calls": 1 }
    } },
    "skill": { "default": {
        "total_timeout": "off", "attempt_timeout": "off", "retry": "off", "rate_limit": "off",
        "concurrency": "off", "breaker": "off"
    } },
    "agent": { "default": { "concurrency": { "limit": 2, "max_wait": "500ms" } } }
}"#;

/// What needs two people; they have less time than the calm at the end of a run.
const RULES: &str = r#"{ "default": "allow", "rules": [
    { "name": "two people", "when": { "skills": ["guarded"] },
      "then": { "require_approval": { "quorum": 2, "ttl": "15m", "reason": "the run says so" } } }
] }"#;

fn narrow(seed: u64) -> Result<Resilience> {
    Resilience::seeded(ResilienceConfig::from_json(NARROW)?, seed)
}

/// What a host brings to a run.
#[derive(Clone, Default)]
pub(super) struct Host {
    /// Its own agents and skills; the standard ones without.
    pub(super) compose: Option<Compose>,
    /// Narrow stacks around sends, skills and turns.
    pub(super) stacks: bool,
    /// Where the standard skills have their versions.
    pub(super) versions: Option<Open>,
}

impl Host {
    /// The gateway of a process, with the versions of its skills.
    pub(super) async fn gateway(&self, here: &Here) -> Result<(Gateway, Option<Watched>)> {
        let scene = &here.scene;
        let seed = scene.plan.seed ^ (u64::from(here.process) << 32);
        let env = Env::new(scene.clock.clone(), SeededRng::new(seed));
        let mut builder =
            Gateway::builder(env.clone(), SimStore(here.clone())).config(scene.plan.config.clone());
        if self.stacks {
            builder = builder.resilience(narrow(seed)?);
        }
        for line in scene.lines.values() {
            let channel = SimChannel { here: here.clone(), facts: line.facts.clone() };
            builder = builder.channel_with(channel, line.facts.ack);
        }
        let (builder, versions) = match &self.compose {
            Some(compose) => (compose(builder), None),
            None => self.standard(builder, here, env).await?,
        };
        Ok((builder.start().await?, versions))
    }

    /// The standard agent with the standard skills.
    async fn standard(
        &self,
        builder: GatewayBuilder,
        here: &Here,
        env: Env,
    ) -> Result<(GatewayBuilder, Option<Watched>)> {
        let invalid =
            |e: openclaw_core::InvalidId| Error::new(ErrorKind::ValidationError, e.to_string());
        let (clerks, router) = Clerk::all(here).map_err(invalid)?;
        let builder = builder.budgets(budgets()?).router(router);
        let builder = clerks.into_iter().fold(builder, GatewayBuilder::agent);
        let builder = builder.authorizer(Rules::from_json(RULES)?);
        let versions = match &self.versions {
            Some(open) => Some(Watched::open(here, env, open).await?),
            None => None,
        };
        Ok((with_skills(builder, here, versions.clone()), versions))
    }
}

/// Adds the skills of a process: those in two versions come from their source, where there is one.
fn with_skills(builder: GatewayBuilder, here: &Here, versions: Option<Watched>) -> GatewayBuilder {
    let sourced = versions.is_some();
    let builder = versions.into_iter().fold(builder, GatewayBuilder::skills);
    let alone = SimSkill::all(here, FIRST).into_iter();
    let alone = alone.filter(|skill| !sourced || !TWICE.contains(&skill.manifest().id.as_str()));
    alone.fold(builder, GatewayBuilder::skill)
}
