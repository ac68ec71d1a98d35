//! Expectations, and whether they came true.

use std::fmt;

use openclaw_core::{ErrorKind, gateway::MessageState};
use serde_json::Value;

use super::{Heard, SkillCall, line, transcript::masked};

/// Something that has to come true.
#[derive(Debug)]
pub(super) enum Expect {
    Reply(Wanted),
    Skill {
        name: String,
        input: Option<Value>,
        result: Option<String>,
    },
    NoSkill,
    NoReply,
    Nothing,
    Suspended,
    Refused(ErrorKind),
    DeadLetter,
    Parked,
    Because(String),
    Crash,
    /// The test itself is wrong.
    Misused(String),
}

/// The reply that has to come.
pub(super) enum Wanted {
    Text(String),
    /// Ids and dates apart.
    Masked(String),
    Containing(String),
    OneOf(Vec<String>),
    That(Box<dyn Fn(&str) -> bool + Send + Sync>),
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Masked(text) => write!(f, "the reply {text:?}"),
            Self::Containing(text) => write!(f, "a reply that contains {text:?}"),
            Self::OneOf(texts) => write!(f, "one of the replies {texts:?}"),
            Self::That(_) => f.write_str("a reply that fulfils the test's condition"),
        }
    }
}

impl Wanted {
    fn fits(&self, reply: &str) -> bool {
        match self {
            Self::Text(text) => reply == text,
            Self::Masked(text) => masked(reply) == masked(text),
            Self::Containing(text) => reply.contains(text.as_str()),
            Self::OneOf(texts) => texts.iter().any(|text| reply == text),
            Self::That(holds) => holds(reply),
        }
    }
}

/// What did not come true, in words; empty when all is well.
///
/// `lenient` lets every end pass that no expectation names.
pub(super) fn check(expects: &[Expect], heard: &Heard, lenient: bool) -> Vec<String> {
    let mut problems = Vec::new();
    let mut replies = heard.replies.iter();
    let mut skills = heard.skills.iter();
    let mut counted = false;
    for expect in expects {
        let problem = match expect {
            Expect::Reply(wanted) => {
                counted = true;
                missing_reply(wanted, replies.next())
            }
            Expect::Skill { name, input, result } => {
                let is_it = |call: &SkillCall| {
                    call.skill == *name
                        && input.as_ref().is_none_or(|part| contains(&call.input, part))
                        && result
                            .as_ref()
                            .is_none_or(|text| masked(text) == masked(&line::result(&call.state)))
                };
                (!skills.any(is_it)).then(|| missing_skill(name, input.as_ref(), result.as_ref()))
            }
            other => wrong_end(other, heard),
        };
        problems.extend(problem);
    }
    let more = replies.len();
    if counted && more > 0 && problems.is_empty() {
        problems.push(format!("expected no further reply, but {more} more came"));
    }
    if !lenient {
        problems.extend(unexpected_end(expects, heard));
    }
    problems
}

fn missing_reply(wanted: &Wanted, reply: Option<&String>) -> Option<String> {
    match reply {
        Some(reply) if wanted.fits(reply) => None,
        Some(reply) => Some(format!("expected {wanted}, but the reply was {reply:?}")),
        None => Some(format!("expected {wanted}, but no reply came")),
    }
}

fn missing_skill(name: &str, input: Option<&Value>, result: Option<&String>) -> String {
    let mut text = format!("expected a call of the skill {name}");
    if let Some(input) = input {
        text.push_str(&format!(" with {input}"));
    }
    if let Some(result) = result {
        text.push_str(&format!(" that came to {result}"));
    }
    text + ", but there was none (in this order)"
}

fn wrong_end(expect: &Expect, heard: &Heard) -> Option<String> {
    let is = |state: MessageState| heard.state == Some(state);
    let (wrong, text) = match expect {
        Expect::NoSkill => (!heard.skills.is_empty(), "no skill call".to_owned()),
        Expect::NoReply => (!heard.replies.is_empty(), "no reply".to_owned()),
        Expect::Nothing => (
            !heard.replies.is_empty() || !heard.skills.is_empty() || is(MessageState::Waiting),
            "nothing: no reply, no skill call, no suspension".to_owned(),
        ),
        Expect::Suspended => (!is(MessageState::Waiting), "a suspended turn".to_owned()),
        Expect::Refused(kind) => (heard.refused() != Some(*kind), format!("a refusal ({kind})")),
        Expect::DeadLetter => (!is(MessageState::Dead), "a dead letter".to_owned()),
        Expect::Parked => (!is(MessageState::Parked), "a parked message".to_owned()),
        Expect::Because(text) => (
            !heard.reason.as_ref().is_some_and(|reason| masked(reason).contains(text.as_str())),
            format!("a dead or parked letter because of {text:?}"),
        ),
        Expect::Crash => (!heard.crashed, "a crash".to_owned()),
        Expect::Misused(why) => return Some(format!("the test is wrong: {why}")),
        Expect::Reply(_) | Expect::Skill { .. } => return None,
    };
    wrong.then(|| format!("expected {text}"))
}

/// A bad end that no expectation names is a problem of its own.
fn unexpected_end(expects: &[Expect], heard: &Heard) -> Option<String> {
    let (end, named) = if heard.crashed {
        ("a crash", expects.iter().any(|e| matches!(e, Expect::Crash)))
    } else if heard.refused().is_some() {
        ("a refusal", expects.iter().any(|e| matches!(e, Expect::Refused(_))))
    } else {
        match heard.state {
            Some(MessageState::Dead) => {
                ("a dead letter", expects.iter().any(|e| matches!(e, Expect::DeadLetter)))
            }
            Some(MessageState::Parked) => {
                ("a parked message", expects.iter().any(|e| matches!(e, Expect::Parked)))
            }
            _ => return None,
        }
    };
    (!named).then(|| format!("{end} came, and no expectation names it"))
}

/// Is every field of `part` in `whole`, at any depth? Arrays have to be equal in length.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(name, part)| whole.get(name).is_some_and(|whole| contains(whole, part))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(w, p)| contains(w, p))
        }
        _ => whole == part,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_part_is_found_at_any_depth_and_nothing_else() {
        let whole = json!({"order": {"id": 7, "lines": [1, {"a": 1, "b": 2}]}, "why": "late"});
        assert!(contains(&whole, &json!({})));
        assert!(contains(&whole, &json!({"order": {"lines": [1, {"b": 2}]}})));
        assert!(!contains(&whole, &json!({"order": {"id": 8}})));
        assert!(!contains(&whole, &json!({"order": {"lines": [1]}})));
        assert!(!contains(&whole, &json!({"who": null})));
    }
}
