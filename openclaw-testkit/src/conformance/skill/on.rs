//! A harness for skills over a counting remote.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use openclaw_core::skill::{Skill, SkillAnswer};
use serde_json::{Value, json};

use super::{SkillHarness, SkillPeer};
use crate::remote::{CountingRemote, RemoteKind};

/// Tries a skill on a [`CountingRemote`], which this closure is given.
///
/// The remote answers `{"echo": payload}`. Its look-up shows an effect a second late, as a
/// look-up may.
///
/// ```
/// use openclaw_core::Effect;
/// use openclaw_testkit::{conformance::skill, remote::{RemoteKind, RemoteSkill}};
///
/// let harness = skill::on(RemoteKind::Unkeyed, |bank| {
///     RemoteSkill::named("transfer", Effect::Reconcilable, bank).expect("a name")
/// });
/// let report = skill::check_all(&harness);
/// assert!(report.held.contains(&"a_hook_finds_what_a_lost_answer_hid"));
/// assert!(report.not_declared.contains(&("a_pure_skill_has_no_effect", "a pure skill")));
/// ```
pub fn on<S: Skill>(
    kind: RemoteKind,
    make: impl Fn(CountingRemote) -> S + Send + Sync + 'static,
) -> On {
    On {
        kind,
        make: Arc::new(move |remote| Box::new(make(remote))),
        input: Arc::new(|n| json!({ "order": format!("order-{n:08}") })),
        refused: Vec::new(),
        answer: None,
        deadlines: false,
    }
}

type Tells = Arc<dyn Fn(u64, &Value) -> bool + Send + Sync>;

/// A harness for skills over a [`CountingRemote`]; made by [`on`].
#[derive(Clone)]
pub struct On {
    kind: RemoteKind,
    make: Arc<dyn Fn(CountingRemote) -> Box<dyn Skill> + Send + Sync>,
    input: Arc<dyn Fn(u64) -> Value + Send + Sync>,
    refused: Vec<Value>,
    answer: Option<Tells>,
    deadlines: bool,
}

impl On {
    /// The inputs it takes; another number must give another input.
    #[must_use]
    pub fn input(mut self, input: impl Fn(u64) -> Value + Send + Sync + 'static) -> Self {
        self.input = Arc::new(input);
        self
    }

    /// Inputs it refuses.
    #[must_use]
    pub fn refused(mut self, refused: impl IntoIterator<Item = Value>) -> Self {
        self.refused = refused.into_iter().collect();
        self
    }

    /// Tells whether an output is the one of this input.
    #[must_use]
    pub fn answers(mut self, tells: impl Fn(u64, &Value) -> bool + Send + Sync + 'static) -> Self {
        self.answer = Some(Arc::new(tells));
        self
    }

    /// Says that the skill itself ends at its call's deadline.
    #[must_use]
    pub const fn keeps_deadlines(mut self) -> Self {
        self.deadlines = true;
        self
    }
}

impl fmt::Debug for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "On({:?})", self.kind)
    }
}

#[async_trait]
impl SkillHarness for On {
    async fn fresh(&self) -> (Box<dyn Skill>, Box<dyn SkillPeer>) {
        let echo = |_: u64, payload: &Value| json!({ "echo": payload });
        let remote = CountingRemote::new(self.kind).answering(echo).lagging(Duration::from_secs(1));
        ((self.make)(remote.clone()), Box::new(remote))
    }

    fn input(&self, n: u64) -> Value {
        (self.input)(n)
    }

    fn refused(&self) -> Vec<Value> {
        self.refused.clone()
    }

    fn is_answer(&self, n: u64, answer: &SkillAnswer) -> Option<bool> {
        let tells = self.answer.as_ref()?;
        match answer {
            SkillAnswer::Done(output) => Some(tells(n, output)),
            SkillAnswer::Pending(_) => None,
        }
    }

    fn keeps_deadlines(&self) -> bool {
        self.deadlines
    }
}
