//! The file: whole or refused, with the place.

use std::{fs, io::Cursor};

use openclaw_core::store::{BackupError, StoreError};
use openclaw_testkit::fault::{Fault, FaultStore, Plan};

use super::*;

fn refused(bytes: &[u8], clock: &Arc<dyn Clock>) -> BackupError {
    match BackupFile::read(Cursor::new(bytes.to_vec()), Arc::clone(clock)) {
        Ok(file) => panic!("taken for a whole one: {:?}", file.summary()),
        Err(e) => e,
    }
}

/// A backup of several blocks.
async fn blocks() -> (Arc<dyn Clock>, Vec<u8>, BackupSummary) {
    let (clock, store) = memory();
    fill(&store, 20).await;
    for n in 0..4 {
        apply(&store, txn().op(Op::put(key(500 + n), vec![7; 150_000]))).await;
    }
    let (bytes, summary) = taken(&store).await;
    (clock, bytes, summary)
}

#[tokio::test]
async fn a_backup_that_is_cut_off_anywhere_is_refused() {
    let (clock, store) = memory();
    fill(&store, 5).await;
    let (bytes, _) = taken(&store).await;
    assert!(bytes.len() < 2_000, "{} bytes are many to try", bytes.len());
    for len in 0..bytes.len() {
        let e = refused(&bytes[..len], &clock);
        assert!(matches!(e, BackupError::Damaged { at, .. } if at <= len as u64), "{len}: {e}");
    }
    let more = refused(&[&bytes[..], &[0]].concat(), &clock);
    assert!(matches!(more, BackupError::Damaged { at, .. } if at == bytes.len() as u64), "{more}");
}

#[tokio::test]
async fn a_backup_in_which_any_byte_differs_is_refused_with_the_place_of_its_block() {
    let (clock, store) = memory();
    fill(&store, 5).await;
    let (bytes, _) = taken(&store).await;
    for at in 0..bytes.len() {
        for flip in [1, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            match refused(&changed, &clock) {
                BackupError::Damaged { at: place, .. } => assert!(place <= at as u64, "{at}"),
                BackupError::Format { .. } => assert!((8..10).contains(&at), "{at}"),
                other => panic!("{at}: {other}"),
            }
        }
    }
}

#[tokio::test]
async fn each_block_of_a_backup_names_its_own_place() {
    let (clock, bytes, summary) = blocks().await;
    assert_eq!(summary.bytes, bytes.len() as u64);
    let mut places = Vec::new();
    for at in (0..bytes.len()).step_by(50_000) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        if let BackupError::Damaged { at: place, .. } = refused(&changed, &clock) {
            places.push(place);
        }
    }
    places.dedup();
    assert!(places.len() >= 3, "{places:?}");
    assert!(places.is_sorted());
}

#[tokio::test]
async fn blocks_that_change_places_are_seen() {
    let (clock, bytes, _) = blocks().await;
    // The frames, by their own lengths.
    let mut frames = Vec::new();
    let mut at = 10;
    while at < bytes.len() {
        let len = u32::from_be_bytes(bytes[at + 1..at + 5].try_into().expect("four bytes"));
        let end = at + 37 + len as usize;
        frames.push(bytes[at..end].to_vec());
        at = end;
    }
    assert!(frames.len() >= 4, "{} frames", frames.len());
    let head = bytes[..10].to_vec();
    let join = |frames: &[Vec<u8>]| [head.clone(), frames.concat()].concat();
    assert_eq!(join(&frames), bytes);
    let (mut swapped, mut left_out, mut twice) = (frames.clone(), frames.clone(), frames.clone());
    swapped.swap(1, 2);
    left_out.remove(1);
    twice.insert(1, frames[1].clone());
    for wrong in [swapped, left_out, twice] {
        let e = refused(&join(&wrong), &clock);
        assert!(matches!(e, BackupError::Damaged { .. }), "{e}");
    }
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_seen() {
    let (clock, bytes, _) = blocks().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.backup");
    fs::write(&path, &bytes).expect("a file");
    let file = BackupFile::open(&path, Arc::clone(&clock)).expect("a backup");
    let mut changed = bytes.clone();
    changed[60_000..].fill(0);
    fs::write(&path, &changed).expect("a file");
    let read = file.scan_all(everything()).await;
    let Err(StoreError::Corrupt(why)) = read else { panic!("{read:?}") };
    assert!(why.contains("a.backup") && why.contains("byte"), "{why}");
}

#[tokio::test]
async fn what_is_no_backup_says_so_and_names_the_file() {
    let (clock, _) = memory();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notes.txt");
    fs::write(&path, "a text that is longer than the head of a backup").expect("a file");
    let e = BackupFile::open(&path, Arc::clone(&clock)).expect_err("it is none").to_string();
    assert!(e.contains("notes.txt") && e.contains("does not begin like a backup"), "{e}");
    let e = BackupFile::open(folder.path().join("none"), clock).expect_err("nothing is there");
    assert!(matches!(e, BackupError::Read { .. }), "{e}");
}

#[tokio::test]
async fn a_backup_that_fails_leaves_the_last_one_as_it_was() {
    let (clock, store) = memory();
    fill(&store, 1000).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.backup");
    let first = Backup::new(store.clone()).save(&path).await.expect("a backup");
    fill(&store, 1500).await;
    for nth in 1..4 {
        let plan = Plan::default();
        plan.nth("scan", nth, Fault::Fail);
        let failed = Backup::new(FaultStore::new(store.clone(), plan)).save(&path).await;
        assert!(matches!(failed, Err(BackupError::Store(_))), "{failed:?}");
        let there = BackupFile::open(&path, Arc::clone(&clock)).expect("a backup");
        assert_eq!(*there.summary(), first);
        let names: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
    let next = Backup::new(store).save(&path).await.expect("a backup");
    assert_ne!(next.digest, first.digest);
    assert_eq!(*BackupFile::open(&path, clock).expect("a backup").summary(), next);
}

#[tokio::test]
async fn the_same_moment_is_the_same_bytes() {
    let (_, store) = memory();
    fill(&store, 50).await;
    assert_eq!(taken(&store).await, taken(&store).await);
}

#[cfg(feature = "sealed")]
#[tokio::test]
async fn a_backup_below_the_seal_stays_sealed_and_opens_with_the_keys() {
    use openclaw_core::store::{Keys, SealKey, SealedStore};

    let keys = || Keys::sealing("k", &SealKey::from_bytes(&[7; 32]));
    let (clock, below) = memory();
    let sealed = SealedStore::new(below.clone(), keys());
    apply(&sealed, txn().op(Op::put(key(1), "a secret"))).await;
    let (bytes, _) = taken(&below).await;
    assert!(!bytes.windows(6).any(|some| some == b"secret"));
    let opened = SealedStore::new(read(bytes, &clock), keys());
    assert_eq!(rows(&opened).await, rows(&sealed).await);
    let (plain, _) = taken(&sealed).await;
    assert!(plain.windows(6).any(|some| some == b"secret"));
}
