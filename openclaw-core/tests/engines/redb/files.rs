//! The file of a store: who may open it, and what is said when it can't be used.

use std::{fs, path::Path, process::Command};

use super::*;

/// Set for the child process of [`a_second_process_is_told_who_has_the_file`].
const CHILD: &str = "OPENCLAW_TEST_OPENS";

fn again(path: &Path) -> RedbStore {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(EPOCH));
    open_again(path, &clock)
}

fn open(path: &Path) -> Result<RedbStore, StoreError> {
    RedbStore::open(path, Arc::new(ManualClock::new(EPOCH)))
}

fn refused(path: &Path) -> StoreError {
    let error = open(path).expect_err("it opened");
    let said = error.to_string();
    assert!(said.contains(&path.display().to_string()), "does not name the path: {said}");
    assert!(!said.contains('\n'), "more than one line: {said}");
    error
}

#[tokio::test]
async fn a_second_store_on_the_file_is_refused_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let first = open(&path).unwrap();
    applied(first.commit(admit(1)).await);
    assert!(matches!(refused(&path), StoreError::Locked(_)));
    applied(first.commit(admit(2)).await);
    drop(first);
    assert_eq!(steps(&again(&path)).await, BTreeSet::from([1, 2]));
}

#[test]
fn a_second_process_is_told_who_has_the_file() {
    if let Ok(path) = std::env::var(CHILD) {
        assert!(matches!(refused(Path::new(&path)), StoreError::Locked(_)));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let _first = open(&path).unwrap();
    let name = "redb::files::a_second_process_is_told_who_has_the_file";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{child:?}");
}

#[test]
fn a_path_that_can_not_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(refused(&dir.path().join("no/such/state.redb")), StoreError::Unavailable(_)));
    assert!(matches!(refused(dir.path()), StoreError::Unavailable(_)));
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(refused(&file.join("state.redb")), StoreError::Unavailable(_)));
}

#[test]
fn a_file_of_somebody_else_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    let mut image = vec![0; 4096];
    image.extend_from_slice(b"a disk image that begins with zeros");
    for content in [b"x".to_vec(), b"notes, and more of them".repeat(1000), image] {
        fs::write(&path, &content).unwrap();
        assert!(matches!(refused(&path), StoreError::Corrupt(_)));
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn a_file_whose_making_was_cut_short_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    for len in [0, 5, 4096, 1 << 20] {
        fs::write(&path, vec![0; len]).unwrap();
        applied(open(&path).unwrap().commit(admit(1)).await);
    }
}

#[tokio::test]
async fn a_cut_off_file_is_damaged_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    applied(open(&path).unwrap().commit(admit(1)).await);
    let len = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len / 2).unwrap();
    assert!(matches!(refused(&path), StoreError::Corrupt(_)));
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    applied(open(&path).unwrap().commit(admit(1)).await);
    let set = |format: u64| {
        let file = ::redb::Database::open(&path).unwrap();
        let txn = file.begin_write().unwrap();
        let meta = ::redb::TableDefinition::<&str, u64>::new("openclaw.meta");
        txn.open_table(meta).unwrap().insert("format", format).unwrap();
        txn.commit().unwrap();
    };
    set(2);
    let StoreError::Corrupt(said) = refused(&path) else { panic!("it is newer") };
    assert!(said.contains("layout is 2"), "{said}");
    set(1);
    assert_eq!(steps(&again(&path)).await, BTreeSet::from([1]), "nothing was removed");
}
