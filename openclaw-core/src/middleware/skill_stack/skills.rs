//! The skills of a host: those that were added one by one, and those of a source.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Effect, Error, ErrorKind, Result, SkillId,
    skill::{RouteKey, Skill, SkillManifest, SkillRequest, SkillSource},
};

/// How many skills may run inside each other, the outer call counted.
pub(super) const MAX_LEVELS: usize = 4;

/// The skills of a host. Of two with one id the one that was added wins.
#[derive(Clone, Debug)]
pub(crate) struct Skills {
    own: BTreeMap<SkillId, Arc<dyn Skill>>,
    source: Option<Arc<dyn SkillSource>>,
}

impl Skills {
    /// Checks what was added: each name once, hooks where they are promised, and what skills say
    /// of the skills they call. What a source brings is looked at when it is called.
    pub(crate) fn new(
        added: Vec<Arc<dyn Skill>>,
        source: Option<Arc<dyn SkillSource>>,
    ) -> Result<Self> {
        let mut own = BTreeMap::new();
        for skill in added {
            let id = skill.manifest().id.clone();
            let invalid =
                |why: &'static str| Error::new(ErrorKind::ValidationError, why).with("skill", &id);
            if skill.manifest().effect == Effect::Reconcilable && skill.reconcile().is_none() {
                return Err(invalid("a reconcilable skill needs a reconcile hook"));
            }
            if own.insert(id.clone(), skill).is_some() {
                return Err(invalid("this name was added twice"));
            }
        }
        let skills = Self { own, source };
        skills.own.values().try_for_each(|skill| skills.check(skill.manifest(), MAX_LEVELS))?;
        Ok(skills)
    }

    /// Whom a skill calls, how deep, touching what.
    fn check(&self, own: &SkillManifest, levels: usize) -> Result<()> {
        let refuse = |why: &'static str, called: &SkillId| {
            let error = Error::new(ErrorKind::ValidationError, why);
            Err(error.with("skill", &own.id).with("calls", called))
        };
        for called in &own.calls {
            if own.effect != Effect::Pure {
                let why = "a skill that calls others is Pure: their effects are theirs";
                return refuse(why, called);
            }
            let Some(part) = self.own.get(called).map(|skill| skill.manifest()) else {
                if self.source.is_some() {
                    continue;
                }
                return refuse("a skill calls one that was not added", called);
            };
            // A rule about the outer skill reads what that one declares.
            if !own.touches.contains(part.touches) {
                let why = "a skill calls one that touches more than it declares itself";
                return refuse(why, called);
            }
            let Some(left) = levels.checked_sub(1).filter(|left| *left > 0) else {
                return refuse("skills call each other in a circle, or over four levels", called);
            };
            self.check(part, left)?;
        }
        Ok(())
    }

    /// One version of each, as this route meets them.
    pub(crate) fn list(&self, route: &RouteKey) -> Vec<Arc<dyn Skill>> {
        let Some(source) = &self.source else { return self.own.list(route) };
        let more = source.list(route).into_iter();
        let mut all: BTreeMap<_, _> =
            more.map(|skill| (skill.manifest().id.clone(), skill)).collect();
        all.extend(self.own.clone());
        all.into_values().collect()
    }

    /// The version that a call meets: what its record names, skill and version, while it is here.
    pub(crate) fn choose(
        &self,
        request: &SkillRequest,
        route: &RouteKey,
        begun: Option<(&str, Option<&str>)>,
    ) -> Result<Arc<dyn Skill>> {
        let source = self.of(&request.skill);
        let as_begun = begun
            .filter(|(target, _)| *target == request.skill.as_str())
            .and_then(|(_, version)| source.exact(&request.skill, version?));
        match as_begun {
            Some(skill) => Ok(skill),
            None => source.find(&request.skill, request.version.as_deref(), route),
        }
    }

    fn of(&self, skill: &SkillId) -> &dyn SkillSource {
        match &self.source {
            Some(source) if !self.own.contains_key(skill) => source,
            _ => &self.own,
        }
    }
}
