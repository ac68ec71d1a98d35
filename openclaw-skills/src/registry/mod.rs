//! Many versions of each skill side by side: ranges, canaries, shadows, roll-backs, retirement.
//!
//! A [`Registry`] is a [`SkillSource`]: give it to the gateway's builder. Publishing is code, so it
//! is done again at each start; what operators decide (stages, the canary, a roll-back) is a row of
//! the store, and counts behind a restart and in every process.
//!
//! ```
//! use openclaw_core::{Effect, Env, SkillId, records::EVERYBODY, skill::{RouteKey, Skill, SkillManifest}};
//! use openclaw_skills::registry::{Range, Registry, Release};
//! use openclaw_testkit::remote::{CountingRemote, RemoteKind, RemoteSkill};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let crm = SkillId::new("crm.find")?;
//! let version = |number: &str| {
//!     let manifest = SkillManifest::new(crm.clone(), number).effect(Effect::Pure);
//!     RemoteSkill::new(manifest, CountingRemote::new(RemoteKind::Keyed))
//! };
//! let registry = Registry::new(Env::system());
//! registry.publish(Release::of(version("1.0.0")))?;
//! registry.publish(Release::of(version("1.1.0")).draft())?;
//!
//! let route = RouteKey::new("conversation-7");
//! let met = |range: &str| -> openclaw_core::Result<String> {
//!     Ok(registry.resolve(&crm, &range.parse()?, &route)?.manifest().version.to_string())
//! };
//! assert_eq!(met("^1")?, "1.0.0");
//! registry.canary(&crm, "1.1.0", EVERYBODY, "carol").await?;
//! assert_eq!(met("^1")?, "1.1.0", "all routes try it");
//! registry.abandon(&crm, "carol").await?;
//! assert_eq!(met("^1")?, "1.0.0");
//! registry.promote(&crm, "1.1.0", "carol").await?;
//! assert_eq!(met("v1")?, "1.1.0");
//! # Ok(()) }
//! ```

mod builder;
mod catalogue;
mod change;
mod event;
mod gate;
mod line;
mod package;
mod range;
mod release;
mod route;
mod serving;
mod shadow;
mod tasks;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use openclaw_core::{
    Env, Error, ErrorKind, Result, SkillId, Timestamp,
    middleware::breaker::BreakerConfig,
    records::{Rollouts, Stage},
    skill::{RouteKey, Skill, SkillSource},
};
use tokio::sync::Semaphore;

pub use self::{
    builder::RegistryBuilder,
    catalogue::{CatalogueEntry, MAX_LISTED},
    event::{RegistryEvent, Verdict},
    package::manifest_digest,
    range::Range,
    release::Release,
    route::bucket,
};
use self::{
    gate::Neighbours,
    line::{Table, missing},
    serving::Serving,
    tasks::Tasks,
};

/// Versions of skills, side by side. A clone is the same registry.
///
/// | stage | met by range | met by the canary | met by its exact number |
/// |---|---|---|---|
/// | draft | no | yes | yes |
/// | active | yes | yes | yes |
/// | deprecated | yes, with an event | – | yes, with an event |
/// | rolled back | no | no | no: `NOT_FOUND`; [`abandon`](Registry::abandon) makes a draft of it |
/// | retired | no: `NOT_FOUND`, with a hint | no | no |
///
/// Calls that were begun with a version end with it, rolled back and retired ones included. The
/// canary's version is met by its routes, and by whoever asks for exactly its number, whatever its
/// stage. A sunset that has passed refuses nothing by itself: it is told, and
/// [`retire`](Registry::retire) ends it. Reading takes no lock that is held for longer than a look-up
/// or an insertion.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

/// What all clones of a registry share.
pub(crate) struct Shared {
    env: Env,
    table: RwLock<Table>,
    /// Held while a version is compared with its neighbours.
    publishing: Mutex<()>,
    /// Where rollouts are kept; only in memory without.
    kept: Option<Rollouts>,
    roll_back: BreakerConfig,
    watcher: Option<Watcher>,
    shadows: Arc<Semaphore>,
    tasks: Tasks,
}

type Watcher = Box<dyn Fn(&RegistryEvent) + Send + Sync>;

impl Shared {
    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: &RegistryEvent) {
        if let Some(watcher) = &self.watcher {
            watcher(event);
        }
    }

    /// What is told when a call meets a version that will soon be gone.
    fn deprecation(&self, skill: &SkillId, slot: &line::Slot) -> Option<RegistryEvent> {
        let Stage::Deprecated { since, sunset, replacement } = &slot.stage else { return None };
        let now = self.env.now();
        (*since <= now).then(|| RegistryEvent::Deprecated {
            skill: skill.clone(),
            version: Arc::clone(slot.number()),
            sunset: *sunset,
            over: is_over(&slot.stage, now),
            replacement: replacement.clone(),
        })
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("skills", &self.table().len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Registry {
    /// An empty registry that keeps its rollouts in memory only.
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self::builder(env).in_memory()
    }

    /// Starts to make a registry.
    pub fn builder(env: Env) -> RegistryBuilder {
        RegistryBuilder::new(env)
    }

    /// Adds a version of a skill.
    ///
    /// It may not break what the version below it promises, nor be broken by the one above it, where
    /// their numbers say that they are compatible: [`evolution::diff`](crate::evolution::diff)
    /// decides. Pre-releases promise nothing.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: the version is not `major.minor.patch`, a skill declares what it does not
    /// offer, or a breaking change under a minor or patch number; the message says what breaks.
    /// `CONFLICT`: this version is there already.
    pub fn publish(&self, release: Release) -> Result<()> {
        self.publish_held(release, None)
    }

    fn publish_held(&self, release: Release, held: Option<Arc<str>>) -> Result<()> {
        let published = Arc::new(release.check()?);
        let manifest = published.skill.manifest();
        let (id, version) = (&manifest.id, &manifest.version);
        let _alone = self.0.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0.table().get(id).is_some_and(|line| line.slot(&published.version).is_some()) {
            let why = "this version is there already: a version never changes";
            return Err(Error::new(ErrorKind::Conflict, why)
                .with("skill", id)
                .with("version", version));
        }
        gate::check(&self.neighbours(&published), &published)?;
        self.add(&published, held);
        Ok(())
    }

    /// The versions below and above it that its number says it is compatible with.
    fn neighbours(&self, published: &release::Published) -> Neighbours {
        let table = self.0.table();
        let line = table.get(published.id());
        line.map(|line| line.around(&published.version)).unwrap_or_default()
    }

    fn add(&self, published: &Arc<release::Published>, held: Option<Arc<str>>) {
        let mut table = self.0.table_mut();
        let line = table.entry(published.id().clone()).or_default();
        let skill = Arc::clone(&published.skill);
        let serving = Serving::new(skill, Arc::clone(&line.role), Arc::downgrade(&self.0));
        line.insert(Arc::clone(published), Arc::new(serving), held);
        self.0.cast(line);
    }

    /// The version that a call of this route meets.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is no such skill, no version fits, or what fits is retired or was rolled
    /// back; the public message names what to use instead. `PERMISSION_DENIED`: what fits is
    /// disabled.
    pub fn resolve(
        &self,
        skill: &SkillId,
        range: &Range,
        route: &RouteKey,
    ) -> Result<Arc<dyn Skill>> {
        let (serving, told) = {
            let table = self.0.table();
            let line = table.get(skill).ok_or_else(|| missing("there is no such skill", skill))?;
            let slot = line.choose(skill, range, route)?;
            (Arc::clone(&slot.serving), self.0.deprecation(skill, slot))
        };
        if let Some(event) = told {
            self.0.tell(&event);
        }
        Ok(serving)
    }

    /// Lets shadows and unkept roll-backs end, for so long at most. True when all did.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.0.tasks.drain(limit).await
    }
}

/// Is this the stage of a version whose sunset has passed?
fn is_over(stage: &Stage, now: Timestamp) -> bool {
    let Stage::Deprecated { sunset, .. } = stage else { return false };
    sunset.is_some_and(|sunset| sunset <= now)
}

impl SkillSource for Registry {
    fn list(&self, route: &RouteKey) -> Vec<Arc<dyn Skill>> {
        let table = self.0.table();
        let met = table.iter().filter_map(|(id, line)| line.choose(id, &Range::ANY, route).ok());
        met.map(|slot| Arc::clone(&slot.serving)).collect()
    }

    fn find(
        &self,
        skill: &SkillId,
        range: Option<&str>,
        route: &RouteKey,
    ) -> Result<Arc<dyn Skill>> {
        match range {
            None => self.resolve(skill, &Range::ANY, route),
            Some(range) => self.resolve(skill, &range.parse()?, route),
        }
    }

    fn exact(&self, skill: &SkillId, version: &str) -> Option<Arc<dyn Skill>> {
        let version = semver::Version::parse(version).ok()?;
        let table = self.0.table();
        let slot = table.get(skill)?.slot(&version).filter(|slot| slot.held.is_none())?;
        Some(Arc::clone(&slot.serving))
    }
}
