//! An agent that words an argument differently at every attempt, as models do.

use async_trait::async_trait;
use openclaw_core::{
    AgentId, Env, Result,
    agent::{Agent, Answer, Turn},
};
use serde_json::{Value, json};

use super::ScriptedAgent;

/// A [`ScriptedAgent`] whose arguments are worded anew at every attempt.
///
/// The operation names stay the same: this is the agent that must not cause a second effect.
/// The first text of each call's arguments gets a new ending; arguments without a text get a
/// field `note`.
#[derive(Clone, Debug)]
pub struct RewordingAgent {
    script: ScriptedAgent,
    env: Env,
}

impl RewordingAgent {
    /// Plays this script in words that `env` decides.
    #[must_use]
    pub const fn new(script: ScriptedAgent, env: Env) -> Self {
        Self { script, env }
    }
}

#[async_trait]
impl Agent for RewordingAgent {
    fn id(&self) -> &AgentId {
        self.script.id()
    }

    async fn handle(&self, turn: Turn) -> Result<Answer> {
        let wording = format!("{:08x}", self.env.next_u64() >> 32);
        self.script.play(turn, |args| reword(args, &wording)).await
    }
}

/// The same arguments in other words.
pub(crate) fn reword(args: Value, wording: &str) -> Value {
    let mut args = args;
    match first_text(&mut args) {
        Some(text) => {
            text.push_str(" – or: ");
            text.push_str(wording);
        }
        None => match &mut args {
            Value::Object(fields) => {
                fields.insert("note".to_owned(), json!(wording));
            }
            other => *other = json!({ "was": other.clone(), "note": wording }),
        },
    }
    args
}

fn first_text(value: &mut Value) -> Option<&mut String> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(items) => items.iter_mut().find_map(first_text),
        Value::Object(fields) => fields.values_mut().find_map(first_text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_text_is_worded_anew() {
        let args = reword(json!({"n": 1, "why": ["late"]}), "x");
        assert_eq!(args, json!({"n": 1, "why": ["late – or: x"]}));
        assert_eq!(reword(json!({"n": 1}), "x"), json!({"n": 1, "note": "x"}));
        assert_eq!(reword(json!(7), "x"), json!({"was": 7, "note": "x"}));
    }
}
