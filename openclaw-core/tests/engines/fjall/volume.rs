//! Many rows: tables, journals that come and go, and what expires.

use std::fs;

use super::*;

fn small(bench: &Bench) -> FjallStore {
    let builder = FjallStore::builder().write_buffer(1 << 20).cache(1 << 20);
    builder.open(bench.path(), Arc::new(bench.clock.clone())).unwrap()
}

#[tokio::test]
async fn a_hundred_thousand_rows_are_there_after_a_restart() {
    let bench = Bench::new();
    let store = small(&bench);
    let prefix = Key::system("many").prefix();
    let row = |n: u64| Key::system("many").number(n).build();
    for start in (0..100_000).step_by(10_000) {
        let txns = (start..start + 10_000).step_by(100).map(|first: u64| {
            let put = |n: u64| Op::put(row(n), [n.to_be_bytes().as_slice(), &[7; 92]].concat());
            Txn::new("t").ops((first..first + 100).map(put))
        });
        for outcome in store.commit_many(txns.collect()).await {
            applied(outcome);
        }
    }
    for n in (0..100_000).step_by(10) {
        if n % 1000 == 0 {
            let gone = (n..n + 1000).step_by(10).map(|n| Op::delete(row(n)));
            applied(store.commit(Txn::new("t").ops(gone)).await);
        }
    }
    drop(store);
    let store = small(&bench);
    let rows = store.scan_all(prefix).await.unwrap();
    assert_eq!(rows.len(), 90_000);
    for ((key, entry), n) in rows.iter().zip((0..100_000).filter(|n| n % 10 > 0)) {
        assert_eq!((key, number(&entry.value)), (&row(n), n));
    }
    assert!(store.get(&row(99_999)).await.unwrap().is_some());
    assert_eq!(store.get(&row(99_990)).await.unwrap(), None);
}

#[tokio::test]
async fn journals_go_when_their_rows_are_in_tables() {
    let bench = Bench::new();
    let journals = || {
        let names = fs::read_dir(bench.path().join("rows")).unwrap().flatten();
        names.filter(|entry| entry.path().extension().is_some_and(|e| e == "jnl")).count()
    };
    let mut most = 0;
    let store = small(&bench);
    for n in 0..100 {
        // The same few rows: what is kept is little.
        let bulk = |k: u64| Op::put(Key::system("bulk").number(k).build(), vec![n as u8; 3 << 20]);
        applied(store.commit(admit(n).op(bulk(n % 3))).await);
        most = most.max(journals());
    }
    assert!((2..=4).contains(&most), "journals of 64 MB: {most}");
    drop(store);
    let store = small(&bench);
    assert_eq!(steps(&store).await, (0..100).collect());
    for k in 0..3 {
        let row = store.get(&Key::system("bulk").number(k).build()).await.unwrap().unwrap();
        assert_eq!(row.value[0], [99, 97, 98][k as usize]);
    }
}

#[tokio::test]
async fn rows_that_expired_stay_away_across_restarts_and_tables() {
    let bench = Bench::new();
    let mut store = small(&bench);
    for round in 0..5_u64 {
        let ttl = Duration::from_secs(10 + round);
        let put = |n: u64| Op::put_for(key(round * 1000 + n), vec![7; 3000], ttl);
        let txns =
            (0..1000).step_by(100).map(|first| Txn::new("t").ops((first..first + 100).map(put)));
        for outcome in store.commit_many(txns.collect()).await {
            applied(outcome);
        }
        if round % 2 == 1 {
            drop(store);
            store = small(&bench);
        }
    }
    assert_eq!(store.scan_all(Key::system("t").prefix()).await.unwrap().len(), 5000);
    bench.clock.advance(Duration::from_secs(12));
    let left = store.scan_all(Key::system("t").prefix()).await.unwrap();
    assert_eq!(left.len(), 2000);
    for n in 0..200 {
        applied(store.commit(Txn::new("t").op(Op::append(log(), n.to_string()))).await);
    }
    drop(store);
    let store = small(&bench);
    assert_eq!(store.scan_all(Key::system("t").prefix()).await.unwrap(), left);
    bench.clock.advance(Duration::from_secs(9));
    assert!(store.scan_all(Key::system("t").prefix()).await.unwrap().is_empty());
}

/// The first rows of the transactions below, each behind the last one of its own.
fn ends() -> Vec<Key> {
    let row = |n: u64| Key::system("whole").number(n).build();
    (0..40).flat_map(|txn| [row(txn * 128 + 127), row(txn * 128)]).collect()
}

/// What rows hold that are always written together.
async fn is_whole(store: &dyn StateStore) -> Vec<u64> {
    let rows = store.get_many(&ends()).await.unwrap().value;
    let seen: Vec<u64> = rows.iter().flatten().map(|row| number(&row.value)).collect();
    assert_eq!(seen.len(), 80, "rows are missing");
    for pair in seen.chunks(2) {
        assert_eq!(pair[0], pair[1], "half of a commit: {seen:?}");
    }
    seen
}

#[tokio::test]
async fn a_reader_on_a_thread_sees_whole_commits_while_tables_are_written() {
    let bench = Bench::new();
    let builder = FjallStore::builder().write_buffer(1).cache(1 << 20);
    let store = builder.open(bench.path(), Arc::new(bench.clock.clone())).unwrap();
    // The engine takes a while to insert as many rows, and ends a table meanwhile.
    let all = |round: u64| {
        let row = move |n: u64| {
            Op::put(Key::system("whole").number(n).build(), round.to_be_bytes().to_vec())
        };
        (0..40).map(|txn| Txn::new("t").ops((txn * 128..txn * 128 + 128).map(row))).collect()
    };
    store.commit_many(all(0)).await.into_iter().for_each(|outcome| drop(applied(outcome)));
    let (reading, here) = (store.clone(), tokio::runtime::Handle::current());
    let (end, mut ended) = tokio::sync::oneshot::channel::<()>();
    let reader = tokio::task::spawn_blocking(move || {
        here.block_on(async {
            while ended.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
                let latest = is_whole(&reading).await;
                let frozen = reading.snapshot().await.unwrap();
                let before = is_whole(&*frozen).await;
                assert!(before >= latest, "a snapshot went back");
                is_whole(&reading).await;
                assert_eq!(is_whole(&*frozen).await, before, "a snapshot has changed");
            }
        });
    });
    for round in 1..=12 {
        store.commit_many(all(round)).await.into_iter().for_each(|outcome| drop(applied(outcome)));
        if reader.is_finished() {
            break;
        }
    }
    drop(end);
    reader.await.expect("what a reader sees");
    assert_eq!(is_whole(&store).await, [12; 80]);
}
