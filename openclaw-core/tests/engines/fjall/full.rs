//! No space is left: nothing is acknowledged that is not kept, and nobody waits for ever.
#![cfg(target_os = "linux")]

use std::process::Command;

use super::*;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}

/// Commits until it fails; how many were acknowledged.
async fn until_it_fails(store: &FjallStore) -> u64 {
    for n in 0..100_000 {
        let bulk = Op::put(Key::system("bulk").number(n).build(), vec![7; 20_000]);
        match store.commit(admit(n).op(bulk)).await {
            Ok(outcome) => drop(applied(Ok(outcome))),
            Err(e) => {
                use StoreError::{Closed, Full, OutcomeUnknown};
                assert!(matches!(e, Closed(_) | Full(_) | OutcomeUnknown(_)), "{e:?}");
                let next = store.commit(admit(n + 1)).await;
                assert!(matches!(next, Err(Closed(_) | Full(_))), "{next:?}");
                return n;
            }
        }
    }
    panic!("no end to the space");
}

async fn all_there(store: &FjallStore, acked: u64) {
    let there = steps(store).await;
    assert!((0..acked).all(|n| there.contains(&n)), "an acknowledged step is lost");
    assert!(there.range(acked + 1..).next().is_none(), "a refused step is there");
    applied(store.commit(admit(1 << 20)).await);
}

#[test]
fn a_journal_that_may_not_grow_closes_the_store() {
    if let Some(path) = child::place() {
        let acked =
            block_on(async { until_it_fails(&open_again(&path, &ManualClock::new(EPOCH))).await });
        return child::say(&format!("acked {acked}"));
    }
    let bench = Bench::new();
    block_on(async {
        applied(bench.open().commit(Txn::new("t").op(Op::put(key(1 << 30), "x"))).await)
    });
    // Opened again, the journal has no space that was set aside for it.
    drop(bench.open());
    let name = "fjall::full::a_journal_that_may_not_grow_closes_the_store";
    let limit = "trap '' XFSZ; ulimit -f 2048; exec \"$@\"";
    let output = child::run(child::command(&["sh", "-c", limit, "sh"], name, &bench.path()));
    let said = String::from_utf8_lossy(&output.stdout);
    let acked = said.lines().find_map(|line| child::heard(line, "acked ")).unwrap()[0];
    assert!(acked > 20, "{acked}");
    block_on(async {
        let store = bench.open();
        applied(store.commit(Txn::new("t").op(Op::delete(key(1 << 30)))).await);
        all_there(&store, acked).await;
    });
}

#[test]
fn a_full_disk_closes_the_store_and_keeps_what_was_acknowledged() {
    let mount = |place: &Path, options: &str| {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(place);
        assert!(command.status().unwrap().success(), "{command:?}");
    };
    if let Some(place) = child::place() {
        let clock = ManualClock::new(EPOCH);
        for (n, write_buffer) in [1 << 30, 64 << 10, 1 << 20].into_iter().enumerate() {
            let disk = place.join(n.to_string());
            std::fs::create_dir(&disk).unwrap();
            mount(&disk, "size=6m");
            let path = disk.join("state");
            let builder = FjallStore::builder().write_buffer(write_buffer);
            let store = builder.open(&path, Arc::new(clock.clone())).unwrap();
            let acked = block_on(until_it_fails(&store));
            assert!(acked > 20, "{acked}");
            drop(store);
            match FjallStore::open(&path, Arc::new(clock.clone())) {
                Ok(store) => {
                    let there = block_on(steps(&store));
                    assert!((0..acked).all(|n| there.contains(&n)));
                }
                Err(e) => assert!(matches!(e, StoreError::Full(_)), "{e:?}"),
            }
            mount(&disk, "remount,size=200m");
            let store = open_again(&path, &clock);
            block_on(all_there(&store, acked));
        }
        return;
    }
    // Mounts need a right that not every user has; in a namespace of their own most have it.
    let spaces = [&["unshare", "-m"][..], &["unshare", "-rm"]];
    let able = |space: &&[&str]| {
        let mut probe = Command::new(space[0]);
        probe
            .args([space[1], "mount", "-t", "tmpfs", "x", "/mnt"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    let Some(space) = spaces.into_iter().find(able) else {
        assert!(std::env::var_os("CI").is_none(), "no right to mount a small disk");
        return child::say("NOT RUN: no right to mount a small disk");
    };
    let bench = Bench::new();
    let name = "fjall::full::a_full_disk_closes_the_store_and_keeps_what_was_acknowledged";
    child::run(child::command(space, name, bench.folder.path()));
}
