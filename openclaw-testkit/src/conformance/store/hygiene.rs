//! Hygiene under load: calls that are dropped, writers that wait, floods.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use openclaw_core::store::{Commit, Guard, Key, Op, ScanQuery, StateStore, StoreError, Txn};

use super::{
    super::run::{abandon, together},
    steps::{apply, group, key, nth, number, put, row, rows, texts, txn},
};

const LIMIT: Duration = Duration::from_secs(20);
const ROWS: u64 = 12;

fn batch(name: &str, rows: u64) -> Txn {
    (0..rows).map(|n| Op::put(nth(name, n), "x")).fold(txn(), Txn::op)
}

/// Calls that are dropped at any point leave whole commits, and a store that goes on.
pub async fn a_call_dropped_anywhere_leaves_the_store_whole(store: &dyn StateStore) {
    put(store, &key("kept"), "x").await;
    for polls in 0..8 {
        let keys = [key("kept"), key("none")];
        drop(abandon(store.get_many(&keys), polls, LIMIT).await);
        drop(abandon(store.scan(ScanQuery::new(group("one 0"))), polls, LIMIT).await);
        let one = format!("one {polls}");
        drop(abandon(store.commit(batch(&one, ROWS)), polls, LIMIT).await);
        let many: Vec<String> = (0..4).map(|n| format!("many {polls} {n}")).collect();
        let all = many.iter().map(|name| batch(name, ROWS)).collect();
        drop(abandon(store.commit_many(all), polls, LIMIT).await);
        let half = drop_every_other(store, polls).await;
        let behind = key(&format!("behind {polls}"));
        apply(store, txn().guard(Guard::Absent(behind.clone())).op(Op::put(behind, "x"))).await;
        for name in many.into_iter().chain([one]).chain(half) {
            let found = texts(store, &group(&name)).await.len() as u64;
            assert!([0, ROWS].contains(&found), "{found} of {ROWS} rows of {name:?} were kept");
        }
    }
    assert!(row(store, &key("kept")).await.is_some());
}

/// Several commits at once; every other caller gives up, and the rest is served.
async fn drop_every_other(store: &dyn StateStore, polls: usize) -> Vec<String> {
    let names: Vec<String> = (0..8).map(|n| format!("half {polls} {n}")).collect();
    let patience = [polls, usize::MAX].into_iter().cycle();
    let some = names.iter().zip(patience);
    let some = some.map(|(name, polls)| abandon(store.commit(batch(name, ROWS)), polls, LIMIT));
    let outcomes = together(some).await;
    for outcome in outcomes.iter().skip(1).step_by(2) {
        assert!(matches!(outcome, Some(Ok(Commit::Applied(_)))), "beside drops: {outcome:?}");
    }
    names
}

/// Of many writers that commit without pause each is served in its turn; nobody starves.
pub async fn no_writer_starves_among_many(store: &dyn StateStore) {
    const WRITERS: u64 = 64;
    const ROUNDS: u64 = 12;
    let (answers, longest) = (AtomicU64::new(0), AtomicU64::new(0));
    let sum = key("sum");
    let (answers, longest, sum) = (&answers, &longest, &sum);
    together((0..WRITERS).map(|n| async move {
        for round in 0..ROUNDS {
            let before = answers.load(Relaxed);
            let add = Op::Add { key: sum.clone(), delta: 1, bound: None, ttl: None };
            apply(store, txn().op(add).op(Op::put(nth("writers", n * ROUNDS + round), "x"))).await;
            let others = answers.fetch_add(1, Relaxed) - before;
            longest.fetch_max(others, Relaxed);
        }
    }))
    .await;
    let found = rows(store, &group("writers")).await.len() as u64;
    assert_eq!(found, WRITERS * ROUNDS, "rows of writers that were answered");
    let added = row(store, sum).await.map(|e| number(&e));
    assert_eq!(added.map(u64::try_from), Some(Ok(WRITERS * ROUNDS)), "one of each round");
    let most = 4 * WRITERS;
    let waited = longest.load(Relaxed);
    assert!(waited <= most, "one commit waited for {waited} others, of {WRITERS} writers");
}

/// In a flood of commits each is answered: applied, or refused as `Unavailable` or `Full`.
pub async fn a_flood_is_applied_or_refused_and_never_lost(store: &dyn StateStore) {
    const FLOOD: u64 = 1_000;
    let drop_in = |n: u64| store.commit(txn().op(Op::put(nth("flood", n), n.to_string())));
    let outcomes = together((0..FLOOD).map(drop_in)).await;
    assert_eq!(outcomes.len() as u64, FLOOD, "answers");
    let mut applied: BTreeSet<Key> = BTreeSet::new();
    for (n, outcome) in (0..).zip(outcomes) {
        match outcome {
            Ok(Commit::Applied(_)) => drop(applied.insert(nth("flood", n))),
            Err(StoreError::Unavailable(_) | StoreError::Full(_)) => {}
            other => panic!("commit {n} of a flood: {other:?}"),
        }
    }
    assert!(!applied.is_empty(), "a flood may be refused in part, not whole");
    let found: BTreeSet<Key> =
        rows(store, &group("flood")).await.into_iter().map(|(key, _)| key).collect();
    let (lost, more) = (applied.difference(&found).count(), found.difference(&applied).count());
    assert_eq!((lost, more), (0, 0), "applied and not there, refused and there");
    put(store, &key("behind"), "x").await;
}
