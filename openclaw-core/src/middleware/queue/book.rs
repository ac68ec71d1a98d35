//! The store's side of a queue.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::next::{self, Outcome, Turn};
use crate::{
    Env, Error, ErrorKind, Happened, IdempotencyKey, Reason, Refusal, Result, TenantId, Timestamp,
    channel::Reconcile,
    middleware::Delays,
    records::{
        EffectState,
        audit::AuditEntry,
        budgets::booked,
        claims::{Claims, Reserved, Who},
        commit::{self, Known},
        jobs::{self, Due, Job, JobRow, due_rows, job_key, known_key},
        row::Row,
    },
    store::{Entry, Key, Op, ScanQuery, SharedStore, StateStore as _, StoreTime, Txn, Version},
    words::meter::Meter,
};

/// How often a step is tried again behind a renewal that was under way.
const STEPS: usize = 3;
/// The rows of one look into the index.
const PAGE: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// Everything a queue keeps to.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) name: Arc<str>,
    pub(super) store: SharedStore,
    pub(super) env: Env,
    /// What the dates of the rows are by.
    pub(super) time: StoreTime,
    pub(super) depth: u32,
    pub(super) in_flight: usize,
    pub(super) attempts: u32,
    pub(super) delays: Delays,
    pub(super) lease: Duration,
    pub(super) time_limit: Duration,
    pub(super) retention: Duration,
    pub(super) poll: Duration,
    pub(super) reconcile: Option<Arc<dyn Reconcile>>,
    /// What reserves, where there are budgets.
    pub(super) claims: Claims,
    /// Something was put into the queue.
    pub(super) stirred: Notify,
    /// Something came to its end.
    pub(super) ended: Notify,
}

/// An index row whose turn has come.
pub(super) struct Named {
    pub(super) due: Due,
    pub(super) key: Key,
    version: Version,
}

/// What a look into the index found.
pub(super) struct Look {
    pub(super) named: Vec<Named>,
    /// The store's date.
    pub(super) now: Timestamp,
    /// When to look again.
    pub(super) again: Duration,
}

/// A job in hand.
pub(super) struct Taken {
    pub(super) job: Job,
    pub(super) owner: u64,
    /// Its owner is asked; else the service is called.
    pub(super) ask: bool,
    /// What the attempt says it has spent.
    pub(super) meter: Meter,
}

/// What came of a job whose turn has come.
#[expect(clippy::large_enum_variant, reason = "made once a job, and taken apart at once")]
pub(super) enum Took {
    /// It is in hand.
    Job(Taken),
    /// There is nothing to run.
    Nothing,
    /// A budget is spent, and renews in this time.
    Spent(Duration),
}

impl Book {
    /// The first jobs whose turn has come, without those of held tenants and those set aside.
    pub(super) async fn look(
        &self,
        max: usize,
        held: &BTreeMap<TenantId, Timestamp>,
        aside: &BTreeMap<Key, Timestamp>,
    ) -> Result<Look> {
        let prefix = due_rows(&self.name);
        let mut look = Look { named: Vec::new(), now: Timestamp::default(), again: self.poll };
        let mut after = None;
        loop {
            let query = ScanQuery::new(prefix.clone()).after(after.take()).limit(PAGE);
            let read = self.store.scan(query).await?;
            look.now = read.as_of;
            self.time.told(look.now);
            for (key, entry) in &read.value.rows {
                let Some(due) = jobs::named(key, &entry.value, &prefix) else { continue };
                if due.at > look.now {
                    look.again = look.again.min(due.at.since(look.now));
                    return Ok(look);
                }
                if look.named.len() >= max {
                    return Ok(look);
                }
                if aside.contains_key(key) {
                    continue;
                }
                match held.get(&due.tenant).filter(|until| **until > look.now) {
                    Some(until) => look.again = look.again.min(until.since(look.now)),
                    None => {
                        let (key, version) = (key.clone(), entry.version);
                        look.named.push(Named { due, key, version });
                    }
                }
            }
            after = read.value.rows.into_iter().next_back().map(|(key, _)| key);
            if after.is_none() || !read.value.more {
                return Ok(look);
            }
        }
    }

    /// Takes a job in hand, and reserves what it is expected to cost.
    pub(super) async fn take(&self, named: Named, now: Timestamp) -> Result<Took> {
        let Named { due, key, version } = named;
        let job = self.read(&due.tenant, due.id).await?;
        let Some(job) = job.filter(|job| job.row.is_open() && job.row.due == due.at) else {
            self.commit(jobs::forget(key, version)).await?;
            return Ok(Took::Nothing);
        };
        let owner = self.env.next_u64();
        let (mut to, ask) = match next::begin(&job.row, owner, self.attempts, self.lease, now)? {
            Turn::Call(row) => (row, false),
            Turn::Ask(row) => (row, true),
            Turn::End(row) => {
                self.step("end", &job, &row).await?;
                return Ok(Took::Nothing);
            }
        };
        let reserved = match self.reserved(&job).await {
            Ok(reserved) => reserved,
            Err(e) if is_spent(&e) => return self.spent(&job, &e).await,
            Err(e) => return Err(e),
        };
        to.costs.extend(reserved.costs);
        // Without room any more it is as if somebody else had it: it is looked at again.
        let taken = self.moved("dispatch", &job, &to, reserved.ops).await?;
        let taken = taken.map(|version| Job { row: to, version, ..job });
        let meter = Meter::default();
        Ok(taken.map_or(Took::Nothing, |job| Took::Job(Taken { job, owner, ask, meter })))
    }

    /// What a job reserves that was not sent. One in doubt has its reservation.
    async fn reserved(&self, job: &Job) -> Result<Reserved> {
        let call = &job.row.call;
        if !matches!(call.state, EffectState::Claimed { .. }) {
            return Ok(Reserved::default());
        }
        let who = Who {
            tenant: &job.tenant,
            payer: job.row.payer.as_ref(),
            message: job.id,
            subject: Arc::clone(&call.target),
            fence: None,
        };
        self.claims.reserving(&who, &call.target).await
    }

    /// A budget is spent: the job waits, with its turn, or ends where waiting is in vain.
    async fn spent(&self, job: &Job, e: &Error) -> Result<Took> {
        if let Some(wait) = e.retry_after().filter(|_| !e.is_exhausted()) {
            return Ok(Took::Spent(wait));
        }
        self.step("end", job, &next::refuse(&job.row, e)?).await?;
        Ok(Took::Nothing)
    }

    /// Prolongs the lease again and again; ends when somebody else has taken over.
    pub(super) async fn keep(&self, mut job: Job) {
        let owner = job.row.owner;
        loop {
            tokio::time::sleep(self.lease / 3).await;
            let row = JobRow { due: self.time.now().after(self.lease), ..job.row.clone() };
            if let Ok(Some(version)) = self.step("renew", &job, &row).await {
                job = Job { row, version, ..job };
                continue;
            }
            // It failed, or an earlier one was applied after all. The lease holds for two more.
            match self.read(&job.tenant, job.id).await {
                Ok(Some(now)) if now.row.owner == owner => job = now,
                Ok(_) => {
                    tracing::warn!(queue = &*self.name, job = %job.id, "a job was taken over");
                    return;
                }
                Err(_) => {}
            }
        }
    }

    /// Writes down how an attempt ended; waits for a store that does not answer.
    pub(super) async fn settle(&self, taken: Taken, outcome: &Outcome) {
        let Taken { mut job, owner, meter, .. } = taken;
        let random = self.env.next_u64();
        for _ in 0..STEPS {
            match self.settle_once(&job, outcome, random, &meter).await {
                Ok(true) => return,
                // It lost against its own renewal, or against somebody who took over.
                Ok(false) => {}
                Err(e) => {
                    self.not_yet(&job, e.kind());
                    tokio::time::sleep(self.lease / 3).await;
                }
            }
            match self.read(&job.tenant, job.id).await {
                Ok(Some(now)) if now.row.owner == Some(owner) => job = now,
                Ok(_) => return,
                Err(_) => {}
            }
        }
        tracing::warn!(queue = &*self.name, job = %job.id, "the end of a job could not be written");
    }

    fn not_yet(&self, job: &Job, kind: ErrorKind) {
        let queue = &*self.name;
        tracing::warn!(queue, job = %job.id, %kind, "the end of a job is not written yet");
    }

    async fn settle_once(
        &self,
        job: &Job,
        outcome: &Outcome,
        random: u64,
        meter: &Meter,
    ) -> Result<bool> {
        let failed = job.row.failed.saturating_add(1);
        let pause = self.delays.pause(failed, job.row.pause, random);
        let now = self.time.now();
        let row = next::settle(&job.row, outcome.clone(), self.attempts, pause, now)?;
        Ok(self.booking("settle", job, &row, Some((outcome, meter))).await?.is_some())
    }

    /// Moves a job on, and books what it has reserved; `None` when somebody else moved it meanwhile.
    pub(super) async fn step(
        &self,
        label: &'static str,
        from: &Job,
        to: &JobRow,
    ) -> Result<Option<Version>> {
        self.booking(label, from, to, None).await
    }

    async fn booking(
        &self,
        label: &'static str,
        from: &Job,
        to: &JobRow,
        ended: Option<(&Outcome, &Meter)>,
    ) -> Result<Option<Version>> {
        let (outcome, meter) = ended.unzip();
        let state = next::paid(&from.row, to, outcome);
        // What is in nobody's hand has ended its call.
        let over = to.owner.is_none();
        match booked(&from.row.costs, &from.tenant, &state, over, meter) {
            Some((costs, ops)) => {
                let to = JobRow { costs, ..to.clone() };
                self.moved(label, from, &to, ops).await
            }
            None => self.moved(label, from, to, Vec::new()).await,
        }
    }

    /// Moves a job on with its audit entry and what is booked of it.
    async fn moved(
        &self,
        label: &'static str,
        from: &Job,
        to: &JobRow,
        booked: Vec<Op>,
    ) -> Result<Option<Version>> {
        let action = next::action(&from.row.call.state, &to.call.state);
        let entry = action.map(|action| {
            let entry = AuditEntry::new(self.env.now(), action, from.id, &*to.call.target);
            entry.because(format!("queue {}", self.name))
        });
        let txn = jobs::step(label, from, to, self.retention, entry)?.ops(booked);
        let version = match self.commit(txn).await? {
            Known::Applied(applied) => applied.version,
            Known::Lost { .. } => return Ok(None),
        };
        if !to.is_open() {
            self.ended.notify_waiters();
        } else if to.owner.is_none() {
            self.stirred.notify_one();
        }
        Ok(Some(version))
    }

    pub(super) async fn commit(&self, txn: Txn) -> Result<Known> {
        let known = commit::commit(&*self.store, txn).await?;
        if let Known::Applied(applied) = &known {
            self.time.told(applied.as_of);
        }
        Ok(known)
    }

    /// A job as it stands; `None` when there is none of this tenant in this queue.
    pub(super) async fn read(
        &self,
        tenant: &TenantId,
        id: crate::MessageId,
    ) -> Result<Option<Job>> {
        let Some(entry) = self.get(&job_key(tenant, id)).await? else { return Ok(None) };
        let (row, version) = (JobRow::decode(&entry.value)?, entry.version);
        let here = row.queue == self.name;
        Ok(here.then(|| Job { tenant: tenant.clone(), id, row, version }))
    }

    /// Has the store tell its time before anything is dated; a read, the first time only.
    pub(super) async fn tell(&self, tenant: &TenantId, id: crate::MessageId) -> Result<()> {
        if !self.time.is_told() {
            self.get(&job_key(tenant, id)).await?;
        }
        Ok(())
    }

    /// A row; the store tells its time with it.
    async fn get(&self, key: &Key) -> Result<Option<Entry>> {
        let read = self.store.get_many(std::slice::from_ref(key)).await?;
        self.time.told(read.as_of);
        Ok(read.value.into_iter().next().flatten())
    }

    /// The job that a call with this key has made; `None` when there is none, or none any more.
    pub(super) async fn known(
        &self,
        tenant: &TenantId,
        key: &IdempotencyKey,
    ) -> Result<Option<Job>> {
        let row = self.get(&known_key(tenant, &self.name, key)).await?;
        let id = row.and_then(|row| (*row.value).try_into().ok());
        let Some(id) = id.map(crate::MessageId::from_bytes) else { return Ok(None) };
        self.read(tenant, id).await
    }

    /// The jobs of a tenant behind this one, oldest first.
    pub(super) async fn list(
        &self,
        tenant: &TenantId,
        after: Option<crate::MessageId>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Job>> {
        let prefix = jobs::jobs_of(tenant);
        let after = after.map(|id| job_key(tenant, id));
        let query = ScanQuery::new(prefix.clone()).after(after).limit(limit);
        let mut found = Vec::new();
        for (key, entry) in self.store.scan(query).await?.value.rows {
            let row = JobRow::decode(&entry.value)?;
            let id = key.behind(&prefix).and_then(|id| id.try_into().ok());
            if let Some(id) = id.map(crate::MessageId::from_bytes) {
                found.push(Job { tenant: tenant.clone(), id, row, version: entry.version });
            }
        }
        Ok(found)
    }

    pub(super) fn missing(&self, id: crate::MessageId) -> Error {
        Error::new(ErrorKind::NotFound, "there is no such job, or it is forgotten")
            .with("queue", &self.name)
            .with("job", id)
            .with_happened(Happened::No)
    }
}

/// Is it a budget that refuses?
fn is_spent(e: &Error) -> bool {
    e.refusal().map(Refusal::reason) == Some(Reason::BudgetSpent)
}
