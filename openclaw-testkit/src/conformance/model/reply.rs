//! A call and its reply: one request, and nothing lost either way.

use std::sync::Arc;

use openclaw_core::model::{ModelReply, Prompt, PromptMessage, Role, Stop, Tool, ToolCall, Usage};
use serde_json::json;

use super::{
    Meets, Trial,
    trial::{WORDS, says},
};
use crate::conformance::run::together;

/// The id is a fact: it never changes.
pub async fn an_id_never_changes(trial: &Trial<'_>) {
    let before = trial.model().id().clone();
    trial.complete(says("hello")).await.expect("a reply");
    assert_eq!((trial.model().id(), trial.model().id()), (&before, &before));
}

/// A call is one request, completed or streamed.
pub async fn a_call_is_one_request(trial: &Trial<'_>) {
    trial.complete(says("one")).await.expect("a reply");
    trial.quiet().await;
    assert_eq!(trial.requests().await, 1, "requests of `complete`");
    trial.stream(says("two")).await.expect("a reply");
    trial.quiet().await;
    assert_eq!(trial.requests().await, 2, "requests of `complete` and `stream`");
}

/// The provider reads the prompt that was given: every message, call, result, tool and limit.
pub async fn a_prompt_arrives_whole(trial: &Trial<'_>) {
    let mut asks = PromptMessage::new(Role::Assistant, "I look it up.");
    asks.calls = vec![ToolCall::new("call-1", "order.lookup", json!({ "order": [1, null, "ü"] }))];
    let mut found = PromptMessage::new(Role::Tool, "{\"state\":\"shipped\"}");
    found.answers = Some("call-1".into());
    let mut prompt = says(WORDS);
    prompt.messages.extend([asks, found, PromptMessage::new(Role::User, "And now?")]);
    let schema = json!({ "type": "object", "properties": { "order": { "type": "string" } } });
    prompt.tools = vec![Tool::new("order.lookup", "Finds an order", Arc::new(schema))];
    prompt.max_output = Some(77);
    trial.complete(prompt.clone()).await.expect("a reply");
    trial.stream(prompt.clone()).await.expect("a reply");
    let prompts: Vec<Prompt> = trial.prompts().await;
    assert_eq!(prompts, [prompt.clone(), prompt], "what the provider read");
}

/// Words come back letter by letter; no words are words too.
pub async fn words_come_back_unchanged(trial: &Trial<'_>) {
    for words in [WORDS, "", " ", "\n"] {
        trial.meets(Meets::Answer(ModelReply::text(words))).await;
        assert_eq!(trial.complete(says("hello")).await.expect("a reply").text, words);
    }
}

/// The tools that a model asks for come back with ids, names and arguments, in order.
pub async fn tool_calls_come_back_unchanged(trial: &Trial<'_>) {
    let mut reply = ModelReply::text("Let me see.");
    reply.stop = Stop::Tools;
    reply.calls = vec![
        ToolCall::new(
            "call-1",
            "order.lookup",
            json!({ "order": "1042", "deep": [{ "a": null }] }),
        ),
        ToolCall::new("call-2", "order.lookup", json!({})),
    ];
    trial.meets(Meets::Answer(reply.clone())).await;
    assert_eq!(trial.complete(says("hello")).await.expect("a reply").calls, reply.calls);
    trial.meets(Meets::Answer(reply.clone())).await;
    assert_eq!(trial.stream(says("hello")).await.expect("a reply").1.calls, reply.calls);
}

/// The reason why it stopped comes back.
pub async fn why_it_stopped_comes_back(trial: &Trial<'_>) {
    for stop in [Stop::End, Stop::Length, Stop::Filtered] {
        let mut reply = ModelReply::text("so far");
        reply.stop = stop;
        trial.meets(Meets::Answer(reply)).await;
        assert_eq!(trial.complete(says("hello")).await.expect("a reply").stop, stop);
    }
}

/// The tokens of a call are counted, streamed or not.
pub async fn tokens_are_counted(trial: &Trial<'_>) {
    let mut usage = Usage::default();
    (usage.input, usage.cached, usage.output) = (1_000, 900, 5);
    let mut reply = ModelReply::text("It is five.");
    reply.usage = usage;
    trial.meets(Meets::Answer(reply.clone())).await;
    assert_eq!(trial.complete(says("hello")).await.expect("a reply").usage, usage);
    trial.meets(Meets::Answer(reply)).await;
    assert_eq!(trial.stream(says("hello")).await.expect("a reply").1.usage, usage);
}

/// Calls side by side get their own replies.
pub async fn calls_side_by_side_keep_their_replies(trial: &Trial<'_>) {
    let words: Vec<String> = (0..16).map(|n| format!("words {n}.")).collect();
    let replies = together(words.iter().map(|words| trial.complete(says(words)))).await;
    let streams = together(words.iter().map(|words| trial.stream(says(words)))).await;
    for (n, words) in words.iter().enumerate() {
        assert_eq!(&replies[n].as_ref().expect("a reply").text, words, "completed");
        assert_eq!(&streams[n].as_ref().expect("a reply").1.text, words, "streamed");
    }
}
