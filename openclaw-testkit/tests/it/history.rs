//! The checker of histories: it finds what no order explains, and nothing else.

use openclaw_core::{
    Timestamp,
    store::{
        Applied, Commit, Conflict, Entry, Guard, Key, MemoryStore, Op, StateStore, StoreError, Txn,
        TxnId, Version,
    },
};
use openclaw_testkit::{
    env::{SeededRng, test_env},
    history::{Open, Recorder},
};

type Outcome = Result<Commit, StoreError>;

fn key(name: &str) -> Key {
    Key::system("history").text(name).build()
}

fn put(name: &str, value: &'static str) -> Txn {
    Txn::new("put").op(Op::put(key(name), value))
}

fn put_at(name: &str, version: u64, value: &'static str) -> Txn {
    put(name, value).guard(Guard::VersionIs(key(name), Version::new(version)))
}

fn applied(version: u64) -> Outcome {
    Ok(Commit::Applied(Applied::new(Version::new(version), Timestamp::default(), Vec::new())))
}

fn lost(failed: usize, current: Option<Entry>) -> Outcome {
    Ok(Commit::Conflict(Conflict::new(failed, current)))
}

fn row(value: &'static str, version: u64) -> Option<Entry> {
    Some(Entry::new(value.into(), Version::new(version)))
}

fn unknown() -> Outcome {
    Err(StoreError::OutcomeUnknown(TxnId::default()))
}

/// A commit that nothing overlaps.
fn commit(recorder: &Recorder, txn: &Txn, outcome: &Outcome) {
    recorder.commits(0, txn).committed(outcome);
}

/// A read that nothing overlaps.
fn read(recorder: &Recorder, names: &[&str], rows: &[Option<Entry>]) {
    reads(recorder, names).read(&Ok(rows.to_vec()));
}

fn reads(recorder: &Recorder, names: &[&str]) -> Open {
    recorder.reads(9, &names.iter().map(|name| key(name)).collect::<Vec<_>>())
}

/// Is there an order for what this notes?
fn explained(notes: impl FnOnce(&Recorder)) -> bool {
    let recorder = Recorder::default();
    notes(&recorder);
    recorder.history().check().is_ok()
}

#[test]
fn a_stale_read_has_no_order_unless_it_overlaps_the_write() {
    assert!(!explained(|r| {
        commit(r, &put("a", "1"), &applied(1));
        read(r, &["a"], &[None]);
    }));
    for seen in [None, row("1", 1)] {
        assert!(explained(|r| {
            let write = r.commits(0, &put("a", "1"));
            read(r, &["a"], &[seen]);
            write.committed(&applied(1));
        }));
    }
}

#[test]
fn a_read_that_goes_back_has_no_order() {
    assert!(!explained(|r| {
        commit(r, &put("a", "1"), &applied(1));
        let write = r.commits(0, &put("a", "2"));
        read(r, &["a"], &[row("2", 2)]);
        read(r, &["a"], &[row("1", 1)]);
        write.committed(&applied(2));
    }));
}

#[test]
fn a_lost_update_has_no_order() {
    for (second, fits) in [(applied(3), false), (lost(0, row("2", 2)), true)] {
        let found = explained(|r| {
            commit(r, &put("a", "1"), &applied(1));
            let (one, two) =
                (r.commits(1, &put_at("a", 1, "2")), r.commits(2, &put_at("a", 1, "3")));
            one.committed(&applied(2));
            two.committed(&second);
        });
        assert_eq!(found, fits, "{second:?}");
    }
}

#[test]
fn a_write_skew_between_keys_has_no_order() {
    assert!(!explained(|r| {
        commit(r, &put("a", "1"), &applied(1));
        commit(r, &put("b", "1"), &applied(2));
        let guarded = |guard: &str, version, write: &str| {
            put(write, "0").guard(Guard::VersionIs(key(guard), Version::new(version)))
        };
        let one = r.commits(1, &guarded("a", 1, "b"));
        let two = r.commits(2, &guarded("b", 2, "a"));
        one.committed(&applied(3));
        two.committed(&applied(4));
    }));
}

#[test]
fn half_a_transaction_has_no_order() {
    let both = put("a", "1").op(Op::put(key("b"), "1"));
    for (rows, fits) in [([row("1", 1), None], false), ([row("1", 1), row("1", 1)], true)] {
        let found = explained(|r| {
            let write = r.commits(0, &both);
            read(r, &["a", "b"], &rows);
            write.committed(&applied(1));
        });
        assert_eq!(found, fits, "{rows:?}");
    }
}

#[test]
fn a_commit_without_an_answer_happened_once_late_or_never() {
    let doubt = |after: &'static [Option<&'static str>]| {
        explained(move |r| {
            commit(r, &put("a", "0"), &applied(1));
            commit(r, &put("a", "1"), &unknown());
            for seen in after {
                read(
                    r,
                    &["a"],
                    &[seen.and_then(|value| row(value, if value == "0" { 1 } else { 5 }))],
                );
            }
        })
    };
    assert!(doubt(&[Some("0"), Some("0")]), "never");
    assert!(doubt(&[Some("1"), Some("1")]), "at once");
    assert!(doubt(&[Some("0"), Some("1")]), "late");
    assert!(!doubt(&[Some("1"), Some("0")]), "undone");
    assert!(!doubt(&[None]), "something else");
}

#[test]
fn a_doubtful_commit_has_one_version() {
    for (second, fits) in [(7, true), (8, false)] {
        let found = explained(|r| {
            commit(r, &put("a", "1").op(Op::put(key("b"), "1")), &unknown());
            read(r, &["a"], &[row("1", 7)]);
            read(r, &["b"], &[row("1", second)]);
        });
        assert_eq!(found, fits, "version {second}");
    }
}

#[test]
fn a_doubtful_commit_is_not_made_twice() {
    let add = Txn::new("add").op(Op::Add { key: key("n"), delta: 1, bound: None, ttl: None });
    let sum =
        |n: i64, version| Some(Entry::new(n.to_be_bytes().to_vec().into(), Version::new(version)));
    for (seen, fits) in [(sum(1, 4), true), (sum(2, 4), false)] {
        let found = explained(|r| {
            commit(r, &add, &unknown());
            read(r, &["n"], std::slice::from_ref(&seen));
        });
        assert_eq!(found, fits, "{seen:?}");
    }
}

#[test]
fn a_version_that_does_not_grow_has_no_order() {
    for (version, fits) in [(3, true), (2, false), (1, false)] {
        let found = explained(|r| {
            commit(r, &put("a", "1"), &applied(2));
            commit(r, &Txn::new("gone").op(Op::delete(key("a"))), &applied(0));
            commit(r, &put("a", "2"), &applied(version));
        });
        assert_eq!(found, fits, "v{version} behind v2");
    }
}

#[test]
fn a_conflict_for_nothing_has_no_order() {
    assert!(!explained(|r| {
        commit(r, &put("a", "1"), &applied(1));
        commit(r, &put_at("a", 1, "2"), &lost(0, row("1", 1)));
    }));
    assert!(explained(|r| {
        commit(r, &put("a", "1"), &applied(1));
        let refused = Err(StoreError::Unavailable("down".to_owned()));
        commit(r, &put_at("a", 1, "2"), &refused);
        read(r, &["a"], &[row("1", 1)]);
    }));
}

#[test]
fn the_text_shows_the_shortest_part_that_fails() {
    let recorder = Recorder::default();
    for (name, version) in [("other", 1), ("a", 2)] {
        commit(&recorder, &put(name, "1"), &applied(version));
    }
    read(&recorder, &["a"], &[None]);
    commit(&recorder, &put("a", "behind"), &applied(3));
    let text = recorder.history().check().unwrap_err().to_string();
    assert!(text.contains("read a → none") && text.contains("a = \"1\" → applied v2"), "{text}");
    assert!(!text.contains("behind") && !text.contains("other"), "{text}");
}

/// What really ran one after the other has an order, however long its calls seemed to take.
#[tokio::test(start_paused = true)]
async fn what_ran_in_an_order_has_one_whoever_overlapped() {
    for seed in 0..150 {
        let rng = SeededRng::new(seed);
        let store = MemoryStore::new(test_env(seed).clock());
        let recorder = Recorder::default();
        let mut open: Vec<Box<dyn FnOnce()>> = Vec::new();
        for n in 0..30_u64 {
            let name = ["a", "b", "c"][usize::try_from(rng.below(3)).unwrap()];
            let seen = reads(&recorder, &[name]);
            let found = store.get_many(&[key(name)]).await.unwrap().value;
            seen.read(&Ok(found.clone()));
            let (end, at): (Box<dyn FnOnce()>, _) = if rng.chance(0.4) {
                let call = reads(&recorder, &[name]);
                (Box::new(move || call.read(&Ok(found))), rng.below(6))
            } else {
                let mut step = Txn::new("t").op(Op::put(key(name), n.to_string()));
                if let (true, [Some(entry)]) = (rng.chance(0.6), &found[..]) {
                    step = step.guard(Guard::VersionIs(key(name), entry.version));
                }
                if rng.chance(0.3) {
                    step = step.guard(Guard::Absent(key("b")));
                }
                let call = recorder.commits(n, &step);
                let outcome = store.commit(step).await;
                let hidden = rng.chance(0.15);
                let told = move || if hidden { drop(call) } else { call.committed(&outcome) };
                (Box::new(told), rng.below(6))
            };
            // Answered now, or behind calls that begin later.
            open.push(end);
            while open.len() as u64 > at {
                let any = usize::try_from(rng.below(open.len() as u64)).unwrap();
                open.swap_remove(any)();
            }
        }
        open.into_iter().for_each(|end| end());
        recorder.history().check().unwrap_or_else(|anomaly| panic!("seed {seed}: {anomaly}"));
    }
}
