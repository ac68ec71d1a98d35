//! The agent and its three skills, each over a remote that lives in the parent.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use openclaw_core::{
    AgentId, Call, Effect, Env, Error, ErrorKind, Result, SkillId,
    agent::{Agent, Answer, Turn},
    channel::{Intent, Reconcile, Reconciled},
    skill::{Skill, SkillAnswer, SkillManifest},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    link::Link,
    wire::{Ask, Name, REPORT, Remote, Reply, named},
};

/// A skill over one remote.
#[derive(Debug)]
pub(crate) struct LinkSkill {
    remote: Remote,
    manifest: SkillManifest,
    link: Arc<Link>,
}

impl LinkSkill {
    pub(crate) fn new(remote: Remote, link: Arc<Link>) -> Result<Self> {
        let id = SkillId::new(remote.id())
            .map_err(|e| Error::new(ErrorKind::ValidationError, e.to_string()))?;
        let effect = match remote {
            Remote::Keyed => Effect::Keyed { retention: Duration::from_secs(3600) },
            Remote::Unkeyed => Effect::AtMostOnce,
            Remote::Reconcilable => Effect::Reconcilable,
        };
        let manifest = SkillManifest::new(id, "1.0.0").effect(effect);
        Ok(Self { remote, manifest, link })
    }
}

/// The message that a skill's arguments name.
pub(crate) fn message_of(arguments: &Value) -> Option<Name> {
    arguments.get("message")?.as_str()?.parse().ok()
}

#[async_trait]
impl Skill for LinkSkill {
    fn manifest(&self) -> &SkillManifest {
        &self.manifest
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        let wrong = || Error::new(ErrorKind::ValidationError, "the arguments name no message");
        let message = message_of(call.payload()).ok_or_else(wrong)?;
        let key = call.key().map(ToString::to_string).unwrap_or_default();
        let arguments = call.payload().to_string();
        let ask = Ask::Effect { remote: self.remote, key, message, arguments };
        let refused = || Error::new(ErrorKind::Conflict, "the remote refused");
        self.link.ask(ask).await?.map(answer).ok_or_else(refused)
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        (self.remote == Remote::Reconcilable).then_some(self)
    }
}

fn answer(serial: u64) -> SkillAnswer {
    SkillAnswer::done(json!({ "serial": serial }))
}

#[async_trait]
impl Reconcile for LinkSkill {
    async fn reconcile(&self, intent: &Intent) -> Result<Reconciled> {
        // The parent has read everything that a killed child had said: its answer is final.
        let found = self.link.ask(Ask::LookUp { key: intent.key.to_string() }).await?;
        Ok(found.map_or(Reconciled::DidNotHappen, |serial| {
            Reconciled::Happened(Arc::new(json!({ "serial": serial })))
        }))
    }
}

/// What a conversation remembers: what must change exactly once a turn.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Session {
    turns: u64,
    last: u32,
}

/// Asks for all three effects, counts its turns, and says what it saw.
#[derive(Debug)]
pub(crate) struct Clerk {
    id: AgentId,
    env: Env,
}

impl Clerk {
    pub(crate) fn new(env: Env) -> Result<Self> {
        let id = AgentId::new("clerk")
            .map_err(|e| Error::new(ErrorKind::ValidationError, e.to_string()))?;
        Ok(Self { id, env })
    }

    /// The arguments of every call of a turn; in some conversations never twice the same.
    fn arguments(&self, message: Name) -> Value {
        let mut arguments = json!({ "message": message });
        if message.is_reworded()
            && let Some(fields) = arguments.as_object_mut()
        {
            fields.insert("wording".to_owned(), self.env.next_u64().into());
        }
        arguments
    }
}

#[async_trait]
impl Agent for Clerk {
    fn id(&self) -> &AgentId {
        &self.id
    }

    async fn handle(&self, mut turn: Turn) -> Result<Answer> {
        let wrong = || Error::new(ErrorKind::ValidationError, "the text names no message");
        let message = named(&turn.text()).ok_or_else(wrong)?;
        let mut session: Session =
            serde_json::from_value(turn.session().clone()).unwrap_or_default();
        let mut effects = Vec::new();
        if !turn.text().ends_with(REPORT) {
            // Each remote is first, second and third in its turn.
            let mut remotes = Remote::ALL;
            remotes.rotate_left(usize::try_from(message.number % 3).unwrap_or_default());
            let arguments = self.arguments(message);
            for remote in remotes {
                let done = turn.skill(remote.id(), remote.id(), arguments.clone()).await?;
                effects.push((remote, serial(&done)));
            }
        }
        effects.sort_unstable();
        let effects = effects.into_iter().map(|(_, serial)| serial).collect();
        let last = session.last;
        session = Session { turns: session.turns + 1, last: message.number };
        let reply = Reply { message, turn: session.turns, last, effects };
        turn.set_session(json!(session));
        Ok(Answer::text(json!(reply).to_string()))
    }
}

fn serial(answer: &SkillAnswer) -> u64 {
    match answer {
        SkillAnswer::Done(output) => output.get("serial").and_then(Value::as_u64),
        SkillAnswer::Pending(_) => None,
    }
    .unwrap_or_default()
}
