//! A server that is killed in the middle of a storm of commits.

use std::sync::Mutex;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_keeps_what_it_answered_and_the_store_goes_on() {
    let Some(mut server) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let store = RedisStore::open(&server.url()).await.unwrap();
    let done: Arc<Mutex<BTreeSet<u64>>> = Arc::default();
    for round in 0..4_u64 {
        let writers: Vec<_> = (0..32_u64)
            .map(|writer| {
                let (store, done) = (store.clone(), Arc::clone(&done));
                tokio::spawn(async move {
                    for n in 0.. {
                        let step = (round << 40) + (writer << 20) + n;
                        match store.commit(admit(step)).await {
                            Ok(outcome) => {
                                applied(Ok(outcome));
                                done.lock().unwrap().insert(step);
                            }
                            Err(e) => return (step, e),
                        }
                    }
                    unreachable!("the server is killed before")
                })
            })
            .collect();
        let before = done.lock().unwrap().len();
        while done.lock().unwrap().len() < before + 200 {
            tokio::task::yield_now().await;
        }
        server.kill().await.unwrap();
        let mut refused = BTreeSet::new();
        let mut unknown = 0;
        for writer in writers {
            match writer.await.expect("a writer") {
                (n, StoreError::OutcomeUnknown(id)) => {
                    assert_eq!(id, TxnId::new(n));
                    unknown += 1;
                }
                (n, StoreError::Unavailable(_)) => drop(refused.insert(n)),
                other => panic!("{other:?}"),
            }
        }
        let down = store.commit(admit(1)).await;
        assert!(matches!(down, Err(StoreError::Unavailable(_))), "{down:?}");
        server.restart().await.unwrap();
        until_served(&store, &admit((round << 40) + (1 << 39))).await;
        done.lock().unwrap().insert((round << 40) + (1 << 39));
        let there = steps(&store).await;
        let done = done.lock().unwrap().clone();
        assert!(there.is_superset(&done), "round {round}: an answered step is lost");
        assert!(there.is_disjoint(&refused), "round {round}: a refused step is there");
        assert!(there.len() <= done.len() + unknown + 32 * 3, "round {round}: too much is there");
    }
}

#[tokio::test]
async fn an_orderly_restart_is_gone_through_by_the_store_itself() {
    let Some(mut server) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let store = RedisStore::open(&server.url()).await.unwrap();
    let before = applied(store.commit(admit(1)).await);
    server.restart().await.unwrap();
    until_served(&store, &admit(2)).await;
    assert_eq!(steps(&store).await, BTreeSet::from([1, 2]));
    let after = applied(store.commit(admit(3)).await);
    assert!(after.version > before.version && after.as_of >= before.as_of);
}
