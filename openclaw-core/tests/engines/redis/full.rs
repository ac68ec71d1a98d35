//! A server that can't write now: no memory, too few replicas, another script.

use super::*;

/// Rows that come with a line in the log, until the first that finds no place.
async fn fill(store: &RedisStore, from: u64) -> u64 {
    for n in from.. {
        let put = Txn::new("t").op(Op::put(key(n), vec![7; 64 << 10]));
        match store.commit(put.op(Op::append(log(), n.to_be_bytes().to_vec()))).await {
            Ok(outcome) => drop(applied(Ok(outcome))),
            Err(StoreError::Full(why)) => {
                assert!(why.contains("maxmemory"), "{why}");
                return n;
            }
            Err(e) => panic!("{e:?}"),
        }
    }
    unreachable!("it has no end")
}

#[tokio::test]
async fn without_memory_commits_are_refused_whole_and_reads_go_on() {
    let Some(server) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let store = RedisStore::open(&server.url()).await.unwrap();
    applied(store.commit(Txn::new("t").op(Op::put(key(0), "x"))).await);
    tell(&server.url(), "CONFIG SET maxmemory 8mb").await;
    let refused = fill(&store, 1).await;
    assert!(refused > 5, "full at once");
    // What is smaller than the request that was refused may still fit.
    let mut more = 0;
    loop {
        let batch = store.commit_many((0..9).map(|n| admit(9_000 + more + n)).collect()).await;
        if batch.iter().all(|outcome| matches!(outcome, Err(StoreError::Full(_)))) {
            break;
        }
        batch.into_iter().for_each(|outcome| drop(applied(outcome)));
        more += 9;
    }
    let rows = store.scan_all(Key::system("t").prefix()).await.unwrap();
    let lines = store.scan_all(log()).await.unwrap();
    assert_eq!(lines.len() as u64, refused - 1 + more, "half of a refused step");
    assert_eq!(rows.len() as u64, refused + more, "half of a refused step");
    let lost = Txn::new("t").guard(Guard::Absent(key(0))).op(Op::put(key(0), "x"));
    assert!(matches!(store.commit(lost).await, Ok(Commit::Conflict(_))));

    for n in 1..refused / 2 {
        applied(store.commit(Txn::new("t").op(Op::delete(key(n)))).await);
    }
    applied(store.commit(Txn::new("t").op(Op::put(key(refused), "x"))).await);
    // Who opens it while it is full can read and delete, too.
    fill(&store, refused + 1).await;
    let again = RedisStore::open(&server.url()).await.unwrap();
    assert!(again.get(&key(0)).await.unwrap().is_some());
    tell(&server.url(), "CONFIG SET maxmemory 0").await;
    applied(store.commit(Txn::new("t").op(Op::put(key(7), "x"))).await);
}

#[tokio::test]
async fn expired_rows_make_room_when_it_is_full() {
    let Some(server) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let clock = ManualClock::new(EPOCH);
    let builder = RedisStore::builder().clock(Arc::new(clock.clone()));
    let store = builder.open(&server.url()).await.unwrap();
    let second = Duration::from_secs(1);
    for n in 0..40 {
        let put = Op::put_for(key(n), vec![7; 64 << 10], second);
        applied(store.commit(Txn::new("t").op(put)).await);
    }
    tell(&server.url(), "CONFIG SET maxmemory 3mb").await;
    let put = Txn::new("t").op(Op::put(key(99), "x"));
    assert!(matches!(store.commit(put.clone()).await, Err(StoreError::Full(_))));
    clock.advance(second);
    for _ in 0..3 {
        drop(store.commit(put.clone()).await);
    }
    applied(store.commit(put).await);
}

#[tokio::test]
async fn without_enough_replicas_commits_are_refused_whole() {
    let Some(server) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let store = RedisStore::open(&server.url()).await.unwrap();
    applied(store.commit(admit(1)).await);
    tell(&server.url(), "CONFIG SET min-replicas-to-write 1").await;
    let delete = Txn::new("t").op(Op::delete(key(1)));
    for txn in [admit(2), delete] {
        let Err(StoreError::Unavailable(why)) = store.commit(txn).await else { panic!() };
        assert!(why.contains("too few replicas"), "{why}");
    }
    let batch = store.commit_many(vec![admit(1), admit(2)]).await;
    assert!(batch.iter().all(|o| matches!(o, Err(StoreError::Unavailable(_)))), "{batch:?}");
    assert_eq!(steps(&store).await, BTreeSet::from([1]));
    tell(&server.url(), "CONFIG SET min-replicas-to-write 0").await;
    assert_eq!(applied(store.commit(admit(2)).await).version.get(), 2);
}

#[tokio::test]
async fn behind_a_script_without_end_commits_are_refused_whole() {
    let Some(server) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let store = RedisStore::open(&server.url()).await.unwrap();
    let (url, mut killer) = (server.url(), raw(&server.url()).await);
    tell(&url, "CONFIG SET lua-time-limit 20").await;
    let mut endless = raw(&url).await;
    endless.set_response_timeout(Duration::from_secs(60));
    let endless = tokio::spawn(async move {
        cmd("EVAL").arg("while true do end").arg(0).exec_async(&mut endless).await
    });
    let mut n = 0;
    loop {
        n += 1;
        match store.commit(admit(n)).await {
            Ok(outcome) => drop(applied(Ok(outcome))),
            Err(StoreError::Unavailable(why)) => {
                assert!(why.contains("busy"), "{why}");
                break;
            }
            Err(e) => panic!("{e:?}"),
        }
    }
    assert!(matches!(store.get(&key(1)).await, Err(StoreError::Unavailable(_))));
    cmd("SCRIPT").arg("KILL").exec_async(&mut killer).await.unwrap();
    endless.await.unwrap().expect_err("it was killed");
    assert_eq!(steps(&store).await, (1..n).collect());
    applied(store.commit(admit(n)).await);
}
