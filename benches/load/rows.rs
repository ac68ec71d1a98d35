//! Fills a store with the rows that finished messages leave.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use openclaw_core::{
    Env, TenantId, Timestamp,
    records::AuditLog,
    store::{Commit, Entry, Key, MemoryStore, Op, Prefix, StateStore, StateStoreExt as _, Txn},
};
use tokio::time::Instant;

use super::{Scenario, run, tenant};
use crate::Outcome;

/// Messages of one slice: what is held in memory at a time.
const SLICE: u64 = 50_000;
/// Rows of one transaction.
const ROWS: usize = 96;
/// Transactions of one batch.
const BATCH: usize = 64;

/// The audit trail: its rows are appended, so that the store gives them versions of its own.
const TRAIL: &str = "au";
/// The seals over the trail name its rows: they are made anew.
const SEALS: &str = "as";

/// What filling came to.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Filled {
    /// Rows that were written.
    pub rows: u64,
    /// Finished messages that they belong to.
    pub messages: u64,
    /// How long it took.
    pub took: Duration,
    /// The number of the next message.
    pub next: u64,
}

/// Writes at least this many rows, as a run of the gateway in memory leaves them.
///
/// # Errors
/// The run did not go well, or the store does not take the rows.
pub async fn fill<S: StateStore + Clone>(store: S, rows: u64) -> Outcome<Filled> {
    let start = Instant::now();
    let mut filled = Filled { next: 1, ..Filled::default() };
    while filled.rows < rows {
        let memory = MemoryStore::new(Env::system().clock());
        // Every finished message leaves at least two rows.
        let count = SLICE.min((rows - filled.rows).div_ceil(2));
        let figures =
            run(memory.clone(), &Scenario::closed(64).messages(count).starting_at(filled.next))
                .await?;
        if let Some(problem) = figures.problems.first() {
            return Err(format!("filling the store: {problem}").into());
        }
        filled.rows += copy(&memory, &store).await?;
        filled.messages += count;
        filled.next = figures.next;
    }
    let log = AuditLog::new(Arc::new(store), tenant()?);
    while log.seal().await?.is_some() {}
    filled.took = start.elapsed();
    Ok(filled)
}

/// Copies all rows of the tenant, side by side over the tables, as messages would write them.
async fn copy(from: &MemoryStore, to: &impl StateStore) -> Outcome<u64> {
    let tenant = tenant()?;
    let now = Env::system().now();
    let all = from.scan_all(everything(&tenant)).await?;
    let mut tables: BTreeMap<String, Vec<Op>> = BTreeMap::new();
    for (key, entry) in all {
        let table = table_of(&key, &tenant).ok_or("a row without a table")?;
        if table != SEALS {
            let op = write(&tenant, &table, key, entry, now);
            tables.entry(table).or_default().push(op);
        }
    }
    let rows: usize = tables.values().map(Vec::len).sum();
    let longest = tables.values().map(Vec::len).max().unwrap_or_default();
    let mut tables: Vec<_> = tables
        .into_values()
        .map(|ops| (ops.len().div_ceil(longest.div_ceil(ROWS / 3)), ops.into_iter()))
        .collect();
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH {
            let ops = tables.iter_mut().flat_map(|(share, ops)| ops.by_ref().take(*share));
            let txn = Txn::new("fill").ops(ops);
            if txn.ops.is_empty() {
                break;
            }
            batch.push(txn);
        }
        if batch.is_empty() {
            return Ok(rows as u64);
        }
        for outcome in to.commit_many(batch).await {
            let Commit::Applied(_) = outcome? else { return Err("a row was refused".into()) };
        }
    }
}

fn write(tenant: &TenantId, table: &str, key: Key, entry: Entry, now: Timestamp) -> Op {
    let Entry { value, expires_at, .. } = entry;
    let ttl = expires_at.map(|at| at.since(now));
    if table == TRAIL {
        return Op::Append { prefix: Key::of(tenant, TRAIL).prefix(), value, ttl };
    }
    Op::Put { key, value, ttl }
}

/// All rows of a tenant: keys begin with the tenant's name, then the table's.
fn everything(tenant: &TenantId) -> Prefix {
    let nameless = Key::of(tenant, "").prefix();
    let bytes = nameless.as_bytes();
    // The nameless table is an empty part: two bytes of length.
    Prefix::from_bytes(bytes.get(..bytes.len() - 2).unwrap_or_default().to_vec())
}

fn table_of(key: &Key, tenant: &TenantId) -> Option<String> {
    let (length, rest) = key.behind(&everything(tenant))?.split_at_checked(2)?;
    let length = u16::from_be_bytes(length.try_into().ok()?);
    String::from_utf8(rest.get(..length.into())?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_filled_store_has_the_rows_of_its_messages() {
        let store = MemoryStore::new(Env::system().clock());
        let filled = fill(store.clone(), 5000).await.unwrap();
        assert!(filled.rows >= 5000, "{filled:?}");
        let report = AuditLog::new(Arc::new(store.clone()), tenant().unwrap());
        assert!(report.verify(None).await.unwrap().is_ok());
        let after = run(store, &Scenario::closed(8).messages(100).starting_at(filled.next)).await;
        assert_eq!(after.unwrap().problems, [""; 0], "a run goes on where the filling ended");
    }
}
