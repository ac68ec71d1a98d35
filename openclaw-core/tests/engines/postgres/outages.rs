//! Servers that die, stop and freeze in the middle of commits.

use std::sync::atomic::{AtomicBool, AtomicU64};

use super::*;

/// What a storm of commits was told.
#[derive(Default)]
struct Storm {
    acknowledged: BTreeSet<u64>,
    unknown: BTreeSet<u64>,
    refused: BTreeSet<u64>,
}

impl Storm {
    /// Compares what was told with what is there.
    fn judge(&self, steps: &BTreeSet<u64>) {
        let there: BTreeSet<u64> = steps.range(..1_000_000).copied().collect();
        assert!(there.is_superset(&self.acknowledged), "an acknowledged step is lost");
        assert!(there.is_disjoint(&self.refused), "a refused step is there");
        let open: BTreeSet<u64> = there.difference(&self.acknowledged).copied().collect();
        assert!(open.is_subset(&self.unknown));
        assert!(self.acknowledged.len() > 300, "the storm was none");
        assert!(!self.refused.is_empty() || !self.unknown.is_empty(), "nobody noticed");
    }
}

/// Commits from many callers until it is over, whatever they are told.
async fn storm(store: &PostgresStore, over: &Arc<AtomicBool>, sent: &Arc<AtomicU64>) -> Storm {
    let callers = (0..32).map(|_| {
        let (store, over, sent) = (store.clone(), Arc::clone(over), Arc::clone(sent));
        tokio::spawn(async move {
            let mut told = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let n = sent.fetch_add(1, Ordering::SeqCst);
                told.push((n, store.commit(admit(n)).await));
                tokio::task::yield_now().await;
            }
            told
        })
    });
    let mut storm = Storm::default();
    for caller in callers.collect::<Vec<_>>() {
        for (n, outcome) in caller.await.expect("a caller") {
            let list = match outcome {
                Ok(Commit::Applied(_)) => &mut storm.acknowledged,
                Err(StoreError::OutcomeUnknown(_)) => &mut storm.unknown,
                Err(StoreError::Unavailable(_)) => &mut storm.refused,
                other => panic!("{n}: {other:?}"),
            };
            list.insert(n);
        }
    }
    storm
}

#[derive(Clone, Copy)]
enum Blow {
    Kill,
    Immediate,
    Freeze,
}

impl Blow {
    /// Strikes the server, and lets it come back.
    async fn strike(self, server: &mut Postgres, limit: Duration) {
        match self {
            Self::Kill => server.kill().await.unwrap(),
            Self::Immediate => server.stop_immediate().await.unwrap(),
            Self::Freeze => {
                server.pause();
                tokio::time::sleep(limit + limit / 2).await;
                server.resume();
                return;
            }
        }
        server.restart().await.unwrap();
    }
}

async fn survives(blow: Blow) {
    let Some(mut server) = Postgres::builder().start_or_skip().await.unwrap() else { return };
    let limit = Duration::from_secs(2);
    let patient = builder().request_timeout(limit).connect_timeout(limit);
    let store = patient.open(&server.url()).await.unwrap();
    let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let storming = {
        let (store, over, sent) = (store.clone(), Arc::clone(&over), Arc::clone(&sent));
        tokio::spawn(async move { storm(&store, &over, &sent).await })
    };
    let reach = async |n| {
        while sent.load(Ordering::SeqCst) < n {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    for round in 1..=3 {
        reach(round * 300).await;
        blow.strike(&mut server, limit).await;
        while store.commit(admit(1_000_000 + round)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let refused = sent.load(Ordering::SeqCst);
        reach(refused + 100).await;
    }
    over.store(true, Ordering::SeqCst);
    storming.await.expect("the storm").judge(&steps(&store).await);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn sigkill_in_a_storm_of_commits_loses_nothing() {
    survives(Blow::Kill).await;
}

#[tokio::test]
async fn an_immediate_stop_in_a_storm_of_commits_loses_nothing() {
    survives(Blow::Immediate).await;
}

#[tokio::test]
async fn a_frozen_server_ends_every_commit_and_goes_on() {
    survives(Blow::Freeze).await;
}

/// Nobody hears of the commit while the server waits for a standby that never comes.
#[tokio::test]
async fn what_nobody_knows_is_read_only_when_the_server_knows() {
    let Some(server) = Postgres::builder().start_or_skip().await.unwrap() else { return };
    let limit = Duration::from_millis(500);
    let store = builder().request_timeout(limit).open(&server.url()).await.unwrap();
    applied(store.commit(admit(0)).await);
    let admin = session(&server.url()).await;
    let standby = async |name: &str| {
        let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
        admin.batch_execute(&set).await.unwrap();
        admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    };
    standby("nobody").await;
    let mut n = 0;
    // The setting takes a moment to arrive.
    let error = loop {
        n += 1;
        match store.commit(admit(n)).await {
            Ok(outcome) => drop(applied(Ok(outcome))),
            Err(e) => break e,
        }
    };
    assert_eq!(error, StoreError::OutcomeUnknown(TxnId::new(n)));
    let early = store.get(&key(n)).await;
    assert!(matches!(early, Err(StoreError::Unavailable(_))), "answered too early: {early:?}");
    standby("").await;
    let settled = loop {
        match store.get(&key(n)).await {
            Ok(row) => break row,
            Err(StoreError::Unavailable(_)) => {}
            Err(e) => panic!("{e:?}"),
        }
    };
    assert!(settled.is_some(), "read as absent, and it came later");
    applied(store.commit(admit(n + 1)).await);
    assert_eq!(steps(&store).await, (0..=n + 1).collect());
}
