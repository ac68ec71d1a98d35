//! The directory of a store: who may open it, and what is said when it can't be used.

use std::fs;

use super::*;

fn open(path: &Path) -> Result<FjallStore, StoreError> {
    FjallStore::open(path, Arc::new(ManualClock::new(EPOCH)))
}

fn refused(path: &Path) -> StoreError {
    let error = open(path).expect_err("it opened");
    let said = error.to_string();
    assert!(said.contains(&path.display().to_string()), "does not name the path: {said}");
    assert!(!said.contains('\n'), "more than one line: {said}");
    error
}

/// What lies in a directory, and how long it is.
fn listing(dir: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(listing(&path));
        }
        found.push((path.clone(), fs::metadata(&path).unwrap().len()));
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_second_store_on_the_directory_is_refused_until_the_first_is_gone() {
    let bench = Bench::new();
    let first = bench.open();
    applied(first.commit(admit(1)).await);
    assert!(matches!(refused(&bench.path()), StoreError::Locked(_)));
    applied(first.commit(admit(2)).await);
    drop(first);
    assert_eq!(steps(&bench.open()).await, BTreeSet::from([1, 2]));
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    if let Some(path) = child::place() {
        assert!(matches!(refused(&path), StoreError::Locked(_)));
        return;
    }
    let bench = Bench::new();
    let _first = bench.open();
    let name = "fjall::files::a_second_process_is_told_who_has_the_directory";
    child::run(child::command(&[], name, &bench.path()));
}

#[test]
fn a_closed_store_leaves_no_thread_and_no_lock() {
    let Some(path) = child::place() else {
        let bench = Bench::new();
        let name = "fjall::files::a_closed_store_leaves_no_thread_and_no_lock";
        return drop(child::run(child::command(&[], name, &bench.path())));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for n in 0..20 {
        // Alone in its process: it must be free at once.
        let store = open(&path).expect("free again");
        runtime.block_on(async { applied(store.commit(admit(n)).await) });
    }
    let threads = || -> Vec<String> {
        let tasks = fs::read_dir("/proc/self/task").expect("the threads").flatten();
        let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.contains("fjall:worker") || name.contains("openclaw-fj")).collect()
    };
    for _ in 0..1_000_000 {
        if threads().is_empty() {
            return;
        }
        std::thread::yield_now();
    }
    panic!("threads are left: {:?}", threads());
}

#[test]
fn a_path_that_can_not_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(refused(&dir.path().join("no/such/state")), StoreError::Unavailable(_)));
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(refused(&file), StoreError::Unavailable(_)));
    assert!(matches!(refused(&file.join("state")), StoreError::Unavailable(_)));
    assert_eq!(fs::read(&file).unwrap(), b"x");
}

#[cfg(unix)]
#[test]
fn a_directory_without_the_right_to_write_is_named() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};

    if let Some(path) = child::place() {
        for path in [path.join("new"), path.join("old")] {
            let StoreError::Unavailable(said) = refused(&path) else { panic!("{path:?}") };
            assert!(said.contains("right to write"), "{said}");
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir.path().join("old")).unwrap());
    let name = "fjall::files::a_directory_without_the_right_to_write_is_named";
    // Others may read here, and run a copy of this program; only its owner may write.
    let program = dir.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(dir.path().join("old"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(dir.path().join("old/openclaw.lock"), fs::Permissions::from_mode(0o444))
        .unwrap();
    let program = program.to_str().unwrap();
    let mut command = child::command(&["/usr/bin/env", program], name, dir.path());
    // To the superuser nothing is forbidden: it becomes somebody else.
    if fs::File::create(dir.path().join("probe")).is_ok() {
        command.uid(65534);
    }
    child::run(command);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.path().join("old"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("photos")).unwrap();
    fs::write(dir.path().join("photos/one"), "x").unwrap();
    let before = listing(dir.path());
    assert!(matches!(refused(dir.path()), StoreError::Corrupt(_)));
    assert_eq!(listing(dir.path()), before);
}

#[tokio::test]
async fn an_empty_directory_becomes_a_store() {
    let dir = tempfile::tempdir().unwrap();
    applied(open(dir.path()).unwrap().commit(admit(1)).await);
}

#[tokio::test]
async fn a_store_whose_making_was_cut_short_is_made_anew() {
    let bench = Bench::new();
    drop(bench.open());
    // All that a crash can leave: the lock, and some of the files in the place where they are made.
    for left in ["keyspaces", "0.jnl", "version", ""] {
        let (rows, making) = (bench.path().join("rows"), bench.path().join("making"));
        fs::rename(rows, &making).unwrap();
        if left.is_empty() {
            fs::remove_dir_all(&making).unwrap();
        } else {
            let path = making.join(left);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
        let store = bench.open();
        assert!(steps(&store).await.is_empty());
        applied(store.commit(admit(1)).await);
        drop(store);
        assert!(!making.exists());
    }
}

#[test]
fn what_misses_a_part_is_damaged_and_says_so() {
    let parts = ["version", "0.jnl", "keyspaces", "keyspaces/0", "keyspaces/1"];
    let current = ["keyspaces/0/current", "keyspaces/1/current", "keyspaces/3/current"];
    for part in parts.into_iter().chain(current) {
        let bench = Bench::new();
        drop(bench.open());
        let path = bench.path().join("rows").join(part);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
        let before = listing(&bench.path());
        assert!(matches!(refused(&bench.path()), StoreError::Corrupt(_)), "{part}");
        assert!(matches!(refused(&bench.path()), StoreError::Corrupt(_)), "{part}, again");
        if part != "keyspaces/1" {
            assert_eq!(listing(&bench.path()), before, "{part}: what was left has changed");
        }
    }
    let bench = Bench::new();
    drop(bench.open());
    fs::create_dir(bench.path().join("rows/keyspaces/lost+found")).unwrap();
    assert!(matches!(refused(&bench.path()), StoreError::Corrupt(_)));
}

#[test]
fn a_newer_format_is_refused() {
    let bench = Bench::new();
    drop(bench.open());
    let version = bench.path().join("rows/version");
    let before = fs::read(&version).unwrap();
    for newer in [b"FJL\x04".as_slice(), b"FJL\x02", b"XYZ\x03", b""] {
        fs::write(&version, newer).unwrap();
        assert!(matches!(refused(&bench.path()), StoreError::Corrupt(_)));
    }
    fs::write(&version, before).unwrap();
    drop(bench.open());

    // The layout of the rows is in the journal, behind its name.
    let journal = bench.path().join("rows/0.jnl");
    let mut bytes = fs::read(&journal).unwrap();
    let at = bytes.windows(6).position(|part| part == b"format").unwrap() + 6 + 7;
    assert_eq!(bytes[at], 1, "the layout");
    bytes[at] = 2;
    fs::write(&journal, bytes).unwrap();
    assert!(matches!(refused(&bench.path()), StoreError::Corrupt(_)));
}
