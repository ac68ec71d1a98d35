//! An agent that plays a script: when it hears this, it calls that, then it says so.

use async_trait::async_trait;
use openclaw_core::{
    AgentId, InvalidId, Result,
    agent::{Agent, Answer, Turn, Waiting},
    skill::SkillAnswer,
};
use serde_json::{Value, json};

use super::words::Fill;

/// An [`Agent`] that plays a script.
///
/// Scenes are tried in the order in which they were written. In arguments and replies `{}`
/// takes the results of the calls in order, `{text}` what was said, `{turn}` the number of
/// the turn in its conversation; an argument that is `"{}"` alone is the last result itself.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use openclaw_core::agent::Agent;
/// use openclaw_testkit::agent::ScriptedAgent;
/// use serde_json::json;
///
/// let desk = ScriptedAgent::new("desk")?
///     .when("refund order 1042")
///     .call("refund.create", "refund", json!({"order": 1042}))
///     .then_say("Refunded: {}")
///     .otherwise("What can I do for you?");
/// assert_eq!(desk.id().as_str(), "desk");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ScriptedAgent {
    id: AgentId,
    plays: Vec<Play>,
    default: Ending,
}

/// A scene that is being written; `then_…` ends it.
#[derive(Clone, Debug)]
#[must_use = "end the scene with a `then_…`"]
pub struct Scene {
    agent: ScriptedAgent,
    cue: Cue,
    steps: Vec<Step>,
    apology: Option<String>,
}

#[derive(Clone, Debug)]
enum Cue {
    Is(String),
    Begins(String),
    Any,
}

#[derive(Clone, Debug)]
struct Step {
    skill: String,
    operation: String,
    args: Value,
}

#[derive(Clone, Debug)]
enum Ending {
    Say(String),
    Wait(Waiting),
    Nothing,
}

#[derive(Clone, Debug)]
struct Play {
    cue: Cue,
    steps: Vec<Step>,
    apology: Option<String>,
    ending: Ending,
}

impl ScriptedAgent {
    /// An agent of this name; it says "I don't understand." to everything.
    ///
    /// # Errors
    /// The name is no [`AgentId`].
    pub fn new(name: &str) -> Result<Self, InvalidId> {
        let default = Ending::Say("I don't understand.".to_owned());
        Ok(Self { id: AgentId::new(name)?, plays: Vec::new(), default })
    }

    /// A scene for exactly these words, blanks at the ends apart.
    pub fn when(self, text: impl Into<String>) -> Scene {
        self.scene(Cue::Is(text.into()))
    }

    /// A scene for words that begin like this.
    pub fn when_begins(self, text: impl Into<String>) -> Scene {
        self.scene(Cue::Begins(text.into()))
    }

    /// A scene for all words.
    pub fn always(self) -> Scene {
        self.scene(Cue::Any)
    }

    /// What it says when no scene fits.
    #[must_use]
    pub fn otherwise(mut self, reply: impl Into<String>) -> Self {
        self.default = Ending::Say(reply.into());
        self
    }

    const fn scene(self, cue: Cue) -> Scene {
        Scene { agent: self, cue, steps: Vec::new(), apology: None }
    }

    /// Plays the turn; `reword` changes the arguments of a call before it is made.
    pub(super) async fn play(
        &self,
        mut turn: Turn,
        reword: impl Fn(Value) -> Value,
    ) -> Result<Answer> {
        let text = turn.text().trim().to_owned();
        let number = count(&turn);
        let play = self.plays.iter().find(|play| play.cue.fits(&text));
        let steps = play.map_or(&[][..], |play| &play.steps);
        let mut results = Vec::with_capacity(steps.len());
        for step in steps {
            let fill = Fill { text: &text, turn: number, results: &results };
            let args = reword(fill.args(&step.args));
            match turn.skill(&step.skill, &step.operation, args).await {
                Ok(SkillAnswer::Done(result)) => results.push((*result).clone()),
                Ok(SkillAnswer::Pending(ticket)) => match turn.resolution() {
                    Some(resolution) => results.push((*resolution.value).clone()),
                    None => return Ok(Answer::Suspended(Waiting::Job { job: ticket.job })),
                },
                Err(e) => {
                    let apology = play.and_then(|play| play.apology.as_ref()).ok_or(e)?;
                    return Ok(Answer::text(fill.words(apology)));
                }
            }
        }
        turn.set_session(json!({ "turns": number }));
        let fill = Fill { text: &text, turn: number, results: &results };
        Ok(match play.map_or(&self.default, |play| &play.ending) {
            Ending::Say(reply) => Answer::text(fill.words(reply)),
            Ending::Wait(waiting) => match turn.resolution() {
                None => Answer::Suspended(waiting.clone()),
                Some(resolution) => {
                    let results = [(*resolution.value).clone()];
                    Answer::text(Fill { text: &text, turn: number, results: &results }.words("{}"))
                }
            },
            Ending::Nothing => Answer::Silent,
        })
    }
}

/// The number of this turn in its conversation, as the session counts it.
fn count(turn: &Turn) -> u64 {
    turn.session().get("turns").and_then(Value::as_u64).unwrap_or_default() + 1
}

impl Cue {
    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Is(words) => text == words.trim(),
            Self::Begins(words) => text.starts_with(words.as_str()),
            Self::Any => true,
        }
    }
}

impl Scene {
    /// Has this skill called under this operation name.
    pub fn call(
        mut self,
        skill: impl Into<String>,
        operation: impl Into<String>,
        args: Value,
    ) -> Self {
        self.steps.push(Step { skill: skill.into(), operation: operation.into(), args });
        self
    }

    /// What is said when a call fails; without it the turn fails.
    pub fn or_say(mut self, apology: impl Into<String>) -> Self {
        self.apology = Some(apology.into());
        self
    }

    /// Ends with a reply.
    #[must_use]
    pub fn then_say(self, reply: impl Into<String>) -> ScriptedAgent {
        self.end(Ending::Say(reply.into()))
    }

    /// Ends without a reply.
    #[must_use]
    pub fn then_nothing(self) -> ScriptedAgent {
        self.end(Ending::Nothing)
    }

    /// Suspends the turn; when it comes back, the reply is what it waited for.
    #[must_use]
    pub fn then_wait(self, waiting: Waiting) -> ScriptedAgent {
        self.end(Ending::Wait(waiting))
    }

    fn end(self, ending: Ending) -> ScriptedAgent {
        let Self { mut agent, cue, steps, apology } = self;
        agent.plays.push(Play { cue, steps, apology, ending });
        agent
    }
}

#[async_trait]
impl Agent for ScriptedAgent {
    fn id(&self) -> &AgentId {
        &self.id
    }

    async fn handle(&self, turn: Turn) -> Result<Answer> {
        self.play(turn, |args| args).await
    }
}
