//! A scenario as a text file: what is said, what has to come, and what breaks.

use std::{fs, path::Path, time::Duration};

use openclaw_core::{Error, ErrorKind, OrFail, Result};
use serde_json::Value;

use super::{Heard, Step, TestGateway, Unmet, User, line, transcript::masked};

/// A scenario as text; a [`Transcript`](super::Transcript) is one, too.
///
/// Blank lines and lines that begin with `#` say nothing. A line that is no step and no event
/// is an expectation of the step above it.
///
/// | line | meaning |
/// |---|---|
/// | `alice> text` | alice says it; `alice@tenant/channel#chat> text` names more |
/// | `alice waits` | she waits for what still comes of her last words |
/// | `gateway< text` | this reply has to come |
/// | `skill name {"a":1} -> 7` | this call has to come; arguments may be a part, the result may be left out |
/// | `nothing`, `suspended`, `crashed` | as the expectations of a [`Step`] |
/// | `dead letter: why`, `parked: why`, `refused KIND` | the same; `: why` may be left out |
/// | `crash`, `restart`, `advance 5m`, `drain 10s` | as the methods of a [`TestGateway`] |
/// | `crash before settle`, `crash after turn`, `crash in skill name` | the same |
/// | `resolve bob {"yes":true}`, `replay bob`, `purge bob`, `decide bob operation 7` | bob does so with the last message; `decide … never` when it did not happen |
/// | `approve bob id skill 1.0.0 {"a":1}` | bob approves this call |
///
/// In a text `\n` is a new line and `\\` is a backslash; `<id 1>` and `<time>` stand for any
/// message id and any date.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use openclaw_testkit::{agent::ScriptedAgent, flow::{Story, TestGateway}};
///
/// let agent = ScriptedAgent::new("desk")?.when("hello").then_say("Hello {turn}");
/// let mut gateway = TestGateway::builder()
///     .gateway(move |builder| builder.agent(agent.clone()))
///     .start()
///     .await?;
/// let story = "alice> hello\ngateway< Hello 1\ncrash\nrestart\nalice> hello\ngateway< Hello 2\n";
/// Story::parse(story)?.play(&mut gateway).await?;
/// assert_eq!(gateway.transcript().to_string(), story);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Story(Vec<(usize, Line)>);

#[derive(Clone, Debug)]
enum Line {
    Says { who: Who, text: Option<String> },
    Expect(Expected),
    Event(Event),
}

#[derive(Clone, Debug)]
enum Expected {
    Reply(String),
    Skill { name: String, input: Value, result: Option<String> },
    Nothing,
    Suspended,
    Crashed,
    Dead(Option<String>),
    Parked(Option<String>),
    Refused(ErrorKind),
}

#[derive(Clone, Debug)]
enum Event {
    Crash,
    CrashBefore(String),
    CrashAfter(String),
    CrashIn(String),
    Restart,
    Advance(Duration),
    Drain(Duration),
    Resolve { by: String, value: Value },
    Approve { by: String, id: String, skill: String, version: String, input: Value },
    Decide { by: String, operation: String, happened: Option<Value> },
    Replay { by: String },
    Purge { by: String },
}

/// `name@tenant/channel#chat`.
#[derive(Clone, Debug)]
struct Who {
    name: String,
    tenant: Option<String>,
    channel: Option<String>,
    chat: Option<String>,
}

impl Story {
    /// Reads a story.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` names the line that means nothing.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = Vec::new();
        let mut begun = false;
        for (number, text) in text.lines().enumerate().map(|(at, text)| (at + 1, text.trim())) {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let wrong = |why: &'static str| {
                Error::new(ErrorKind::ValidationError, why).with("line", number).with("text", text)
            };
            let line = Line::parse(text).ok_or_else(|| wrong("this line means nothing"))?;
            match line {
                Line::Expect(_) if !begun => return Err(wrong("nobody has said anything")),
                Line::Expect(_) => {}
                Line::Says { .. } => begun = true,
                Line::Event(_) => begun = false,
            }
            lines.push((number, line));
        }
        Ok(Self(lines))
    }

    /// Reads a story's file.
    ///
    /// # Errors
    /// The file can't be read; as [`Story::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let text = fs::read_to_string(path).before_send(ErrorKind::NotFound)?;
        Self::parse(&text)
    }

    /// Plays it; the first step that does not go as expected ends it.
    ///
    /// # Errors
    /// The step's [`Unmet`], with the number of its line.
    pub async fn play(&self, gateway: &mut TestGateway) -> Result<(), Unmet> {
        let mut rest = self.0.iter().peekable();
        let mut last = None;
        while let Some((number, line)) = rest.next() {
            match line {
                Line::Says { who, text } => {
                    let user = who.in_gateway(gateway);
                    let mut step = match text {
                        Some(text) => user.says(text),
                        None => user.waits(),
                    };
                    while let Some((_, Line::Expect(expected))) = rest.peek() {
                        step = expected.put(step);
                        rest.next();
                    }
                    last = Some(step.await.map_err(|unmet| unmet.in_line(*number))?);
                }
                Line::Event(event) => {
                    let happened = event.play(gateway, last.as_ref()).await;
                    happened.map_err(|e| Unmet::of_event(*number, &e))?;
                }
                Line::Expect(_) => {}
            }
        }
        Ok(())
    }
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let (head, rest) = text.split_once(' ').unwrap_or((text, ""));
        if head == "gateway<" {
            return Some(Self::Expect(Expected::Reply(line::unescape(rest))));
        }
        if let Some(who) = head.strip_suffix('>') {
            return Some(Self::Says { who: Who::parse(who)?, text: Some(line::unescape(rest)) });
        }
        if rest == "waits" {
            return Some(Self::Says { who: Who::parse(head)?, text: None });
        }
        Expected::parse(text, head, rest)
            .map(Self::Expect)
            .or_else(|| Event::parse(text, head, rest).map(Self::Event))
    }
}

impl Expected {
    fn parse(text: &str, head: &str, rest: &str) -> Option<Self> {
        let (end, why) = text.split_once(": ").map_or((text, None), |(end, why)| (end, Some(why)));
        let why = || why.map(line::unescape);
        match (end, head) {
            ("nothing", _) => Some(Self::Nothing),
            ("suspended", _) => Some(Self::Suspended),
            ("crashed", _) => Some(Self::Crashed),
            ("dead letter", _) => Some(Self::Dead(why())),
            ("parked", _) => Some(Self::Parked(why())),
            (_, "refused") => {
                serde_json::from_value(Value::String(rest.to_owned())).ok().map(Self::Refused)
            }
            (_, "skill") => {
                let (name, behind) = rest.split_once(' ')?;
                let mut values = serde_json::Deserializer::from_str(behind).into_iter();
                let input = values.next()?.ok()?;
                let behind = behind.get(values.byte_offset()..)?.trim();
                let result = behind.strip_prefix("->").map(|result| result.trim().to_owned());
                let whole = result.is_some() || behind.is_empty();
                whole.then(|| Self::Skill { name: name.to_owned(), input, result })
            }
            _ => None,
        }
    }

    fn put<'a>(&self, step: Step<'a>) -> Step<'a> {
        let because = |step: Step<'a>, why: &Option<String>| match why {
            Some(why) => step.because(masked(why)),
            None => step,
        };
        match self {
            Self::Reply(text) => step.expect_masked_reply(text),
            Self::Skill { name, input, result } => {
                let step = step.expect_skill(name).with(input.clone());
                match result {
                    Some(result) => step.coming_to(result),
                    None => step,
                }
            }
            Self::Nothing => step.expect_nothing(),
            Self::Suspended => step.expect_suspended(),
            Self::Crashed => step.expect_crash(),
            Self::Dead(why) => because(step.expect_dead_letter(), why),
            Self::Parked(why) => because(step.expect_parked(), why),
            Self::Refused(kind) => step.expect_refused(*kind),
        }
    }
}

impl Event {
    fn parse(text: &str, head: &str, rest: &str) -> Option<Self> {
        let words: Vec<&str> = rest.split(' ').collect();
        let own = |word: &&str| (*word).to_owned();
        let json = |text: &str| serde_json::from_str(text).ok();
        let behind = |n: usize| rest.splitn(n + 1, ' ').nth(n);
        match (head, words.as_slice()) {
            ("crash", [""]) => Some(Self::Crash),
            ("crash", ["before", label]) => Some(Self::CrashBefore(own(label))),
            ("crash", ["after", label]) => Some(Self::CrashAfter(own(label))),
            ("crash", ["in", "skill", ..]) => {
                text.strip_prefix("crash in skill ").map(|name| Self::CrashIn(name.to_owned()))
            }
            ("restart", [""]) => Some(Self::Restart),
            ("advance", _) => line::read_span(rest).map(Self::Advance),
            ("drain", _) => line::read_span(rest).map(Self::Drain),
            ("resolve", [by, ..]) => Some(Self::Resolve { by: own(by), value: json(behind(1)?)? }),
            ("approve", [by, id, skill, version, ..]) => Some(Self::Approve {
                by: own(by),
                id: own(id),
                skill: own(skill),
                version: own(version),
                input: json(behind(4)?)?,
            }),
            ("decide", [by, operation, "never"]) => {
                Some(Self::Decide { by: own(by), operation: own(operation), happened: None })
            }
            ("decide", [by, operation, ..]) => {
                let happened = Some(json(behind(2)?)?);
                Some(Self::Decide { by: own(by), operation: own(operation), happened })
            }
            ("replay", [by]) => Some(Self::Replay { by: own(by) }),
            ("purge", [by]) => Some(Self::Purge { by: own(by) }),
            _ => None,
        }
    }

    async fn play(&self, gateway: &mut TestGateway, last: Option<&Heard>) -> Result<()> {
        let nothing = || Error::new(ErrorKind::NotFound, "nobody has said anything yet");
        match self {
            Self::Crash => gateway.crash().await,
            Self::CrashBefore(label) => {
                gateway.crash_before(label);
                Ok(())
            }
            Self::CrashAfter(label) => {
                gateway.crash_after(label);
                Ok(())
            }
            Self::CrashIn(skill) => {
                gateway.crash_in_skill(skill);
                Ok(())
            }
            Self::Restart => gateway.restart().await,
            Self::Advance(span) => {
                gateway.advance(*span).await;
                Ok(())
            }
            Self::Drain(span) => gateway.drain(*span).await,
            Self::Approve { by, id, skill, version, input } => {
                gateway.operator(by).approve(id, skill, version, input).await
            }
            Self::Resolve { by, value } => {
                gateway.operator(by).resolve(last.ok_or_else(nothing)?, value.clone()).await
            }
            Self::Decide { by, operation, happened } => {
                let last = last.ok_or_else(nothing)?;
                gateway.operator(by).decide(last, operation, happened.clone()).await
            }
            Self::Replay { by } => gateway.operator(by).replay(last.ok_or_else(nothing)?).await,
            Self::Purge { by } => {
                gateway.operator(by).purge(last.ok_or_else(nothing)?).await.map(drop)
            }
        }
    }
}

impl Who {
    fn parse(text: &str) -> Option<Self> {
        let cut = |text: &str, mark| match text.rsplit_once(mark) {
            Some((head, part)) => (head.to_owned(), Some(part.to_owned())),
            None => (text.to_owned(), None),
        };
        let (text, chat) = cut(text, '#');
        let (text, channel) = cut(&text, '/');
        let (name, tenant) = cut(&text, '@');
        (!name.is_empty()).then_some(Self { name, tenant, channel, chat })
    }

    fn in_gateway<'a>(&self, gateway: &'a TestGateway) -> User<'a> {
        let mut user = gateway.user(&self.name);
        if let Some(tenant) = &self.tenant {
            user = user.of(tenant);
        }
        if let Some(channel) = &self.channel {
            user = user.on(channel);
        }
        if let Some(chat) = &self.chat {
            user = user.in_chat(chat);
        }
        user
    }
}
