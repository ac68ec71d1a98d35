//! What operators decide, and what the registry decides for them: stages, canaries, roll-backs.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use openclaw_core::{
    Error, ErrorKind, Happened, Result, SkillId, Timestamp,
    records::{Rollout, RolloutStep, Rollouts, Stage},
};
use semver::Version;
use tokio::sync::oneshot;

use super::{
    Registry, RegistryEvent, Shared,
    line::{Line, Slot, missing},
    serving::{Playing, Trial},
};

/// The first and the longest pause between tries to keep a roll-back.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Who rolls back when no person does.
const ITSELF: &str = "registry";

impl Registry {
    /// Lets a part of all routes meet a version. In basis points: 10,000 are all.
    ///
    /// The part is always the same one: raising the weight moves nobody off. When too many of its
    /// calls fail it is rolled back, see [`RegistryBuilder::roll_back`](super::RegistryBuilder::roll_back).
    ///
    /// # Errors
    /// `NOT_FOUND`: the version is not here, or retired. `CONFLICT`: another one is being tried, or
    /// this one was rolled back: [`Registry::abandon`] it first. `VALIDATION_ERROR`: more than
    /// 10,000. The store does not answer.
    pub async fn canary(
        &self,
        skill: &SkillId,
        version: &str,
        weight: u16,
        by: &str,
    ) -> Result<()> {
        let version = self.there(skill, version)?;
        self.apply(skill, RolloutStep::Canary { version, weight }, by).await
    }

    /// Rolls the canary of this version back: no new call meets it.
    ///
    /// By its number neither. Calls that were begun with it end with it. [`abandon`](Self::abandon)
    /// makes a draft of it.
    /// The order goes on when its caller leaves.
    ///
    /// # Errors
    /// The store does not answer; then it counts in this process, and is kept later. `CONFLICT`:
    /// somebody has decided otherwise meanwhile. `CANCELLED`: the registry was drained.
    pub async fn withdraw(
        &self,
        skill: &SkillId,
        version: &str,
        why: &str,
        by: &str,
    ) -> Result<()> {
        let step = RolloutStep::RollBack { version: version.into(), why: why.into() };
        self.0.at_once(skill, &step, |_| true);
        if self.0.kept.is_none() {
            return Ok(());
        }
        // Also when the store knows of a canary that this process has not heard of.
        self.0.table_mut().entry(skill.clone()).or_default().owed = Some(step.clone());
        let (told, outcome) = oneshot::channel();
        let debt = Debt { skill: skill.clone(), step, by: by.into(), told: Some(told) };
        self.0.tasks.spawn(keep(Arc::downgrade(&self.0), debt));
        let drained = |_| Err(Error::new(ErrorKind::Cancelled, "the registry was drained"));
        outcome.await.unwrap_or_else(drained)
    }

    /// Ends the trial of whatever version. It is a draft then, met by its number, and may be tried
    /// again or promoted.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn abandon(&self, skill: &SkillId, by: &str) -> Result<()> {
        self.apply(skill, RolloutStep::Clear, by).await
    }

    /// Lets everybody meet a version who asks for its range; its trial ends.
    ///
    /// # Errors
    /// `NOT_FOUND`: the version is not here. `CONFLICT`: it was rolled back. The store does not
    /// answer.
    pub async fn promote(&self, skill: &SkillId, version: &str, by: &str) -> Result<()> {
        let version = self.known(skill, version)?;
        self.apply(skill, RolloutStep::Stage { version, stage: Stage::Active }, by).await
    }

    /// Says that a version will not be there for long. It works as before, with an event a call.
    ///
    /// Also behind its sunset, of which the event tells: only [`retire`](Self::retire) ends it.
    ///
    /// # Errors
    /// `NOT_FOUND`: the version is not here. `CONFLICT`: it was rolled back. The store does not
    /// answer.
    pub async fn deprecate(
        &self,
        skill: &SkillId,
        version: &str,
        (sunset, replacement): (Option<Timestamp>, Option<&str>),
        by: &str,
    ) -> Result<()> {
        let version = self.known(skill, version)?;
        let replacement = replacement.map(Into::into);
        let stage = Stage::Deprecated { since: self.0.env.now(), sunset, replacement };
        self.apply(skill, RolloutStep::Stage { version, stage }, by).await
    }

    /// Takes a version away from new calls. Those that were begun with it end with it.
    ///
    /// # Errors
    /// `NOT_FOUND`: the version is not here. The store does not answer.
    pub async fn retire(
        &self,
        skill: &SkillId,
        version: &str,
        replacement: Option<&str>,
        by: &str,
    ) -> Result<()> {
        let version = self.known(skill, version)?;
        let stage = Stage::Retired { replacement: replacement.map(Into::into) };
        self.apply(skill, RolloutStep::Stage { version, stage }, by).await
    }

    /// Lets a version run beside the others, without effects. What it would have said is an event.
    ///
    /// Only a `Pure` version runs, and only beside one that touches no less and demands no fewer
    /// permissions: rules, people and budgets were asked about that one alone. Any other is asked
    /// whether it would take the input. `None` ends it.
    ///
    /// # Errors
    /// `NOT_FOUND`: the version is not here, or retired. The store does not answer.
    pub async fn shadow(&self, skill: &SkillId, version: Option<&str>, by: &str) -> Result<()> {
        let version = version.map(|version| self.there(skill, version)).transpose()?;
        self.apply(skill, RolloutStep::Shadow(version), by).await
    }

    /// How the versions of a skill are rolled out, as this process knows it.
    #[must_use]
    pub fn rollout(&self, skill: &SkillId) -> Rollout {
        self.0.table().get(skill).map(|line| line.rollout.clone()).unwrap_or_default()
    }

    /// Reads the rollouts again: what other processes have decided counts from now on.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read; what is known counts then.
    pub async fn refresh(&self) -> Result<()> {
        let Some(kept) = &self.0.kept else { return Ok(()) };
        for (skill, rollout) in kept.all().await? {
            self.0.install(&skill, rollout);
        }
        Ok(())
    }

    /// Reads the rollouts again after each such span, while it is polled.
    pub async fn follow(&self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            if let Err(e) = self.refresh().await {
                self.0.tell(&RegistryEvent::NotFollowed { kind: e.kind() });
            }
        }
    }

    async fn apply(&self, skill: &SkillId, step: RolloutStep, by: &str) -> Result<()> {
        match &self.0.kept {
            Some(kept) => {
                let owed = self.0.check_owed(skill, &step)?;
                let rollout = kept.apply(skill, &step, by).await?;
                self.0.settled(skill, &step, owed.as_ref());
                self.0.install(skill, rollout);
            }
            None => self.0.step(skill, &step)?,
        }
        Ok(())
    }

    /// The version as its manifest writes it, when it may be met.
    fn there(&self, skill: &SkillId, version: &str) -> Result<Arc<str>> {
        self.number(skill, version, |slot| {
            slot.held.is_none() && !matches!(slot.stage, Stage::Retired { .. })
        })
    }

    /// The version as its manifest writes it.
    fn known(&self, skill: &SkillId, version: &str) -> Result<Arc<str>> {
        self.number(skill, version, |_| true)
    }

    fn number(&self, skill: &SkillId, version: &str, fits: fn(&Slot) -> bool) -> Result<Arc<str>> {
        let table = self.0.table();
        let line = table.get(skill).ok_or_else(|| missing("there is no such skill", skill))?;
        let found = Version::parse(version).ok().and_then(|version| line.slot(&version));
        let slot = found.filter(|slot| fits(slot));
        let why = "this version of the skill is not here, or not any more";
        slot.map(|slot| Arc::clone(slot.number())).ok_or_else(|| missing(why, skill))
    }
}

impl Shared {
    /// Rolls a canary back that failed too often. Here at once, in the store as soon as it can be.
    ///
    /// A trial that ended has no say in a later one of its version.
    pub(super) fn roll_back(self: &Arc<Self>, skill: &SkillId, trial: &Arc<Trial>, why: &Arc<str>) {
        let version = Arc::clone(&trial.version);
        let step = RolloutStep::RollBack { version: Arc::clone(&version), why: Arc::clone(why) };
        if !self.at_once(skill, &step, |line| line.role.is_trying(trial)) {
            return;
        }
        let (skill, why) = (skill.clone(), Arc::clone(why));
        self.tell(&RegistryEvent::RolledBack { skill: skill.clone(), version, why });
        if self.kept.is_some() {
            let debt = Debt { skill, step, by: ITSELF.into(), told: None };
            self.tasks.spawn(keep(Arc::downgrade(self), debt));
        }
    }

    /// Applies a step in this process, whatever the store says. True when it changed anything.
    fn at_once(
        &self,
        skill: &SkillId,
        step: &RolloutStep,
        wanted: impl FnOnce(&Line) -> bool,
    ) -> bool {
        let mut table = self.table_mut();
        let Some(line) = table.get_mut(skill).filter(|line| wanted(line)) else { return false };
        let Ok(Some(next)) = line.rollout.after(step) else { return false };
        line.adopt(next);
        line.owed = self.kept.is_some().then(|| step.clone());
        self.cast(line);
        true
    }

    /// What is owed to the store, which counts already: an error when it stands against this step.
    fn check_owed(&self, skill: &SkillId, step: &RolloutStep) -> Result<Option<RolloutStep>> {
        let table = self.table();
        let Some(line) = table.get(skill) else { return Ok(None) };
        if line.owed.is_some() {
            line.rollout.after(step)?;
        }
        Ok(line.owed.clone())
    }

    /// The store has taken a step: one that was owed to it, or one that calls off what is owed.
    ///
    /// A canary calls off what was owed `before` it was ordered, and nothing that came meanwhile.
    fn settled(&self, skill: &SkillId, step: &RolloutStep, before: Option<&RolloutStep>) {
        let over = |owed: &mut RolloutStep| match step {
            RolloutStep::Clear => true,
            RolloutStep::Canary { .. } => before == Some(owed),
            _ => owed == step,
        };
        if let Some(line) = self.table_mut().get_mut(skill) {
            line.owed.take_if(over);
        }
    }

    fn owes(&self, skill: &SkillId, step: &RolloutStep) -> bool {
        self.table().get(skill).is_some_and(|line| line.owed.as_ref() == Some(step))
    }

    /// Takes a rollout as the store has it, unless a newer one is known.
    fn install(&self, skill: &SkillId, rollout: Rollout) {
        let mut table = self.table_mut();
        let line = table.entry(skill.clone()).or_default();
        if rollout.changes < line.kept {
            return;
        }
        line.kept = rollout.changes;
        if line.owed.is_none() && line.rollout == rollout {
            return;
        }
        let owed = line.owed.as_ref().and_then(|owed| rollout.after(owed).ok().flatten());
        line.adopt(owed.unwrap_or(rollout));
        self.cast(line);
    }

    /// Applies a step where nothing is kept.
    fn step(&self, skill: &SkillId, step: &RolloutStep) -> Result<()> {
        let mut table = self.table_mut();
        let line = table.entry(skill.clone()).or_default();
        if let Some(next) = line.rollout.after(step)? {
            line.adopt(next);
            self.cast(line);
        }
        Ok(())
    }

    /// Gives the versions of a skill their roles: who is tried, who runs beside.
    pub(super) fn cast(&self, line: &Line) {
        let slot = |version: &str| line.slot(&Version::parse(version).ok()?);
        let canary = line.rollout.canary.as_ref().filter(|canary| canary.rolled_back.is_none());
        let before = line.role.playing().and_then(|playing| playing.trial.clone());
        let trial = canary.and_then(|canary| {
            // A trial that goes on keeps its counts, whatever its weight.
            let same = before.filter(|trial| trial.version == canary.version);
            let new = || {
                let manifest = slot(&canary.version)?.published.skill.manifest();
                Trial::new(manifest, self.roll_back.clone()).ok().map(Arc::new)
            };
            same.or_else(new)
        });
        let beside = line.rollout.shadow.as_deref().and_then(slot);
        let shadow = beside.filter(|slot| slot.held.is_none());
        let shadow = shadow.map(|slot| Arc::clone(&slot.published.skill));
        line.role.play(Playing { trial, shadow });
    }
}

/// A roll-back that is owed to the store.
struct Debt {
    skill: SkillId,
    step: RolloutStep,
    by: Box<str>,
    /// Who waits for what becomes of the first try.
    told: Option<oneshot::Sender<Result<()>>>,
}

impl Debt {
    /// One try: true when it is paid, or nobody asks for it any more.
    async fn pay(&mut self, shared: &Shared, kept: &Rollouts) -> bool {
        let owed = || shared.owes(&self.skill, &self.step);
        let outcome = match kept.apply_while(&self.skill, &self.step, &self.by, owed).await {
            Ok(Some(rollout)) => {
                shared.settled(&self.skill, &self.step, None);
                shared.install(&self.skill, rollout);
                Ok(())
            }
            Ok(None) => {
                let message = "somebody has decided otherwise meanwhile";
                Err(Error::new(ErrorKind::Conflict, message).with_happened(Happened::No))
            }
            Err(e) => {
                let (skill, kind) = (self.skill.clone(), e.kind());
                shared.tell(&RegistryEvent::NotKept { skill, kind });
                Err(e)
            }
        };
        let over = outcome.is_ok() || !shared.owes(&self.skill, &self.step);
        if let Some(told) = self.told.take() {
            // Whoever gave the order may have left.
            let _left = told.send(outcome);
        }
        over
    }
}

/// Keeps a roll-back, for as long as the store does not take it and the registry is there.
async fn keep(registry: Weak<Shared>, mut debt: Debt) {
    let [mut pause, longest] = PAUSES;
    while let Some(shared) = registry.upgrade() {
        let Some(kept) = &shared.kept else { return };
        if debt.pay(&shared, kept).await {
            return;
        }
        drop(shared);
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(longest);
    }
}
