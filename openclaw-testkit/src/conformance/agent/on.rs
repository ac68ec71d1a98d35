//! A harness for one agent.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use openclaw_core::{
    Result,
    agent::Agent,
    skill::{SkillAnswer, SkillManifest, SkillRequest},
};
use serde_json::json;

use super::{AgentHarness, Answers};

/// Tries an agent, with skills that answer `"done"`.
///
/// ```
/// use openclaw_testkit::{agent::ScriptedAgent, conformance::agent};
/// use serde_json::json;
///
/// let desk = || {
///     ScriptedAgent::new("desk")
///         .expect("a name")
///         .when("refund")
///         .call("refund.create", "refund", json!({ "order": 1042 }))
///         .then_say("Refunded: {}")
/// };
/// let report = agent::check_all(&agent::on(desk).steady().calling(["refund"]));
/// assert!(report.held.contains(&"a_later_attempt_asks_for_the_same"));
/// ```
pub fn on<A: Agent>(make: impl Fn() -> A + Send + Sync + 'static) -> On {
    On {
        make: Box::new(move || Box::new(make())),
        words: vec!["hello".to_owned(), "What is the state of order 1042?".to_owned()],
        calling: Vec::new(),
        suspending: None,
        steady: false,
        skills: Vec::new(),
        answers: Arc::new(|_| Ok(SkillAnswer::done(json!("done")))),
    }
}

/// A harness for one agent; made by [`on`].
pub struct On {
    make: Box<dyn Fn() -> Box<dyn Agent> + Send + Sync>,
    words: Vec<String>,
    calling: Vec<String>,
    suspending: Option<String>,
    steady: bool,
    skills: Vec<SkillManifest>,
    answers: Answers,
}

impl On {
    /// What is said to it.
    #[must_use]
    pub fn words<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words = words.into_iter().map(Into::into).collect();
        self
    }

    /// Words at which it calls skills.
    #[must_use]
    pub fn calling<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.calling = words.into_iter().map(Into::into).collect();
        self
    }

    /// Words at which it suspends its turn.
    #[must_use]
    pub fn suspending(mut self, words: impl Into<String>) -> Self {
        self.suspending = Some(words.into());
        self
    }

    /// Says that the same turn is answered the same each time.
    #[must_use]
    pub const fn steady(mut self) -> Self {
        self.steady = true;
        self
    }

    /// The skills that there are.
    #[must_use]
    pub fn skills(mut self, skills: impl IntoIterator<Item = SkillManifest>) -> Self {
        self.skills = skills.into_iter().collect();
        self
    }

    /// What a skill answers.
    #[must_use]
    pub fn answering(
        mut self,
        answer: impl Fn(&SkillRequest) -> Result<SkillAnswer> + Send + Sync + 'static,
    ) -> Self {
        self.answers = Arc::new(answer);
        self
    }
}

impl fmt::Debug for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("On").field("steady", &self.steady).finish_non_exhaustive()
    }
}

#[async_trait]
impl AgentHarness for On {
    async fn fresh(&self) -> Box<dyn Agent> {
        (self.make)()
    }

    fn words(&self) -> Vec<String> {
        self.words.clone()
    }

    fn calling(&self) -> Vec<String> {
        self.calling.clone()
    }

    fn suspending(&self) -> Option<String> {
        self.suspending.clone()
    }

    fn is_steady(&self) -> bool {
        self.steady
    }

    fn skills(&self) -> Vec<SkillManifest> {
        self.skills.clone()
    }

    fn answers(&self) -> Answers {
        Arc::clone(&self.answers)
    }
}
