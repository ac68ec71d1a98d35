//! Versions in the simulator: a small source over the records alone, and each flaw that a run sees.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use openclaw_core::{
    Call, Digest, Error, ErrorKind, Result, SkillId,
    channel::Reconcile,
    records::{EVERYBODY, Rollout, RolloutStep, Rollouts, Stage},
    skill::{RouteKey, Skill, SkillAnswer, SkillManifest, SkillSource},
};
use openclaw_testkit::sim::{Marks, Sim, Stand, Versions};
use serde_json::Value;

/// As many as meet each flaw.
const SEEDS: u64 = 12;

/// What a source does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// A process that starts lets everybody meet what was rolled back.
    Forgets,
    /// Another weight shuffles the routes anew.
    Reshuffles,
    /// A route meets a canary at every other call.
    Wavers,
    /// A retired version is met.
    Revives,
    /// A shadow has effects.
    ShadowsLive,
}

const FLAWS: [Flaw; 5] =
    [Flaw::Forgets, Flaw::Reshuffles, Flaw::Wavers, Flaw::Revives, Flaw::ShadowsLive];

/// Two versions of each skill, as the rollouts in the store say.
#[derive(Debug)]
struct Small {
    flaw: Option<Flaw>,
    rollouts: Rollouts,
    known: Arc<Mutex<BTreeMap<SkillId, Rollout>>>,
    calls: Mutex<u16>,
    active: BTreeMap<SkillId, Arc<dyn Skill>>,
    drafts: BTreeMap<SkillId, Arc<dyn Skill>>,
}

async fn open(stand: Stand, flaw: Option<Flaw>) -> Result<Arc<dyn Versions>> {
    let by_id = |skills: Vec<Arc<dyn Skill>>| -> BTreeMap<SkillId, Arc<dyn Skill>> {
        skills.into_iter().map(|skill| (skill.manifest().id.clone(), skill)).collect()
    };
    let (drafts, known) = (by_id(stand.drafts), Arc::default());
    let beside = |(id, skill): (SkillId, Arc<dyn Skill>)| {
        let shadow = drafts.get(&id).filter(|_| flaw == Some(Flaw::ShadowsLive)).cloned();
        let known = Arc::clone(&known);
        let skill: Arc<dyn Skill> = Arc::new(Beside { skill, shadow, known });
        (id, skill)
    };
    let active = by_id(stand.active).into_iter().map(beside).collect();
    let rollouts = Rollouts::new(stand.env, stand.store, stand.operators);
    let calls = Mutex::default();
    let small = Small { flaw, rollouts, known, calls, active, drafts };
    small.refresh().await?;
    if flaw == Some(Flaw::Forgets) {
        for rollout in small.known.lock().expect("no panic").values_mut() {
            let back = rollout.canary.as_mut().filter(|canary| canary.rolled_back.is_some());
            back.into_iter().for_each(|c| (c.weight, c.rolled_back) = (EVERYBODY, None));
        }
    }
    Ok(Arc::new(small))
}

impl Small {
    fn is_flawed(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// The bucket of a route: one that no weight moves.
    fn bucket(&self, skill: &SkillId, route: &RouteKey, weight: u16) -> u16 {
        let mut calls = self.calls.lock().expect("no panic");
        *calls = calls.wrapping_add(1);
        let salt = match self.flaw {
            Some(Flaw::Reshuffles) => weight,
            Some(Flaw::Wavers) => *calls,
            _ => 0,
        };
        let parts = [skill.as_str().as_bytes(), route.as_bytes(), &salt.to_be_bytes()];
        let digest = Digest::of("small", parts);
        let first = digest.as_bytes().first_chunk().copied().unwrap_or_default();
        u16::from_be_bytes(first) % EVERYBODY
    }

    /// Does a new call of this route meet this version?
    fn meets(&self, second: &SkillManifest, route: &RouteKey) -> bool {
        let rollout = self.rollout(&second.id);
        let stage = rollout.stages.get(&second.version);
        let retired = matches!(stage, Some(Stage::Retired { .. }));
        if retired {
            return self.is_flawed(Flaw::Revives);
        }
        match rollout.canary.filter(|canary| canary.version == second.version) {
            Some(canary) => self.bucket(&second.id, route, canary.weight) < canary.weight,
            None => matches!(stage, Some(Stage::Active | Stage::Deprecated { .. })),
        }
    }
}

impl SkillSource for Small {
    fn list(&self, route: &RouteKey) -> Vec<Arc<dyn Skill>> {
        self.active.keys().filter_map(|id| self.find(id, None, route).ok()).collect()
    }

    fn find(&self, id: &SkillId, _: Option<&str>, route: &RouteKey) -> Result<Arc<dyn Skill>> {
        let second = self.drafts.get(id).filter(|skill| self.meets(skill.manifest(), route));
        let found = second.or_else(|| self.active.get(id)).map(Arc::clone);
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such skill"))
    }

    fn exact(&self, id: &SkillId, version: &str) -> Option<Arc<dyn Skill>> {
        let both = [self.active.get(id), self.drafts.get(id)];
        both.into_iter().flatten().find(|skill| *skill.manifest().version == *version).cloned()
    }
}

#[async_trait]
impl Versions for Small {
    async fn apply(&self, skill: &SkillId, step: &RolloutStep, by: &str) -> Result<()> {
        let kept = self.rollouts.apply(skill, step, by).await?;
        self.known.lock().expect("no panic").insert(skill.clone(), kept);
        Ok(())
    }

    async fn refresh(&self) -> Result<()> {
        let all = self.rollouts.all().await?;
        self.known.lock().expect("no panic").extend(all);
        Ok(())
    }

    fn rollout(&self, skill: &SkillId) -> Rollout {
        self.known.lock().expect("no panic").get(skill).cloned().unwrap_or_default()
    }
}

/// A skill with a shadow that nobody keeps from anything.
#[derive(Debug)]
struct Beside {
    skill: Arc<dyn Skill>,
    shadow: Option<Arc<dyn Skill>>,
    known: Arc<Mutex<BTreeMap<SkillId, Rollout>>>,
}

#[async_trait]
impl Skill for Beside {
    fn manifest(&self) -> &SkillManifest {
        self.skill.manifest()
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        let outcome = self.skill.run(call.clone()).await;
        let cast = self.known.lock().expect("no panic").get(&self.manifest().id).cloned();
        if let (Some(shadow), Some(_)) = (&self.shadow, cast.and_then(|rollout| rollout.shadow)) {
            let (context, input) = (call.context().clone(), Arc::clone(call.payload()));
            drop(shadow.run(Call::skill(context, shadow.manifest(), input)).await);
        }
        outcome
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        self.skill.reconcile()
    }
}

fn sim(seed: u64, flaw: Option<Flaw>) -> Sim {
    Sim::new(seed).versions(move |stand| open(stand, flaw))
}

#[test]
fn a_source_over_the_records_alone_breaks_no_rule() {
    let marks = Marks::default();
    for seed in 0..SEEDS {
        let report = sim(seed, None).run();
        assert!(report.is_ok(), "{report}");
        marks.add(&report.marks);
    }
    // It rolls nothing back by itself, and has no shadows.
    let others = ["for its failures", "shadow"];
    let missed = Marks::of_versions().into_iter().filter(|mark| marks.count(mark) == 0);
    let missed: Vec<_> =
        missed.filter(|mark| !others.iter().any(|other| mark.contains(other))).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

#[test]
fn each_flaw_of_a_source_is_seen() {
    for flaw in FLAWS {
        let seen = (0..SEEDS).any(|seed| !sim(seed, Some(flaw)).run().is_ok());
        assert!(seen, "{flaw:?} is not seen");
    }
}

#[test]
fn a_run_with_versions_repeats_and_differs_from_one_without() {
    let (one, two) = (sim(4, None).run(), sim(4, None).run());
    assert_eq!(one.trace_hash, two.trace_hash);
    assert_ne!(one.trace_hash, Sim::new(4).run().trace_hash);
}
