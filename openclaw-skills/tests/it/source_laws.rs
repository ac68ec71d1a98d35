//! A registry is a source of skills, however its versions stand.

use std::time::Duration;

use async_trait::async_trait;
use openclaw_core::{
    Effect, SkillId,
    records::EVERYBODY,
    skill::{SkillManifest, SkillSource},
};
use openclaw_skills::registry::{Registry, Release};
use openclaw_testkit::{
    conformance::skill_source::SkillSourceHarness,
    env::test_env,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};

use crate::registry_support::{builder, id};

/// How far the versions of `pay` are rolled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rollout {
    /// Each route meets the newest one.
    Newest,
    /// A part of the routes tries 1.1.0.
    Canary,
    /// Every route tries 1.1.0.
    Everybody,
    /// 1.1.0 was tried, and rolled back.
    RolledBack,
    /// 1.0.0 and 0.9.0 are retired.
    Retired,
    /// 1.0.0 is deprecated, and 1.1.0 is a draft.
    Deprecated,
}

fn version(name: &str, number: &str) -> Release {
    let effect = match name {
        "pay" => Effect::Reconcilable,
        "bill" => Effect::Keyed { retention: Duration::from_secs(3_600) },
        _ => Effect::Pure,
    };
    let manifest = SkillManifest::new(id(name), number).effect(effect);
    Release::of(RemoteSkill::new(manifest, CountingRemote::new(RemoteKind::Unkeyed)))
}

impl Rollout {
    /// What operators did to the registry.
    async fn apply(self, registry: &Registry) -> openclaw_core::Result<()> {
        let pay = id("pay");
        registry.publish(version("look", "2.0.0"))?;
        registry.publish(version("bill", "1.0.0"))?;
        registry.publish(version("pay", "0.9.0"))?;
        registry.publish(version("pay", "1.0.0"))?;
        let draft = !matches!(self, Self::Newest | Self::Retired);
        let newest = version("pay", "1.1.0");
        registry.publish(if draft { newest.draft() } else { newest })?;
        match self {
            Self::Newest => {}
            Self::Canary => registry.canary(&pay, "1.1.0", EVERYBODY / 2, "carol").await?,
            Self::Everybody => registry.canary(&pay, "1.1.0", EVERYBODY, "carol").await?,
            Self::RolledBack => {
                registry.canary(&pay, "1.1.0", EVERYBODY, "carol").await?;
                registry.withdraw(&pay, "1.1.0", "a customer called", "carol").await?;
            }
            Self::Retired => {
                registry.retire(&pay, "0.9.0", None, "carol").await?;
                registry.retire(&pay, "1.0.0", Some("1.1.0"), "carol").await?;
            }
            Self::Deprecated => {
                registry.deprecate(&pay, "1.0.0", (None, Some("1.1.0")), "carol").await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl SkillSourceHarness for Rollout {
    async fn fresh(&self) -> Box<dyn SkillSource> {
        let env = test_env(1);
        let store = std::sync::Arc::new(openclaw_core::store::MemoryStore::new(env.clock()));
        let registry = builder(&env, &(store as openclaw_core::store::SharedStore)).open().await;
        let registry = registry.expect("the store answers");
        self.apply(&registry).await.expect("the versions are there");
        Box::new(registry)
    }

    fn begun(&self) -> Vec<(SkillId, String)> {
        let over: &[&str] = match self {
            Self::Newest | Self::Everybody | Self::Retired => &["0.9.0", "1.0.0"],
            Self::Canary => &["0.9.0"],
            Self::RolledBack | Self::Deprecated => &["0.9.0", "1.1.0"],
        };
        over.iter().map(|number| (id("pay"), (*number).to_owned())).collect()
    }

    fn unreadable(&self) -> Option<String> {
        Some("one".to_owned())
    }
}

mod newest {
    openclaw_testkit::skill_source_laws!("Registry, newest", super::Rollout::Newest);
}

mod canary {
    openclaw_testkit::skill_source_laws!("Registry, canary", super::Rollout::Canary);
}

mod everybody {
    openclaw_testkit::skill_source_laws!("Registry, canary for all", super::Rollout::Everybody);
}

mod rolled_back {
    openclaw_testkit::skill_source_laws!("Registry, rolled back", super::Rollout::RolledBack);
}

mod retired {
    openclaw_testkit::skill_source_laws!("Registry, retired", super::Rollout::Retired);
}

mod deprecated {
    openclaw_testkit::skill_source_laws!("Registry, deprecated", super::Rollout::Deprecated);
}
