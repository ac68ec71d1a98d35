//! What clients of a store see.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use openclaw_benches::Outcome;
use openclaw_core::{
    Rng,
    store::{Commit, Key, ScanQuery, SharedStore, StateStore as _, StateStoreExt as _},
};
use openclaw_testkit::{env::SeededRng, load::Latencies};
use tokio::{task::JoinSet, time::Instant};

use crate::rows::{insert, key};

/// Rows of one page.
const PAGE: NonZeroUsize = NonZeroUsize::new(100).unwrap();

/// How fast something goes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Speed {
    pub(crate) per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

type Clients = JoinSet<Outcome<Latencies>>;

impl Speed {
    /// Waits for all clients.
    pub(crate) async fn join(mut clients: Clients, start: Instant) -> Outcome<Self> {
        let mut all = Latencies::default();
        while let Some(one) = clients.join_next().await {
            all.merge(&one??);
        }
        Ok(Self::of(&all, start.elapsed()))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
    fn of(all: &Latencies, took: Duration) -> Self {
        let us = |d: Duration| d.as_secs_f64() * 1e6;
        let per_s = all.len() as f64 / took.as_secs_f64();
        Self { per_s, p50_us: us(all.p50()), p99_us: us(all.p99()) }
    }
}

/// Clients that each insert a row, and wait until it is durable, again and again.
pub(crate) async fn inserts(
    store: &SharedStore,
    clients: u64,
    next: &Arc<AtomicU64>,
    span: Duration,
) -> Outcome<Speed> {
    let start = Instant::now();
    let mut tasks = Clients::new();
    for client in 0..clients {
        let (store, next) = (Arc::clone(store), Arc::clone(next));
        let dice = SeededRng::new(client);
        tasks.spawn(async move {
            let mut latencies = Latencies::default();
            while start.elapsed() < span {
                let txn = insert(next.fetch_add(1, Ordering::Relaxed), &dice);
                let since = Instant::now();
                match store.commit(txn).await? {
                    Commit::Applied(_) => latencies.record(since.elapsed()),
                    Commit::Conflict(lost) => return Err(format!("a new row: {lost:?}").into()),
                }
            }
            Ok(latencies)
        });
    }
    Speed::join(tasks, start).await
}

/// One client that reads rows, one at a time.
pub(crate) async fn reads(store: &SharedStore, rows: u64, span: Duration) -> Outcome<Speed> {
    one(span, |dice| {
        let key = key(dice.below(rows));
        async move {
            let found = store.get(&key).await?;
            found.map(drop).ok_or_else(|| format!("{key:?} is gone").into())
        }
    })
    .await
}

/// One client that reads pages of a hundred rows.
pub(crate) async fn scans(store: &SharedStore, span: Duration) -> Outcome<Speed> {
    one(span, |dice| {
        let prefix = Key::system("bench-row").prefix();
        let from = Key::system("bench-row").number(dice.next_u64() >> 1).build();
        async move {
            let page = store.scan(ScanQuery::new(prefix).after(Some(from)).limit(PAGE)).await?;
            if page.value.rows.is_empty() { Err("an empty page".into()) } else { Ok(()) }
        }
    })
    .await
}

async fn one<F: Future<Output = Outcome<()>>>(
    span: Duration,
    mut ask: impl FnMut(&SeededRng) -> F,
) -> Outcome<Speed> {
    let dice = SeededRng::new(7);
    let mut latencies = Latencies::default();
    let start = Instant::now();
    while start.elapsed() < span {
        let since = Instant::now();
        ask(&dice).await?;
        latencies.record(since.elapsed());
    }
    Ok(Speed::of(&latencies, start.elapsed()))
}
