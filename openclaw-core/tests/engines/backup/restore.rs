//! Restoring: into an empty store only, whole or not at all, and taken up where it was cut.

use openclaw_core::{
    Env, TenantId,
    records::{Approval, ApprovalState, Approvals, Inventory, Restore, RestoreError, Unfinished},
    store::CopyError,
};
use openclaw_testkit::fault::{Fault, FaultStore, Plan};
use serde_json::json;

use super::*;

fn tenant() -> TenantId {
    TenantId::new("acme").expect("a name")
}

async fn approve(store: &MemoryStore, id: &str) {
    let digest = Approval::digest_of(&tenant(), "pay", "1", &json!({}));
    let approval = Approval::granted(digest, "carol", EPOCH.after(Duration::from_secs(9_000)));
    let approvals = Approvals::new(Arc::new(store.clone()), tenant());
    approvals.grant(id, &approval).await.expect("a grant");
}

/// Rows of every kind, and approvals: what a restore changes.
async fn source() -> (Arc<dyn Clock>, MemoryStore, BackupFile) {
    let (clock, store) = memory();
    fill(&store, 20).await;
    for n in 0..5 {
        approve(&store, &format!("a{n}")).await;
    }
    let (bytes, _) = taken(&store).await;
    let file = read(bytes, &clock);
    (clock, store, file)
}

/// Are all approvals there, and none of them of use any more?
async fn is_restored(store: &MemoryStore) {
    let approvals = Approvals::new(Arc::new(store.clone()), tenant());
    for n in 0..5 {
        let found = approvals.get(&format!("a{n}")).await.expect("a read").expect("an approval");
        assert_eq!((found.state, found.expires), (ApprovalState::Granted, EPOCH));
    }
}

#[tokio::test]
async fn a_restore_is_refused_where_anything_is_stored() {
    let (clock, _, file) = source().await;
    let store = MemoryStore::new(clock);
    apply(&store, txn().op(Op::put(key(7), "mine"))).await;
    let refused = Restore::new(file, store.clone()).run().await;
    let Err(RestoreError::Copy(CopyError::NotEmpty(there))) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((there, rows(&store).await.len()), (key(7), 1));
}

#[tokio::test]
async fn unused_approvals_have_expired_unless_the_restore_goes_on() {
    let (clock, store, file) = source().await;
    let parked = MemoryStore::new(Arc::clone(&clock));
    let restored = Restore::new(file.clone(), parked.clone()).run().await.expect("a restore");
    assert_eq!((restored.aside.approvals, restored.rows), (5, file.summary().rows));
    is_restored(&parked).await;
    let resumed = MemoryStore::new(clock);
    let restore = Restore::new(file, resumed.clone()).unfinished(Unfinished::Resume);
    let restored = restore.run().await.expect("a restore");
    assert_eq!(restored.aside.approvals, 0);
    assert_eq!(rows(&resumed).await, rows(&store).await);
}

/// Restores with one fault, then without.
async fn cut(op: &str, nth: u64, fault: Fault) -> bool {
    let (clock, _, file) = source().await;
    let store = MemoryStore::new(clock);
    let plan = Plan::default();
    plan.nth(op, nth, fault);
    let faulty = FaultStore::new(store.clone(), plan.clone());
    let restore = Restore::new(file.clone(), faulty);
    let ended = tokio::time::timeout(Duration::from_secs(5), restore.run()).await;
    if plan.history().is_empty() {
        return false;
    }
    let at = format!("{op} {nth}, {fault:?}");
    let done = matches!(&ended, Ok(Ok(_)));
    let again = Restore::new(file.clone(), store.clone()).run().await;
    match again {
        Ok(_) => assert!(!done, "{at}: it was done twice"),
        // All but the report was done.
        Err(RestoreError::Copy(CopyError::NotEmpty(_))) => {
            assert!(done || rows(&store).await.keys().all(|key| *key != mark()), "{at}");
        }
        Err(e) => panic!("{at}: {e}"),
    }
    is_restored(&store).await;
    let next = apply(&store, txn().op(Op::put(key(1), "x"))).await;
    assert!(next > file.summary().version, "{at}");
    true
}

fn mark() -> Key {
    Key::system("copy").text("restore").build()
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_is_cut_anywhere_is_taken_up() {
    // The answer to a read can't be lost and count.
    for (op, faults) in [
        ("copy", &[Fault::Fail, Fault::LoseAnswer, Fault::Hang][..]),
        ("restore", &[Fault::Fail, Fault::LoseAnswer, Fault::Hang]),
        ("raise", &[Fault::Fail, Fault::Hang]),
        ("scan", &[Fault::Fail, Fault::Hang]),
        ("get", &[Fault::Fail, Fault::Hang]),
    ] {
        for fault in faults.iter().copied() {
            let mut met = 0;
            while cut(op, met + 1, fault).await {
                met += 1;
            }
            assert!(met >= 1, "{op} {fault:?} was met {met} times");
        }
    }
}

#[tokio::test]
async fn another_backup_does_not_take_up_a_restore() {
    let (clock, origin, file) = source().await;
    let store = MemoryStore::new(Arc::clone(&clock));
    let plan = Plan::default();
    plan.nth("restore", 2, Fault::Fail);
    let cut = Restore::new(file, FaultStore::new(store.clone(), plan)).run().await;
    assert!(matches!(cut, Err(RestoreError::Aside(_))), "{cut:?}");
    apply(&origin, txn().op(Op::put(key(1), "later"))).await;
    let (bytes, _) = taken(&origin).await;
    let other = Restore::new(read(bytes, &clock), store.clone()).run().await;
    assert!(matches!(other, Err(RestoreError::Another(_))), "{other:?}");
    let half = Backup::new(store).write(&mut Vec::new()).await;
    assert!(half.is_err(), "half a restore was backed up");
}

#[tokio::test]
async fn rows_live_on_by_the_wall_clock() {
    let manual = ManualClock::new(EPOCH);
    let clock: Arc<dyn Clock> = Arc::new(manual.clone());
    let store = MemoryStore::new(Arc::clone(&clock));
    for (n, seconds) in [(1, 60), (2, 600)] {
        let put = Op::put_for(key(n), "x", Duration::from_secs(seconds));
        apply(&store, txn().op(put)).await;
    }
    let (bytes, _) = taken(&store).await;
    manual.advance(Duration::from_secs(100));
    let there = MemoryStore::new(Arc::clone(&clock));
    Restore::new(read(bytes, &clock), there.clone()).run().await.expect("a restore");
    assert_eq!(rows(&there).await.keys().cloned().collect::<Vec<_>>(), [key(2)]);
    let row = there.get(&key(2)).await.expect("a read").expect("a row");
    assert_eq!(row.expires_at, Some(EPOCH.after(Duration::from_secs(600))));
}

#[tokio::test]
async fn an_inventory_names_what_it_does_not_know_and_what_it_cannot_read() {
    let env = Env::system();
    let store = MemoryStore::new(env.clock());
    let row = |table: &'static str| Key::of(&tenant(), table).id(env.next_id()).build();
    apply(&store, txn().op(Op::put(row("lv"), vec![99, 1, 2]))).await;
    apply(&store, txn().op(Op::put(row("zz"), "from a newer program"))).await;
    apply(&store, txn().op(Op::put(Key::from_bytes("no parts"), ""))).await;
    let shared: SharedStore = Arc::new(store);
    let inventory = Inventory::of(&shared).await.expect("an inventory");
    assert_eq!((inventory.total.rows, inventory.total.unreadable), (3, 1));
    assert_eq!(inventory.unknown.get("zz"), Some(&1));
    assert_eq!(inventory.unknown.len(), 2, "{inventory}");
    assert!(!inventory.is_sound());
    let said = inventory.to_string();
    assert!(said.contains("1 UNREADABLE") && said.contains("\"zz\""), "{said}");
}
