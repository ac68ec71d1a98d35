//! Several stores on one schema: what one promises, all promise together.

use std::sync::atomic::AtomicBool;

use super::*;

const STORES: u64 = 3;

async fn stores(address: &str) -> Vec<PostgresStore> {
    let mut stores = Vec::new();
    for _ in 0..STORES {
        stores.push(open(address).await);
    }
    stores
}

#[tokio::test]
async fn openers_at_once_make_the_tables_once() {
    let Some(address) = fresh() else { return };
    let openers = (0..8).map(|_| {
        let address = address.clone();
        tokio::spawn(async move { open(&address).await })
    });
    let mut opened = Vec::new();
    for opener in openers.collect::<Vec<_>>() {
        opened.push(opener.await.expect("an opener"));
    }
    applied(opened[0].commit(admit(1)).await);
    for store in &opened {
        assert_eq!(steps(store).await, BTreeSet::from([1]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_of_compare_and_swap_lose_nothing() {
    let Some(address) = fresh() else { return };
    let stores = stores(&address).await;
    applied(stores[0].commit(Txn::new("t").op(Op::put(key(0), vec![0; 8]))).await);
    let workers = (0..4 * STORES).map(|n| {
        let store = stores[usize::try_from(n % STORES).unwrap()].clone();
        tokio::spawn(async move {
            let mut swapped = 0;
            while swapped < 10 {
                let row = store.get(&key(0)).await.unwrap().unwrap();
                let next = (number(&row.value) + 1).to_be_bytes().to_vec();
                let swap = Txn::new("t")
                    .guard(Guard::VersionIs(key(0), row.version))
                    .op(Op::put(key(0), next));
                if let Commit::Applied(_) = store.commit(swap).await.unwrap() {
                    swapped += 1;
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.expect("a worker");
    }
    let row = stores[1].get(&key(0)).await.unwrap().unwrap();
    assert_eq!(number(&row.value), 40 * STORES);
    assert_eq!(row.version.get(), 40 * STORES + 1, "one version a commit, over all stores");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_several_stores_grows_only_at_its_end() {
    let Some(address) = fresh() else { return };
    let stores = stores(&address).await;
    let over = Arc::new(AtomicBool::new(false));
    let writers = (0..2 * STORES).map(|n| {
        let store = stores[usize::try_from(n % STORES).unwrap()].clone();
        tokio::spawn(async move {
            for step in 0..40 {
                applied(store.commit(admit(100 * n + step)).await);
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let readers = stores.clone().into_iter().map(|store| {
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            let mut seen: Vec<Key> = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let rows = store.scan_all(log()).await.unwrap();
                let keys: Vec<Key> = rows.into_iter().map(|(key, _)| key).collect();
                assert!(keys.starts_with(&seen), "a row appeared in the middle");
                seen = keys;
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    over.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.expect("a reader");
    }
    assert_eq!(steps(&stores[0]).await.len(), 80 * usize::try_from(STORES).unwrap());
}

/// A touch that comes too late must not bring back what another store saw expire.
///
/// A holder touches its row when there is hardly any time left, again and again; when it was too
/// late it puts the next generation. Readers watch for a generation that comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_one_store_saw_expire_comes_back_in_none() {
    let Some(address) = fresh() else { return };
    let (holder, watcher) = (open(&address).await, open(&address).await);
    let began = tokio::time::Instant::now();
    for n in 1..=10 {
        applied(holder.commit(admit(n)).await);
    }
    // On a machine that is busy everything takes longer.
    let ttl = (began.elapsed() / 2).max(Duration::from_millis(10));
    let over = Arc::new(AtomicBool::new(false));
    let watch = {
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            let (mut last, mut gone, mut changes) = (0, false, 0_u32);
            while !over.load(Ordering::SeqCst) {
                let read = watcher.get_many(&[key(0)]).await.unwrap();
                let Some(row) = &read.value[0] else {
                    gone = true;
                    continue;
                };
                let generation = number(&row.value);
                assert!(row.expires_at.is_some_and(|at| at > read.as_of), "it is not live");
                assert!(generation >= last, "an older one came back");
                assert!(!gone || generation > last, "{generation} came back, seen as expired");
                changes += u32::from(generation > last);
                (last, gone) = (generation, false);
            }
            changes
        })
    };
    let mut touched = 0;
    for generation in 1..=60_u64 {
        let put = Op::put_for(key(0), generation.to_be_bytes().to_vec(), ttl);
        applied(holder.commit(Txn::new("t").op(put)).await);
        loop {
            let touch = Txn::new("t")
                .guard(Guard::Exists(key(0)))
                .op(Op::Touch { key: key(0), ttl: Some(ttl) });
            // Now and then just in time, now and then just too late.
            let part = u32::try_from((7 * generation + touched) % 13).unwrap();
            tokio::time::sleep(ttl * part / 12).await;
            match holder.commit(touch).await.unwrap() {
                Commit::Applied(_) => touched += 1,
                Commit::Conflict(_) => break,
            }
        }
    }
    over.store(true, Ordering::SeqCst);
    assert!(watch.await.expect("the watcher") > 20, "the watcher saw nothing");
    assert!(touched > 20, "nothing was touched in time");
}

#[tokio::test]
async fn time_is_one_for_all_stores() {
    let Some(address) = fresh() else { return };
    let (a, b) = (open(&address).await, open(&address).await);
    let mut last = Default::default();
    for n in 0..40 {
        let (one, other) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let written = applied(one.commit(admit(n)).await).as_of;
        let read = other.scan(ScanQuery::new(log())).await.unwrap().as_of;
        assert!(last <= written && written <= read, "time went back between stores");
        last = read;
    }
}

#[tokio::test]
async fn a_time_ahead_of_the_server_holds_for_all_stores() {
    let Some(address) = fresh() else { return };
    let ahead = ManualClock::new(openclaw_core::Timestamp::from_millis(8_000_000_000_000));
    let early = builder().clock(Arc::new(ahead.clone())).open(&address).await.unwrap();
    let hour = Duration::from_secs(3600);
    applied(early.commit(Txn::new("t").op(Op::put_for(key(1), "x", hour))).await);
    ahead.advance(2 * hour);
    let seen = applied(early.commit(Txn::new("t").op(Op::put(key(2), "x"))).await).as_of;
    let other = open(&address).await;
    let read = other.get_many(&[key(1)]).await.unwrap();
    assert!(read.as_of >= seen && read.value[0].is_none(), "an expired row came back");
}
