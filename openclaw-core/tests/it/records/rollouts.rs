//! A version that failed its trial is met by nobody unasked, whatever is done next.

use openclaw_core::{
    ErrorKind, Timestamp,
    records::{Rollout, RolloutStep, Stage},
};

fn canary(version: &str, weight: u16) -> RolloutStep {
    RolloutStep::Canary { version: version.into(), weight }
}

fn stage(version: &str, stage: Stage) -> RolloutStep {
    RolloutStep::Stage { version: version.into(), stage }
}

fn after(rollout: &Rollout, step: &RolloutStep) -> Rollout {
    rollout.after(step).expect("it is allowed").expect("it changes something")
}

/// 1.1.0 stands active, was tried, and failed.
fn rolled_back() -> Rollout {
    let active = after(&Rollout::default(), &stage("1.1.0", Stage::Active));
    let tried = after(&active, &canary("1.1.0", 500));
    after(&tried, &RolloutStep::RollBack { version: "1.1.0".into(), why: "it fails".into() })
}

#[test]
fn another_trial_does_not_bring_it_back() {
    let next = after(&rolled_back(), &canary("1.2.0", 100));
    assert_eq!(next.stages.get("1.1.0"), Some(&Stage::Draft));
    assert_eq!(next.canary.map(|canary| canary.version), Some("1.2.0".into()));
}

#[test]
fn cleared_it_is_a_draft_that_may_be_tried_again() {
    let next = after(&rolled_back(), &RolloutStep::Clear);
    assert_eq!((next.canary.as_ref(), next.stages.get("1.1.0")), (None, Some(&Stage::Draft)));
    let again = after(&next, &canary("1.1.0", 100));
    assert!(again.canary.is_some_and(|canary| canary.rolled_back.is_none()));
}

#[test]
fn a_trial_that_is_given_up_makes_nobody_meet_its_version() {
    let tried = after(&Rollout::default(), &canary("1.1.0", 500));
    let next = after(&tried, &RolloutStep::Clear);
    assert_eq!(next.stages.get("1.1.0"), Some(&Stage::Draft));
}

#[test]
fn it_is_neither_promoted_nor_deprecated_before_it_is_cleared() {
    let deprecated =
        Stage::Deprecated { since: Timestamp::default(), sunset: None, replacement: None };
    for open in [Stage::Active, deprecated] {
        let e = rolled_back().after(&stage("1.1.0", open)).expect_err("it was rolled back");
        assert_eq!(e.kind(), ErrorKind::Conflict);
    }
}

#[test]
fn what_is_retired_stays_so() {
    let retired = Stage::Retired { replacement: None };
    let next = after(&rolled_back(), &stage("1.1.0", retired.clone()));
    assert_eq!((next.canary.as_ref(), next.stages.get("1.1.0")), (None, Some(&retired)));
}
