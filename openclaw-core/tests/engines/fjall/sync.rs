//! Syncs, watched and broken from outside by strace.
#![cfg(target_os = "linux")]

use std::{collections::BTreeSet, fs, process::Command};

use openclaw_core::store::TxnId;

use super::*;

fn watched(options: &[&str], test: &str, bench: &Bench) -> (String, String) {
    let trace = bench.folder.path().join("trace");
    let missing = "strace is missing: install it (apt-get install strace)";
    assert!(Command::new("strace").arg("-V").output().is_ok(), "{missing}");
    let mut wrap = vec!["strace", "-f", "-y", "-s", "64", "-o", trace.to_str().unwrap()];
    wrap.extend(options);
    let output = child::run(child::command(&wrap, test, &bench.path()));
    (fs::read_to_string(trace).unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}

#[test]
fn every_acknowledged_commit_was_synced_before() {
    if let Some(path) = child::place() {
        return block_on(async {
            let store = open_again(&path, &ManualClock::new(EPOCH));
            for n in 0..20 {
                child::say(&format!("ask {n}"));
                applied(store.commit(admit(n)).await);
                child::say(&format!("ack {n}"));
            }
        });
    }
    let bench = Bench::new();
    let name = "fjall::sync::every_acknowledged_commit_was_synced_before";
    let (trace, _) = watched(&["-e", "trace=fdatasync,fsync,write"], name, &bench);
    let (mut asked, mut syncing, mut synced, mut acked) = (false, BTreeSet::new(), false, 0);
    for line in trace.lines() {
        let thread = line.split_whitespace().next().unwrap_or_default();
        let starts = line.contains("sync(") && line.contains(".jnl>");
        let good = line.trim_end().ends_with("= 0");
        if line.contains("\"ask ") {
            (asked, synced) = (true, false);
            syncing.clear();
        } else if asked && starts && !good {
            syncing.insert(thread);
        } else if (asked && starts) || (line.contains("sync resumed") && syncing.remove(thread)) {
            synced |= good;
        } else if line.contains("\"ack ") {
            assert!(synced, "acknowledged without a sync: {line}\n{trace}");
            (asked, acked) = (false, acked + 1);
        }
    }
    assert_eq!(acked, 20, "{trace}");
}

#[test]
fn a_failed_sync_closes_the_store_and_is_never_tried_again() {
    if let Some(path) = child::place() {
        return block_on(async {
            let store = open_again(&path, &ManualClock::new(EPOCH));
            for n in 0..1000 {
                match store.commit(admit(n)).await {
                    Ok(outcome) => drop(applied(Ok(outcome))),
                    Err(e) => {
                        assert_eq!(e, StoreError::OutcomeUnknown(TxnId::new(n)));
                        child::say(&format!("unknown {n}"));
                        break;
                    }
                }
            }
            for closed in [
                store.commit(admit(99)).await.map(drop),
                store.get_many(&[]).await.map(drop),
                store.scan(ScanQuery::new(log())).await.map(drop),
                store.commit_many(vec![admit(98)]).await.remove(0).map(drop),
            ] {
                let Err(StoreError::Closed(why)) = closed else { panic!("{closed:?}") };
                let place = path.display().to_string();
                assert!(why.starts_with("poisoned: ") && why.contains(&place), "{why}");
            }
        });
    }
    let name = "fjall::sync::a_failed_sync_closes_the_store_and_is_never_tried_again";
    for nth in [1, 2, 9] {
        let bench = Bench::new();
        drop(bench.open());
        let inject = format!("inject=fdatasync:error=EIO:when={nth}");
        let (trace, said) = watched(&["-e", "trace=fdatasync,fsync", "-e", &inject], name, &bench);
        let unknown = said.lines().find_map(|line| child::heard(line, "unknown ")).unwrap()[0];
        assert_eq!(unknown, nth - 1);
        let behind = trace.split_once("INJECTED").expect("it failed").1;
        assert!(!behind.contains("fdatasync("), "{trace}");
        block_on(async {
            let store = bench.open();
            let there = steps(&store).await;
            assert!((0..unknown).all(|n| there.contains(&n)), "an acknowledged step is lost");
            assert!(there.range(unknown + 1..).next().is_none(), "a refused step is there");
            applied(store.commit(admit(500)).await);
        });
    }
}

/// The lines of a trace that name one of these calls, in order.
fn calls<'a>(trace: &'a str, names: &[&str]) -> Vec<&'a str> {
    let named = |line: &&str| names.iter().any(|name| line.contains(&format!(" {name}(")));
    trace.lines().filter(named).collect()
}

#[test]
fn every_name_is_synced_before_the_store_is_used() {
    if let Some(path) = child::place() {
        return drop(open_again(&path, &ManualClock::new(EPOCH)));
    }
    let bench = Bench::new();
    let name = "fjall::sync::every_name_is_synced_before_the_store_is_used";
    let state = bench.path();
    let synced = |trace: &[&str], dir: &Path| {
        let dir = format!("<{}>", dir.display());
        trace.iter().any(|line| line.contains(" fsync(") && line.contains(&dir))
    };
    let (trace, _) = watched(&["-e", "trace=fsync,/^rename,/^mkdir"], name, &bench);
    let lines: Vec<_> = trace.lines().collect();
    let moved = lines.iter().position(|line| line.contains("state/rows\")"));
    let (before, after) = lines.split_at(moved.expect("the rows are moved"));
    assert!(synced(before, bench.folder.path()), "the store's own name: {trace}");
    let named = before.iter().rposition(|line| line.contains(" mkdir")).unwrap();
    for dir in ["making", "making/keyspaces"] {
        assert!(synced(&before[named..], &state.join(dir)), "{dir}: {trace}");
    }
    assert!(synced(after, &state), "the rows' name: {trace}");
    // A crash between making and syncing leaves names that are there, and not kept.
    let (trace, _) = watched(&["-e", "trace=fsync"], name, &bench);
    let lines: Vec<_> = trace.lines().collect();
    for dir in [bench.folder.path(), &state] {
        assert!(synced(&lines, dir), "{}: {trace}", dir.display());
    }
}

#[test]
fn an_opened_journal_is_written_and_synced_again() {
    if let Some(path) = child::place() {
        match FjallStore::open(&path, Arc::new(ManualClock::new(EPOCH))) {
            Ok(store) => {
                assert_eq!(block_on(steps(&store)), (0..40).collect());
                child::say("opened 1");
            }
            Err(e) => {
                assert!(matches!(e, StoreError::Unavailable(_)), "{e:?}");
                child::say("refused 1");
            }
        }
        return;
    }
    let bench = Bench::new();
    block_on(async {
        let store = bench.open();
        for n in 0..40 {
            let bulk = Op::put(Key::system("bulk").number(n).build(), vec![7; 5000]);
            applied(store.commit(admit(n).op(bulk)).await);
        }
    });
    let name = "fjall::sync::an_opened_journal_is_written_and_synced_again";
    let journal = bench.path().join("rows/0.jnl");
    let before = fs::read(&journal).unwrap();
    let (trace, said) = watched(&["-e", "trace=write,fsync"], name, &bench);
    assert!(said.contains("opened 1"), "{said}");
    let on_it: Vec<_> =
        calls(&trace, &["write", "fsync"]).into_iter().filter(|l| l.contains("0.jnl>")).collect();
    let synced = on_it.iter().position(|line| line.contains(" fsync(")).expect("a sync");
    let written = |line: &&str| line.rsplit("= ").next().and_then(|n| n.parse::<usize>().ok());
    let bytes: usize = on_it[..synced].iter().filter_map(written).sum();
    let end = before.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    assert_eq!(bytes, end, "{trace}");
    // A sync that fails once more keeps the store closed, and a later try may open it.
    let inject = "inject=fsync:error=EIO:when=1+";
    let (_, said) = watched(&["-e", "trace=fsync", "-e", inject], name, &bench);
    assert!(said.contains("refused 1"), "{said}");
    assert!(fs::read(&journal).unwrap() == before, "the journal was changed");
    block_on(async { assert_eq!(steps(&bench.open()).await, (0..40).collect()) });
}
