//! Answers: one for each turn, whatever was said.

use bytes::Bytes;
use openclaw_core::Content;
use serde_json::{Value, json};

use super::{Trial, trial::Scene};
use crate::conformance::run::together;

/// The id is a fact: it never changes.
pub async fn an_id_never_changes(trial: &Trial<'_>) {
    let before = trial.agent().id().clone();
    assert_eq!(trial.agent().id(), &before, "asked twice in a row");
    for words in trial.words() {
        drop(trial.play(&Scene::new(words.as_str())).await);
        assert_eq!(trial.agent().id(), &before, "behind a turn");
    }
}

/// What it has an answer to is answered.
pub async fn an_agent_answers(trial: &Trial<'_>) {
    for words in trial.words() {
        let played = trial.play(&Scene::new(words.as_str())).await;
        drop(played.answer.unwrap_or_else(|e| panic!("no answer to {words:?}: {e:?}")));
    }
}

/// Whatever is said, a turn ends: with an answer or an error.
pub async fn odd_words_are_no_panic(trial: &Trial<'_>) {
    let media = |data: &'static [u8]| Content::Bytes {
        media_type: "image/png".into(),
        data: Bytes::from_static(data),
    };
    let odd = [
        Content::text(""),
        Content::text(" \t\n"),
        Content::text("\u{0}"),
        Content::text("\u{202e}👩‍👩‍👧e\u{301}\u{feff}"),
        Content::text("{} {0} {text} {turn} %s ${x} `id` '; --"),
        Content::text("word ".repeat(200_000)),
        Content::json(Value::Null),
        Content::json(json!({ "text": [1, { "deep": null }] })),
        media(b"\x89PNG"),
        media(b""),
        Content::Parts([Content::text("one"), media(b"x")].into()),
        Content::Parts([].into()),
    ];
    for content in odd {
        drop(trial.play(&Scene::new(content)).await);
    }
}

/// Whatever the session holds, a turn ends: an older program may have written it.
pub async fn odd_sessions_are_no_panic(trial: &Trial<'_>) {
    let odd = [
        json!(false),
        json!(-1),
        json!("text"),
        json!([]),
        json!({}),
        json!({ "turns": "many", "memory": null }),
        json!({ "turns": -1 }),
        json!([[["deep"]], null]),
    ];
    for words in trial.words() {
        for session in &odd {
            drop(trial.play(&Scene::new(words.as_str()).session(session.clone())).await);
        }
    }
}

/// The same turn has the same answer, asks for the same and keeps the same.
pub async fn the_same_turn_has_the_same_answer(trial: &Trial<'_>) {
    for words in trial.words() {
        let scene = Scene::new(words.as_str());
        let first = trial.play(&scene).await.facts();
        for _ in 0..3 {
            assert_eq!(trial.play(&scene).await.facts(), first, "the answer to {words:?}");
        }
    }
}

/// Turns side by side are answered as each of them alone.
pub async fn turns_side_by_side_keep_their_answers(trial: &Trial<'_>) {
    let scenes: Vec<Scene> = trial.words().iter().map(|words| Scene::new(words.as_str())).collect();
    let mut alone = Vec::new();
    for scene in &scenes {
        alone.push(trial.play_by(&*trial.another().await, scene).await.facts());
    }
    for _ in 0..3 {
        let played = together(scenes.iter().map(|scene| trial.play(scene))).await;
        let played: Vec<String> = played.iter().map(super::trial::Played::facts).collect();
        assert_eq!(played, alone, "side by side, and alone");
    }
}

/// What an agent remembers of a conversation is in its session: another one goes on from it.
pub async fn memory_lives_in_the_session(trial: &Trial<'_>) {
    let mut session = Value::Null;
    for words in trial.words().iter().cycle().take(6) {
        let scene = Scene::new(words.as_str()).session(session);
        let played = trial.play(&scene).await;
        let other = trial.play_by(&*trial.another().await, &scene).await;
        assert_eq!(other.facts(), played.facts(), "a new agent, and the one that was there");
        session = played.session;
    }
}
