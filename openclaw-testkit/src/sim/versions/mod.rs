//! Versions of skills in a run: the port by which a host's own source of them takes part.

mod mover;
mod watched;

use std::{pin::Pin, sync::Arc};

use async_trait::async_trait;
use openclaw_core::{
    Env, Result, SkillId, TenantId,
    records::{Rollout, RolloutStep},
    skill::{Skill, SkillSource},
    store::SharedStore,
};

pub(super) use self::{mover::Mover, watched::Watched};

/// What one process of a run gives to its source of versions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stand {
    /// The process's time and randomness.
    pub env: Env,
    /// Its way to the store: it fails and dies as the run says.
    pub store: SharedStore,
    /// Whose rows and audit entries the rollouts are.
    pub operators: TenantId,
    /// Of each skill the version that everybody meets at first.
    pub active: Vec<Arc<dyn Skill>>,
    /// Of each skill the next version, which nobody meets at first. Some processes have none.
    pub drafts: Vec<Arc<dyn Skill>>,
}

/// A source of versions that a run tries out: [`Sim::versions`](super::Sim::versions).
///
/// * Rollouts are kept as [`Rollouts`](openclaw_core::records::Rollouts) keeps them, in
///   [`Stand::store`]: the run looks at those rows.
/// * The source hands out skills that it watches, and rolls a canary back that fails too often. It
///   stops to give it to new calls before it tells the store.
/// * Which routes meet a canary follows from the skill, the route and the weight. A greater weight
///   moves nobody off.
/// * A shadow runs with effects withheld, and only when it is `Pure`.
///
/// ```
/// use std::{collections::BTreeMap, sync::Arc};
///
/// use async_trait::async_trait;
/// use openclaw_core::{
///     Error, ErrorKind, Result, SkillId,
///     records::{Rollout, RolloutStep},
///     skill::{RouteKey, Skill, SkillSource},
/// };
/// use openclaw_testkit::sim::{Sim, Stand, Versions, Workload};
///
/// /// Serves what everybody meets, and tries nothing.
/// #[derive(Debug)]
/// struct Settled(BTreeMap<SkillId, Arc<dyn Skill>>);
///
/// impl SkillSource for Settled {
///     fn list(&self, route: &RouteKey) -> Vec<Arc<dyn Skill>> {
///         self.0.list(route)
///     }
///     fn find(&self, id: &SkillId, version: Option<&str>, route: &RouteKey) -> Result<Arc<dyn Skill>> {
///         self.0.find(id, version, route)
///     }
///     fn exact(&self, id: &SkillId, version: &str) -> Option<Arc<dyn Skill>> {
///         self.0.exact(id, version)
///     }
/// }
///
/// #[async_trait]
/// impl Versions for Settled {
///     async fn apply(&self, _: &SkillId, _: &RolloutStep, _: &str) -> Result<()> {
///         Err(Error::new(ErrorKind::Unsupported, "nothing is tried here"))
///     }
///     async fn refresh(&self) -> Result<()> {
///         Ok(())
///     }
///     fn rollout(&self, _: &SkillId) -> Rollout {
///         Rollout::default()
///     }
/// }
///
/// async fn open(stand: Stand) -> Result<Arc<dyn Versions>> {
///     let skills = stand.active.into_iter().map(|skill| (skill.manifest().id.clone(), skill));
///     Ok(Arc::new(Settled(skills.collect())))
/// }
///
/// let report = Sim::new(3).workload(Workload::mix().messages(20)).versions(open).run();
/// assert!(report.is_ok(), "{report}");
/// ```
#[async_trait]
pub trait Versions: SkillSource {
    /// Does what an operator wants, here and in the store.
    ///
    /// # Errors
    /// It can't be done, or the store does not answer: nobody knows then whether it counts.
    async fn apply(&self, skill: &SkillId, step: &RolloutStep, by: &str) -> Result<()>;

    /// Reads what other processes have decided; it counts from now on.
    ///
    /// # Errors
    /// The store does not answer; what is known counts.
    async fn refresh(&self) -> Result<()>;

    /// How the versions of a skill are rolled out, as this process knows it.
    fn rollout(&self, skill: &SkillId) -> Rollout;
}

/// The versions of one process, on their way.
pub(super) type Opening = Pin<Box<dyn Future<Output = Result<Arc<dyn Versions>>> + Send>>;

/// Makes the versions of each process.
pub(super) type Open = Arc<dyn Fn(Stand) -> Opening + Send + Sync>;
