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
        match blow {
            Blow::Kill => server.kill().await.unwrap(),
            Blow::Immediate => server.stop_immediate().await.unwrap(),
            Blow::Freeze => server.pause(),
        }
        if let Blow::Freeze = blow {
            tokio::time::sleep(limit + limit / 2).await;
            server.resume();
        } else {
            server.restart().await.unwrap();
        }
        while store.commit(admit(1_000_000 + round)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let refused = sent.load(Ordering::SeqCst);
        reach(refused + 100).await;
    }
    over.store(true, Ordering::SeqCst);
    let storm = storming.await.expect("the storm");
    let there: BTreeSet<u64> = steps(&store).await.range(..1_000_000).copied().collect();
    assert!(there.is_superset(&storm.acknowledged), "an acknowledged step is lost");
    assert!(there.is_disjoint(&storm.refused), "a refused step is there");
    let open = there.difference(&storm.acknowledged).copied().collect::<BTreeSet<_>>();
    assert!(open.is_subset(&storm.unknown));
    assert!(storm.acknowledged.len() > 300, "the storm was none");
    assert!(!storm.refused.is_empty() || !storm.unknown.is_empty(), "nobody noticed");
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
