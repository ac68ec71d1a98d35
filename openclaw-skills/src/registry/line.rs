//! The versions of one skill: which one a call meets. Pure, and quick to read.

use std::{collections::BTreeMap, sync::Arc};

use openclaw_core::{
    Error, ErrorKind, Result, SkillId,
    records::{Rollout, RolloutStep, Stage},
    skill::{RouteKey, Skill},
};
use semver::Version;

use super::{gate::Neighbours, range::Range, release::Published, route::meets, serving::Role};

/// One version and how it stands.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) published: Arc<Published>,
    /// The skill as calls meet it: watched while on trial, a shadow beside it.
    pub(super) serving: Arc<dyn Skill>,
    /// Where it stands now.
    pub(super) stage: Stage,
    /// Why it may not run, whatever its stage.
    pub(super) held: Option<Arc<str>>,
}

/// The versions of one skill, by number.
#[derive(Debug, Default)]
pub(super) struct Line {
    slots: Vec<Slot>,
    /// The places of those that ranges meet, in order.
    open: Vec<usize>,
    /// The place of the canary, and its weight.
    tried: Option<(usize, u16)>,
    pub(super) rollout: Rollout,
    /// A roll-back that the store has not taken yet.
    pub(super) owed: Option<RolloutStep>,
    /// How often the rollout was changed when it was last read from the store.
    pub(super) kept: u64,
    pub(super) role: Arc<Role>,
}

impl Slot {
    fn is_open(&self) -> bool {
        let met = matches!(self.stage, Stage::Active | Stage::Deprecated { .. });
        met && self.held.is_none()
    }

    /// May it be tried, or named?
    fn is_there(&self) -> bool {
        !matches!(self.stage, Stage::Retired { .. }) && self.held.is_none()
    }

    /// Its number, as its manifest writes it.
    pub(super) fn number(&self) -> &Arc<str> {
        &self.published.skill.manifest().version
    }
}

impl Line {
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) fn slot(&self, version: &Version) -> Option<&Slot> {
        let at = self.place(version).ok()?;
        self.slots.get(at)
    }

    pub(super) fn slot_mut(&mut self, version: &Version) -> Option<&mut Slot> {
        let at = self.place(version).ok()?;
        self.slots.get_mut(at)
    }

    fn place(&self, version: &Version) -> std::result::Result<usize, usize> {
        self.slots.binary_search_by(|slot| slot.published.version.cmp(version))
    }

    /// The releases next to a version that is missing: one below, one above.
    pub(super) fn around(&self, version: &Version) -> Neighbours {
        let (Ok(at) | Err(at)) = self.place(version);
        let release = |slot: &&Slot| slot.published.version.pre.is_empty();
        let (below, above) = self.slots.split_at_checked(at).unwrap_or_default();
        let shared = |slot: &Slot| Arc::clone(&slot.published);
        Neighbours {
            below: below.iter().rev().find(release).map(shared),
            above: above.iter().find(release).map(shared),
        }
    }

    /// Adds a version; one that is there already is replaced.
    pub(super) fn insert(
        &mut self,
        published: Arc<Published>,
        serving: Arc<dyn Skill>,
        held: Option<Arc<str>>,
    ) {
        let stage = self.stage_of(&published);
        let place = self.place(&published.version);
        let slot = Slot { published, serving, stage, held };
        match place {
            Ok(at) => {
                if let Some(old) = self.slots.get_mut(at) {
                    *old = slot;
                }
            }
            Err(at) => self.slots.insert(at, slot),
        }
        self.index();
    }

    /// Takes another rollout.
    pub(super) fn adopt(&mut self, rollout: Rollout) {
        self.rollout = rollout;
        for at in 0..self.slots.len() {
            let Some(slot) = self.slots.get(at) else { continue };
            let stage = self.stage_of(&slot.published);
            if let Some(slot) = self.slots.get_mut(at) {
                slot.stage = stage;
            }
        }
        self.index();
    }

    fn stage_of(&self, published: &Published) -> Stage {
        let set = self.rollout.stages.get(&published.skill.manifest().version);
        set.unwrap_or(&published.stage).clone()
    }

    /// Notes again which versions ranges meet.
    pub(super) fn index(&mut self) {
        self.open.clear();
        let open = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_open());
        self.open.extend(open.map(|(at, _)| at));
        self.tried = self.rollout.canary.as_ref().and_then(|canary| {
            let version = Version::parse(&canary.version).ok()?;
            Some((self.place(&version).ok()?, canary.weight))
        });
    }

    /// The version that a call of this route meets.
    pub(super) fn choose(&self, id: &SkillId, range: &Range, route: &RouteKey) -> Result<&Slot> {
        let tried = self.tried.and_then(|(at, weight)| Some((self.slots.get(at)?, weight)));
        let found = match (range.exact(), tried) {
            (Some(exact), _) => {
                self.slot(exact).filter(|slot| slot.is_there() && self.rolled_back(slot).is_none())
            }
            (None, Some((slot, weight))) => {
                let theirs =
                    weight > 0 && slot.is_there() && range.matches(&slot.published.version);
                if theirs && meets(id, route, weight) {
                    Some(slot)
                } else {
                    self.newest(range, Some(&slot.published.version))
                }
            }
            (None, None) => self.newest(range, None),
        };
        found.ok_or_else(|| self.why_not(id, range))
    }

    /// Why this version was rolled back, as long as nobody has ended its trial.
    fn rolled_back(&self, slot: &Slot) -> Option<&Arc<str>> {
        let canary = self.rollout.canary.as_ref().filter(|c| c.version == *slot.number());
        canary?.rolled_back.as_ref()
    }

    /// The newest version in a range that everybody meets.
    pub(super) fn newest(&self, range: &Range, but: Option<&Version>) -> Option<&Slot> {
        let end = range.below().map_or(self.open.len(), |below| {
            let before = |at: &usize| {
                self.slots.get(*at).is_some_and(|slot| slot.published.version < *below)
            };
            self.open.partition_point(before)
        });
        let open = self.open.get(..end).unwrap_or_default().iter().rev();
        open.filter_map(|at| self.slots.get(*at)).find(|slot| {
            but != Some(&slot.published.version) && range.matches(&slot.published.version)
        })
    }

    /// Why nothing was found, and what to use instead.
    fn why_not(&self, id: &SkillId, range: &Range) -> Error {
        let fits = self.slots.iter().rev().filter(|slot| range.matches(&slot.published.version));
        let mut held = fits.clone().filter_map(|slot| Some((slot, slot.held.as_ref()?)));
        if let Some((held, why)) = held.next() {
            return Error::new(
                ErrorKind::PermissionDenied,
                format!("the skill is disabled: {why}"),
            )
            .with("skill", id)
            .with("version", held.number());
        }
        let retired = fits.clone().find_map(|slot| match &slot.stage {
            Stage::Retired { replacement } => Some((slot, replacement)),
            _ => None,
        });
        let Some((slot, replacement)) = retired else {
            let mut fits = fits;
            let back = fits.find_map(|slot| Some((slot, self.rolled_back(slot)?)));
            return match back {
                Some((slot, why)) => {
                    let hint = "this version of the skill was rolled back: ask for another one";
                    let error = missing(hint, id).with("version", slot.number());
                    error.with("because", why).with_public(hint)
                }
                None => missing("no version of the skill fits", id).with("range", range),
            };
        };
        let hint = match replacement {
            Some(other) => format!("this version of the skill is retired: use {other}"),
            None => "this version of the skill is retired".to_owned(),
        };
        missing(hint.clone(), id).with("version", slot.number()).with_public(hint)
    }
}

/// All skills, by id.
pub(super) type Table = BTreeMap<SkillId, Line>;

pub(super) fn missing(why: impl Into<std::borrow::Cow<'static, str>>, id: &SkillId) -> Error {
    Error::new(ErrorKind::NotFound, why).with("skill", id)
}
