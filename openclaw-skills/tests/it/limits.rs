//! What a call may weigh, held by typed skills and by `Checked` alike.

use openclaw_core::{
    Effect, ErrorKind, Happened,
    skill::{BrokenOutput, Skill, SkillLimits},
};
use openclaw_skills::{Checked, Schemas, SkillCx, skill_fn};
use openclaw_testkit::remote::{CountingRemote, RemoteKind, RemoteSkill};
use serde_json::{Value, json};

use crate::support::{manifest, pairs, run};

const LIMITS: fn() -> SkillLimits =
    || SkillLimits::default().input_bytes(20).output_bytes(40).depth(3);

/// Echoes its input twice, so that eleven bytes and more are too much output.
fn both(effect: Effect) -> [Box<dyn Skill>; 2] {
    let manifest = manifest(effect).limits(LIMITS());
    let twice = async |_: SkillCx, value: Value| Ok(json!([value, value]));
    let typed = skill_fn(manifest.clone(), twice).expect("a skill");
    let echo = |_: u64, payload: &Value| json!([payload, payload]);
    let remote = CountingRemote::new(RemoteKind::Unkeyed).answering(echo);
    let bare = RemoteSkill::new(manifest, remote);
    [Box::new(typed), Box::new(Checked::new(bare, &Schemas::new()).expect("a skill"))]
}

#[test]
fn input_at_the_limit_passes_and_one_byte_more_is_refused() {
    for skill in both(Effect::AtMostOnce) {
        assert!(skill.validate(&json!("x".repeat(18))).is_ok());
        let error = skill.validate(&json!("x".repeat(19))).expect_err("it is too long");
        assert_eq!((error.kind(), error.happened()), (ErrorKind::ValidationError, Happened::No));
        let problem = "longer than 20 bytes as JSON: shorten it, or split it";
        assert_eq!(pairs(&error), [("pointer", ""), ("problem", problem)]);
    }
}

#[test]
fn depth_is_a_limit_of_the_skill() {
    for skill in both(Effect::AtMostOnce) {
        assert!(skill.validate(&json!([[[1]]])).is_ok());
        assert!(skill.validate(&json!([[[[1]]]])).is_err());
    }
}

#[tokio::test]
async fn output_over_the_limit_says_that_the_effect_happened() {
    for (effect, happened) in [(Effect::AtMostOnce, Happened::Yes), (Effect::Pure, Happened::No)] {
        for skill in both(effect) {
            run(&skill, json!("x".repeat(16))).await.expect("39 bytes");
            let error = run(&skill, json!("x".repeat(18))).await.expect_err("43 bytes");
            let said = (error.kind(), error.happened());
            assert_eq!(said, (ErrorKind::ValidationError, happened), "{effect:?} {skill:?}");
            let kept = BrokenOutput::of(&error).expect("the output goes along");
            let judged = skill.validate_output(kept).expect_err("it is too long");
            assert_eq!((judged.kind(), pairs(&judged)), (error.kind(), pairs(&error)));
        }
    }
}

#[tokio::test]
async fn a_skill_that_is_called_without_its_stack_refuses_all_the_same() {
    for skill in both(Effect::AtMostOnce) {
        let error = run(&skill, json!("x".repeat(19))).await.expect_err("it is too long");
        assert_eq!(error.happened(), Happened::No);
    }
}
