//! Composing a stack: skills, rules, budgets, limits, and how long what is done counts.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::{Inner, SkillStack, skills::Skills};
use crate::{
    Env, Result,
    middleware::{
        TraceLayer,
        ledger::{LedgerBuilder, LedgerLayer},
        stack::{Resilience, ResilienceConfig},
    },
    records::Budgets,
    rules::Authorizer,
    skill::{Skill, SkillAnswer, SkillSource},
    store::SharedStore,
};

/// Builds a [`SkillStack`].
#[must_use = "end it with `build`"]
pub struct SkillStackBuilder {
    store: SharedStore,
    env: Env,
    skills: Vec<Arc<dyn Skill>>,
    source: Option<Arc<dyn SkillSource>>,
    rules: Option<Arc<dyn Authorizer>>,
    resilience: Option<Resilience>,
    ledger: LedgerBuilder<Arc<Value>, SkillAnswer>,
}

impl SkillStackBuilder {
    pub(super) fn new(store: SharedStore, env: Env) -> Self {
        let ledger = LedgerLayer::builder(Arc::clone(&store), env.clone());
        let (skills, source, rules, resilience) = (Vec::new(), None, None, None);
        Self { store, env, skills, source, rules, resilience, ledger }
    }

    /// Adds a skill.
    pub fn skill(mut self, skill: impl Skill) -> Self {
        self.skills.push(Arc::new(skill));
        self
    }

    /// Takes the skills of a source, such as a registry with many versions of each.
    ///
    /// A skill that was added by itself wins against one of the same name.
    pub fn skills(mut self, source: impl SkillSource) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Says which calls are allowed, refused, or need a person's yes. All are allowed.
    pub fn authorizer(mut self, authorizer: impl Authorizer) -> Self {
        self.rules = Some(Arc::new(authorizer));
        self
    }

    /// Has each call reserve what it is expected to cost. None.
    pub fn budgets(mut self, budgets: Budgets) -> Self {
        self.ledger = self.ledger.budgets(budgets);
        self
    }

    /// Sets timeouts, retries, limits and breakers, one stack a skill. The built-in settings.
    pub fn resilience(mut self, resilience: Resilience) -> Self {
        self.resilience = Some(resilience);
        self
    }

    /// Sets the lease of every claim. Until the deadline and 5 s more; 30 s without one.
    ///
    /// It is renewed at a third while the call runs.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.ledger = self.ledger.lease(lease);
        self
    }

    /// Sets how long a finished record counts. 24 h.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.ledger = self.ledger.retention(retention);
        self
    }

    /// Sets how many keys may be in flight at once; above it calls are `OVERLOADED`. 65,536.
    pub fn in_flight(mut self, most: usize) -> Self {
        self.ledger = self.ledger.in_flight(most);
        self
    }

    /// The stack.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: a name was added twice, a `Reconcilable` skill has no hook, or skills
    /// call others that are not here, touch more than they say, or go round in a circle.
    pub fn build(self) -> Result<SkillStack> {
        let Self { store, env, skills, source, rules, resilience, ledger } = self;
        let skills = Skills::new(skills, source)?;
        let resilience = match resilience {
            Some(resilience) => resilience,
            None => Resilience::seeded(ResilienceConfig::default(), env.next_u64())?,
        };
        let (trace, ledger) = (TraceLayer::new(env), ledger.build());
        let inner = Inner { skills, rules, resilience, trace, ledger, store };
        Ok(SkillStack(Arc::new(inner)))
    }
}

impl fmt::Debug for SkillStackBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SkillStackBuilder")
            .field("skills", &self.skills.len())
            .finish_non_exhaustive()
    }
}
