//! Skill calls: named for ever, asked for in measure, and by turns that are wanted.

use std::collections::BTreeMap;

use openclaw_core::{ErrorKind, IdempotencyKey, MessageId, agent::Answer};
use serde_json::json;
use tokio::time::timeout;

use super::{
    Trial,
    port::{Asked, Mood},
    trial::Scene,
};
use crate::conformance::run::{abandon, beside, quotes};

/// What a turn asks for at these words; it must ask for something.
async fn asked(trial: &Trial<'_>, scene: &Scene) -> Vec<Asked> {
    let asked = trial.play(scene).await.asked;
    assert!(!asked.is_empty(), "no skill is called: {scene:?}");
    asked
}

/// The name of an operation makes a key: 1 to 64 letters, digits, dots and dashes.
pub async fn operations_have_lawful_names(trial: &Trial<'_>) {
    for words in trial.calling() {
        for Asked { operation, .. } in asked(trial, &Scene::new(words.as_str())).await {
            let key = IdempotencyKey::of(MessageId::from_u128(7), &operation);
            assert!(key.is_ok(), "{operation:?} names no operation");
        }
    }
}

/// Within a turn one operation name means one skill and one input.
pub async fn an_operation_is_asked_for_with_one_input(trial: &Trial<'_>) {
    for words in trial.calling() {
        let mut known: BTreeMap<String, Asked> = BTreeMap::new();
        for asked in asked(trial, &Scene::new(words.as_str())).await {
            let first = known.entry(asked.operation.clone()).or_insert_with(|| asked.clone());
            assert_eq!(*first, asked, "one operation name, two operations");
        }
    }
}

/// Only skills that there are are called.
pub async fn only_skills_that_exist_are_called(trial: &Trial<'_>) {
    for words in trial.calling() {
        for Asked { skill, .. } in asked(trial, &Scene::new(words.as_str())).await {
            assert!(trial.has_skill(&skill), "there is no skill {skill:?}");
        }
    }
}

/// A later attempt asks for the same operations with the same inputs, as far as it comes.
pub async fn a_later_attempt_asks_for_the_same(trial: &Trial<'_>) {
    for words in trial.calling() {
        let scene = Scene::new(words.as_str());
        let whole = asked(trial, &scene).await;
        let fails = scene.clone().mood(Mood::Fail(ErrorKind::Unavailable));
        let part = asked(trial, &fails).await;
        assert!(whole.starts_with(&part), "{part:?}, and in another attempt {whole:?}");
        for attempt in 2..=3 {
            let again = asked(trial, &scene.clone().attempt(attempt)).await;
            assert_eq!(again, whole, "attempt {attempt}, and the first one");
        }
    }
}

const KINDS: [ErrorKind; 8] = [
    ErrorKind::NotFound,
    ErrorKind::ValidationError,
    ErrorKind::Conflict,
    ErrorKind::Timeout,
    ErrorKind::Unavailable,
    ErrorKind::Overloaded,
    ErrorKind::ApprovalRequired,
    ErrorKind::Unsupported,
];

/// A call that fails, however it fails, leaves an answer or an error.
pub async fn a_failed_call_is_no_panic(trial: &Trial<'_>) {
    for words in trial.calling() {
        for kind in KINDS {
            drop(trial.play(&Scene::new(words.as_str()).mood(Mood::Fail(kind))).await);
        }
    }
}

/// A skill that goes on failing is not asked for ever: a turn comes to an end.
pub async fn a_failing_skill_is_not_asked_for_ever(trial: &Trial<'_>) {
    for words in trial.calling() {
        let scene = Scene::new(words.as_str()).mood(Mood::Fail(ErrorKind::Overloaded));
        let n = asked(trial, &scene).await.len();
        assert!(n <= 100, "{n} calls of skills that all fail");
    }
}

/// A skill that starts a job and answers later leaves an answer or an error.
pub async fn a_started_job_is_no_panic(trial: &Trial<'_>) {
    for words in trial.calling() {
        let scene = Scene::new(words.as_str()).mood(Mood::Job);
        drop(trial.play(&scene).await);
        drop(trial.play(&scene.resolution(json!({ "result": 1 }))).await);
    }
}

/// A turn that is never polled asks for nothing.
pub async fn a_turn_begins_when_it_is_polled(trial: &Trial<'_>) {
    for words in trial.words() {
        let (turn, port, _) = trial.open(trial.agent(), &Scene::new(words.as_str()));
        drop(trial.agent().handle(turn));
        trial.quiet().await;
        assert_eq!(port.asked(), [], "calls of a turn that nobody polled");
    }
}

/// A turn that is dropped, wherever it stands, asks for nothing more.
pub async fn a_dropped_turn_asks_for_nothing_more(trial: &Trial<'_>) {
    for words in trial.calling() {
        for polls in 1..=6 {
            let (turn, port, _) = trial.open(trial.agent(), &Scene::new(words.as_str()));
            drop(abandon(trial.agent().handle(turn), polls, trial.soon()).await);
            let before = port.asked();
            trial.quiet().await;
            assert_eq!(port.asked(), before, "calls of a turn that was dropped at poll {polls}");
        }
    }
}

/// A turn whose skill is silent holds up no other turn.
pub async fn a_silent_skill_holds_up_no_other_turn(trial: &Trial<'_>) {
    for words in trial.calling() {
        let scene = Scene::new(words.as_str());
        let silent = scene.clone().mood(Mood::Silence);
        let (turn, _port, _) = trial.open(trial.agent(), &silent);
        let other = async {
            tokio::time::sleep(trial.soon() / 20).await;
            let played = timeout(trial.soon() / 4, trial.play(&scene)).await;
            drop(played.expect("it waits for a turn whose skill is silent"));
        };
        beside(trial.agent().handle(turn), other).await;
    }
}

/// A suspended turn that comes back with what it waited for doesn't wait for the same again.
pub async fn a_suspended_turn_comes_back(trial: &Trial<'_>) {
    let scene = Scene::new(trial.suspending().as_str());
    let Ok(Answer::Suspended(waiting)) = trial.play(&scene).await.answer else {
        panic!("it does not suspend at {:?}", trial.suspending());
    };
    for value in [json!("yes"), json!({ "approved": true }), json!(null)] {
        let back = trial.play(&scene.clone().resolution(value)).await.answer;
        let same = matches!(&back, Ok(Answer::Suspended(again)) if *again == waiting);
        assert!(!same, "it came back, and waits for the same again: {waiting:?}");
    }
}

/// No error quotes what was said, or what the session keeps.
pub async fn errors_quote_no_words(trial: &Trial<'_>) {
    const SECRET: &str = "session-5f2c";
    for words in trial.calling() {
        for kind in KINDS {
            let scene = Scene::new(words.as_str()).session(json!({ "secret": SECRET }));
            let Err(e) = trial.play(&scene.mood(Mood::Fail(kind))).await.answer else { continue };
            let said = words.len() >= 8 && quotes(&e, &words);
            assert!(!said && !quotes(&e, SECRET), "it quotes the turn: {e:?}");
        }
    }
}
