//! The log beside the file stays short, whoever reads.

use std::fs;

use super::*;

fn log_len(bench: &Bench) -> u64 {
    fs::metadata(bench.dir.path().join("state.db-wal")).map_or(0, |wal| wal.len())
}

/// Overwrites a few rows with a total of so many megabytes.
async fn churn(store: &SqliteStore, megabytes: u64) {
    for n in 0..megabytes {
        let rows = (0..16).map(|m| Op::put(key(m), vec![n as u8; 1 << 16]));
        applied(store.commit(Txn::new("t").ops(rows)).await);
    }
}

#[tokio::test]
async fn the_log_does_not_grow_with_what_is_written() {
    let bench = Bench::new();
    let store = bench.open();
    churn(&store, 100).await;
    assert!(log_len(&bench) < 24 << 20, "{} bytes of log", log_len(&bench));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_does_not_grow_while_others_read_without_a_pause() {
    let bench = Bench::new();
    let store = bench.open();
    churn(&store, 1).await;
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, done) = (bench.open(), Arc::clone(&done));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                while !done.load(std::sync::atomic::Ordering::SeqCst) {
                    let read = runtime.block_on(store.scan_all(Key::system("t").prefix()));
                    assert_eq!(read.expect("a scan").len(), 16);
                }
            })
        })
        .collect();
    churn(&store, 100).await;
    let len = log_len(&bench);
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    readers.into_iter().for_each(|reader| reader.join().expect("a reader"));
    assert!(len < 48 << 20, "{len} bytes of log");
}

#[tokio::test]
async fn a_reader_that_stands_still_keeps_the_log_and_lets_it_go() {
    let bench = Bench::new();
    let store = bench.open();
    churn(&store, 1).await;
    let reader = rusqlite::Connection::open(bench.path()).unwrap();
    reader.execute_batch("BEGIN; SELECT version FROM openclaw_meta").unwrap();
    churn(&store, 40).await;
    assert!(log_len(&bench) > 32 << 20, "it reads in it");
    reader.execute_batch("COMMIT").unwrap();
    churn(&store, 30).await;
    assert!(log_len(&bench) < 24 << 20, "{} bytes of log", log_len(&bench));
}
