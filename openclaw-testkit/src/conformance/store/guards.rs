//! Guards: what must hold, and who wins when many try.

use std::sync::Arc;

use openclaw_core::store::{Commit, Guard, Key, Op, StateStore, Version};
use tokio::{runtime::Handle, task::yield_now};

use super::{
    super::run::together,
    steps::{apply, group, key, lose, nth, put, row, shown, text, txn},
};
use crate::env::SeededRng;

const TASKS: u64 = 12;
const TURNS: u64 = 20;

/// A guard `Absent` loses against a row, and holds when it is gone.
pub async fn absent_guard_loses_against_a_row(store: &dyn StateStore) {
    let k = key("absent");
    let claim = || txn().guard(Guard::Absent(k.clone())).op(Op::put(k.clone(), "mine"));
    apply(store, claim()).await;
    lose(store, claim()).await;
    apply(store, txn().op(Op::delete(k.clone()))).await;
    apply(store, claim()).await;
}

/// A guard `Exists` needs a row, whatever its version.
pub async fn exists_guard_needs_a_row(store: &dyn StateStore) {
    let (k, mark) = (key("exists"), key("mark"));
    let step = || txn().guard(Guard::Exists(k.clone())).op(Op::put(mark.clone(), "x"));
    lose(store, step()).await;
    assert_eq!(row(store, &mark).await, None, "a lost commit wrote");
    for value in ["one", "two"] {
        put(store, &k, value).await;
        apply(store, step()).await;
    }
}

/// A guard `VersionIs` holds for exactly the version that was read.
pub async fn version_guard_holds_for_one_version(store: &dyn StateStore) {
    let k = key("version");
    let set = |version: Version, value: &'static str| {
        txn().guard(Guard::VersionIs(k.clone(), version)).op(Op::put(k.clone(), value))
    };
    lose(store, set(Version::new(0), "nobody wrote this")).await;
    let first = put(store, &k, "first").await;
    let second = apply(store, set(first, "second")).await.version;
    lose(store, set(first, "late")).await;
    apply(store, set(second, "third")).await;
    assert_eq!(text(store, &k).await.as_deref(), Some("third"));
}

/// A conflict names the first guard that lost and shows the row it looked at.
pub async fn a_conflict_tells_which_guard_lost_against_what(store: &dyn StateStore) {
    let (there, gone) = (key("there"), key("gone"));
    let version = put(store, &there, "value").await;
    let guards = || txn().guard(Guard::Exists(there.clone())).guard(Guard::Absent(gone.clone()));
    let conflict = lose(store, guards().guard(Guard::Absent(there.clone()))).await;
    assert_eq!(conflict.failed, 2, "the place of the guard that lost");
    let current = conflict.current.expect("the row that was in the way");
    assert_eq!((shown(&current), current.version), ("value".to_owned(), version));
    let two = guards().guard(Guard::Exists(gone.clone())).guard(Guard::Absent(there.clone()));
    let conflict = lose(store, two).await;
    assert_eq!((conflict.failed, conflict.current), (2, None), "the first that lost");
}

/// Guards see the state before the operations of their own transaction.
pub async fn guards_look_before_the_operations(store: &dyn StateStore) {
    let k = key("before");
    lose(store, txn().guard(Guard::Exists(k.clone())).op(Op::put(k.clone(), "x"))).await;
    let both = txn().guard(Guard::Absent(k.clone())).guard(Guard::Absent(k.clone()));
    let version = apply(store, both.op(Op::put(k.clone(), "x"))).await.version;
    let delete = txn().guard(Guard::VersionIs(k.clone(), version)).op(Op::delete(k.clone()));
    apply(store, delete.guard(Guard::Exists(k.clone()))).await;
    assert_eq!(row(store, &k).await, None);
}

/// A transaction of guards alone is checked, and writes nothing.
pub async fn guards_alone_are_checked(store: &dyn StateStore) {
    let k = key("alone");
    apply(store, txn().guard(Guard::Absent(k.clone()))).await;
    lose(store, txn().guard(Guard::Exists(k.clone()))).await;
    assert_eq!(row(store, &k).await, None);
}

/// Of many who claim a row at once, exactly one wins.
pub async fn one_of_many_claims_wins(store: &dyn StateStore) {
    for round in 0..TURNS {
        let k = nth("claims", round);
        let claim = |n: u64| {
            let claim = txn().guard(Guard::Absent(k.clone()));
            store.commit(claim.op(Op::put(k.clone(), n.to_string())))
        };
        let outcomes = together((0..TASKS).map(claim)).await;
        let applied = |outcome: &Result<Commit, _>| matches!(outcome, Ok(Commit::Applied(_)));
        let winners: Vec<_> = (0..).zip(&outcomes).filter(|(_, o)| applied(o)).collect();
        assert_eq!(winners.len(), 1, "winners of round {round}");
        let winner: u64 = winners[0].0;
        assert_eq!(text(store, &k).await, Some(winner.to_string()), "the winner's value stands");
    }
}

/// Compare-and-swap from many tasks counts every winner.
pub async fn compare_and_swap_loses_no_update(store: &dyn StateStore) {
    let k = key("counter");
    put(store, &k, "0").await;
    let wins = together((0..TASKS).map(|n| count(store, &k, SeededRng::new(n)))).await;
    let total: u64 = wins.iter().sum();
    assert_eq!(text(store, &k).await, Some(total.to_string()), "updates were lost");
}

/// Compare-and-swap from many threads counts every winner.
pub async fn compare_and_swap_holds_between_threads(store: Arc<dyn StateStore>) {
    let k = key("counter");
    put(&*store, &k, "0").await;
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let (store, k, here) = (Arc::clone(&store), k.clone(), Handle::current());
            let run = move || here.block_on(count(&*store, &k, SeededRng::new(n)));
            tokio::task::spawn_blocking(run)
        })
        .collect();
    let mut total = 0;
    for thread in threads {
        total += thread.await.expect("a thread");
    }
    assert_eq!(text(&*store, &k).await, Some(total.to_string()), "updates were lost");
}

/// Raises the counter by compare-and-swap some times, and tells how often it won.
async fn count(store: &dyn StateStore, k: &Key, rng: SeededRng) -> u64 {
    let mut wins = 0;
    for _ in 0..TURNS {
        let entry = row(store, k).await.expect("the counter");
        if rng.chance(0.5) {
            yield_now().await;
        }
        let next = shown(&entry).parse::<u64>().expect("a number") + 1;
        let swap = txn().guard(Guard::VersionIs(k.clone(), entry.version));
        let swap = swap.op(Op::put(k.clone(), next.to_string()));
        if let Commit::Applied(_) = store.commit(swap).await.expect("a commit") {
            wins += 1;
        }
    }
    wins
}

/// Transfers between accounts keep their sum, at every moment that a reader sees.
pub async fn transfers_keep_the_sum(store: &dyn StateStore) {
    const ACCOUNTS: u64 = 5;
    const EACH: u64 = 100;
    let accounts: Vec<Key> = (0..ACCOUNTS).map(|n| nth("bank", n)).collect();
    for account in &accounts {
        put(store, account, &EACH.to_string()).await;
    }
    let (accounts, all) = (&accounts, group("bank"));
    let tellers = together((0..TASKS).map(|n| transfer(store, accounts, SeededRng::new(n))));
    let readers = together((0..4).map(|_| async {
        for _ in 0..TURNS * 2 {
            let read = store.get_many(accounts).await.expect("a read").value;
            let sum: u64 = read.into_iter().map(|e| balance(&shown(&e.expect("it stays")))).sum();
            assert_eq!(sum, ACCOUNTS * EACH, "get_many saw half a transfer");
            yield_now().await;
            let query = openclaw_core::store::ScanQuery::new(all.clone());
            let page = store.scan(query).await.expect("a scan").value;
            let sum: u64 = page.rows.iter().map(|(_, e)| balance(&shown(e))).sum();
            assert_eq!(sum, ACCOUNTS * EACH, "scan saw half a transfer");
        }
    }));
    let (moved, _) = tokio::join!(tellers, readers);
    assert!(moved.iter().sum::<u64>() > 0, "no transfer ever won");
}

fn balance(text: &str) -> u64 {
    text.parse().expect("a balance")
}

async fn transfer(store: &dyn StateStore, accounts: &[Key], rng: SeededRng) -> u64 {
    let mut moved = 0;
    for _ in 0..TURNS {
        let (Some(from), Some(to)) = (rng.pick(accounts), rng.pick(accounts)) else { continue };
        if from == to {
            continue;
        }
        let read = store.get_many(&[from.clone(), to.clone()]).await.expect("a read").value;
        if rng.chance(0.5) {
            yield_now().await;
        }
        let [Some(a), Some(b)] = &read[..] else { panic!("an account is gone") };
        let amount = rng.below(20).min(balance(&shown(a)));
        let (left, more) = (balance(&shown(a)) - amount, balance(&shown(b)) + amount);
        let step = txn()
            .guard(Guard::VersionIs(from.clone(), a.version))
            .guard(Guard::VersionIs(to.clone(), b.version))
            .op(Op::put(from.clone(), left.to_string()))
            .op(Op::put(to.clone(), more.to_string()));
        if let Commit::Applied(_) = store.commit(step).await.expect("a commit") {
            moved += amount;
        }
    }
    moved
}
