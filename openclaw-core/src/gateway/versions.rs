//! "Resolve version": which version of a skill a call meets, at its first run and at later ones.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::{
    Error, MessageId, Result, TenantId,
    middleware::skill_stack::Skills,
    records::{EffectRecord, Ledger, claims::Claims},
    skill::{RouteKey, Skill, SkillManifest, SkillRequest},
    store::Key,
    words::planted::{Bug, planted},
};

/// What a call meets.
pub(super) enum Choice {
    /// A skill.
    Skill(Chosen),
    /// None, by this error; but an effect is recorded under its operation.
    Gone(Error),
}

/// A skill for a call.
pub(super) struct Chosen {
    pub(super) skill: Arc<dyn Skill>,
    /// An effect is recorded under this operation, whatever this version declares.
    pub(super) begun: bool,
    /// And it has ended: only its answer is left to give.
    pub(super) ended: bool,
}

/// What is recorded under an operation.
#[derive(Clone, Debug)]
struct Begun {
    target: Arc<str>,
    version: Option<Arc<str>>,
    ended: bool,
}

/// The versions that one attempt of a turn meets.
///
/// A first run asks the source by the route, which is the conversation. A later one reads the
/// turn's effects before its first call: what was begun goes on with the version that its record
/// names, whatever a canary or a roll-back has moved since.
#[derive(Debug)]
pub(super) struct Versions {
    route: RouteKey,
    /// By operation; none before it is read.
    begun: Mutex<Option<BTreeMap<Arc<str>, Begun>>>,
    /// The list as the agent was shown it.
    shown: OnceLock<Vec<Arc<dyn Skill>>>,
}

impl Versions {
    pub(super) fn new(lane: &Key, again: bool) -> Self {
        Self {
            route: RouteKey::new(lane.shared()),
            begun: Mutex::new((!again).then(BTreeMap::new)),
            shown: OnceLock::new(),
        }
    }

    /// The skills as the agent sees them: the same ones all through the attempt.
    pub(super) fn list(&self, skills: &Skills) -> Vec<&SkillManifest> {
        let shown = self.shown.get_or_init(|| skills.list(&self.route));
        shown.iter().map(|skill| skill.manifest()).collect()
    }

    /// The version that this call meets.
    pub(super) async fn choose(
        &self,
        skills: &Skills,
        request: &SkillRequest,
        (claims, tenant, turn): (&Claims, &TenantId, MessageId),
    ) -> Result<Choice> {
        if self.unread() {
            let ledger = Ledger::new(Arc::clone(claims.store()), tenant.clone());
            self.read(claims.noted(Box::pin(ledger.of_turn(turn)).await)?);
        }
        let begun = self.begun_under(&request.operation);
        let named = begun
            .as_ref()
            .filter(|_| !planted(Bug::BegunMoved))
            .map(|begun| (&*begun.target, begun.version.as_deref()));
        match (skills.choose(request, &self.route, named), begun) {
            (Ok(skill), begun) => {
                let ended = begun.as_ref().is_some_and(|begun| begun.ended);
                Ok(Choice::Skill(Chosen { skill, begun: begun.is_some(), ended }))
            }
            (Err(missing), Some(_)) => Ok(Choice::Gone(missing)),
            (Err(missing), None) => Err(missing),
        }
    }

    /// Keeps the version for as long as this attempt lasts: the operation may be asked for twice.
    pub(super) fn begin(&self, operation: &Arc<str>, manifest: &SkillManifest) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = begun.get_or_insert_default();
        begun.entry(Arc::clone(operation)).or_insert_with(|| Begun {
            target: manifest.id.as_str().into(),
            version: Some(Arc::clone(&manifest.version)),
            ended: false,
        });
    }

    fn unread(&self) -> bool {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn read(&self, effects: Vec<(Arc<str>, EffectRecord)>) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = begun.get_or_insert_default();
        for (operation, EffectRecord { target, version, state, .. }) in effects {
            let ended = state.is_final();
            begun.entry(operation).or_insert(Begun { target, version, ended });
        }
    }

    fn begun_under(&self, operation: &str) -> Option<Begun> {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.as_ref()?.get(operation).cloned()
    }
}
