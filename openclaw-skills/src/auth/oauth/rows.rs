//! The rows of grants: read with their versions, written by compare-and-set.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    Digest, Error, ErrorKind, Happened, Result, Secret, TenantId, Timestamp,
    records::AuditEntry,
    store::{
        Commit, Entry, Guard, Key, Op, SharedStore, StateStore as _, StoreError, StoreTime, Txn,
        Version,
    },
};
use tokio::time::sleep;

use super::record::{Hidden, Record};

/// How often a write is tried while the store does not answer.
const TRIES: u32 = 5;

/// The pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(100);

/// How long somebody has for a consent that was begun.
const PENDING: Duration = Duration::from_secs(600);

/// The rows of one grant.
#[derive(Debug)]
pub(super) struct Rows {
    store: SharedStore,
    time: StoreTime,
    tenant: TenantId,
    grant: Arc<str>,
    /// Is the audit trail of the gateway in this store, too?
    audited: bool,
}

/// What the row of a grant was at a time of the store.
#[derive(Debug)]
pub(super) struct Look {
    /// The record and its version.
    pub(super) row: Option<(Record, Version)>,
    /// The store's time: what the dates of the record are judged by.
    pub(super) as_of: Timestamp,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is stored under this version.
    Stored(Version),
    /// The row is not what it was.
    Lost,
}

impl Rows {
    pub(super) const fn new(
        store: SharedStore,
        time: StoreTime,
        tenant: TenantId,
        grant: Arc<str>,
        audited: bool,
    ) -> Self {
        Self { store, time, tenant, grant, audited }
    }

    pub(super) const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The store's time now, as far as it is known here. Every date of a record is by it.
    pub(super) fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// The record and its version.
    pub(super) async fn read(&self) -> Result<Option<(Record, Version)>> {
        Ok(self.look().await?.row)
    }

    /// The same, with the store's time.
    pub(super) async fn look(&self) -> Result<Look> {
        let (row, as_of) = self.get(&self.key()).await?;
        let decoded = |row: Entry| Ok::<_, Error>((Record::decode(&row.value)?, row.version));
        Ok(Look { row: row.map(decoded).transpose()?, as_of })
    }

    /// A row, and the store's time.
    async fn get(&self, key: &Key) -> Result<(Option<Entry>, Timestamp), StoreError> {
        let found = self.store.get_many(std::slice::from_ref(key)).await?;
        self.time.told(found.as_of);
        Ok((found.value.into_iter().next().flatten(), found.as_of))
    }

    /// Writes the record when the row still has this version.
    ///
    /// A store that does not answer is asked again for some time: tokens may be at stake.
    pub(super) async fn write(
        &self,
        before: Option<Version>,
        record: &Record,
        label: &'static str,
    ) -> Result<Written> {
        self.commit(self.put(before, record, label)?).await
    }

    /// Writes the record with the decision that led to it.
    pub(super) async fn decide(
        &self,
        before: Option<Version>,
        record: &Record,
        entry: &AuditEntry,
    ) -> Result<Written> {
        let txn = self.put(before, record, "oauth decide")?;
        let entry = self.audited.then(|| entry.append(&self.tenant)).transpose()?;
        self.commit(txn.ops(entry)).await
    }

    fn put(&self, before: Option<Version>, record: &Record, label: &'static str) -> Result<Txn> {
        let key = self.key();
        let value = record.encode()?;
        let guard = match before {
            Some(version) => Guard::VersionIs(key.clone(), version),
            None => Guard::Absent(key.clone()),
        };
        Ok(Txn::new(label).guard(guard).op(Op::put(key, value)))
    }

    /// Keeps the secret half of a consent that begins, under its state.
    pub(super) async fn begin(&self, state: &str, verifier: &Hidden) -> Result<()> {
        let key = self.pending(state);
        let value = verifier.0.expose().as_bytes().to_vec();
        let put = Op::put_for(key.clone(), value, PENDING);
        match self.commit(Txn::new("oauth begin").guard(Guard::Absent(key)).op(put)).await? {
            Written::Stored(_) => Ok(()),
            Written::Lost => Err(refuse(ErrorKind::Conflict, "this state was given out before")),
        }
    }

    /// Takes the secret half of a consent out: only once.
    pub(super) async fn take(&self, state: &str) -> Result<Hidden> {
        let key = self.pending(state);
        let unknown = || {
            let message = "no consent waits for this state: it was used, is over, or is forged";
            refuse(ErrorKind::PermissionDenied, message)
        };
        let row = self.get(&key).await?.0.ok_or_else(unknown)?;
        let odd = |_bytes| refuse(ErrorKind::ServerError, "a row of a pending consent is damaged");
        let text = String::from_utf8(row.value.to_vec()).map_err(odd)?;
        let guard = Guard::VersionIs(key.clone(), row.version);
        match self.commit(Txn::new("oauth finish").guard(guard).op(Op::delete(key))).await? {
            Written::Stored(_) => Ok(Hidden(Secret::new(text))),
            Written::Lost => Err(unknown()),
        }
    }

    fn key(&self) -> Key {
        Key::of(&self.tenant, "oa").text(&self.grant).build()
    }

    fn pending(&self, state: &str) -> Key {
        // Keys are not sealed: the state itself stays out of them.
        let state = Digest::of("openclaw.oauth.state", [state]);
        Key::of(&self.tenant, "op").text(&self.grant).bytes(state.as_bytes()).build()
    }

    async fn commit(&self, txn: Txn) -> Result<Written> {
        let mut unknown = false;
        for tried in 0..TRIES {
            if tried > 0 {
                sleep(PAUSE * (1 << tried.min(8))).await;
            }
            match self.once(&txn, unknown).await {
                Ok(written) => return Ok(written),
                Err(StoreError::OutcomeUnknown(_)) => unknown = true,
                Err(e @ StoreError::Unavailable(_)) if tried + 1 == TRIES && !unknown => {
                    return Err(Error::from(e).with_happened(Happened::No));
                }
                Err(StoreError::Unavailable(_)) => {}
                Err(e) => return Err(Error::from(e).with_happened(Happened::No)),
            }
        }
        let message = "nobody knows whether the row of a grant was written";
        Err(Error::new(ErrorKind::Unavailable, message).with_happened(Happened::No))
    }

    /// One try. Behind an unknown outcome, a lost guard may be our own write.
    async fn once(&self, txn: &Txn, unknown: bool) -> Result<Written, StoreError> {
        match self.store.commit(txn.clone()).await? {
            Commit::Applied(applied) => {
                self.time.told(applied.as_of);
                Ok(Written::Stored(applied.version))
            }
            Commit::Conflict(_) if unknown => self.witness(txn).await,
            Commit::Conflict(_) => Ok(Written::Lost),
        }
    }

    /// Is what the transaction writes there? Its values are its own, so it is the witness.
    async fn witness(&self, txn: &Txn) -> Result<Written, StoreError> {
        let Some(op) = txn.ops.first() else { return Ok(Written::Lost) };
        let (key, value) = match op {
            Op::Put { key, value, .. } => (key, Some(value)),
            Op::Delete { key } => (key, None),
            Op::Touch { .. } | Op::Append { .. } | Op::Add { .. } => return Ok(Written::Lost),
        };
        let (row, _) = self.get(key).await?;
        Ok(match (row, value) {
            (Some(row), Some(value)) if row.value == *value => Written::Stored(row.version),
            (None, None) => Written::Stored(Version::default()),
            _ => Written::Lost,
        })
    }
}

fn refuse(kind: ErrorKind, message: &'static str) -> Error {
    Error::new(kind, message).with_happened(Happened::No)
}
