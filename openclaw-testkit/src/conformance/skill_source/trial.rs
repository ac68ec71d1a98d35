//! A source of skills, and the steps that laws are made of.

use std::{collections::BTreeSet, fmt, sync::Arc};

use openclaw_core::{
    Effect, Error, Result, SkillId,
    skill::{RouteKey, Skill, SkillSource},
};

use super::SkillSourceHarness;

/// A source of skills under trial.
pub struct Trial<'a> {
    harness: &'a dyn SkillSourceHarness,
    source: Arc<dyn SkillSource>,
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trial({:?})", self.source)
    }
}

/// What a law needs.
#[derive(Clone, Copy)]
pub(super) enum Need {
    Nothing,
    Begun,
    Hook,
    Unreadable,
}

/// A skill and its version.
pub(super) type Met = (SkillId, String);

impl<'a> Trial<'a> {
    /// Puts a new source of this harness on trial.
    pub async fn new(harness: &'a dyn SkillSourceHarness) -> Self {
        Self { harness, source: harness.fresh().await.into() }
    }

    pub(super) fn missing(&self, need: Need) -> Option<&'static str> {
        let (met, what) = match need {
            Need::Nothing => (true, ""),
            Need::Begun => (!self.begun().is_empty(), "more versions"),
            Need::Hook => (self.all().iter().any(declares_a_hook), "a skill with a hook"),
            Need::Unreadable => (self.unreadable().is_some(), "texts that are no version"),
        };
        (!met).then_some(what)
    }

    pub(super) fn source(&self) -> Arc<dyn SkillSource> {
        Arc::clone(&self.source)
    }

    pub(super) fn begun(&self) -> Vec<Met> {
        self.harness.begun()
    }

    pub(super) fn unreadable(&self) -> Option<String> {
        self.harness.unreadable()
    }

    pub(super) fn list(&self, route: &RouteKey) -> Vec<Arc<dyn Skill>> {
        self.source.list(route)
    }

    pub(super) fn find(
        &self,
        id: &SkillId,
        version: Option<&str>,
        route: &RouteKey,
    ) -> Result<Arc<dyn Skill>> {
        self.source.find(id, version, route)
    }

    pub(super) fn exact(&self, id: &SkillId, version: &str) -> Option<Arc<dyn Skill>> {
        self.source.exact(id, version)
    }

    /// Every skill that some route meets, or that a call was begun with.
    pub(super) fn ids(&self) -> BTreeSet<SkillId> {
        let listed = routes().flat_map(|route| self.list(&route));
        let ids: BTreeSet<SkillId> = listed.map(|skill| skill.manifest().id.clone()).collect();
        assert!(!ids.is_empty(), "the harness makes a source without a skill");
        ids.into_iter().chain(self.begun().into_iter().map(|(id, _)| id)).collect()
    }

    /// Every version that can be had: by a list, by looking for it, and exactly.
    pub(super) fn all(&self) -> Vec<Arc<dyn Skill>> {
        let ids = self.ids();
        let listed = routes().flat_map(|route| self.list(&route));
        let found = routes()
            .flat_map(|route| ids.iter().filter_map(move |id| self.find(id, None, &route).ok()));
        let mut all: Vec<_> = listed.chain(found).collect();
        let numbers: BTreeSet<Met> = all.iter().map(met).chain(self.begun()).collect();
        all.extend(numbers.iter().filter_map(|(id, version)| self.exact(id, version)));
        all
    }

    /// A skill that it has not.
    pub(super) fn unknown(&self) -> SkillId {
        let id = SkillId::new("law.of-nobody").expect("an id");
        assert!(!self.ids().contains(&id), "{id} is a name of these laws");
        id
    }
}

/// Routes of all kinds. Each time they are made of bytes of their own.
pub(super) fn routes() -> impl DoubleEndedIterator<Item = RouteKey> {
    let odd = [Vec::new(), vec![0xff; 3], vec![0; 64 * 1024]];
    let usual = (0..64).map(|n| format!("conversation-{n}").into_bytes());
    odd.into_iter().chain(usual).map(RouteKey::new)
}

pub(super) fn met(skill: &Arc<dyn Skill>) -> Met {
    (skill.manifest().id.clone(), skill.manifest().version.to_string())
}

/// What was found, or the error's text.
pub(super) fn told(found: Result<Arc<dyn Skill>>) -> Result<Met, String> {
    found.map(|skill| met(&skill)).map_err(|e: Error| e.to_string())
}

pub(super) fn declares_a_hook(skill: &Arc<dyn Skill>) -> bool {
    skill.manifest().effect == Effect::Reconcilable
}
