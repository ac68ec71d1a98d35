//! The registry of openclaw-skills, as the versions of a run.

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_core::{
    Error, ErrorKind, Result, SkillId,
    middleware::breaker::{BreakerConfig, Window},
    records::{Rollout, RolloutStep, Stage},
    skill::{RouteKey, Skill, SkillSource},
};
use openclaw_skills::registry::{Registry, Release};
use openclaw_testkit::sim::{Stand, Versions};

/// The registry of one process.
#[derive(Debug)]
struct Registered(Registry);

/// Opens the registry of a process over the rollouts in its store.
pub(crate) async fn open(stand: Stand) -> Result<Arc<dyn Versions>> {
    let Stand { env, store, operators, active, drafts, .. } = stand;
    // Processes of a run live for seconds: few calls have to do.
    let mut roll_back = BreakerConfig::default();
    roll_back.window = Some(Window::Count(10));
    roll_back.minimum_calls = 4;
    roll_back.consecutive_failures = Some(2);
    let registry =
        Registry::builder(env).kept_in(store, operators).roll_back(roll_back).open().await?;
    active.into_iter().try_for_each(|skill| registry.publish(Release::of(skill)))?;
    drafts.into_iter().try_for_each(|skill| registry.publish(Release::of(skill).draft()))?;
    Ok(Arc::new(Registered(registry)))
}

#[deny(clippy::missing_trait_methods)]
impl SkillSource for Registered {
    fn list(&self, route: &RouteKey) -> Vec<Arc<dyn Skill>> {
        self.0.list(route)
    }

    fn find(
        &self,
        skill: &SkillId,
        version: Option<&str>,
        route: &RouteKey,
    ) -> Result<Arc<dyn Skill>> {
        self.0.find(skill, version, route)
    }

    fn exact(&self, skill: &SkillId, version: &str) -> Option<Arc<dyn Skill>> {
        self.0.exact(skill, version)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Versions for Registered {
    async fn apply(&self, skill: &SkillId, step: &RolloutStep, by: &str) -> Result<()> {
        let Self(registry) = self;
        match step {
            RolloutStep::Canary { version, weight } => {
                registry.canary(skill, version, *weight, by).await
            }
            RolloutStep::RollBack { version, why } => {
                registry.withdraw(skill, version, why, by).await
            }
            RolloutStep::Clear => registry.abandon(skill, by).await,
            RolloutStep::Stage { version, stage } => put(registry, skill, version, stage, by).await,
            RolloutStep::Shadow(version) => registry.shadow(skill, version.as_deref(), by).await,
            _ => Err(unsupported()),
        }
    }

    async fn refresh(&self) -> Result<()> {
        self.0.refresh().await
    }

    fn rollout(&self, skill: &SkillId) -> Rollout {
        self.0.rollout(skill)
    }
}

async fn put(
    registry: &Registry,
    skill: &SkillId,
    version: &str,
    stage: &Stage,
    by: &str,
) -> Result<()> {
    match stage {
        Stage::Active => registry.promote(skill, version, by).await,
        Stage::Deprecated { sunset, replacement, .. } => {
            registry.deprecate(skill, version, (*sunset, replacement.as_deref()), by).await
        }
        Stage::Retired { replacement } => {
            registry.retire(skill, version, replacement.as_deref(), by).await
        }
        _ => Err(unsupported()),
    }
}

fn unsupported() -> Error {
    Error::new(ErrorKind::Unsupported, "a registry has no order for this")
}
