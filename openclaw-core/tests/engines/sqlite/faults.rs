//! A disk that fails: what is answered, what is tried again, what is there afterwards.
//!
//! strace stands between a child and the system: it sees each call, and lets some of them fail.

use std::fs;

use super::{child, *};

const STEPS: u64 = 20;

/// A child under strace: what it said, and its calls.
fn traced(test: &str, bench: &Bench, how: &[&str]) -> (Vec<String>, Vec<String>) {
    let log = bench.dir.path().join("calls");
    let log = log.to_str().expect("text");
    let calls = "trace=fsync,fdatasync,write,pwrite64";
    let by = [&["strace", "-f", "-qq", "-o", log, "-e", calls], how].concat();
    let said = child::ends(child::under(&by, test, &bench.path()));
    let calls = fs::read_to_string(log).expect("a log");
    (said, calls.lines().map(str::to_owned).collect())
}

pub(super) fn has_strace() -> bool {
    child::has(&["strace", "-f", "-qq", "-o", "/dev/null"], "strace")
}

fn is_sync(call: &str) -> bool {
    call.contains("fsync") || call.contains("fdatasync")
}

/// Says what came of each step, and goes on to the next.
async fn say_all(store: &SqliteStore) {
    for n in 0..STEPS {
        child::say(&format!("asked {n}"));
        match store.commit(admit(n)).await {
            Ok(Commit::Applied(_)) => child::say(&format!("acked {n}")),
            Err(StoreError::OutcomeUnknown(id)) if id == TxnId::new(n) => {
                child::say(&format!("unknown {n}"));
            }
            Err(StoreError::Closed(why)) if why.contains("state.db") => {
                child::say(&format!("closed {n}"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_sync_lies_between_every_request_and_its_answer() {
    if let Some(path) = child::task() {
        return say_all(&open(&path)).await;
    }
    if !has_strace() {
        return;
    }
    let bench = Bench::new();
    let test = "faults::a_sync_lies_between_every_request_and_its_answer";
    let (said, calls) = traced(test, &bench, &[]);
    assert_eq!(child::numbers(&said, "acked").count() as u64, STEPS);
    for n in 0..STEPS {
        let place = |word: &str| {
            let word = format!("\"{word} {n}\\n\"");
            calls.iter().position(|call| call.contains(&word)).expect("it said so")
        };
        let between = &calls[place("asked")..place("acked")];
        let written = between.iter().position(|call| call.contains("pwrite64")).expect("a write");
        let synced = |call: &String| is_sync(call) && call.ends_with("= 0");
        assert!(between[written..].iter().any(synced), "step {n}: {between:#?}");
    }
}

#[tokio::test]
async fn a_failed_sync_closes_the_store_and_is_never_tried_again() {
    if let Some(path) = child::task() {
        let store = open(&path);
        say_all(&store).await;
        assert!(matches!(store.get(&key(1)).await, Err(StoreError::Closed(_))));
        return;
    }
    if !has_strace() {
        return;
    }
    // The first is that of the log's own head.
    for nth in [1, 2, 3, 4, 9] {
        let bench = Bench::new();
        drop(open(&bench.path()));
        let test = "faults::a_failed_sync_closes_the_store_and_is_never_tried_again";
        let fail = format!("inject=fsync,fdatasync:error=EIO:when={nth}");
        let (file, log) = (bench.path(), bench.dir.path().join("state.db-wal"));
        let [file, log] = [&file, &log].map(|path| path.to_str().expect("text"));
        let (said, calls) = traced(test, &bench, &["-P", file, "-P", log, "-e", &fail]);
        let acked: BTreeSet<u64> = child::numbers(&said, "acked").collect();
        let unknown: Vec<u64> = child::numbers(&said, "unknown").collect();
        let [n] = unknown[..] else { panic!("sync {nth}: {said:?}") };
        assert_eq!(acked, (0..n).collect(), "sync {nth}");
        assert!(child::numbers(&said, "closed").eq(n + 1..STEPS), "sync {nth}: {said:?}");
        let failed = calls.iter().position(|call| call.contains("EIO")).expect("a sync failed");
        let again =
            calls[failed + 1..].iter().find(|call| is_sync(call) || call.contains("pwrite"));
        assert_eq!(again, None, "sync {nth}: the disk was touched again");

        let there = steps(&open(&bench.path())).await;
        assert!(there.is_superset(&acked), "sync {nth}: an acknowledged step is lost");
        assert!(there.range(n + 1..).next().is_none(), "sync {nth}: a refused step is there");
    }
}

#[test]
fn a_directory_that_can_not_be_synced_is_no_place_for_a_store() {
    if let Some(path) = child::task() {
        let refused = SqliteStore::open(&path, Env::system().clock());
        let Err(StoreError::Unavailable(said)) = refused else { panic!("{refused:?}") };
        return child::say(&said);
    }
    if !has_strace() {
        return;
    }
    let bench = Bench::new();
    drop(open(&bench.path()));
    let test = "faults::a_directory_that_can_not_be_synced_is_no_place_for_a_store";
    let folder = bench.dir.path().to_str().expect("text");
    let fail = "inject=fsync,fdatasync:error=EIO";
    let (said, _) = traced(test, &bench, &["-P", folder, "-e", fail]);
    assert!(said.iter().any(|line| line.contains("state.db")), "{said:?}");
}

#[tokio::test]
async fn no_write_that_finds_no_space_leaves_a_trace() {
    if let Some(path) = child::task() {
        let clock = Env::system().clock();
        let mut opened = SqliteStore::open(&path, Arc::clone(&clock));
        while let Err(StoreError::Full(_)) = opened {
            opened = SqliteStore::open(&path, Arc::clone(&clock));
        }
        let store = opened.expect("a store");
        for n in 0..STEPS {
            loop {
                match store.commit(admit(n)).await {
                    Err(StoreError::Full(said)) => assert!(said.contains("state.db"), "{said}"),
                    outcome => break drop(applied(outcome)),
                }
                child::say(&format!("full {n}"));
                assert!(!steps(&store).await.contains(&n), "a refused step left a trace");
            }
            child::say(&format!("acked {n}"));
        }
        return;
    }
    if !has_strace() {
        return;
    }
    let mut refused = 0;
    for nth in 1..=16 {
        let bench = Bench::new();
        let test = "faults::no_write_that_finds_no_space_leaves_a_trace";
        let fail = format!("inject=pwrite64:error=ENOSPC:when={nth}..{}", nth + 3);
        let (said, _) = traced(test, &bench, &["-e", &fail]);
        refused += child::numbers(&said, "full").count();
        assert!(child::numbers(&said, "acked").eq(0..STEPS), "write {nth}: {said:?}");
        assert_eq!(steps(&open(&bench.path())).await, (0..STEPS).collect(), "write {nth}");
    }
    assert!(refused >= 16, "only {refused} were refused");
}

/// Puts a small disk on the folder, for the child alone, and runs the rest of the line.
const SMALL_DISK: &str = "mount -t tmpfs -o size=4m none \"$0\" && exec \"$@\"";

#[tokio::test]
async fn a_full_disk_refuses_and_serves_again_when_there_is_space() {
    if let Some(path) = child::task() {
        let other = path.with_file_name("other");
        fs::write(&other, vec![1; 1 << 20]).unwrap();
        let store = open(&path);
        let big = |n: u64| {
            admit(n).op(Op::put(Key::system("big").number(n).build(), vec![n as u8; 1 << 15]))
        };
        let mut done = BTreeSet::new();
        let full = loop {
            let n = done.len() as u64;
            match store.commit(big(n)).await {
                Err(StoreError::Full(_)) => break n,
                outcome => drop(applied(outcome)),
            }
            done.insert(n);
        };
        assert_eq!(steps(&store).await, done, "a refused step left a trace");
        assert!(matches!(store.commit(big(full)).await, Err(StoreError::Full(_))));
        fs::remove_file(other).unwrap();
        applied(store.commit(big(full)).await);
        done.insert(full);
        drop(store);
        assert_eq!(steps(&open(&path)).await, done);
        child::say(&format!("acked {full}"));
        return;
    }
    let unshare = ["unshare", "--user", "--map-root-user", "--mount"];
    let bench = Bench::new();
    let folder = bench.dir.path().to_str().expect("text");
    let by = [&unshare[..], &["sh", "-c", SMALL_DISK, folder]].concat();
    if !child::has(&by, "util-linux") {
        return;
    }
    let test = "faults::a_full_disk_refuses_and_serves_again_when_there_is_space";
    let said = child::ends(child::under(&by, test, &bench.path()));
    assert!(child::numbers(&said, "acked").next().is_some_and(|n| n > 10), "{said:?}");
}
