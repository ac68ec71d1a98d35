//! How versions of skills are rolled out: stages, one canary a skill, shadows; kept and guarded.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    audit::{AuditAction, AuditEntry, NO_MESSAGE},
    commit::{self, Known},
    row::Row,
};
use crate::{
    Env, Error, ErrorKind, Happened, Result, SkillId, TenantId, Timestamp,
    store::{Guard, Key, Op, SharedStore, StateStoreExt as _, Txn},
    words::planted::{Bug, planted},
};

/// The whole of all routes, in basis points.
pub const EVERYBODY: u16 = 10_000;

/// Lost races before a caller hears of them.
const RACES: usize = 8;

/// The longest reason that is kept, in characters.
const REASON: usize = 512;

/// Where a version of a skill stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Met by its exact number and by the canary only.
    Draft,
    /// Met by whoever asks for it, by range or without.
    Active,
    /// Works as before, and says that it will not for long.
    Deprecated {
        /// Since when.
        since: Timestamp,
        /// Until when it is meant to work.
        sunset: Option<Timestamp>,
        /// What to use instead.
        replacement: Option<Arc<str>>,
    },
    /// Not there for new calls.
    Retired {
        /// What to use instead.
        replacement: Option<Arc<str>>,
    },
}

impl Stage {
    /// Its name, as it is shown.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Deprecated { .. } => "deprecated",
            Self::Retired { .. } => "retired",
        }
    }
}

/// A version that a part of all routes meets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Canary {
    /// Which one.
    pub version: Arc<str>,
    /// The part of all routes, in basis points: 0 to 10,000.
    pub weight: u16,
    /// Why it was rolled back, when it was.
    pub rolled_back: Option<Arc<str>>,
}

/// How the versions of one skill are rolled out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rollout {
    /// The stages that somebody set; any other version stands where it was published.
    pub stages: BTreeMap<Arc<str>, Stage>,
    /// The version that is tried, one at a time.
    pub canary: Option<Canary>,
    /// The version that runs beside the others, without effects.
    pub shadow: Option<Arc<str>>,
    /// How often it was changed.
    pub changes: u64,
}

impl Row for Rollout {
    const NAME: &'static str = "rollouts";
    const FORMAT: u8 = 1;
}

/// A change of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RolloutStep {
    /// A part of all routes meets this version.
    Canary {
        /// Which one.
        version: Arc<str>,
        /// The part, in basis points.
        weight: u16,
    },
    /// The canary of this version failed: nobody meets it any more.
    RollBack {
        /// Which one.
        version: Arc<str>,
        /// Why; 512 characters of it are kept.
        why: Arc<str>,
    },
    /// The trial is over; its version is a draft again, unless it is retired.
    Clear,
    /// This version stands here from now on.
    Stage {
        /// Which one.
        version: Arc<str>,
        /// Where.
        stage: Stage,
    },
    /// This version runs beside the others, without effects; none does when `None`.
    Shadow(Option<Arc<str>>),
}

impl RolloutStep {
    /// What it does, in words for an audit trail.
    fn told(&self, skill: &SkillId) -> String {
        match self {
            Self::Canary { version, weight } => {
                format!("{skill} {version}: canary at {weight} of {EVERYBODY}")
            }
            Self::RollBack { version, why } => format!("{skill} {version}: rolled back, {why}"),
            Self::Clear => format!("{skill}: no canary"),
            Self::Stage { version, stage } => format!("{skill} {version}: {}", stage.name()),
            Self::Shadow(Some(version)) => format!("{skill} {version}: shadow"),
            Self::Shadow(None) => format!("{skill}: no shadow"),
        }
    }

    const fn action(&self) -> AuditAction {
        match self {
            Self::RollBack { .. } => AuditAction::RolledBack,
            _ => AuditAction::RolloutChanged,
        }
    }
}

impl Rollout {
    /// The rollout after this step; `None` when it changes nothing.
    ///
    /// A canary that was rolled back stays so, whatever weight somebody else is about to give it:
    /// clear it first. A version whose trial ends without being promoted, because it was cleared or
    /// another one is tried in the place of one that was rolled back, is a [draft](Stage::Draft)
    /// behind it: nobody meets it unasked.
    ///
    /// ```
    /// use openclaw_core::records::{Rollout, RolloutStep};
    ///
    /// let canary = |weight| RolloutStep::Canary { version: "1.1.0".into(), weight };
    /// let tried = Rollout::default().after(&canary(500))?.expect("a change");
    /// let failed = RolloutStep::RollBack { version: "1.1.0".into(), why: "it fails".into() };
    /// let back = tried.after(&failed)?.expect("a change");
    /// assert_eq!(back.canary.as_ref().map(|canary| canary.weight), Some(0));
    /// assert!(back.after(&canary(1_000)).is_err(), "nobody raises it by accident");
    /// assert_eq!(back.after(&failed)?, None, "twice is once");
    /// # Ok::<(), openclaw_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `CONFLICT`: another version is being tried, or this one was rolled back.
    /// `VALIDATION_ERROR`: the weight is over 10,000.
    pub fn after(&self, step: &RolloutStep) -> Result<Option<Self>> {
        let mut next = self.clone();
        match step {
            RolloutStep::Canary { version, weight } => next.try_out(version, *weight)?,
            RolloutStep::RollBack { version, why } => {
                if let Some(canary) = next.canary.as_mut().filter(|c| c.version == *version)
                    && canary.rolled_back.is_none()
                {
                    canary.weight = 0;
                    canary.rolled_back = Some(why.chars().take(REASON).collect::<String>().into());
                }
            }
            RolloutStep::Clear => next.end_trial(),
            RolloutStep::Stage { version, stage } => next.put(version, stage)?,
            RolloutStep::Shadow(version) => next.shadow.clone_from(version),
        }
        if next == *self {
            return Ok(None);
        }
        next.changes = self.changes.saturating_add(1);
        Ok(Some(next))
    }

    fn try_out(&mut self, version: &Arc<str>, weight: u16) -> Result<()> {
        if weight > EVERYBODY {
            return Err(
                invalid("a canary's weight is at most 10,000 basis points").with("weight", weight)
            );
        }
        self.check_back(version)?;
        if let Some(other) = self.canary.as_ref().filter(|c| c.version != *version)
            && other.rolled_back.is_none()
        {
            return Err(conflict("another version is being tried: promote it or clear it first")
                .with("version", &other.version));
        }
        if self.canary.as_ref().is_some_and(|canary| canary.version != *version) {
            self.end_trial();
        }
        self.canary = Some(Canary { version: Arc::clone(version), weight, rolled_back: None });
        Ok(())
    }

    /// Forgets the canary. What did not stand its trial must not be met by everybody instead.
    fn end_trial(&mut self) {
        let Some(canary) = self.canary.take() else { return };
        let stage = self.stages.entry(canary.version).or_insert(Stage::Draft);
        if !matches!(stage, Stage::Retired { .. }) {
            *stage = Stage::Draft;
        }
    }

    fn put(&mut self, version: &Arc<str>, stage: &Stage) -> Result<()> {
        if matches!(stage, Stage::Active | Stage::Deprecated { .. }) {
            self.check_back(version)?;
        }
        // A draft is still tried; anything else that is said of a version ends its trial.
        if *stage != Stage::Draft {
            self.canary.take_if(|canary| canary.version == *version);
        }
        self.stages.insert(Arc::clone(version), stage.clone());
        Ok(())
    }

    fn check_back(&self, version: &Arc<str>) -> Result<()> {
        let back = self.canary.as_ref().filter(|c| c.version == *version);
        match back.and_then(|canary| canary.rolled_back.as_ref()) {
            Some(why) => Err(conflict("this version was rolled back: clear the canary first")
                .with("version", version)
                .with("because", why)),
            None => Ok(()),
        }
    }
}

/// The rollouts of a program, over its store.
///
/// Rows and audit entries are those of one tenant, which the host names: the operators, as a rule.
/// Changes are guarded, so that of two processes neither undoes what the other has just done.
#[derive(Clone, Debug)]
pub struct Rollouts {
    store: SharedStore,
    env: Env,
    tenant: TenantId,
}

impl Rollouts {
    /// The rollouts of this tenant in this store.
    #[must_use]
    pub const fn new(env: Env, store: SharedStore, tenant: TenantId) -> Self {
        Self { store, env, tenant }
    }

    /// Every rollout that was ever changed, by skill.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    pub async fn all(&self) -> Result<BTreeMap<SkillId, Rollout>> {
        let prefix = Key::of(&self.tenant, "ro").prefix();
        let rows = self.store.scan_all(prefix.clone()).await?;
        let mut all = BTreeMap::new();
        for (key, entry) in rows {
            let name =
                key.behind(&prefix).and_then(|name| std::str::from_utf8(name.get(2..)?).ok());
            // A name that this program would not write is another program's row.
            let Some(skill) = name.and_then(|name| SkillId::new(name).ok()) else { continue };
            let mut rollout = Rollout::decode(&entry.value)?;
            if planted(Bug::RollBackForgotten) {
                let back = rollout.canary.as_mut().filter(|canary| canary.rolled_back.is_some());
                back.into_iter().for_each(|c| (c.weight, c.rolled_back) = (EVERYBODY, None));
            }
            all.insert(skill, rollout);
        }
        Ok(all)
    }

    /// The rollout of a skill as it is stored.
    ///
    /// # Errors
    /// The store does not answer, or the row can't be read.
    pub async fn get(&self, skill: &SkillId) -> Result<Rollout> {
        let read = commit::read::<Rollout>(&*self.store, &self.key(skill)).await?;
        Ok(read.map(|(rollout, _)| rollout).unwrap_or_default())
    }

    /// Applies a step to what is stored, with its audit entry; the rollout behind it.
    ///
    /// # Errors
    /// As [`Rollout::after`], of what is stored now; the store does not answer; `CONFLICT` when
    /// others change it all the time.
    pub async fn apply(&self, skill: &SkillId, step: &RolloutStep, by: &str) -> Result<Rollout> {
        let done = self.apply_while(skill, step, by, || true).await?;
        done.ok_or_else(|| conflict("the step is not wanted any more").with("skill", skill))
    }

    /// As [`apply`](Self::apply), for a step that may be called off: `None` when it was.
    ///
    /// Whether it is still wanted is asked between each look at the row and the commit that the
    /// look guards. A step that is called off before somebody else's change is never applied over
    /// that change.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn apply_while(
        &self,
        skill: &SkillId,
        step: &RolloutStep,
        by: &str,
        wanted: impl Fn() -> bool + Send,
    ) -> Result<Option<Rollout>> {
        let key = self.key(skill);
        for _ in 0..RACES {
            let read = commit::read::<Rollout>(&*self.store, &key).await?;
            if !wanted() {
                return Ok(None);
            }
            let (now, guard) = match read {
                Some((now, version)) => (now, commit::unchanged(key.clone(), version)),
                None => (Rollout::default(), Guard::Absent(key.clone())),
            };
            let Some(next) = now.after(step)? else { return Ok(Some(now)) };
            let note = step.told(skill);
            let entry =
                AuditEntry::new(self.env.now(), step.action(), NO_MESSAGE, by).because(note);
            let txn = Txn::new("rollout")
                .guard(guard)
                .op(Op::put(key.clone(), next.encode()?))
                .op(entry.append(&self.tenant)?);
            if let Known::Applied(_) = commit::commit(&*self.store, txn).await? {
                return Ok(Some(next));
            }
        }
        Err(conflict("others change this rollout all the time: try again").with("skill", skill))
    }

    fn key(&self, skill: &SkillId) -> Key {
        Key::of(&self.tenant, "ro").text(skill.as_str()).build()
    }
}

fn conflict(why: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, why).with_happened(Happened::No)
}

fn invalid(why: &'static str) -> Error {
    Error::new(ErrorKind::ValidationError, why)
}
