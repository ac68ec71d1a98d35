//! Hooks: what they may refuse, what they hear, and what their own failures mean.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{
    Call, Effect, Error, ErrorKind, Happened, Result,
    skill::{Skill, SkillAnswer},
};
use openclaw_skills::{Hook, Hooked, SkillCx, skill_fn};
use serde_json::{Value, json};

use crate::support::{manifest, run};

/// How a hook behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Fine,
    Fails,
    Panics,
    Hangs,
}

impl Manner {
    async fn behave(self) -> Result<()> {
        match self {
            Self::Fine => Ok(()),
            Self::Fails => Err(Error::new(ErrorKind::Unavailable, "the hook fails")),
            Self::Panics => unreachable!("a hook that panics"),
            Self::Hangs => std::future::pending().await,
        }
    }
}

#[derive(Debug)]
struct Watch {
    before: Manner,
    after: Manner,
    heard: Mutex<Vec<Result<Value, ErrorKind>>>,
}

impl Watch {
    fn new(before: Manner, after: Manner) -> Self {
        Self { before, after, heard: Mutex::default() }
    }

    fn heard(&self) -> Vec<Result<Value, ErrorKind>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Hook for Watch {
    async fn before(&self, _: &Call<Arc<Value>>) -> Result<()> {
        self.before.behave().await
    }

    async fn after(
        &self,
        _: &Call<Arc<Value>>,
        outcome: Result<&SkillAnswer, &Error>,
    ) -> Result<()> {
        let seen = match outcome {
            Ok(SkillAnswer::Done(output)) => Ok((**output).clone()),
            Ok(SkillAnswer::Pending(_)) => Ok(Value::Null),
            Err(e) => Err(e.kind()),
        };
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        self.after.behave().await
    }
}

/// A skill that doubles its input, and fails at zero; and how often it has run.
fn doubling(watch: Watch) -> (Hooked<impl Skill, Watch>, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let double = move |_: SkillCx, n: u32| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            match n {
                0 => Err(Error::new(ErrorKind::Conflict, "nothing to double")),
                n => Ok(n * 2),
            }
        }
    };
    let skill = skill_fn(manifest(Effect::AtMostOnce), double).expect("a skill");
    (Hooked::new(skill, watch).limit(Duration::from_secs(1)), runs)
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_panics_or_hangs_before_a_call_refuses_it() {
    for (manner, kind) in [
        (Manner::Fails, ErrorKind::Unavailable),
        (Manner::Panics, ErrorKind::Unclassified),
        (Manner::Hangs, ErrorKind::Timeout),
    ] {
        let (skill, runs) = doubling(Watch::new(manner, Manner::Fine));
        let error = run(&skill, json!(7)).await.expect_err("it is refused");
        assert_eq!((error.kind(), error.happened()), (kind, Happened::No), "{manner:?}");
        assert_eq!(runs.load(Ordering::Relaxed), 0, "{manner:?}");
        assert_eq!(skill.hook().heard(), [], "no outcome of a call that was not made");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_panics_or_hangs_after_a_call_changes_nothing_and_is_counted() {
    for (manner, missed) in
        [(Manner::Fine, 0), (Manner::Fails, 1), (Manner::Panics, 1), (Manner::Hangs, 1)]
    {
        let (skill, _) = doubling(Watch::new(Manner::Fine, manner));
        let answer = run(&skill, json!(7)).await.expect("it runs");
        assert_eq!(answer, SkillAnswer::done(json!(14)), "{manner:?}");
        assert_eq!(skill.missed(), missed, "{manner:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_hears_answers_and_errors() {
    let (skill, _) = doubling(Watch::new(Manner::Fine, Manner::Fine));
    run(&skill, json!(7)).await.expect("it runs");
    run(&skill, json!(0)).await.expect_err("it fails");
    run(&skill, json!("seven")).await.expect_err("no number");
    let heard = skill.hook().heard();
    assert_eq!(heard, [Ok(json!(14)), Err(ErrorKind::Conflict), Err(ErrorKind::ValidationError)]);
}

#[tokio::test(start_paused = true)]
async fn hooks_around_hooks_let_a_call_through_together() {
    let (inner, runs) = doubling(Watch::new(Manner::Fails, Manner::Fine));
    let outer = Hooked::new(inner, Watch::new(Manner::Fine, Manner::Fine));
    run(&outer, json!(7)).await.expect_err("the inner one refuses");
    assert_eq!(outer.hook().heard(), [Err(ErrorKind::Unavailable)]);
    assert_eq!(runs.load(Ordering::Relaxed), 0);
}

#[test]
fn validation_passes_a_hook_by() {
    let (skill, _) = doubling(Watch::new(Manner::Fails, Manner::Fails));
    assert!(skill.validate(&json!(7)).is_ok());
    assert!(skill.validate(&json!("seven")).is_err());
}
