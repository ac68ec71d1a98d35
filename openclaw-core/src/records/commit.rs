//! Commits whose outcome is known in the end.

use crate::{
    Error, ErrorKind, Happened, Result, Timestamp,
    traits::store::{
        Applied, Commit, Entry, Guard, Op, StateStore, StateStoreExt, StoreError, Txn, Version,
    },
    words::planted::{Bug, planted},
};

/// How often an unknown outcome is looked up before the caller hears of it.
const TRIES: usize = 5;

/// A commit that is known to be applied, or known to have lost.
#[derive(Debug)]
pub(crate) enum Known {
    Applied(Applied),
    /// The guard at this place did not hold.
    Lost {
        guard: usize,
        current: Option<Entry>,
    },
}

impl Known {
    /// What an outcome means that is not looked up.
    pub(crate) fn of(outcome: Result<Commit, StoreError>) -> Result<Self> {
        settle(outcome)
    }

    /// The commit, when every guard was sure to hold unless somebody else took over.
    pub(crate) fn or_fenced(self) -> Result<Applied> {
        match self {
            Self::Applied(applied) => Ok(applied),
            Self::Lost { guard, .. } => Err(fenced(guard)),
        }
    }
}

fn fenced(guard: usize) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "another gateway has taken over, or an operator changed the row",
    )
    .with("guard", guard)
    .with_happened(Happened::No)
}

/// Commits; an unknown outcome is read back and tried again until it is known.
///
/// The first put of the transaction is the witness: its value is unique to this step, and a
/// guard of the transaction keeps it from applying twice. Without a put it is the first delete.
pub(crate) async fn commit(store: &dyn StateStore, txn: Txn) -> Result<Known> {
    // Boxed, as all that is rare: every commit would carry the room for it.
    let spare = (!store.capabilities().certain).then(|| Box::new((txn.clone(), witness(&txn))));
    match (store.commit(txn).await, spare) {
        (Err(StoreError::OutcomeUnknown(id)), Some(spare)) => {
            let (txn, witness) = *spare;
            Box::pin(resolve(store, txn, witness, id)).await
        }
        (outcome, _) => settle(outcome),
    }
}

/// What an outcome of a batch means; an unknown one is resolved by itself.
pub(crate) async fn resolve_one(
    store: &dyn StateStore,
    txn: &Txn,
    outcome: Result<Commit, StoreError>,
) -> Result<Known> {
    match outcome {
        Err(StoreError::OutcomeUnknown(id)) => resolve(store, txn.clone(), witness(txn), id).await,
        outcome => settle(outcome),
    }
}

fn settle(outcome: Result<Commit, StoreError>) -> Result<Known> {
    match outcome? {
        Commit::Applied(applied) => Ok(Known::Applied(applied)),
        Commit::Conflict(lost) => Ok(Known::Lost { guard: lost.failed, current: lost.current }),
    }
}

/// Looks and tries again until it is known. No error on this way says that nothing was applied.
async fn resolve(
    store: &dyn StateStore,
    txn: Txn,
    witness: Option<Op>,
    id: crate::store::TxnId,
) -> Result<Known> {
    if planted(Bug::UnknownIsApplied) {
        let applied = Applied::new(Version::default(), Timestamp::default(), Vec::new());
        return Ok(Known::Applied(applied));
    }
    if planted(Bug::UnknownIsLost) {
        return Err(StoreError::Unavailable("no answer".to_owned()).into());
    }
    for _ in 0..TRIES {
        match look(store, &txn, witness.as_ref()).await {
            Ok(Some(known)) => return Ok(known),
            Ok(None) => {}
            Err(e) => return Err(Error::from(StoreError::OutcomeUnknown(id)).with_source(e)),
        }
    }
    Err(StoreError::OutcomeUnknown(id).into())
}

/// One look and one more try; `None` when the outcome of that one is unknown, too.
async fn look(
    store: &dyn StateStore,
    txn: &Txn,
    witness: Option<&Op>,
) -> Result<Option<Known>, StoreError> {
    if let Some(applied) = applied(store, witness).await? {
        return Ok(Some(Known::Applied(applied)));
    }
    match store.commit(txn.clone()).await {
        Err(StoreError::OutcomeUnknown(_)) => Ok(None),
        Err(e) => Err(e),
        Ok(Commit::Applied(applied)) => Ok(Some(Known::Applied(applied))),
        // It may have been applied between the look and the second try.
        Ok(Commit::Conflict(lost)) => Ok(Some(match applied(store, witness).await? {
            Some(applied) => Known::Applied(applied),
            None => Known::Lost { guard: lost.failed, current: lost.current },
        })),
    }
}

/// The commit as its witness shows it; `None` when the witness is not there.
async fn applied(
    store: &dyn StateStore,
    witness: Option<&Op>,
) -> Result<Option<Applied>, StoreError> {
    let Some(Op::Put { key, .. } | Op::Delete { key }) = witness else { return Ok(None) };
    let read = store.get_many(std::slice::from_ref(key)).await?;
    let found = read.value.into_iter().flatten().next();
    let version = match (witness, found) {
        (Some(Op::Put { value, .. }), Some(entry)) if entry.value == *value => entry.version,
        (Some(Op::Delete { .. }), None) => Version::default(),
        _ => return Ok(None),
    };
    Ok(Some(Applied::new(version, read.as_of, Vec::new())))
}

fn witness(txn: &Txn) -> Option<Op> {
    let put = txn.ops.iter().find(|op| matches!(op, Op::Put { .. }));
    put.or_else(|| txn.ops.iter().find(|op| matches!(op, Op::Delete { .. }))).cloned()
}

/// Reads one row with its version.
pub(crate) async fn read<R: super::row::Row>(
    store: &dyn StateStore,
    key: &crate::store::Key,
) -> Result<Option<(R, Version)>> {
    let Some(entry) = store.get(key).await? else { return Ok(None) };
    Ok(Some((R::decode(&entry.value)?, entry.version)))
}

/// A guard that the row is still as it was read.
pub(crate) const fn unchanged(key: crate::store::Key, version: Version) -> Guard {
    Guard::VersionIs(key, version)
}
