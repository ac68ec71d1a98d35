//! How a source gets a token: look, claim, ask, store, and only then use.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use openclaw_core::{
    Digest, Env, Error, ErrorKind, Happened, Result, Secret, TenantId, Timestamp,
    records::{AuditAction, AuditEntry},
    store::Version,
};
use tokio::time::{Instant, sleep};

use super::{
    AccessToken, AuthEvent,
    decide::{self, Ask, BESIDE, Flow, LEASE, Step, decide},
    endpoint::{Endpoint, Field},
    event::Listeners,
    record::{Phase, ReauthReason, Record, Tokens},
    rows::{Look, Rows, Written},
};
use crate::api::Credential;

/// What is left of a lease for storing what came. A request ends this much before it.
const RESERVE: Duration = Duration::from_secs(15);

/// How long somebody looks and loses before giving up.
const PATIENCE: Duration = Duration::from_secs(180);

/// The parts of a source, shared by its clones and by work under way.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) grant: Arc<str>,
    pub(super) flow: Flow,
    pub(super) client: Digest,
    pub(super) holder: u64,
    pub(super) skew: Duration,
    /// Scope, audience and what else every request for tokens says.
    pub(super) fields: Vec<Field>,
    pub(super) endpoint: Endpoint,
    pub(super) rows: Rows,
    pub(super) env: Env,
    pub(super) listeners: Listeners,
    /// May other tenants' calls be signed, too?
    pub(super) shared: bool,
    pub(super) memory: Mutex<Memory>,
}

/// What a source knows besides the row.
#[derive(Debug, Default)]
pub(super) struct Memory {
    held: Option<Held>,
    /// Tokens up to this generation were refused by the resource.
    refused: u64,
    /// Tokens that came and could not be stored: nobody uses them before they are.
    unsaved: Option<Unsaved>,
}

/// A record that only this process knows.
#[derive(Clone, Debug)]
struct Unsaved {
    record: Record,
    /// The row that it goes over.
    before: Option<Version>,
    /// It came by a person's consent, which counts whatever became of the grant before.
    consented: bool,
}

/// A token that is stored, too.
#[derive(Debug)]
struct Held {
    token: AccessToken,
    /// Until then it is used without a look at the row.
    until: Timestamp,
    expires_at: Timestamp,
}

impl Source {
    /// The token at hand, when it needs no look at the row.
    pub(super) fn held(&self) -> Option<AccessToken> {
        self.held_before(|held| held.until)
    }

    /// The token at hand, when this date of it is still to come.
    fn held_before(&self, date: impl FnOnce(&Held) -> Timestamp) -> Option<AccessToken> {
        let now = self.rows.now();
        let memory = self.memory();
        let held = memory.held.as_ref()?;
        let good = held.token.generation > memory.refused && now < date(held);
        good.then(|| held.token.clone())
    }

    pub(super) fn refuse(&self, generation: u64) {
        let mut memory = self.memory();
        memory.refused = memory.refused.max(generation);
    }

    /// Refuses the token at hand when it is this one. An older one is no concern any more.
    pub(super) fn refuse_named(&self, credential: Credential) {
        let mut memory = self.memory();
        let held = memory.held.as_ref().map(|held| &held.token);
        let same = held.filter(|token| Credential::of(&token.secret) == credential);
        let generation = same.map_or(0, |token| token.generation);
        memory.refused = memory.refused.max(generation);
    }

    pub(super) fn refused(&self) -> u64 {
        self.memory().refused
    }

    /// Forgets what is known besides the row.
    pub(super) fn forget(&self) {
        let mut memory = self.memory();
        memory.held = None;
        memory.unsaved = None;
    }

    /// Keeps what a consent brought until the store takes it.
    pub(super) fn keep_consented(&self, record: Record) {
        self.memory().unsaved = Some(Unsaved { record, before: None, consented: true });
    }

    /// Writes a record without secrets over that of the grant; false when somebody was faster.
    pub(super) async fn clear(&self) -> Result<bool> {
        let Some((old, version)) = self.rows.read().await? else { return Ok(true) };
        let written = self.rows.write(Some(version), &self.empty(&old), "oauth forget").await?;
        Ok(written != Written::Lost)
    }

    /// The record without secrets that follows this one.
    pub(super) fn empty(&self, old: &Record) -> Record {
        match self.flow {
            Flow::Client => Record::new(self.client, old.generation),
            Flow::Person => decide::ended(old, ReauthReason::NeverAuthorised, self.rows.now()),
        }
    }

    /// A token that may be used, new if need be.
    pub(super) async fn renew(&self) -> Result<AccessToken> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            match self.save_unsaved().await {
                Ok(Some(token)) => return Ok(token),
                Ok(None) => {}
                Err(e) => return self.outlast(None, e),
            }
            // A lease is counted from the look that it is claimed by, which is no later than this.
            let looked = Instant::now();
            let Look { row, as_of } = match self.rows.look().await {
                Ok(look) => look,
                Err(e) => return self.outlast(None, e),
            };
            let (record, version) = row.unzip();
            match decide(record.as_ref(), self.ask(), as_of) {
                Step::Use { until } => {
                    if let Some(token) = record.as_ref().and_then(|r| self.hold(r, until)) {
                        return Ok(token);
                    }
                }
                Step::Claim(claimed) => match self.claim(claimed, version, looked).await {
                    Ok(Some(token)) => return Ok(token),
                    Ok(None) => {}
                    Err(e) => return self.outlast(record.as_ref(), e),
                },
                Step::End(ended) => self.end(ended, version).await?,
                Step::Wait(pause) => sleep(pause).await,
                step => return Err(Self::unable(&step)),
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others change the grant all the time"))
    }

    /// The token at hand, or that of the row, to its end: a store that is down, or takes no writes,
    /// is nobody's trouble while the token is valid.
    fn outlast(&self, row: Option<&Record>, e: Error) -> Result<AccessToken> {
        let now = self.rows.now();
        let last = |held: &Held| held.expires_at;
        if self.held_before(last).is_none()
            && let Some(row) = row.filter(|row| row.client == self.client)
        {
            self.hold(row, now);
        }
        let token = self.held_before(last).ok_or(e)?;
        if let Some(held) = &mut self.memory().held {
            // Not every caller waits for such a store.
            held.until = now.after(BESIDE).min(held.expires_at);
        }
        Ok(token)
    }

    fn ask(&self) -> Ask {
        let (flow, client, holder) = (self.flow, self.client, self.holder);
        Ask { flow, client, holder, refused: self.refused() }
    }

    /// Takes the row, asks, and stores what came. `None`: somebody else was faster, look again.
    async fn claim(
        &self,
        claimed: Record,
        before: Option<Version>,
        looked: Instant,
    ) -> Result<Option<AccessToken>> {
        let end = looked + LEASE.saturating_sub(RESERVE);
        let Written::Stored(version) = self.rows.write(before, &claimed, "oauth claim").await?
        else {
            return Ok(None);
        };
        if Instant::now() >= end {
            // The write took its time, and somebody else may ask by now.
            return Ok(None);
        }
        let began = self.rows.now();
        let asked = self.endpoint.ask(&self.request(&claimed), end).await;
        let now = self.rows.now();
        match asked {
            Ok(granted) => {
                let record = decide::granted(claimed, granted, self.skew, began);
                let before = Some(version);
                self.memory().unsaved = Some(Unsaved { record, before, consented: false });
                self.save_unsaved().await
            }
            Err(denied) if denied.grant_is_over() && self.flow == Flow::Person => {
                self.end(decide::revoked(&claimed, now), Some(version)).await?;
                Ok(None)
            }
            Err(denied) => {
                let wait = denied.error.retry_after();
                let failed = decide::failed(claimed, denied.doubt, wait, now);
                // When this can't be stored, the lease runs out and somebody asks again.
                let stored = self.rows.write(Some(version), &failed, "oauth failed").await;
                if matches!(stored, Ok(Written::Lost)) {
                    return Ok(None);
                }
                self.tell(&AuthEvent::Failed {
                    grant: Arc::clone(&self.grant),
                    kind: denied.error.kind(),
                });
                self.after_failure(&failed).ok_or(denied.error).map(Some)
            }
        }
    }

    /// The old token, while it is valid. A server that is down is nobody's trouble yet.
    fn after_failure(&self, failed: &Record) -> Option<AccessToken> {
        match decide(Some(failed), self.ask(), self.rows.now()) {
            Step::Use { until } => self.hold(failed, until),
            _ => None,
        }
    }

    /// What goes over the row as it is now, when these tokens are newer than its own: it was taken by
    /// somebody who could not know of them, and who loses it again.
    async fn better_than_the_row(&self, unsaved: &Unsaved) -> Result<Option<Unsaved>> {
        let (row, before) = self.rows.read().await?.unzip();
        let ours = row.as_ref().filter(|row| row.client == self.client);
        let record = &unsaved.record;
        if unsaved.consented {
            let date = |record: &Record| record.tokens.as_ref().map(|tokens| tokens.obtained_at);
            let later = ours.is_some_and(|row| date(row) > date(record));
            let generation = row.map_or(0, |row| row.generation) + 1;
            let record = Record { generation, ..record.clone() };
            return Ok((!later).then_some(Unsaved { record, before, consented: true }));
        }
        let over = |row: &Record| matches!(row.phase, Phase::NeedsReauth { .. });
        let newer = ours.is_some_and(|row| row.generation < record.generation && !over(row));
        Ok(newer.then_some(Unsaved { record: record.clone(), before, consented: false }))
    }

    /// Stores tokens that came earlier, unless the row knows better ones.
    pub(super) async fn save_unsaved(&self) -> Result<Option<AccessToken>> {
        loop {
            let Some(unsaved) = self.memory().unsaved.clone() else { return Ok(None) };
            let (record, before) = (&unsaved.record, unsaved.before);
            let written = match unsaved.consented {
                true => self.authorise(before, record).await?,
                false => self.rows.write(before, record, "oauth tokens").await?,
            };
            let lost = written == Written::Lost;
            let next = if lost { self.better_than_the_row(&unsaved).await? } else { None };
            // Unless a consent has brought others meanwhile.
            let mut memory = self.memory();
            if memory.unsaved.as_ref().is_some_and(|now| now.record == *record) {
                memory.unsaved = next;
            }
            drop(memory);
            if lost {
                continue;
            }
            let Some(tokens) = &record.tokens else { return Ok(None) };
            self.tell_renewed(tokens);
            let token = self.hold(record, tokens.fresh_until);
            return Ok(token.filter(|token| token.generation > self.refused()));
        }
    }

    async fn end(&self, ended: Record, before: Option<Version>) -> Result<()> {
        let Phase::NeedsReauth { why, since } = ended.phase else { return Ok(()) };
        let entry = AuditEntry::apart(since, AuditAction::GrantEnded, Arc::clone(&self.grant));
        let entry = entry.because(why.to_string());
        if self.rows.decide(before, &ended, &entry).await? != Written::Lost {
            self.tell(&AuthEvent::NeedsReauth { grant: Arc::clone(&self.grant), why });
        }
        Ok(())
    }

    fn request(&self, record: &Record) -> Vec<Field> {
        let mut fields = self.fields.clone();
        match (self.flow, &record.refresh) {
            (Flow::Person, Some(refresh)) => {
                fields.push(("grant_type", Secret::new("refresh_token")));
                fields.push(("refresh_token", refresh.0.clone()));
            }
            _ => fields.push(("grant_type", Secret::new("client_credentials"))),
        }
        fields
    }

    /// Remembers the token of a record that is stored.
    fn hold(&self, record: &Record, until: Timestamp) -> Option<AccessToken> {
        let tokens = record.tokens.as_ref()?;
        let token = AccessToken { secret: tokens.access.0.clone(), generation: record.generation };
        let held = Held { token: token.clone(), until, expires_at: tokens.expires_at };
        self.memory().held = Some(held);
        Some(token)
    }

    fn unable(step: &Step) -> Error {
        match step {
            Step::Ended(why) => {
                let message = "the grant needs a person to authorise it again";
                Error::new(ErrorKind::AuthenticationFailed, message).with("why", why)
            }
            Step::Refused => {
                let message = "the resource refuses a token that was just issued";
                Error::new(ErrorKind::AuthenticationFailed, message)
            }
            Step::Later(pause) => {
                let message = "the token end point failed a moment ago: it is asked again later";
                Error::new(ErrorKind::Unavailable, message).with_retry_after(*pause)
            }
            _ => Error::new(ErrorKind::Conflict, "the grant changed meanwhile"),
        }
    }

    /// Refuses to sign another tenant's call.
    pub(super) fn check(&self, tenant: &TenantId) -> Result<()> {
        if self.shared || tenant == self.rows.tenant() {
            return Ok(());
        }
        let message = "the grant is another tenant's";
        Err(self.named(Error::new(ErrorKind::PermissionDenied, message)))
    }

    /// The error with the grant's name. The request that needs the token was not sent.
    pub(super) fn named(&self, error: Error) -> Error {
        error.with("grant", &self.grant).with_happened(Happened::No)
    }

    pub(super) fn tell_renewed(&self, tokens: &Tokens) {
        let (grant, expires_at) = (Arc::clone(&self.grant), tokens.expires_at);
        self.tell(&AuthEvent::Renewed { grant, expires_at });
    }

    fn tell(&self, event: &AuthEvent) {
        self.listeners.tell(event);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
