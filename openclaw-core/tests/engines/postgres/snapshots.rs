//! A snapshot whose transaction the server ends.

use super::*;

#[tokio::test]
async fn a_snapshot_that_the_server_ends_says_so_and_the_store_goes_on() {
    let Some(address) = fresh() else { return };
    let store = open(&address).await;
    applied(store.commit(admit(1)).await);
    let frozen = store.snapshot().await.expect("a snapshot");
    assert!(frozen.get(&key(1)).await.expect("a read").is_some());
    let schema = address.rsplit('=').next().expect("a schema").to_owned();
    let sessions = session(&address).await;
    let ended = sessions
        .query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE state = 'idle in transaction' AND query LIKE $1",
            // Quoted: `s3` is not in `s31`.
            &[&format!("%\"{schema}\".openclaw%")],
        )
        .await
        .expect("an answer");
    assert_eq!(ended.len(), 1, "one transaction is held");
    for _ in 0..2 {
        let cut = frozen.get(&key(1)).await;
        let Err(StoreError::Unavailable(why)) = cut else { panic!("{cut:?}") };
        assert!(why.contains("take another"), "{why}");
    }
    applied(store.commit(admit(2)).await);
    let next = store.snapshot().await.expect("a snapshot");
    assert!(next.get(&key(2)).await.expect("a read").is_some());
}

#[tokio::test]
async fn a_snapshot_holds_nobody_up() {
    let Some(address) = fresh() else { return };
    let store = open(&address).await;
    let frozen = store.snapshot().await.expect("a snapshot");
    for n in 0..50 {
        applied(store.commit(admit(n)).await);
    }
    assert!(frozen.scan_all(log()).await.expect("a scan").is_empty());
}
