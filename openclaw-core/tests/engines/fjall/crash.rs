//! A process that is killed: what was acknowledged is there, and nothing by half.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::Stdio,
};

use openclaw_core::store::Version;

use super::*;

const WRITERS: u64 = 16;

/// Steps of one writer lie this far from those of the next.
const APART: u64 = 100_000;

/// Steps of one life of the process lie this far from those of the next.
const LIFE: u64 = WRITERS * APART;

/// Writers that go on until the process is killed.
async fn commit_for_ever(path: &Path) {
    let clock = ManualClock::new(EPOCH);
    let builder = FjallStore::builder().write_buffer(256 << 10);
    let store = builder.open(path, Arc::new(clock.clone())).expect("a store");
    let life = steps(&store).await.last().map_or(0, |last| last / LIFE + 1);
    let bulk = |n| Key::system("bulk").number(n).build();
    let writers = (0..WRITERS).map(|writer| {
        let (store, clock) = (store.clone(), clock.clone());
        tokio::spawn(async move {
            for n in (life * LIFE + writer * APART).. {
                clock.advance(Duration::from_millis(1));
                let ttl = Duration::from_millis(50 + n % 100);
                let op = Op::put_for(bulk(n), vec![n as u8; 4096], ttl);
                let version = applied(store.commit(admit(n).op(op)).await).version;
                child::say(&format!("ack {n} {}", version.get()));
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
}

/// Runs a child until it has acknowledged so many steps; all that it acknowledged.
fn killed_after(path: &Path, acks: usize) -> BTreeMap<u64, Version> {
    let name = "fjall::crash::a_kill_loses_nothing_that_was_acknowledged";
    let mut process = child::command(&[], name, path).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut acked = BTreeMap::new();
    let mut alive = true;
    for line in lines.map_while(Result::ok) {
        if let Some([n, version]) = child::heard(&line, "ack ").as_deref() {
            acked.insert(*n, Version::new(*version));
        }
        if alive && acked.len() >= acks {
            process.kill().unwrap();
            alive = false;
        }
    }
    assert!(!alive, "it ended by itself: {:?}", process.wait());
    process.wait().unwrap();
    acked
}

#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    if let Some(path) = child::place() {
        return runtime.block_on(commit_for_ever(&path));
    }
    let bench = Bench::new();
    let mut all: BTreeMap<u64, Version> = BTreeMap::new();
    let mut last = Version::default();
    for acks in [1, 50, 400, 777, 1500, 90] {
        let acked = killed_after(&bench.path(), acks);
        assert!(acked.values().all(|version| *version > last), "a version was used twice");
        all.extend(acked);
        runtime.block_on(async {
            let store = bench.open();
            let there = steps(&store).await;
            for (n, version) in &all {
                let row = store.get(&key(*n)).await.unwrap().expect("an acknowledged step is lost");
                assert_eq!(row.version, *version);
            }
            for n in there.iter().filter(|n| **n % APART > 0) {
                assert!(there.contains(&(n - 1)), "{n} is there, its forerunner is not");
            }
            let probe = applied(store.commit(Txn::new("t").op(Op::put(key(1 << 40), "x"))).await);
            assert!(all.values().all(|version| *version < probe.version));
            applied(store.commit(Txn::new("t").op(Op::delete(key(1 << 40)))).await);
            last = probe.version;
        });
    }
}
