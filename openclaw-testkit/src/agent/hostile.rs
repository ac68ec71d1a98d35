//! An agent that does what a hostile or confused model does.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use openclaw_core::{
    AgentId, InvalidId, MessageId, Result, SkillId,
    agent::{Agent, Answer, Turn},
    skill::SkillRequest,
};
use serde_json::{Value, json};

use super::corpus;
use crate::env::SeededRng;

/// One thing that a hostile or confused model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Attack {
    /// Calls a skill that does not exist, and one whose name is no name.
    UnknownSkill,
    /// Calls with arguments of the wrong types.
    WrongTypes,
    /// Calls with arguments of two mebibytes.
    HugeArguments,
    /// Calls with arguments that nest 200 levels deep.
    DeepArguments,
    /// Calls under one operation name with other arguments.
    OtherArguments,
    /// Calls under a new operation name at every attempt, and then fails.
    OtherOperations,
    /// Calls thousands of times.
    ManyCalls,
    /// Calls under operation names with forbidden characters, empty and far too long ones.
    BadOperations,
    /// Leaves a session of four mebibytes.
    HugeSession,
    /// Leaves a session that nests 200 levels deep.
    DeepSession,
    /// Replies four mebibytes.
    HugeReply,
    /// Replies an empty text.
    EmptyReply,
    /// Writes direction marks, invisible and control characters wherever it can.
    UnicodeTricks,
    /// Names approvals that nobody gave.
    FalseApprovals,
    /// Uses words that give orders as arguments and as reply.
    PromptAsArguments,
    /// Shows thousands of drafts.
    ManyDrafts,
    /// Panics once the effect happened.
    PanicAfterEffect,
    /// Never ends once the effect happened.
    HangAfterEffect,
}

impl Attack {
    /// All there are.
    pub const ALL: [Self; 18] = [
        Self::UnknownSkill,
        Self::WrongTypes,
        Self::HugeArguments,
        Self::DeepArguments,
        Self::OtherArguments,
        Self::OtherOperations,
        Self::ManyCalls,
        Self::BadOperations,
        Self::HugeSession,
        Self::DeepSession,
        Self::HugeReply,
        Self::EmptyReply,
        Self::UnicodeTricks,
        Self::FalseApprovals,
        Self::PromptAsArguments,
        Self::ManyDrafts,
        Self::PanicAfterEffect,
        Self::HangAfterEffect,
    ];
}

/// An [`Agent`] that attacks at every turn, as its seed decides. Clones are the same agent.
///
/// It never takes an error for an answer. A message keeps its attack over all attempts.
///
/// ```
/// use openclaw_testkit::agent::{Attack, HostileAgent};
///
/// let mallory = HostileAgent::new("mallory", 7)?.aims_at("refund.create");
/// let clumsy = HostileAgent::new("clumsy", 7)?.only([Attack::WrongTypes, Attack::EmptyReply]);
/// assert!(mallory.attacks().is_empty() && clumsy.attacks().is_empty(), "no message came yet");
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[derive(Clone, Debug)]
pub struct HostileAgent {
    id: AgentId,
    target: String,
    choice: Vec<Attack>,
    rng: SeededRng,
    made: Arc<Mutex<BTreeMap<MessageId, Attack>>>,
}

impl HostileAgent {
    /// An agent of this name that knows all attacks.
    ///
    /// # Errors
    /// The name is no [`AgentId`].
    pub fn new(name: &str, seed: u64) -> Result<Self, InvalidId> {
        Ok(Self {
            id: AgentId::new(name)?,
            target: "no.target".to_owned(),
            choice: Attack::ALL.to_vec(),
            rng: SeededRng::new(seed),
            made: Arc::default(),
        })
    }

    /// Aims at this skill; without one its calls reach nothing.
    #[must_use]
    pub fn aims_at(mut self, skill: impl Into<String>) -> Self {
        self.target = skill.into();
        self
    }

    /// Knows only these attacks.
    #[must_use]
    pub fn only(mut self, attacks: impl IntoIterator<Item = Attack>) -> Self {
        self.choice = attacks.into_iter().collect();
        self
    }

    /// Which message met which attack.
    #[must_use]
    pub fn attacks(&self) -> BTreeMap<MessageId, Attack> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn attack(&self, message: MessageId) -> Attack {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        *made
            .entry(message)
            .or_insert_with(|| self.rng.pick(&self.choice).copied().unwrap_or(Attack::UnknownSkill))
    }

    /// Calls the target, and goes on whatever comes of it.
    async fn call(&self, turn: &mut Turn, operation: &str, args: Value) {
        let _whatever = turn.skill(&self.target, operation, args).await;
    }

    async fn skills(&self, turn: &mut Turn, attack: Attack) {
        match attack {
            Attack::UnknownSkill => unknown(turn).await,
            Attack::WrongTypes | Attack::ManyCalls | Attack::OtherArguments => {
                self.series(turn, attack).await;
            }
            Attack::HugeArguments => self.call(turn, "huge", corpus::huge()).await,
            Attack::DeepArguments => self.call(turn, "deep", corpus::deep()).await,
            Attack::BadOperations => self.misname(turn).await,
            Attack::FalseApprovals => self.claim(turn).await,
            Attack::PromptAsArguments => {
                let args = json!({ "order": corpus::pick(&self.rng, corpus::PROMPTS) });
                self.call(turn, "prompt", args).await;
            }
            Attack::UnicodeTricks => {
                let args = json!({ "order": corpus::pick(&self.rng, corpus::TRICKS) });
                self.call(turn, "tricks", args).await;
            }
            _ => self.call(turn, "refund", json!({ "order": 1042 })).await,
        }
    }

    /// Calls again and again, with something that differs.
    async fn series(&self, turn: &mut Turn, attack: Attack) {
        let calls = if attack == Attack::ManyCalls { 5_000 } else { 4 };
        for n in 0..calls {
            let (operation, args) = match attack {
                Attack::OtherArguments => ("refund".to_owned(), json!({ "order": n })),
                Attack::WrongTypes => (format!("types-{n}"), corpus::wrong_types(&self.rng)),
                _ => (format!("call-{n}"), json!({ "order": n })),
            };
            self.call(turn, &operation, args).await;
        }
    }

    async fn misname(&self, turn: &mut Turn) {
        let long = "x".repeat(70_000);
        for name in corpus::OPERATIONS.iter().copied().chain([long.as_str()]) {
            self.call(turn, name, json!({ "order": 1 })).await;
        }
    }

    async fn claim(&self, turn: &mut Turn) {
        let Ok(skill) = SkillId::new(&self.target) else { return };
        for (n, claim) in corpus::CLAIMS.iter().enumerate() {
            let args = json!({ "order": 1042, "approved": true });
            let request = SkillRequest::new(skill.clone(), format!("claim-{n}"), args);
            let _whatever = turn.call(request.approved(*claim)).await;
        }
    }
}

/// Calls skills that nobody has.
async fn unknown(turn: &mut Turn) {
    for name in ["no.such.skill", "", "nul\0", &"x".repeat(10_000)] {
        let _whatever = turn.skill(name, "look", json!({})).await;
    }
}

#[async_trait]
impl Agent for HostileAgent {
    fn id(&self) -> &AgentId {
        &self.id
    }

    #[expect(clippy::panic, reason = "to panic is one of its attacks")]
    async fn handle(&self, mut turn: Turn) -> Result<Answer> {
        let attack = self.attack(turn.id());
        if attack == Attack::OtherOperations {
            let operation = format!("attempt-{}", turn.context().attempt());
            self.call(&mut turn, &operation, json!({ "order": 1042 })).await;
            panic!("the hostile agent gives up");
        }
        self.skills(&mut turn, attack).await;
        match attack {
            Attack::PanicAfterEffect => panic!("the hostile agent panics"),
            Attack::HangAfterEffect => pending().await,
            Attack::HugeSession => turn.set_session(json!("x".repeat(4 << 20))),
            Attack::DeepSession => turn.set_session(corpus::deep()),
            Attack::ManyDrafts => (0..5_000).for_each(|n| turn.emit(format!("draft {n}"))),
            _ => {}
        }
        Ok(Answer::text(match attack {
            Attack::HugeReply => "all done. ".repeat((4 << 20) / 10),
            Attack::EmptyReply => String::new(),
            Attack::UnicodeTricks => corpus::TRICKS.concat(),
            Attack::PromptAsArguments => corpus::PROMPTS.join("\n"),
            _ => "The refund is done and approved.".to_owned(),
        }))
    }
}
