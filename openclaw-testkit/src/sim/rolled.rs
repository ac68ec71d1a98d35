//! What an outsider knows of rollouts: what is durable, who has read it, and who met what.

use std::{collections::BTreeMap, sync::Arc};

use openclaw_core::{
    SkillId,
    records::{Canary, Rollout, Stage},
    skill::RouteKey,
};

use super::second::FIRST;

/// Whose rows and audit entries the rollouts of a run are.
pub(super) const OPERATORS: &str = "operators";

/// Why an operator rolls a canary back; any other reason is one that was counted.
pub(super) const BY_HAND: &str = "the run says so";

/// Everything that was written down about rollouts.
#[derive(Debug, Default)]
pub(super) struct Rolled {
    /// The rollouts of each skill as they were durable, in order, behind the one of the beginning.
    history: BTreeMap<SkillId, Vec<Rollout>>,
    /// The oldest of them that a process may go by, as it has read that one.
    floors: BTreeMap<(u32, SkillId), u64>,
    /// By skill, canary and route.
    bounds: BTreeMap<(SkillId, Arc<str>, RouteKey), Bounds>,
    /// How many canaries were rolled back, and how often anything else was changed.
    pub(super) rolled_back: usize,
    pub(super) changed: usize,
}

/// The least weight at which a route met a canary, and the most at which it did not.
#[derive(Debug, Default)]
struct Bounds {
    met: Option<u16>,
    missed: Option<u16>,
}

/// What a commit did to a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Changed,
    RolledBack(Arc<str>),
    /// It must not do that.
    Wrong(&'static str),
}

/// A new call, and the version that a process gives it.
#[derive(Debug)]
pub(super) struct Meeting<'a> {
    pub(super) process: u32,
    pub(super) skill: &'a SkillId,
    pub(super) route: &'a RouteKey,
    pub(super) version: &'a Arc<str>,
    /// The rollout as the process knows it.
    pub(super) known: &'a Rollout,
    /// Has the process every version?
    pub(super) complete: bool,
}

impl Rolled {
    /// The rollout of a skill is durable as this, by a commit of this process.
    pub(super) fn durable(&mut self, process: u32, skill: &SkillId, now: Rollout) -> Option<Turn> {
        let history = self.history.entry(skill.clone()).or_insert_with(|| vec![Rollout::default()]);
        let before = history.last().filter(|before| **before != now)?;
        let turn = turn(before, &now);
        let changes = now.changes;
        history.push(now);
        match &turn {
            Turn::RolledBack(why) => {
                self.rolled_back += 1;
                if **why != *BY_HAND {
                    // Whoever counted its failures has stopped before it told the store.
                    self.has_read(process, skill, changes);
                }
            }
            Turn::Changed | Turn::Wrong(_) => self.changed += 1,
        }
        Some(turn)
    }

    /// How often the rollout of a skill was changed so far.
    pub(super) fn changes(&self, skill: &SkillId) -> u64 {
        self.last(skill).map_or(0, |rollout| rollout.changes)
    }

    /// Is there a canary that was rolled back?
    pub(super) fn is_back(&self, skill: &SkillId) -> bool {
        self.last(skill).and_then(back).is_some()
    }

    fn last(&self, skill: &SkillId) -> Option<&Rollout> {
        self.history.get(skill)?.last()
    }

    /// A process knows the rollout of a skill as it was behind so many changes.
    pub(super) fn has_read(&mut self, process: u32, skill: &SkillId, changes: u64) {
        let floor = self.floors.entry((process, skill.clone())).or_default();
        *floor = changes.max(*floor);
    }

    /// A process gives a version to a new call: what is wrong with that.
    pub(super) fn met(&mut self, meeting: &Meeting<'_>) -> Vec<String> {
        let Meeting { process, skill, version, .. } = meeting;
        let mut wrong = Vec::new();
        if !self.may(meeting) {
            let floor = self.floors.get(&(*process, (*skill).clone()));
            wrong.push(format!(
                "process {process} gives {skill} {version} to a new call, and has read change \
                 {floor:?} of {:?}",
                self.last(skill)
            ));
        }
        wrong.extend(self.moved(meeting));
        wrong
    }

    /// Does a rollout that the process may go by let new calls meet this version?
    fn may(&self, meeting: &Meeting<'_>) -> bool {
        let Meeting { process, skill, version, .. } = meeting;
        let Some(history) = self.history.get(*skill) else {
            return lets(&Rollout::default(), version);
        };
        let floor = self.floors.get(&(*process, (*skill).clone())).copied().unwrap_or_default();
        history.iter().any(|rollout| rollout.changes >= floor && lets(rollout, version))
    }

    /// Which routes meet a canary follows from its weight, and a greater one moves nobody off.
    fn moved(&mut self, meeting: &Meeting<'_>) -> Option<String> {
        let Meeting { skill, route, version, known, complete, .. } = meeting;
        let canary = tried(known).filter(|_| *complete)?;
        let (name, weight) = (&canary.version, canary.weight);
        let key = ((*skill).clone(), Arc::clone(name), (*route).clone());
        let bounds = self.bounds.entry(key).or_default();
        let why = if name == *version {
            bounds.met = Some(bounds.met.map_or(weight, |met| met.min(weight)));
            bounds.missed.filter(|missed| *missed >= weight).map(|missed| ("does not", missed))
        } else {
            bounds.missed = Some(bounds.missed.map_or(weight, |missed| missed.max(weight)));
            bounds.met.filter(|met| *met <= weight).map(|met| ("does", met))
        };
        why.map(|(does, other)| {
            format!("a route gets {skill} {version} at weight {weight}, and {does} meet {name} at {other}")
        })
    }
}

/// The canary of a rollout, when somebody can meet it.
fn tried(rollout: &Rollout) -> Option<&Canary> {
    let retired =
        |version: &str| matches!(rollout.stages.get(version), Some(Stage::Retired { .. }));
    let canary = rollout.canary.as_ref()?;
    let open = canary.rolled_back.is_none() && canary.weight > 0 && !retired(&canary.version);
    open.then_some(canary)
}

/// Which canary was rolled back, and why.
fn back(rollout: &Rollout) -> Option<(&Arc<str>, &Arc<str>)> {
    let canary = rollout.canary.as_ref()?;
    Some((&canary.version, canary.rolled_back.as_ref()?))
}

/// Does a rollout let new calls meet this version?
pub(super) fn lets(rollout: &Rollout, version: &str) -> bool {
    if rollout.canary.as_ref().is_some_and(|canary| *canary.version == *version) {
        return tried(rollout).is_some();
    }
    match rollout.stages.get(version) {
        None => version == FIRST,
        Some(stage) => matches!(stage, Stage::Active | Stage::Deprecated { .. }),
    }
}

fn turn(before: &Rollout, now: &Rollout) -> Turn {
    let mut same = now.clone();
    same.changes = before.changes;
    if same == *before {
        return Turn::Wrong("was committed and changes nothing");
    }
    match (back(before), back(now)) {
        (None, Some((_, why))) => Turn::RolledBack(Arc::clone(why)),
        (Some((one, why)), Some((other, because))) if one == other && why != because => {
            Turn::Wrong("is rolled back twice")
        }
        (Some((version, _)), None) if undoes(before, now, version) => {
            Turn::Wrong("is met again behind its roll-back")
        }
        _ => Turn::Changed,
    }
}

/// Is a version met again that was rolled back, and nobody has cleared its trial before?
fn undoes(before: &Rollout, now: &Rollout, version: &Arc<str>) -> bool {
    let stage = |rollout: &Rollout| rollout.stages.get(version).cloned();
    let promoted = stage(before) != stage(now) && stage(now) == Some(Stage::Active);
    promoted || now.canary.as_ref().is_some_and(|canary| canary.version == *version)
}

#[cfg(test)]
mod tests {
    use openclaw_core::records::RolloutStep;

    use super::*;
    use crate::sim::second::SECOND;

    fn canary(weight: u16) -> RolloutStep {
        RolloutStep::Canary { version: SECOND.into(), weight }
    }

    fn failed(why: &str) -> RolloutStep {
        RolloutStep::RollBack { version: SECOND.into(), why: why.into() }
    }

    fn after(steps: &[RolloutStep]) -> Rollout {
        let step = |rollout: Rollout, step| rollout.after(step).unwrap().unwrap();
        steps.iter().fold(Rollout::default(), step)
    }

    fn pay() -> SkillId {
        SkillId::new("pay").unwrap()
    }

    /// What is wrong when these processes meet these versions of a canary of these weights.
    fn meet(rolled: &mut Rolled, process: u32, version: &str, known: &Rollout) -> Vec<String> {
        let (skill, route, version) = (pay(), RouteKey::new("one"), version.into());
        let (skill, route, version) = (&skill, &route, &version);
        rolled.met(&Meeting { process, skill, route, version, known, complete: true })
    }

    #[test]
    fn a_process_goes_by_what_it_has_read_or_by_something_newer() {
        let mut rolled = Rolled::default();
        let (tried, back) = (after(&[canary(10_000)]), after(&[canary(10_000), failed(BY_HAND)]));
        rolled.durable(1, &pay(), tried.clone());
        assert!(meet(&mut rolled, 1, SECOND, &tried).is_empty());
        assert!(meet(&mut rolled, 2, FIRST, &Rollout::default()).is_empty(), "it has read nothing");
        rolled.durable(1, &pay(), back.clone());
        assert!(meet(&mut rolled, 1, SECOND, &tried).is_empty(), "it may not know");
        let changes = rolled.changes(&pay());
        rolled.has_read(2, &pay(), changes);
        assert_eq!(meet(&mut rolled, 2, SECOND, &back).len(), 1, "it knows");
    }

    #[test]
    fn a_process_that_rolls_back_by_itself_knows_at_once() {
        let mut rolled = Rolled::default();
        let tried = after(&[canary(10_000)]);
        rolled.durable(1, &pay(), tried.clone());
        rolled.durable(1, &pay(), after(&[canary(10_000), failed("9 of 9 calls failed")]));
        assert_eq!(meet(&mut rolled, 1, SECOND, &tried).len(), 1);
        assert_eq!((rolled.rolled_back, rolled.changed), (1, 1));
    }

    #[test]
    fn a_route_is_sticky_and_stays_when_the_weight_grows() {
        for (first, version, second, fits) in [
            ((500, SECOND), SECOND, 5_000, true),
            ((500, SECOND), FIRST, 5_000, false),
            ((500, SECOND), FIRST, 500, false),
            ((500, SECOND), FIRST, 400, true),
            ((500, FIRST), SECOND, 500, false),
            ((500, FIRST), SECOND, 5_000, true),
            ((500, FIRST), FIRST, 5_000, true),
            ((500, FIRST), SECOND, 400, false),
        ] {
            let mut rolled = Rolled::default();
            let (one, two) = (after(&[canary(first.0)]), after(&[canary(second)]));
            rolled.durable(1, &pay(), one.clone());
            assert!(meet(&mut rolled, 1, first.1, &one).is_empty());
            let wrong = meet(&mut rolled, 1, version, &two);
            assert_eq!(wrong.is_empty(), fits, "{first:?}, {version} at {second}: {wrong:?}");
        }
    }

    #[test]
    fn a_roll_back_is_made_once_and_not_undone() {
        let tried = after(&[canary(500)]);
        let back = after(&[canary(500), failed("one")]);
        let mut again = after(&[canary(500), failed("two")]);
        again.changes = 3;
        let mut nothing = back.clone();
        nothing.changes = 3;
        assert_eq!(turn(&tried, &back), Turn::RolledBack("one".into()));
        assert_eq!(
            turn(&back, &after(&[canary(500), failed("one"), RolloutStep::Clear])),
            Turn::Changed
        );
        for wrong in [again, nothing, tried] {
            assert!(matches!(turn(&back, &wrong), Turn::Wrong(_)), "{wrong:?}");
        }
    }
}
