//! What the store says when everything is over: ledger, letters, trail, and what is left to do.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use openclaw_core::{
    AgentId, Env, MessageId, TenantId,
    agent::{Answer, agent_fn},
    gateway::{Gateway, Recovered},
    records::{AuditEntry, AuditLog, AuditReport, DeadLetter, DeadLetters, EffectRecord, Ledger},
    store::SharedStore,
};

use crate::{
    child::ALL,
    engine,
    life::Outcome,
    platform::Platform,
    skills::message_of,
    wire::{Name, TENANT, named},
};

/// Everything that was written down.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) effects: Vec<(MessageId, Arc<str>, EffectRecord)>,
    pub(crate) parked: Vec<DeadLetter>,
    pub(crate) dead: Vec<DeadLetter>,
    pub(crate) trail: Vec<AuditEntry>,
    pub(crate) report: AuditReport,
    /// What a gateway that starts on this store still finds to do.
    pub(crate) left: Recovered,
    /// Whose ids these are, from acknowledgements, replies, letters and the ledger.
    pub(crate) ids: BTreeMap<MessageId, Name>,
}

impl Evidence {
    /// Reads the store after the last child has closed it.
    pub(crate) async fn read(place: &str, platform: &Platform) -> Outcome<Self> {
        let env = Env::system();
        let store = engine::open(place, env.clock()).await?;
        let tenant = TenantId::new(TENANT)?;
        let letters = DeadLetters::new(Arc::clone(&store), tenant.clone());
        let (parked, dead) = (letters.parked(None, ALL).await?, letters.list(None, ALL).await?);
        let effects = Ledger::new(Arc::clone(&store), tenant.clone()).all().await?;
        let log = AuditLog::new(Arc::clone(&store), tenant);
        let mut anchor = None;
        while let Some(sealed) = log.seal().await? {
            anchor = Some(sealed);
        }
        let report = log.verify(anchor.as_ref()).await?;
        let trail = log.entries().await?;

        let mut ids = platform.ids.clone();
        for letter in parked.iter().chain(&dead) {
            ids.extend(named(&letter.content.to_text()).map(|name| (letter.id, name)));
        }
        for (id, _, effect) in &effects {
            ids.extend(message_of(&effect.request).map(|name| (*id, name)));
        }
        let left = left(env, store).await?;
        Ok(Self { effects, parked, dead, trail, report, left, ids })
    }

    /// The message behind an id.
    pub(crate) fn name(&self, id: MessageId) -> Option<Name> {
        self.ids.get(&id).copied()
    }
}

/// What a gateway that starts on this store finds to do. The last question: it may change rows.
async fn left(env: Env, store: SharedStore) -> Outcome<Recovered> {
    let nobody = agent_fn(AgentId::new("clerk")?, |_| async { Ok(Answer::Silent) });
    let gateway = Gateway::builder(env, store).agent(nobody).start().await?;
    let left = gateway.recovered().clone();
    // It has nothing to finish, or what it has is told as a problem.
    drop(gateway.drain(Duration::from_secs(1)).await);
    Ok(left)
}
