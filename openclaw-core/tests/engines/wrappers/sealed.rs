//! `SealedStore`: what lies below is sealed, bound to its row, and turned to new keys.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::store::{
    Conflict, Entry, Guard, Keys, Page, Prefix, ScanQuery, SealKey, SealedStore, Snapshot,
    StateStoreExt, StoreCapabilities, Version,
};
use openclaw_testkit::fault::{Fault, FaultStore, Plan};

use super::*;

const SECRET: &[u8] = b"a secret that nobody below may read";

fn seal_key(n: u8) -> SealKey {
    SealKey::from_bytes(&[n; 32])
}

pub(crate) fn ring() -> Keys {
    Keys::sealing("new", &seal_key(2)).opening("old", &seal_key(1)).expect("two names")
}

fn old() -> Keys {
    Keys::sealing("old", &seal_key(1))
}

/// A sealed store, and what lies below it.
fn sealed() -> (MemoryStore, SealedStore<MemoryStore>) {
    let (_, below) = memory();
    (below.clone(), SealedStore::new(below, ring()))
}

async fn value(store: &impl StateStore, key: &Key) -> Vec<u8> {
    store.get(key).await.expect("a read").expect("a row").value.to_vec()
}

/// Refused as damaged, in words that hold no byte of the row.
fn corrupt<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Err(StoreError::Corrupt(why)) => {
            assert!(why.contains("\"t\""), "it does not name the table: {why}");
            assert!(!why.contains("secret") && !why.contains('\n'), "{why}");
            why
        }
        other => panic!("it should not open: {other:?}"),
    }
}

fn lost(outcome: Result<Commit, StoreError>) -> Conflict {
    match outcome {
        Ok(Commit::Conflict(conflict)) => conflict,
        other => panic!("no conflict: {other:?}"),
    }
}

#[tokio::test]
async fn nothing_below_shows_a_value_or_that_two_are_alike() {
    let (below, store) = sealed();
    let log = Key::system("t").text("log").prefix();
    let step = txn()
        .op(Op::put(key(1), SECRET))
        .op(Op::put(key(2), SECRET))
        .op(Op::put(key(3), &b"8 bytes!"[..]))
        .op(Op::append(log.clone(), SECRET));
    apply(&store, step).await;
    let rows = below.scan_all(Prefix::from_bytes("")).await.expect("a scan");
    assert_eq!(rows.len(), 4);
    for (at, (_, row)) in rows.iter().enumerate() {
        for piece in SECRET.windows(8).chain([&b"8 bytes!"[..]]) {
            assert!(!row.value.windows(8).any(|some| some == piece), "row {at} shows a value");
        }
        assert!(rows.iter().skip(at + 1).all(|(_, other)| other.value != row.value));
    }
    for (key, row) in store.scan_all(Prefix::from_bytes("")).await.expect("a scan") {
        assert!(row.value == SECRET || row.value == "8 bytes!", "{key:?}");
    }
}

#[tokio::test]
async fn a_value_that_was_moved_to_another_row_does_not_open() {
    let (below, store) = sealed();
    let log = |n: u64| Key::system("t").text("log").number(n).prefix();
    apply(&store, txn().op(Op::put(key(1), SECRET)).op(Op::append(log(1), SECRET))).await;
    let moved = below.get(&key(1)).await.expect("a read").expect("a row").value;
    put(&below, &key(2), moved.clone()).await;
    corrupt(store.get(&key(2)).await);
    corrupt(store.scan_all(Key::system("t").prefix()).await);
    corrupt(store.commit(txn().guard(Guard::Absent(key(2)))).await);
    assert_eq!(value(&store, &key(1)).await, SECRET);

    let logged = below.scan_all(log(1)).await.expect("a scan").remove(0).1.value;
    let (same, other) =
        (log(1).appended(Version::new(99), 0), log(2).appended(Version::new(99), 0));
    put(&below, &other, logged.clone()).await;
    corrupt(store.get(&other).await);
    put(&below, &key(3), logged.clone()).await;
    corrupt(store.get(&key(3)).await);
    put(&below, &same, logged).await;
    assert_eq!(value(&store, &same).await, SECRET, "inside its log it opens, as is said");
}

#[tokio::test]
async fn what_is_not_sealed_or_sealed_by_a_stranger_is_named_without_its_bytes() {
    let (below, store) = sealed();
    put(&below, &key(1), "a plain secret").await;
    assert!(corrupt(store.get(&key(1)).await).contains("is not sealed"));
    let stranger = SealedStore::new(below.clone(), Keys::sealing("stranger", &seal_key(9)));
    put(&stranger, &key(2), SECRET).await;
    assert!(corrupt(store.get(&key(2)).await).contains("not in the ring"));
    // The right name on the wrong key.
    let wrong = SealedStore::new(below, Keys::sealing("new", &seal_key(9)));
    put(&wrong, &key(3), SECRET).await;
    assert!(corrupt(store.get(&key(3)).await).contains("does not open"));
}

#[test]
fn no_key_is_shown_and_no_name_is_given_twice() {
    let keys = ring();
    let (_, store) = sealed();
    for shown in [format!("{keys:?}"), format!("{store:?}"), format!("{:?}", seal_key(2))] {
        assert!(!shown.contains("0202") && !shown.contains("2, 2"), "{shown}");
    }
    let twice = Keys::sealing("a", &seal_key(1)).opening("a", &seal_key(2));
    assert!(twice.expect_err("one name for two keys").to_string().contains("\"a\""));
}

#[tokio::test]
async fn a_key_of_hexadecimal_digits_is_the_key_of_its_bytes() {
    let (below, store) = sealed();
    put(&store, &key(1), SECRET).await;
    let hex = openclaw_core::Secret::new("02".repeat(32));
    let keys = Keys::sealing("new", &SealKey::from_hex(&hex).expect("a key"));
    assert_eq!(value(&SealedStore::new(below, keys), &key(1)).await, SECRET);
    for wrong in ["", "02", &"0".repeat(63), &"0".repeat(65), &"0g".repeat(32), &"é".repeat(32)] {
        let error = SealKey::from_hex(&openclaw_core::Secret::new(wrong)).expect_err("no key");
        assert!(wrong.is_empty() || !error.to_string().contains(wrong), "{error}");
    }
}

#[tokio::test]
async fn a_number_that_was_put_is_sealed_until_something_is_added() {
    let (below, store) = sealed();
    let ten = 10_i64.to_be_bytes().to_vec();
    put(&store, &key(1), ten.clone()).await;
    assert_ne!(value(&below, &key(1)).await, ten);
    let applied = apply(&store, txn().op(add(&key(1), 5)).op(add(&key(2), 7))).await;
    assert_eq!(applied.sums, [15, 7]);
    assert_eq!(value(&below, &key(1)).await, 15_i64.to_be_bytes());
    assert_eq!(value(&store, &key(1)).await, 15_i64.to_be_bytes());
    assert_eq!(apply(&store, txn().op(add(&key(1), 1))).await.sums, [16]);
}

#[tokio::test]
async fn adds_to_sealed_numbers_win_and_lose_as_in_the_model() {
    let bounded =
        |key: &Key, delta| Op::Add { key: key.clone(), delta, bound: Some(0..=20), ttl: None };
    let ten = 10_i64.to_be_bytes().to_vec();
    let (_, model) = memory();
    let (_, store) = sealed();
    for step in [
        txn().op(Op::put(key(1), ten.clone())).op(Op::put(key(2), "text")),
        txn().op(bounded(&key(1), 11)),
        txn().guard(Guard::Exists(key(1))).op(add(&key(3), 1)).op(bounded(&key(1), 99)),
        txn().op(add(&key(2), 1)).op(bounded(&key(1), 99)),
        txn().op(bounded(&key(1), 5)).op(add(&key(2), 1)),
        txn().op(bounded(&key(1), 5)).op(bounded(&key(1), 6)),
        txn().op(bounded(&key(1), 5)).op(bounded(&key(1), 5)).op(add(&key(3), 4)),
        txn().op(Op::put(key(1), ten.clone())).op(bounded(&key(1), 11)),
        txn().op(Op::put(key(1), ten.clone())).op(bounded(&key(1), 10)),
        txn().op(Op::put(key(1), ten.clone())),
        txn().op(Op::put(key(1), "text")).op(add(&key(1), 1)),
        txn().op(Op::delete(key(1))).op(bounded(&key(1), 20)),
        txn().op(add(&key(1), 1)).op(Op::put(key(1), ten.clone())),
        txn().op(Op::Touch { key: key(1), ttl: None }).op(add(&key(1), i64::MAX)),
        txn().op(Op::Touch { key: key(1), ttl: None }).op(add(&key(1), -3)),
    ] {
        let said = format!("{step:?}");
        match (model.commit(step.clone()).await, store.commit(step).await) {
            (Ok(Commit::Applied(a)), Ok(Commit::Applied(b))) => {
                assert_eq!(a.sums, b.sums, "{said}");
            }
            (Ok(Commit::Conflict(a)), Ok(Commit::Conflict(b))) => {
                let shown = |lost: Conflict| (lost.failed, lost.current.map(|row| row.value));
                assert_eq!(shown(a), shown(b), "{said}");
            }
            other => panic!("{said}: {other:?}"),
        }
        for n in 1..4 {
            let both = [model.get(&key(n)).await, store.get(&key(n)).await];
            let [a, b] = both.map(|row| row.expect("a read").map(|row| row.value));
            assert_eq!(a, b, "row {n} behind {said}");
        }
    }
}

#[tokio::test]
async fn a_batch_keeps_its_order_around_an_add_to_a_sealed_number() {
    let (_, store) = sealed();
    let batch = vec![
        txn().op(Op::put(key(1), 10_i64.to_be_bytes().to_vec())),
        txn().op(add(&key(1), 5)),
        txn().op(Op::put(key(1), "text")),
        txn().op(add(&key(1), 1)),
        txn().op(Op::put(Key::from_bytes(vec![0; 481]), "x")),
        txn().guard(Guard::Absent(key(1))),
    ];
    let mut outcomes = store.commit_many(batch).await;
    assert_eq!(applied(&outcomes[1]).sums, [15]);
    for (n, failed) in [(5, 0), (3, 0)] {
        let conflict = lost(outcomes.remove(n));
        assert_eq!(conflict.failed, failed);
        assert_eq!(conflict.current.map(|row| row.value).as_deref(), Some(&b"text"[..]));
    }
    assert!(matches!(outcomes[3], Err(StoreError::TooLarge { .. })));
}

#[tokio::test]
async fn an_add_begins_anew_when_others_write_the_row_meanwhile() {
    let (_, below) = memory();
    let other = SealedStore::new(below.clone(), ring());
    let number = |n: i64| n.to_be_bytes().to_vec();
    put(&other, &key(1), number(10)).await;
    // Its first try opens the number; before the second one somebody else puts another.
    let raced = Raced::new(below, other.clone(), 2, key(1), number(40));
    let store = SealedStore::new(raced, ring());
    assert_eq!(apply(&store, txn().op(add(&key(1), 1))).await.sums, [41]);
    assert_eq!(value(&other, &key(1)).await, number(41));
}

#[tokio::test]
async fn many_adders_and_putters_lose_nothing() {
    let (_, store) = sealed();
    put(&store, &key(1), 0_i64.to_be_bytes().to_vec()).await;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..25 {
                    apply(&store, txn().op(add(&key(1), 1))).await;
                    tokio::task::yield_now().await;
                    // Puts the number back sealed, if nobody was faster.
                    let row = store.get(&key(1)).await.expect("a read").expect("a row");
                    let guard = Guard::VersionIs(key(1), row.version);
                    let again = txn().guard(guard).op(Op::put(key(1), row.value));
                    store.commit(again).await.expect("a commit");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
    assert_eq!(value(&store, &key(1)).await, (16 * 25_i64).to_be_bytes());
}

async fn reseal_all(
    store: &SealedStore<impl StateStore>,
    page: usize,
) -> Result<(u64, u64), (StoreError, Option<Key>)> {
    let page = page.try_into().expect("at least one");
    let (mut after, mut rewritten, mut overtaken) = (None, 0, 0);
    loop {
        let query = ScanQuery::new(Key::system("t").prefix()).limit(page).after(after.clone());
        let done = store.reseal(query).await.map_err(|e| (e, after))?;
        rewritten += done.rewritten;
        overtaken += done.overtaken;
        after = done.next;
        if after.is_none() {
            return Ok((rewritten, overtaken));
        }
    }
}

#[tokio::test]
async fn resealing_turns_every_row_and_keeps_values_and_expiry() {
    let (clock, below) = memory();
    let before = SealedStore::new(below.clone(), old());
    let log = Key::system("t").text("log").prefix();
    for n in 0..20 {
        let ttl = (n % 3 == 0).then_some(Duration::from_secs(60 + n));
        let value = format!("value {n}").into();
        let step = txn().op(Op::Put { key: key(n), value, ttl });
        apply(&before, step.op(Op::append(log.clone(), format!("line {n}")))).await;
    }
    apply(&before, txn().op(add(&key(99), 7))).await;
    clock.advance(Duration::from_secs(30));
    let rows = before.scan_all(Key::system("t").prefix()).await.expect("a scan");
    let store = SealedStore::new(below.clone(), ring());
    put(&store, &key(3), "value 3, and new").await;
    assert_eq!(reseal_all(&store, 7).await, Ok((39, 0)));
    assert_eq!(reseal_all(&store, 7).await, Ok((0, 0)), "a second pass finds nothing to do");

    let only_new = SealedStore::new(below, Keys::sealing("new", &seal_key(2)));
    let after = only_new.scan_all(Key::system("t").prefix()).await.expect("the old key is gone");
    assert_eq!(after.len(), rows.len());
    for ((key_then, then), (key_now, now)) in rows.iter().zip(&after) {
        assert_eq!(key_then, key_now);
        if *key_now != key(3) {
            assert_eq!((&then.value, then.expires_at), (&now.value, now.expires_at));
        }
    }
    corrupt(before.get(&key(1)).await);
}

#[tokio::test]
async fn resealing_goes_on_where_it_was_cut_and_overwrites_nobody() {
    let (_, below) = memory();
    let before = SealedStore::new(below.clone(), old());
    for n in 0..12 {
        put(&before, &key(n), format!("value {n}")).await;
    }
    let plan = Plan::default();
    let faulty = SealedStore::new(FaultStore::new(below.clone(), plan.clone()), ring());
    plan.nth("reseal", 6, Fault::LoseAnswer);
    let (error, at) = reseal_all(&faulty, 4).await.expect_err("an answer was lost");
    assert!(matches!(error, StoreError::OutcomeUnknown(_)), "{error:?}");
    assert!(at.is_some(), "the first page was done");

    // Somebody writes a row between its reading and its rewriting, still under the old key.
    plan.heal();
    let raced = Raced::new(below, before, 1, key(11), b"raced".to_vec());
    let raced = SealedStore::new(raced, ring());
    assert_eq!(reseal_all(&raced, 100).await, Ok((3, 1)));
    assert_eq!(value(&faulty, &key(11)).await, b"raced");
    assert_eq!(reseal_all(&faulty, 100).await, Ok((1, 0)));
    assert_eq!(value(&faulty, &key(11)).await, b"raced");
}

/// Has somebody else write a row just before one commit.
#[derive(Debug)]
struct Raced {
    below: MemoryStore,
    racer: SealedStore<MemoryStore>,
    left: AtomicU64,
    key: Key,
    value: Vec<u8>,
}

impl Raced {
    /// The `nth` commit from now, counted from 1, comes too late.
    fn new(
        below: MemoryStore,
        racer: SealedStore<MemoryStore>,
        nth: u64,
        key: Key,
        value: Vec<u8>,
    ) -> Self {
        Self { below, racer, left: AtomicU64::new(nth), key, value }
    }

    async fn race(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            put(&self.racer, &self.key, self.value.clone()).await;
        }
    }
}

#[async_trait]
impl StateStore for Raced {
    fn capabilities(&self) -> StoreCapabilities {
        self.below.capabilities()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        self.below.get_many(keys).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.below.scan(query).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.race().await;
        self.below.commit(txn).await
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        self.race().await;
        self.below.commit_many(txns).await
    }
}

#[tokio::test]
async fn the_largest_value_fits_and_one_byte_more_does_not() {
    let (below, store) = sealed();
    let (max, most) = (store.capabilities().max_value, below.capabilities().max_value);
    assert_eq!(most - max, 45);
    put(&store, &key(1), vec![7; max]).await;
    assert_eq!(value(&below, &key(1)).await.len(), most);
    let over = store.commit(txn().op(Op::put(key(1), vec![7; max + 1]))).await;
    assert_eq!(over.err(), Some(StoreError::TooLarge { what: "value", size: max + 1, limit: max }));
}
