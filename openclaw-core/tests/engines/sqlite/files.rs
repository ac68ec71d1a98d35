//! The file of a store: what is said when it can't be used, and that it is left alone then.

use std::fs;

use super::*;

fn refused(path: &Path) -> StoreError {
    let opened = SqliteStore::open(path, Arc::new(ManualClock::new(EPOCH)));
    let error = opened.expect_err("it opened");
    let said = error.to_string();
    assert!(said.contains(&path.display().to_string()), "does not name the path: {said}");
    assert!(!said.contains('\n'), "more than one line: {said}");
    error
}

#[test]
fn a_path_that_can_not_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let said = |path: &Path| match refused(path) {
        StoreError::Unavailable(said) => said,
        other => panic!("{other:?}"),
    };
    assert!(said(&dir.path().join("no/such/state.db")).contains("create it"));
    assert!(said(dir.path()).contains("name a file in it"));
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    said(&file.join("state.db"));
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
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was left beside it");
    }
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let bench = Bench::new();
    let other = rusqlite::Connection::open(bench.path()).unwrap();
    other.execute_batch("CREATE TABLE songs (name TEXT); INSERT INTO songs VALUES ('x')").unwrap();
    drop(other);
    let before = fs::read(bench.path()).unwrap();
    let StoreError::Corrupt(said) = refused(&bench.path()) else { panic!("it is not ours") };
    assert!(said.contains("another program"), "{said}");
    assert_eq!(fs::read(bench.path()).unwrap(), before);
}

/// Puts a disk that can't be written on the folder, for the child alone.
const READ_ONLY: &str = "mount -t tmpfs -o ro none \"$0\" && exec \"$@\"";

#[test]
fn a_disk_that_can_not_be_written_is_named() {
    if let Some(path) = child::task() {
        let StoreError::Unavailable(said) = refused(&path) else { panic!("it can't be written") };
        return child::say(&said);
    }
    let bench = Bench::new();
    let folder = bench.dir.path().to_str().expect("text");
    let by = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, folder];
    if !child::has(&by, "util-linux") {
        return;
    }
    let test = "files::a_disk_that_can_not_be_written_is_named";
    let said = child::ends(child::under(&by, test, &bench.path()));
    assert!(said.iter().any(|line| line.contains("choose another directory")), "{said:?}");
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let bench = Bench::new();
    applied(bench.open().commit(admit(1)).await);
    let set = |format: u64| {
        let conn = rusqlite::Connection::open(bench.path()).unwrap();
        conn.execute_batch(&format!("UPDATE openclaw_meta SET format = {format}")).unwrap();
    };
    set(2);
    let before = fs::read(bench.path()).unwrap();
    let StoreError::Corrupt(said) = refused(&bench.path()) else { panic!("it is newer") };
    assert!(said.contains("layout is 2"), "{said}");
    assert_eq!(fs::read(bench.path()).unwrap(), before);
    set(1);
    assert_eq!(steps(&bench.open()).await, BTreeSet::from([1]));
}

#[tokio::test]
async fn a_store_that_a_newer_program_changed_meanwhile_writes_nothing() {
    let bench = Bench::new();
    let store = bench.open();
    applied(store.commit(admit(1)).await);
    let newer = rusqlite::Connection::open(bench.path()).unwrap();
    newer.execute_batch("UPDATE openclaw_meta SET format = 2").unwrap();
    assert!(matches!(store.commit(admit(2)).await, Err(StoreError::Corrupt(_))));
    assert!(matches!(store.get(&key(1)).await, Err(StoreError::Corrupt(_))));
    newer.execute_batch("UPDATE openclaw_meta SET format = 1").unwrap();
    applied(store.commit(admit(3)).await);
    assert_eq!(steps(&store).await, BTreeSet::from([1, 3]));
}

#[tokio::test]
async fn an_empty_file_becomes_a_store() {
    let bench = Bench::new();
    fs::write(bench.path(), "").unwrap();
    applied(bench.open().commit(admit(1)).await);
}

#[tokio::test]
async fn a_name_that_means_something_to_sqlite_is_a_name() {
    let bench = Bench::new();
    for name in [":memory:", "file:state?mode=memory"] {
        let path = bench.dir.path().join(name);
        let place = |path: &Path| SqliteStore::open(path, bench.clock()).expect("a store");
        applied(place(&path).commit(admit(1)).await);
        assert_eq!(steps(&place(&path)).await, BTreeSet::from([1]), "{name}");
    }
    let nowhere = SqliteStore::open("", bench.clock());
    assert!(matches!(nowhere, Err(StoreError::Unavailable(_))), "{nowhere:?}");
}

#[tokio::test]
async fn a_cut_off_file_is_damaged_and_says_so() {
    let bench = Bench::new();
    let store = bench.open();
    together(&store, (0..300).map(admit)).await;
    drop(store);
    let len = fs::metadata(bench.path()).unwrap().len();
    fs::OpenOptions::new().write(true).open(bench.path()).unwrap().set_len(len / 2).unwrap();
    assert!(matches!(refused(&bench.path()), StoreError::Corrupt(_)));
}

#[tokio::test]
async fn a_damaged_page_is_an_answer_and_no_panic() {
    let bench = Bench::new();
    let store = bench.open();
    together(&store, (0..300).map(admit)).await;
    drop(store);
    let whole = fs::read(bench.path()).unwrap();
    let mut damage = 0;
    for seed in 0..60 {
        let rng = SeededRng::new(seed);
        let mut file = whole.clone();
        let at = rng.below(whole.len() as u64 / 512) as usize * 512;
        file[at..at + 512].fill_with(|| rng.below(256) as u8);
        for beside in ["state.db-wal", "state.db-shm"] {
            drop(fs::remove_file(bench.dir.path().join(beside)));
        }
        fs::write(bench.path(), file).unwrap();
        let Ok(store) = SqliteStore::open(bench.path(), bench.clock()) else {
            damage += 1;
            continue;
        };
        drop(store.get_many(&[key(7)]).await);
        damage += usize::from(store.scan_all(log()).await.is_err());
        drop(store.commit(admit(1000 + seed)).await);
    }
    assert!(damage > 20, "only {damage} of 60 were seen");
}
