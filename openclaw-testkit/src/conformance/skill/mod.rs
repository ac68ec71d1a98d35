//! The laws of [`Skill`]: one function for each sentence of its contract.

mod drops;
mod effects;
mod errors;
mod hook;
mod identity;
mod input;
mod keys;
mod list;
mod on;
mod schema;
mod trial;

use async_trait::async_trait;
use openclaw_core::skill::{Skill, SkillAnswer};
use serde_json::{Value, json};

use self::trial::Need;
pub use self::{
    on::{On, on},
    trial::Trial,
};
use super::{Law, Report, Verdict};
use crate::remote::{Behaviour, CountingRemote};

/// Makes the skills that the laws try, each with the system it acts on.
///
/// A skill over a [`CountingRemote`] needs no harness of its own: use [`on`].
#[async_trait]
pub trait SkillHarness: Send + Sync {
    /// A new skill, and the system it acts on.
    async fn fresh(&self) -> (Box<dyn Skill>, Box<dyn SkillPeer>);

    /// An input that the skill takes; another number gives another input.
    ///
    /// Texts of eight letters and more count as payload: no error may quote them.
    fn input(&self, n: u64) -> Value {
        json!({ "order": format!("order-{n:08}") })
    }

    /// Inputs that the skill refuses.
    fn refused(&self) -> Vec<Value> {
        Vec::new()
    }

    /// Is this the answer to that input? `None` when an answer doesn't tell.
    fn is_answer(&self, n: u64, answer: &SkillAnswer) -> Option<bool> {
        let _ = (n, answer);
        None
    }

    /// Does the skill itself end at its call's deadline? (The gateway ends it in any case.)
    fn keeps_deadlines(&self) -> bool {
        false
    }

    /// Has the skill threads or sockets of its own, so that time must not be paused?
    fn real_time(&self) -> bool {
        false
    }
}

/// The system that a skill acts on, as a test sees it.
#[async_trait]
pub trait SkillPeer: Send + Sync {
    /// How many effects it has had so far.
    async fn effects(&self) -> u64;

    /// Can it be made to misbehave?
    fn misbehaves(&self) -> bool {
        false
    }

    /// Decides what the next call meets.
    async fn script(&self, next: Behaviour) {
        let _ = next;
    }
}

#[async_trait]
impl SkillPeer for CountingRemote {
    async fn effects(&self) -> u64 {
        self.effects_total()
    }

    fn misbehaves(&self) -> bool {
        true
    }

    async fn script(&self, next: Behaviour) {
        Self::script(self, [next]);
    }
}

crate::__skill_laws! { __law_table {
    /// Every law of a skill.
    SkillHarness, awaited
} }
