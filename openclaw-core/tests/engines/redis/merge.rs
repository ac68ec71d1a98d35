//! Commits that are asked for at the same time share a script, and nothing else.

use super::*;

/// A server of its own, for what is counted or filled up.
async fn server() -> Option<Redis> {
    let builder = Redis::builder().setting("maxmemory-policy", "noeviction");
    builder.start_or_skip().await.expect("a server")
}

/// How many scripts a server has run.
async fn scripts(url: &str) -> u64 {
    let stats: String =
        cmd("INFO").arg("commandstats").query_async(&mut raw(url).await).await.unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn callers_at_the_same_time_share_a_script() {
    let Some(server) = server().await else { return };
    let store = on(&server.url()).await;
    applied(store.commit(admit(0)).await);
    let before = scripts(&server.url()).await;
    let callers = (1..101).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.commit(admit(n % 50)).await })
    });
    let (mut there, mut refused) = (0, 0);
    for caller in callers.collect::<Vec<_>>() {
        match caller.await.unwrap().unwrap() {
            Commit::Applied(_) => there += 1,
            Commit::Conflict(_) => refused += 1,
        }
    }
    assert_eq!((there, refused), (49, 51), "each is judged on what those before it left");
    let ran = scripts(&server.url()).await - before;
    assert!(ran <= 5, "100 commits took {ran} scripts");
    assert_eq!(steps(&store).await, (0..50).collect());
}

#[tokio::test]
async fn who_only_deletes_goes_on_beside_who_finds_no_memory() {
    let Some(server) = server().await else { return };
    let store = on(&server.url()).await;
    let put = |n| Txn::new("t").op(Op::put(key(n), "x"));
    let delete = |n| Txn::new("t").op(Op::Delete { key: key(n) });
    store.commit_many((0..8).map(put).collect()).await.into_iter().for_each(|o| drop(applied(o)));
    let before = applied(store.commit(put(8)).await).version;
    tell(&server.url(), "CONFIG SET maxmemory 1").await;
    let guard =
        |n, held: u64| Txn::new("t").guard(Guard::Absent(key(n))).op(Op::Delete { key: key(held) });
    let txns = vec![delete(0), put(9), guard(0, 1), guard(9, 2), delete(3), guard(4, 5)];
    let outcomes = store.commit_many(txns).await;
    let mut versions = Vec::new();
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match (n, outcome) {
            (0 | 2 | 3 | 4, outcome) => versions.push(applied(outcome).version.get()),
            (1, Err(StoreError::Full(_))) | (5, Ok(Commit::Conflict(_))) => {}
            other => panic!("{other:?}"),
        }
    }
    let first = before.get() + 1;
    assert_eq!(versions, (first..first + 4).collect::<Vec<_>>(), "no version is left out");
    tell(&server.url(), "CONFIG SET maxmemory 0").await;
    let left = store.scan_all(Key::system("t").prefix()).await.unwrap();
    let left: Vec<Key> = left.into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, [4, 5, 6, 7, 8].map(key));
}

#[test]
fn a_runtime_that_ends_leaves_nobody_waiting() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let Some(store) = first.block_on(fresh()) else { return };
    // It is on its way when its runtime ends, and its answer comes to nobody.
    first.block_on(async {
        let mut commit = store.commit(admit(1));
        assert!(poll(&mut commit).is_none());
        tokio::task::yield_now().await;
    });
    let other = store.clone();
    let waits = std::thread::spawn(move || runtime().block_on(other.commit(admit(2))));
    drop(first);
    match waits.join().unwrap() {
        Ok(outcome) => drop(applied(Ok(outcome))),
        Err(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_)) => {}
        other => panic!("{other:?}"),
    }
    runtime().block_on(async {
        until_served(&store, &admit(3)).await;
        assert!(steps(&store).await.contains(&3));
    });
}
