//! Processes that are killed while they write.

use std::fs;

use super::{
    child::{self, Running},
    faults::has_strace,
    *,
};

/// Acknowledged commits of a life, at least.
const ACKED: usize = 30;

/// Commits without end from eight tasks; each says what was acknowledged.
async fn write_until_killed(path: &Path) {
    let store = open(path);
    let from = steps(&store).await.last().map_or(0, |n| n + 1);
    let task = |n: u64| {
        let store = store.clone();
        tokio::spawn(async move {
            for step in 0.. {
                let id = from + n + 8 * step;
                applied(store.commit(admit(id)).await);
                child::say(&format!("acked {id}"));
            }
        })
    };
    let tasks: Vec<_> = (0..8).map(task).collect();
    for task in tasks {
        task.await.expect("a task");
    }
}

/// Kills a writer in the middle of its work; what it had acknowledged.
fn killed(test: &str, path: &Path) -> Vec<u64> {
    let mut child = Running::start(child::again(test, path));
    let mut said: Vec<String> = (0..ACKED).map(|_| child.next().expect("it writes")).collect();
    said.extend(child.kill());
    child::numbers(&said, "acked").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_acknowledged_is_there() {
    if let Some(path) = child::task() {
        return write_until_killed(&path).await;
    }
    let bench = Bench::new();
    let (mut acked, mut last) = (BTreeSet::new(), None);
    for _ in 0..12 {
        let test = "kills::what_a_killed_process_acknowledged_is_there";
        acked.extend(killed(test, &bench.path()));
        let wal = fs::metadata(bench.dir.path().join("state.db-wal")).expect("a log");
        assert!(wal.len() > 0, "nothing to recover");
        let store = open(&bench.path());
        let there = steps(&store).await;
        assert!(there.is_superset(&acked), "an acknowledged step is lost");
        let next = there.last().map_or(0, |n| n + 1);
        let version = applied(store.commit(admit(next)).await).version;
        assert!(Some(version) > last, "versions went back");
        for (_, row) in store.scan_all(Prefix::from_bytes("")).await.unwrap() {
            assert!(row.version <= version, "a version from the future");
        }
        (last, _) = (Some(version), acked.insert(next));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shares_the_file_with_a_killed_process_goes_on() {
    if let Some(path) = child::task() {
        return write_until_killed(&path).await;
    }
    let bench = Bench::new();
    let store = open(&bench.path());
    let mut acked = BTreeSet::new();
    for round in 0..12 {
        let test = "kills::who_shares_the_file_with_a_killed_process_goes_on";
        acked.extend(killed(test, &bench.path()));
        // Nobody waits for a lock of the dead.
        let version = applied(store.commit(admit(1_000_000_000 - round)).await).version;
        let there = steps(&store).await;
        assert!(there.is_superset(&acked), "an acknowledged step is lost");
        let rows = store.scan_all(log()).await.unwrap();
        assert_eq!(rows.last().map(|(_, row)| row.version), Some(version));
        applied(store.commit(Txn::new("t").op(Op::delete(key(1_000_000_000 - round)))).await);
        let (line, _) = rows.last().expect("a line");
        applied(store.commit(Txn::new("t").op(Op::delete(line.clone()))).await);
    }
}

#[tokio::test]
async fn a_kill_at_any_write_or_sync_leaves_whole_commits() {
    if let Some(path) = child::task() {
        let store = open(&path);
        for n in 0..100 {
            applied(store.commit(admit(n)).await);
            child::say(&format!("acked {n}"));
        }
        return;
    }
    if !has_strace() {
        return;
    }
    let mut acknowledged = 0;
    for nth in 1..=36 {
        let bench = Bench::new();
        let kill = format!("inject=pwrite64,fsync,fdatasync:signal=SIGKILL:when={nth}");
        let by = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &kill];
        let test = "kills::a_kill_at_any_write_or_sync_leaves_whole_commits";
        let said = child::dies(child::under(&by, test, &bench.path()));
        let acked: BTreeSet<u64> = child::numbers(&said, "acked").collect();
        let store = open(&bench.path());
        let there = steps(&store).await;
        assert!(there.is_superset(&acked), "call {nth}: an acknowledged step is lost");
        assert!(there.len() <= acked.len() + 1, "call {nth}: {there:?}, acknowledged {acked:?}");
        applied(store.commit(admit(1000)).await);
        acknowledged += acked.len();
    }
    assert!(acknowledged > 0, "each was killed before its first commit");
}
