//! Several stores on one file: in one process, and in several.

use openclaw_core::store::Version;

use super::{
    child::{self, Running},
    *,
};

#[tokio::test]
async fn two_stores_on_one_file_see_each_others_commits() {
    let bench = Bench::new();
    let (one, two) = (bench.open(), bench.open());
    let mut last = Version::default();
    for n in 0..100 {
        let (writer, reader) = if n % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let version = applied(writer.commit(admit(n)).await).version;
        assert!(version > last, "a version was used twice");
        last = version;
        assert_eq!(reader.get(&key(n)).await.unwrap().map(|row| row.version), Some(version));
        assert!(matches!(reader.commit(admit(n)).await, Ok(Commit::Conflict(_))));
    }
    drop(one);
    assert_eq!(steps(&two).await, (0..100).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_write_at_once_and_neither_starves() {
    let bench = Bench::new();
    let writers = (0..2_u64).map(|n| {
        let store = bench.open();
        tokio::spawn(async move {
            for step in 0..40 {
                let first = 10_000 * n + 8 * step;
                for outcome in together(&store, (first..first + 8).map(admit)).await {
                    applied(outcome);
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
    assert_eq!(steps(&bench.open()).await, (0..320).chain(10_000..10_320).collect());
}

#[tokio::test]
async fn time_never_goes_behind_what_another_store_committed() {
    let bench = Bench::new();
    let ahead = ManualClock::new(EPOCH.after(Duration::from_secs(60)));
    let (one, unread) = (bench.open(), bench.open());
    let two = SqliteStore::open(bench.path(), Arc::new(ahead.clone())).expect("a store");
    let second = Duration::from_secs(1);
    applied(one.commit(Txn::new("t").op(Op::put_for(key(1), "x", second))).await);
    assert!(one.get(&key(1)).await.unwrap().is_some());
    let late = applied(two.commit(admit(2)).await).as_of;
    assert_eq!(late, ahead.now());
    assert_eq!(applied(unread.commit(admit(9)).await).as_of, late, "a commit went back");
    let read = one.get_many(&[key(1)]).await.unwrap();
    assert_eq!((read.as_of, read.value), (late, vec![None]), "its own clock is behind");
    assert_eq!(applied(one.commit(admit(3)).await).as_of, late);
    drop(two);
    assert_eq!(one.get_many(&[]).await.unwrap().as_of, late);
}

#[tokio::test]
async fn opening_at_once_makes_one_store() {
    for _ in 0..10 {
        let bench = Bench::new();
        let path = bench.path();
        let openers: Vec<_> = (0..4_u64)
            .map(|n| {
                let path = path.clone();
                std::thread::spawn(move || (n, open(&path)))
            })
            .collect();
        let stores: Vec<_> = openers.into_iter().map(|t| t.join().expect("it opened")).collect();
        for (n, store) in &stores {
            applied(store.commit(admit(*n)).await);
        }
        assert_eq!(steps(&stores[0].1).await, (0..4).collect());
    }
}

#[tokio::test]
async fn who_waits_too_long_for_the_lock_is_told_and_nothing_is_applied() {
    let bench = Bench::new();
    let store = bench.with(SqliteStore::builder().lock_timeout(Duration::from_millis(50)));
    applied(store.commit(admit(1)).await);
    let other = rusqlite::Connection::open(bench.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let Err(StoreError::Unavailable(said)) = store.commit(admit(2)).await else {
        panic!("somebody else writes")
    };
    assert!(said.contains("state.db") && said.contains("lock"), "{said}");
    assert_eq!(steps(&store).await, BTreeSet::from([1]), "reads go on");
    other.execute_batch("ROLLBACK").unwrap();
    applied(store.commit(admit(2)).await);
    assert_eq!(steps(&store).await, BTreeSet::from([1, 2]));
}

#[tokio::test]
async fn another_process_shares_the_file() {
    if let Some(path) = child::task() {
        let store = open(&path);
        applied(store.commit(admit(2)).await);
        for n in steps(&store).await {
            child::say(&format!("there {n}"));
        }
        return;
    }
    let bench = Bench::new();
    let store = open(&bench.path());
    applied(store.commit(admit(1)).await);
    let child = child::again("sharing::another_process_shares_the_file", &bench.path());
    let said = child::ends(child);
    assert_eq!(child::numbers(&said, "there").collect::<Vec<_>>(), [1, 2]);
    assert_eq!(steps(&store).await, BTreeSet::from([1, 2]));
    applied(store.commit(admit(3)).await);
}

#[tokio::test]
async fn a_writer_that_is_paused_harms_nobody() {
    if let Some(path) = child::task() {
        let store = open(&path);
        for n in 1_000.. {
            if let Ok(outcome) = store.commit(admit(n)).await {
                applied(Ok(outcome));
                child::say(&format!("acked {n}"));
            }
        }
    }
    let bench = Bench::new();
    let patience = Duration::from_millis(20);
    let builder = SqliteStore::builder().lock_timeout(patience);
    let store = builder.open(bench.path(), Env::system().clock()).unwrap();
    let command = child::again("sharing::a_writer_that_is_paused_harms_nobody", &bench.path());
    let mut child = Running::start(command);
    let (mut acked, mut refused) = (Vec::new(), 0);
    for n in 0..30 {
        acked.extend(child.next());
        child.signal("STOP");
        // It may have stopped with the lock in its hand.
        match store.commit(admit(n)).await {
            Err(StoreError::Unavailable(_)) => refused += 1,
            outcome => drop(applied(outcome)),
        }
        drop(steps(&store).await);
        child.signal("CONT");
    }
    acked.extend(child.kill());
    let there = steps(&store).await;
    assert!(child::numbers(&acked, "acked").all(|n| there.contains(&n)), "an answer is lost");
    assert_eq!(there.range(..1_000).count() + refused, 30, "a refused commit is there");
    applied(store.commit(admit(500)).await);
}
