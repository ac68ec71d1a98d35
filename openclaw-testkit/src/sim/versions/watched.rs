//! The versions of one process, and somebody who looks at what it gives to whom.

use std::sync::Arc;

use openclaw_core::{
    Env, Error, ErrorKind, Result, SkillId, TenantId,
    records::RolloutStep,
    skill::{RouteKey, Skill, SkillSource},
};

use super::{Open, Stand, Versions};
use crate::sim::{
    here::Here,
    mark::tried,
    remotes::SimSkill,
    rolled::{Meeting, OPERATORS, lets},
    second::{FIRST, SECOND, TWICE, ids},
    store::SimStore,
};

/// Routes that are asked for beside those of conversations.
const PROBES: u32 = 8;

/// The versions of one process. Clones are the same ones.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Watched {
    here: Here,
    source: Arc<dyn Versions>,
    /// The process has the second versions, too.
    complete: bool,
}

impl Watched {
    /// Opens the versions of a process.
    pub(in crate::sim) async fn open(here: &Here, env: Env, open: &Open) -> Result<Self> {
        let scene = &here.scene;
        let complete = !scene.dice.storming() || scene.second.is_in(here.process);
        let skills = |version| -> Vec<Arc<dyn Skill>> {
            let all = SimSkill::all(here, version).into_iter();
            let twice = all.filter(|skill| TWICE.contains(&skill.manifest().id.as_str()));
            twice.map(|skill| Arc::new(skill) as Arc<dyn Skill>).collect()
        };
        let invalid =
            |e: openclaw_core::InvalidId| Error::new(ErrorKind::ValidationError, e.to_string());
        let stand = Stand {
            env,
            store: Arc::new(SimStore(here.clone())),
            operators: TenantId::new(OPERATORS).map_err(invalid)?,
            active: skills(FIRST),
            drafts: if complete { skills(SECOND) } else { Vec::new() },
        };
        let read = changes(here);
        let watched = Self { here: here.clone(), source: open(stand).await?, complete };
        watched.has_read(read);
        let rolled = here.scene.rolled();
        if ids().iter().any(|skill| rolled.is_back(skill)) {
            here.scene.marks.hit(tried::FOUND);
        }
        drop(rolled);
        watched.probe();
        Ok(watched)
    }

    /// Does what an operator wants.
    pub(super) async fn apply(&self, skill: &SkillId, step: &RolloutStep) {
        let read = self.here.scene.rolled().changes(skill);
        let kept = self.source.apply(skill, step, "dora").await;
        let process = self.here.process;
        self.here.scene.books().tell(|| format!("{process} dora: {skill} {step:?}: {kept:?}"));
        if kept.is_ok() {
            self.here.scene.rolled().has_read(process, skill, read);
        }
    }

    /// Reads what other processes have decided.
    pub(super) async fn refresh(&self) {
        let read = changes(&self.here);
        if self.source.refresh().await.is_ok() {
            self.has_read(read);
        }
    }

    /// Asks for every skill by the same routes each time.
    pub(super) fn probe(&self) {
        let routes: Vec<RouteKey> =
            (0..PROBES).map(|n| RouteKey::new(format!("probe {n}"))).collect();
        for skill in ids() {
            for route in &routes {
                self.look(&skill, route, &self.source.find(&skill, None, route));
            }
        }
    }

    fn has_read(&self, read: Vec<(SkillId, u64)>) {
        let mut rolled = self.here.scene.rolled();
        for (skill, changes) in read {
            rolled.has_read(self.here.process, &skill, changes);
        }
    }

    /// Looks at the version that a new call of this route meets.
    fn look(&self, skill: &SkillId, route: &RouteKey, found: &Result<Arc<dyn Skill>>) {
        let (scene, process) = (&self.here.scene, self.here.process);
        let version = match found {
            Ok(found) => &found.manifest().version,
            Err(e) => return scene.violate(format!("process {process} has no {skill}: {e}")),
        };
        let known = &self.source.rollout(skill);
        let complete = self.complete;
        let wrong =
            scene.rolled().met(&Meeting { process, skill, route, version, known, complete });
        wrong.into_iter().for_each(|what| scene.violate(what));
    }
}

/// How often each rollout was changed so far.
fn changes(here: &Here) -> Vec<(SkillId, u64)> {
    let rolled = here.scene.rolled();
    let of = |skill: SkillId| {
        let changes = rolled.changes(&skill);
        (skill, changes)
    };
    ids().into_iter().map(of).collect()
}

#[deny(clippy::missing_trait_methods)]
impl SkillSource for Watched {
    fn list(&self, route: &RouteKey) -> Vec<Arc<dyn Skill>> {
        self.source.list(route)
    }

    fn find(
        &self,
        skill: &SkillId,
        version: Option<&str>,
        route: &RouteKey,
    ) -> Result<Arc<dyn Skill>> {
        let found = self.source.find(skill, version, route);
        // The run has skills that are not the source's, and calls that name a version.
        if version.is_none() && TWICE.contains(&skill.as_str()) {
            self.look(skill, route, &found);
            if found.as_ref().is_ok_and(|found| *found.manifest().version == *SECOND) {
                self.here.scene.marks.hit(tried::MET);
            }
        }
        found
    }

    fn exact(&self, skill: &SkillId, version: &str) -> Option<Arc<dyn Skill>> {
        let found = self.source.exact(skill, version);
        let marks = &self.here.scene.marks;
        match &found {
            None => marks.hit(tried::GONE),
            Some(_) if !lets(&self.source.rollout(skill), version) => marks.hit(tried::GOES_ON),
            Some(_) => {}
        }
        found
    }
}
