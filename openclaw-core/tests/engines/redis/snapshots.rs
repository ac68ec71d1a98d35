//! A snapshot in one script, and where that is too much.

use super::*;

#[tokio::test]
async fn a_store_that_is_too_large_for_one_script_says_what_to_use() {
    let Some(store) = fresh().await else { return };
    for n in 0..17 {
        let put = Op::put(key(n), vec![7; 4 << 20]);
        applied(store.commit(Txn::new("t").op(put)).await);
    }
    let refused = store.snapshot().await;
    let Err(StoreError::Unsupported(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("BGSAVE"), "{why}");
    for n in 0..3 {
        applied(store.commit(Txn::new("t").op(Op::delete(key(n)))).await);
    }
    let frozen = store.snapshot().await.expect("a snapshot");
    assert_eq!(frozen.scan_all(Key::system("t").prefix()).await.expect("a scan").len(), 14);
}
