//! An agent and its turns, and the steps that laws are made of.

use std::{fmt, sync::Arc, time::Duration};

use openclaw_core::{
    Call, ChannelId, Content, Context, Conversation, Envelope, MessageId, Result, Sender, TenantId,
    agent::{Agent, Answer, Budget, Resolution, Turn, TurnRequest},
    skill::SkillPort,
};
use serde_json::Value;
use tokio::time::timeout;

use super::{
    AgentHarness,
    port::{Asked, Mood, Port},
};

/// An agent under trial.
pub struct Trial<'a> {
    harness: &'a dyn AgentHarness,
    agent: Box<dyn Agent>,
    soon: Duration,
    quiet: Duration,
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trial({:?})", self.agent)
    }
}

/// What an agent must declare, or its harness offer, for a law to apply.
#[derive(Clone, Copy)]
pub(super) enum Need {
    Nothing,
    Steady,
    Calls,
    SteadyCalls,
    Skills,
    Suspends,
}

/// One attempt that is to be made.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    content: Content,
    session: Value,
    attempt: u32,
    mood: Mood,
    resolution: Option<Value>,
}

impl Scene {
    pub(super) fn new(content: impl Into<Content>) -> Self {
        let (content, session) = (content.into(), Value::Null);
        Self { content, session, attempt: 1, mood: Mood::Answer, resolution: None }
    }

    pub(super) fn session(mut self, session: Value) -> Self {
        self.session = session;
        self
    }

    pub(super) const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    pub(super) const fn mood(mut self, mood: Mood) -> Self {
        self.mood = mood;
        self
    }

    pub(super) fn resolution(mut self, value: Value) -> Self {
        self.resolution = Some(value);
        self
    }
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) answer: Result<Answer>,
    pub(super) asked: Vec<Asked>,
    /// The conversation's memory behind the turn.
    pub(super) session: Value,
}

impl Played {
    /// Everything there is to compare.
    pub(super) fn facts(&self) -> String {
        let answer = match &self.answer {
            // What a content holds is not in its `Debug`.
            Ok(Answer::Reply(content)) => serde_json::to_string(content).expect("JSON"),
            other => format!("{other:?}"),
        };
        format!("{answer}, asking {:?}, keeping {}", self.asked, self.session)
    }
}

impl<'a> Trial<'a> {
    /// Puts a new agent of this harness on trial.
    pub async fn new(harness: &'a dyn AgentHarness) -> Self {
        let agent = harness.fresh().await;
        let (soon, quiet) = match harness.real_time() {
            true => (Duration::from_secs(20), Duration::from_millis(200)),
            false => (Duration::from_secs(3_600), Duration::from_secs(3_600)),
        };
        Self { harness, agent, soon, quiet }
    }

    pub(super) fn missing(&self, need: Need) -> Option<&'static str> {
        let steady = (self.harness.is_steady(), "steady");
        let calls = (!self.calling().is_empty(), "skill calls");
        let needs = match need {
            Need::Nothing => vec![],
            Need::Steady => vec![steady],
            Need::Calls => vec![calls],
            Need::SteadyCalls => vec![steady, calls],
            Need::Skills => vec![calls, (!self.harness.skills().is_empty(), "a list of skills")],
            Need::Suspends => vec![(self.harness.suspending().is_some(), "suspended turns")],
        };
        needs.into_iter().find(|(met, _)| !met).map(|(_, what)| what)
    }

    pub(super) fn agent(&self) -> &dyn Agent {
        &*self.agent
    }

    pub(super) async fn another(&self) -> Box<dyn Agent> {
        self.harness.fresh().await
    }

    pub(super) fn calling(&self) -> Vec<String> {
        self.harness.calling()
    }

    pub(super) fn suspending(&self) -> String {
        self.harness.suspending().expect("words at which it suspends")
    }

    /// Everything that may be said to it.
    pub(super) fn words(&self) -> Vec<String> {
        let words = self.harness.words().into_iter().chain(self.calling());
        words.chain(self.harness.suspending()).collect()
    }

    pub(super) fn has_skill(&self, id: &str) -> bool {
        self.harness.skills().iter().any(|manifest| manifest.id.as_str() == id)
    }

    pub(super) const fn soon(&self) -> Duration {
        self.soon
    }

    pub(super) async fn quiet(&self) {
        tokio::time::sleep(self.quiet).await;
    }

    /// Opens an attempt: the turn, and the skills that see what it asks for.
    pub(super) fn open(&self, agent: &dyn Agent, scene: &Scene) -> (Turn, Arc<Port>, Session) {
        let port = Port::new(self.harness.skills(), scene.mood, self.harness.answers());
        let tenant = TenantId::new("law").expect("a tenant");
        let chat = Conversation::new(ChannelId::new("law").expect("a channel"), "c1");
        let envelope =
            Envelope::new(tenant.clone(), chat, Sender::new("ann"), scene.content.clone());
        let session = Arc::new(scene.session.clone());
        let mut request = TurnRequest::new(MessageId::from_u128(7), Arc::new(envelope), session);
        request.resolution = scene.resolution.clone().map(|value| Resolution::new("law", value));
        let call = Call::agent(Context::new(tenant).at_attempt(scene.attempt), agent, request);
        let skills = Arc::clone(&port) as Arc<dyn SkillPort>;
        let (turn, write) = Turn::open(call, skills, Budget::default().skill_calls(u32::MAX));
        (turn, port, Session(scene.session.clone(), write))
    }

    /// Makes an attempt, by this agent.
    pub(super) async fn play_by(&self, agent: &dyn Agent, scene: &Scene) -> Played {
        let (turn, port, session) = self.open(agent, scene);
        let answer = timeout(self.soon, agent.handle(turn)).await;
        let answer = answer.expect("the agent does not answer");
        Played { answer, asked: port.asked(), session: session.behind() }
    }

    /// Makes an attempt.
    pub(super) async fn play(&self, scene: &Scene) -> Played {
        self.play_by(self.agent(), scene).await
    }
}

/// A conversation's memory, before and behind a turn.
pub(super) struct Session(Value, openclaw_core::agent::SessionWrite);

impl Session {
    fn behind(self) -> Value {
        self.1.take().map_or(self.0, |value| (*value).clone())
    }
}
