//! `SkillSource`: where the gateway finds the skill of a call, version and all.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;

use super::skill::Skill;
use crate::{Error, ErrorKind, Result, SkillId};

/// What calls share that should meet one version: a conversation, as a rule.
///
/// Opaque bytes. They are digested where they choose a version, and shown nowhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey(Bytes);

impl RouteKey {
    /// A route of these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouteKey({} bytes)", self.0.len())
    }
}

/// Where the gateway finds the skill of a call. It is the outermost step.
///
/// * `find` is sticky: the same route meets the same version until somebody changes what there is.
///   It neither waits nor asks anybody: it is called for every call.
/// * `list` shows a route the versions that `find` gives it when none is asked for.
/// * `exact` also finds a version that new calls do not meet any more: one that is being tried, was
///   rolled back, or is retired. A call that was begun with it ends with it.
/// * A skill that is declared `Reconcilable` comes with its hook.
///
/// A map of skills is a source with one version of each:
///
/// ```
/// use std::{collections::BTreeMap, sync::Arc};
/// use openclaw_core::{Effect, skill::{RouteKey, Skill, SkillSource}};
/// use openclaw_testkit::remote::{CountingRemote, RemoteKind, RemoteSkill};
///
/// let skill = RemoteSkill::named("pay", Effect::AtMostOnce, CountingRemote::new(RemoteKind::Keyed))?;
/// let id = skill.manifest().id.clone();
/// let map = BTreeMap::from([(id.clone(), Arc::new(skill) as Arc<dyn Skill>)]);
/// let route = RouteKey::new("conversation-7");
/// assert_eq!(&*map.find(&id, None, &route)?.manifest().version, "1.0.0");
/// assert!(map.find(&id, Some("2.0.0"), &route).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SkillSource: Send + Sync + fmt::Debug + 'static {
    /// One version of each skill, as this route meets them, in the order of their ids.
    fn list(&self, route: &RouteKey) -> Vec<Arc<dyn Skill>>;

    /// The version that a new call of this route meets.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is no such skill, or no version that fits. `VALIDATION_ERROR`: `version`
    /// can't be read. Nothing has happened.
    fn find(
        &self,
        skill: &SkillId,
        version: Option<&str>,
        route: &RouteKey,
    ) -> Result<Arc<dyn Skill>>;

    /// Exactly this version, for a call that was begun with it; `None` when it is gone.
    fn exact(&self, skill: &SkillId, version: &str) -> Option<Arc<dyn Skill>>;
}

impl SkillSource for BTreeMap<SkillId, Arc<dyn Skill>> {
    fn list(&self, _: &RouteKey) -> Vec<Arc<dyn Skill>> {
        self.values().map(Arc::clone).collect()
    }

    fn find(&self, skill: &SkillId, version: Option<&str>, _: &RouteKey) -> Result<Arc<dyn Skill>> {
        let missing = |why| Error::new(ErrorKind::NotFound, why).with("skill", skill);
        let found = self.get(skill).ok_or_else(|| missing("there is no such skill"))?;
        match version {
            Some(version) if *version != *found.manifest().version => {
                let why = "there is one version of each skill here, and it has another number";
                Err(missing(why).with("version", version).with("found", &found.manifest().version))
            }
            _ => Ok(Arc::clone(found)),
        }
    }

    fn exact(&self, skill: &SkillId, version: &str) -> Option<Arc<dyn Skill>> {
        self.get(skill).filter(|found| *found.manifest().version == *version).map(Arc::clone)
    }
}
