//! A disk that fails: what is answered, what is tried again, what is there afterwards.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use openclaw_core::{Rng, store::Disk};

use super::*;

/// Runs steps until the first that is not applied, then tells it and the ones before.
async fn until_it_fails(
    store: &RedbStore,
    from: u64,
) -> (BTreeSet<u64>, Option<(u64, StoreError)>) {
    let mut done = BTreeSet::new();
    for n in from..from + 40 {
        match store.commit(admit(n)).await {
            Ok(outcome) => {
                applied(Ok(outcome));
                done.insert(n);
            }
            Err(e) => return (done, Some((n, e))),
        }
    }
    (done, None)
}

/// No read is answered any more, whatever the writer does behind its last answer.
async fn stays_closed(store: &RedbStore) {
    for _ in 0..200 {
        let read = store.get(&key(1)).await;
        let Err(StoreError::Closed(why)) = &read else { panic!("{read:?}") };
        assert!(why.starts_with("poisoned: "), "{why}");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_failed_sync_closes_the_store_and_is_never_tried_again() {
    for nth in 1..=30 {
        let bench = Bench::new();
        let store = bench.open();
        bench.disk.fail_sync(nth);
        let (done, failed) = until_it_fails(&store, 0).await;
        let (n, error) = failed.expect("a sync failed");
        assert!(
            matches!(&error, StoreError::OutcomeUnknown(id) if *id == TxnId::new(n))
                || matches!(error, StoreError::Closed(_)),
            "sync {nth}: {error:?}"
        );
        let counts = bench.disk.counts();
        for closed in [
            store.commit(admit(99)).await.map(drop),
            store.get_many(&[]).await.map(drop),
            store.scan(ScanQuery::new(log())).await.map(drop),
            store.commit_many(vec![admit(98)]).await.remove(0).map(drop),
        ] {
            let Err(StoreError::Closed(why)) = closed else { panic!("{closed:?}") };
            assert!(why.starts_with("poisoned: test.redb: "), "{why}");
        }
        drop(store);
        assert_eq!(bench.disk.counts(), counts, "sync {nth}: the disk was touched again");

        let there = steps(&bench.cut(nth).open()).await;
        assert!(there.is_superset(&done), "sync {nth}: an acknowledged step is lost");
        assert!(there.range(n + 1..).next().is_none(), "sync {nth}: a refused step is there");
    }
}

#[tokio::test]
async fn callers_behind_a_failed_sync_are_told_too() {
    let bench = Bench::new();
    let store = bench.open();
    applied(store.commit(admit(1000)).await);
    bench.disk.fail_sync(1);
    let outcomes = together(&store, (0..600).map(admit)).await;
    let unknown = |e: &Outcome| matches!(e, Err(StoreError::OutcomeUnknown(_)));
    let closed = |e: &Outcome| matches!(e, Err(StoreError::Closed(_)));
    assert!(outcomes.iter().any(unknown));
    assert!(outcomes.iter().all(|outcome| unknown(outcome) || closed(outcome)));
}

#[tokio::test]
async fn a_sync_that_fails_while_the_file_is_opened_again_closes_the_store() {
    let mut seen = 0;
    for nth in 1..=4 {
        let bench = Bench::new();
        let store = bench.open();
        let (done, _) = until_it_fails(&store, 100).await;
        bench.disk.fill_up(1);
        for n in [0, 1] {
            assert!(matches!(store.commit(admit(n)).await, Err(StoreError::Full(_))));
        }
        bench.disk.free();
        bench.disk.fail_sync(nth);
        let (more, failed) = until_it_fails(&store, 0).await;
        let (n, error) = failed.expect("a sync failed");
        assert!(
            matches!(error, StoreError::OutcomeUnknown(_) | StoreError::Closed(_)),
            "sync {nth}: {error:?}"
        );
        seen += u32::from(more.is_empty() && matches!(error, StoreError::Closed(_)));
        stays_closed(&store).await;
        assert!(matches!(store.commit(admit(n)).await, Err(StoreError::Closed(_))), "sync {nth}");
        drop(store);
        let there = steps(&bench.cut(nth).open()).await;
        assert!(there.is_superset(&done) && there.is_superset(&more), "sync {nth}: a step is lost");
    }
    assert!(seen > 0, "no sync of an opening has failed");
}

/// A disk whose syncs wait for the test.
#[derive(Clone, Debug)]
struct Held {
    disk: FaultDisk,
    syncs: Arc<Mutex<()>>,
    asked: Arc<AtomicU64>,
}

impl Disk for Held {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.disk.read(at, buf)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _held = self.syncs.lock().unwrap_or_else(PoisonError::into_inner);
        self.disk.sync()
    }

    fn write(&self, at: u64, data: &[u8]) -> io::Result<()> {
        self.disk.write(at, data)
    }
}

#[tokio::test]
async fn a_raise_queued_behind_a_failed_sync_opens_nothing_again() {
    for nth in 1..=8 {
        let bench = Bench::new();
        let (syncs, asked) = (Arc::default(), Arc::default());
        let disk = Held { disk: bench.disk.clone(), syncs, asked };
        let store = RedbStore::builder().disk(disk.clone()).open("test.redb", bench.clock());
        let store = store.expect("a store");
        let held = disk.syncs.lock().unwrap();
        let before = disk.asked.load(Ordering::SeqCst);
        let mut first = store.commit(admit(0));
        assert!(poll(&mut first).is_none());
        while disk.asked.load(Ordering::SeqCst) == before {
            std::thread::yield_now();
        }
        // The writer is busy: what comes now is taken as one.
        let (mut commit, mut raise) = (store.commit(admit(1)), store.raise(Version::new(1_000)));
        let mut behind = store.commit(admit(2));
        assert!(poll(&mut commit).is_none() && poll(&mut raise).is_none());
        assert!(poll(&mut behind).is_none());
        bench.disk.fail_sync(nth);
        drop(held);
        let outcomes = [first.await, commit.await, behind.await].map(|outcome| outcome.map(drop));
        let raised = raise.await;
        let failed = outcomes.iter().position(Result::is_err).unwrap_or(outcomes.len());
        let unknown = |outcome| matches!(outcome, &Err(StoreError::OutcomeUnknown(_)));
        assert!(outcomes[..failed].iter().all(Result::is_ok));
        if let Some((first, later)) = outcomes[failed..].split_first() {
            assert!(
                unknown(first) || matches!(raised, Err(StoreError::OutcomeUnknown(_))),
                "sync {nth}: {first:?}, {raised:?}"
            );
            let closed = |e: &Result<(), _>| matches!(e, Err(StoreError::Closed(_)));
            assert!(later.iter().all(closed), "sync {nth}: {outcomes:?}");
            if failed < 2 {
                assert!(closed(&raised), "sync {nth}: {raised:?}");
            }
            let read = store.get_many(&[]).await;
            assert!(matches!(read, Err(StoreError::Closed(_))), "sync {nth}: {read:?}");
        }
    }
}

#[tokio::test]
async fn a_raise_whose_sync_failed_is_unknown_and_closes_the_store() {
    for nth in 1..=2 {
        let bench = Bench::new();
        let store = bench.open();
        let first = applied(store.commit(admit(1)).await).version;
        bench.disk.fail_sync(nth);
        let raised = store.raise(Version::new(1_000)).await;
        assert!(matches!(raised, Err(StoreError::OutcomeUnknown(_))), "sync {nth}: {raised:?}");
        for closed in
            [store.raise(Version::new(1_000)).await, store.commit(admit(2)).await.map(drop)]
        {
            assert!(matches!(closed, Err(StoreError::Closed(_))), "sync {nth}: {closed:?}");
        }
        drop(store);
        let store = bench.cut(nth).open();
        let next = applied(store.commit(admit(2)).await).version;
        assert!(next > first && (next.get() == 2 || next.get() == 1_001), "{next}");
    }
}

#[tokio::test]
async fn a_raise_that_was_answered_survives_power_loss() {
    for operation in 1..=40 {
        let bench = Bench::new();
        let store = bench.open();
        bench.disk.lose_power(operation);
        let mut answered = Version::default();
        for n in 1..=10 {
            let least = Version::new(n * 1_000);
            if store.raise(least).await.is_ok() {
                answered = least;
            }
        }
        let next = applied(bench.cut(operation).open().commit(admit(1)).await).version;
        assert!(next > answered, "operation {operation}: raised to {answered}, {next} came");
    }
}

#[tokio::test]
async fn raises_and_commits_side_by_side_keep_their_order() {
    let bench = Bench::new();
    let store = bench.open();
    for n in 0..20_u64 {
        let least = Version::new((n + 1) * 1_000);
        let before: Vec<_> = (0..5).map(|k| admit(n * 10 + k)).collect();
        let (first, raised, behind) = tokio::join!(
            store.commit_many(before),
            store.raise(least),
            store.commit(admit(n * 10 + 9)),
        );
        raised.expect("a raise");
        assert!(first.into_iter().all(|outcome| applied(outcome).version <= least));
        assert!(applied(behind).version > least);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_serves_again_when_there_is_space() {
    for nth in 1..=60 {
        let bench = Bench::new();
        let store = bench.open();
        let (mut done, _) = until_it_fails(&store, 100).await;
        bench.disk.fill_up(nth);
        let (more, failed) = until_it_fails(&store, 0).await;
        let (n, error) = failed.expect("the disk is full");
        done.extend(more);
        if let StoreError::OutcomeUnknown(_) = error {
            // The second of the two phases failed: nothing may be guessed.
            assert!(matches!(store.commit(admit(n)).await, Err(StoreError::Closed(_))));
            stays_closed(&store).await;
        } else {
            assert!(matches!(error, StoreError::Full(_)), "write {nth}: {error:?}");
            assert!(matches!(store.commit(admit(n)).await, Err(StoreError::Full(_))));
            bench.disk.free();
            assert_eq!(steps(&store).await, done, "write {nth}: a refused step left a trace");
            applied(store.commit(admit(n)).await);
            done.insert(n);
        }
        let there = steps(&bench.cut(nth).open()).await;
        assert!(there.is_superset(&done), "write {nth}: an acknowledged step is lost");
    }
}

#[tokio::test]
async fn a_failed_read_opens_the_file_again_and_costs_no_row() {
    for nth in 1..=40 {
        let bench = Bench::new();
        // Nothing is kept in memory: every read is one of the disk.
        let builder = RedbStore::builder().cache(0).disk(bench.disk.clone());
        let store = builder.open("test.redb", bench.clock()).unwrap();
        let (mut done, _) = until_it_fails(&store, 100).await;
        bench.disk.fail_read(nth);
        for n in 0..10 {
            let row = store.get(&key(100 + n)).await;
            assert!(matches!(row, Ok(Some(_))), "read {nth}: {row:?}");
        }
        let (more, failed) = until_it_fails(&store, 0).await;
        done.extend(more);
        match failed {
            None => assert_eq!(steps(&store).await, done),
            Some((n, StoreError::Unavailable(_))) => {
                assert_eq!(steps(&store).await, done, "read {nth}: a refused step left a trace");
                applied(store.commit(admit(n)).await);
            }
            Some((_, StoreError::OutcomeUnknown(_))) => stays_closed(&store).await,
            other => panic!("read {nth}: {other:?}"),
        }
        assert!(bench.disk.counts().reads >= nth, "nothing failed");
        assert!(steps(&bench.cut(nth).open()).await.is_superset(&done));
    }
}

#[tokio::test]
async fn a_disk_that_is_full_from_the_start_is_named() {
    for nth in 1..=12 {
        let bench = Bench::new();
        bench.disk.fill_up(nth);
        let Err(error) = bench.try_open() else { continue };
        let StoreError::Full(why) = error else { panic!("{error:?}") };
        assert!(why.contains("test.redb"), "{why}");
        bench.disk.free();
        applied(bench.open().commit(admit(1)).await);
    }
}

#[tokio::test]
async fn power_loss_while_the_file_is_made_leaves_one_that_opens() {
    for operation in 1..=20 {
        for seed in 0..8 {
            let bench = Bench::new();
            bench.disk.lose_power(operation);
            let Err(_) = bench.try_open() else { continue };
            let store = bench.cut(seed).open();
            applied(store.commit(admit(1)).await);
        }
    }
}

#[tokio::test]
async fn power_loss_at_any_operation_keeps_what_was_acknowledged() {
    for operation in 1..=120 {
        let bench = Bench::new();
        let store = bench.open();
        bench.disk.lose_power(operation);
        let (done, _) = until_it_fails(&store, 0).await;
        let store = bench.cut(operation).open();
        let there = steps(&store).await;
        assert!(there.is_superset(&done), "operation {operation}: an acknowledged step is lost");
        assert!(there.len() <= done.len() + 1, "operation {operation}: too much is there");
        applied(store.commit(admit(99)).await);
    }
}

#[tokio::test]
async fn a_damaged_page_is_an_answer_and_no_panic() {
    let bench = Bench::new();
    let store = bench.open();
    together(&store, (0..300).map(admit)).await;
    drop(store);
    let len = bench.disk.cut(0).len().unwrap();
    for seed in 0..60 {
        let damaged = bench.cut(seed);
        let rng = SeededRng::new(seed);
        let junk: Vec<u8> = (0..512).map(|_| rng.next_u64().to_be_bytes()[0]).collect();
        damaged.disk.write(rng.below(len / 512) * 512, &junk).unwrap();
        let Ok(store) = damaged.try_open() else { continue };
        drop(store.get_many(&[key(7)]).await);
        drop(store.scan_all(log()).await);
        drop(store.commit(admit(1000 + seed)).await);
    }
}
