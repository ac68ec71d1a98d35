//! A law must be able to fail: each flaw of a source of skills is caught by the laws that name it.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use openclaw_core::{
    Effect, SkillId,
    skill::{Skill, SkillSource},
};
use openclaw_testkit::{
    conformance::skill_source::{LAWS, SkillSourceHarness, check, check_all},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};

use crate::{
    broken::{Caught, every_flaw_is_caught, every_law_catches_a_flaw, holds},
    naive_source::Flaw,
};

const CAUGHT: &Caught<Flaw> = &[
    (Flaw::Blocks, &["a_look_up_waits_for_nobody"]),
    (Flaw::CountsLookUps, &["a_route_meets_the_same_version_again"]),
    (Flaw::ExactForgets, &["a_call_ends_with_the_version_that_began_it"]),
    (Flaw::ExactForgetsTheTried, &["what_is_met_is_found_exactly"]),
    (
        Flaw::ExactIsNewest,
        &["exactly_one_version_is_found_or_none", "what_is_met_is_found_exactly"],
    ),
    (Flaw::FindsAnyNumber, &["what_is_not_there_is_not_found"]),
    (Flaw::HidesWhatItFinds, &["what_is_found_is_listed"]),
    (Flaw::HookStaysBehind, &["a_declared_hook_comes_along"]),
    (Flaw::ListsBackwards, &["a_list_is_in_the_order_of_ids"]),
    (Flaw::ListsTheNewest, &["what_is_listed_is_what_is_found", "what_is_found_is_listed"]),
    (
        Flaw::ListsWhatIsOver,
        &["a_list_is_in_the_order_of_ids", "new_calls_do_not_meet_what_is_over"],
    ),
    (Flaw::MissingIsABreakdown, &["what_is_not_there_is_not_found", "odd_versions_are_answered"]),
    (Flaw::MissingIsDoubtful, &["what_is_not_there_is_not_found"]),
    (Flaw::NumbersAreMinimums, &["the_version_that_was_asked_for_is_found"]),
    (Flaw::OddIsAPanic, &["odd_versions_are_answered"]),
    (Flaw::OverIsMet, &["new_calls_do_not_meet_what_is_over"]),
    (Flaw::ThreadsDiffer, &["threads_meet_the_same_version"]),
    (Flaw::UnreadableIsMissing, &["what_is_no_version_is_a_validation_error"]),
];

#[test]
fn a_source_without_a_flaw_holds_every_law() {
    assert_eq!(check_all(&Flaw::None).held.len(), LAWS.len());
}

#[test]
fn every_flaw_is_caught_by_the_laws_that_name_it() {
    every_flaw_is_caught(CAUGHT, |law, flaw| holds(|| check(law, &flaw)));
}

#[test]
fn every_law_is_named_by_a_flaw() {
    every_law_catches_a_flaw(CAUGHT, LAWS.iter().map(|law| law.name()));
}

/// A map of skills, and how it is held.
struct Map(fn(Skills) -> Box<dyn SkillSource>);

type Skills = BTreeMap<SkillId, Arc<dyn Skill>>;

#[async_trait]
impl SkillSourceHarness for Map {
    async fn fresh(&self) -> Box<dyn SkillSource> {
        let effects =
            [("look", Effect::Pure), ("pay", Effect::Reconcilable), ("a", Effect::AtMostOnce)];
        let skills = effects.map(|(name, effect)| {
            let remote = CountingRemote::new(RemoteKind::Unkeyed);
            let skill = RemoteSkill::named(name, effect, remote).expect("a name");
            (skill.manifest().id.clone(), Arc::new(skill) as Arc<dyn Skill>)
        });
        (self.0)(BTreeMap::from(skills))
    }
}

mod map {
    openclaw_testkit::skill_source_laws!("BTreeMap of skills", super::Map(|map| Box::new(map)));
}

mod arc {
    use std::sync::Arc;

    openclaw_testkit::skill_source_laws!(
        "Arc<BTreeMap of skills>",
        super::Map(|map| Box::new(Arc::new(map)))
    );
}

mod boxed {
    use openclaw_core::skill::SkillSource;

    openclaw_testkit::skill_source_laws!(
        "Box<dyn SkillSource>",
        super::Map(|map| Box::new(Box::new(map) as Box<dyn SkillSource>))
    );
}
