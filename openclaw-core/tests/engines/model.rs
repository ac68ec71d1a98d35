//! Random sequences of operations mean the same as in `MemoryStore`, across restarts too.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    Clock, Timestamp,
    store::{
        Commit, Entry, Guard, Key, MemoryStore, Op, Page, Prefix, ScanQuery, SharedStore,
        StateStoreExt, Txn, Version,
    },
};
use openclaw_testkit::env::ManualClock;
use proptest::{collection::vec, option, prelude::*};

use crate::steps::{key, log};

const KEYS: u64 = 5;

/// A guard whose version is looked up when its turn comes.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    Absent(u64),
    Exists(u64),
    Current(u64),
    Stale(u64),
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    checks: Vec<Check>,
    ops: Vec<Op>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Commit(Vec<Plan>),
    Read,
    Scan { prefix: bool, after: Option<u64>, reverse: bool, limit: usize },
    Advance(u64),
    Back(u64),
    Restart,
}

fn check() -> impl Strategy<Value = Check> {
    let key = 0..KEYS;
    prop_oneof![
        key.clone().prop_map(Check::Absent),
        key.clone().prop_map(Check::Exists),
        key.clone().prop_map(Check::Current),
        key.prop_map(Check::Stale),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let at = (0..KEYS).prop_map(key);
    let ttl = option::of((0..40_u64).prop_map(Duration::from_millis));
    let value =
        prop_oneof![vec(any::<u8>(), 0..20), (0..9_i64).prop_map(|n| n.to_be_bytes().to_vec()),];
    let value = value.prop_map(bytes::Bytes::from);
    let bound = option::of(Just(-2..=9_i64));
    prop_oneof![
        3 => (at.clone(), value.clone(), ttl.clone())
            .prop_map(|(key, value, ttl)| Op::Put { key, value, ttl }),
        1 => at.clone().prop_map(|key| Op::Delete { key }),
        1 => (at.clone(), ttl.clone()).prop_map(|(key, ttl)| Op::Touch { key, ttl }),
        1 => (value, ttl.clone())
            .prop_map(|(value, ttl)| Op::Append { prefix: log(), value, ttl }),
        2 => (at, -3..6_i64, bound, ttl)
            .prop_map(|(key, delta, bound, ttl)| Op::Add { key, delta, bound, ttl }),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    (vec(check(), 0..2), vec(op(), 0..5)).prop_map(|(checks, ops)| Plan { checks, ops })
}

fn step() -> impl Strategy<Value = Step> {
    let scan = (any::<bool>(), option::of(0..KEYS), any::<bool>(), 1..4_usize);
    prop_oneof![
        8 => vec(plan(), 1..4).prop_map(Step::Commit),
        2 => Just(Step::Read),
        2 => scan.prop_map(|(prefix, after, reverse, limit)| {
            Step::Scan { prefix, after, reverse, limit }
        }),
        3 => (0..30_u64).prop_map(Step::Advance),
        1 => (0..30_u64).prop_map(Step::Back),
        1 => Just(Step::Restart),
    ]
}

type Rows = Vec<(Key, Entry)>;

/// What a caller can tell apart.
#[derive(Debug, PartialEq)]
enum Seen {
    Applied(Version, Timestamp, Vec<i64>),
    Conflict(usize, Option<Entry>),
    Rows(Vec<Option<Entry>>, Timestamp),
    Page(Rows, bool, Timestamp),
}

impl From<Commit> for Seen {
    fn from(commit: Commit) -> Self {
        match commit {
            Commit::Applied(a) => Self::Applied(a.version, a.as_of, a.sums),
            Commit::Conflict(c) => Self::Conflict(c.failed, c.current),
        }
    }
}

async fn txn(model: &MemoryStore, plan: &Plan) -> Txn {
    let mut txn = Txn::new("t").ops(plan.ops.clone());
    for check in &plan.checks {
        let (Check::Absent(n) | Check::Exists(n) | Check::Current(n) | Check::Stale(n)) = check;
        let version = model.get(&key(*n)).await.unwrap().map_or(7, |row| row.version.get());
        txn = txn.guard(match check {
            Check::Absent(_) => Guard::Absent(key(*n)),
            Check::Exists(_) => Guard::Exists(key(*n)),
            Check::Current(_) => Guard::VersionIs(key(*n), Version::new(version)),
            Check::Stale(_) => Guard::VersionIs(key(*n), Version::new(version - 1)),
        });
    }
    txn
}

async fn play(store: &SharedStore, step: &Step, txns: &[Txn]) -> Vec<Seen> {
    match step {
        Step::Commit(_) => {
            let outcomes = store.commit_many(txns.to_vec()).await;
            outcomes.into_iter().map(|outcome| outcome.unwrap().into()).collect()
        }
        Step::Read => {
            let keys: Vec<Key> = (0..KEYS).map(key).collect();
            let read = store.get_many(&keys).await.unwrap();
            vec![Seen::Rows(read.value, read.as_of)]
        }
        Step::Scan { prefix, after, reverse, limit } => {
            let prefix = if *prefix { Key::system("t").prefix() } else { Prefix::from_bytes("") };
            let query = ScanQuery::new(prefix).limit((*limit).try_into().unwrap());
            let query = query.after(after.map(key));
            let query = if *reverse { query.reversed() } else { query };
            let read = store.scan(query).await.unwrap();
            let Page { rows, more, .. } = read.value;
            vec![Seen::Page(rows, more, read.as_of)]
        }
        Step::Advance(_) | Step::Back(_) | Step::Restart => Vec::new(),
    }
}

/// Plays the same on a store and on a model; `open` opens the store, the same one each time.
pub(crate) fn compare(plan: &[Step], clock: &ManualClock, open: &(dyn Fn() -> SharedStore + Sync)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(play_both(plan, clock, open));
}

async fn play_both(plan: &[Step], clock: &ManualClock, open: &(dyn Fn() -> SharedStore + Sync)) {
    let model = MemoryStore::new(Arc::new(clock.clone()));
    let memory: SharedStore = Arc::new(model.clone());
    let mut opened = Some(open());
    for step in plan {
        let mut txns = Vec::new();
        match step {
            Step::Commit(plans) => {
                for plan in plans {
                    txns.push(txn(&model, plan).await);
                }
            }
            Step::Advance(ms) => clock.advance(Duration::from_millis(*ms)),
            Step::Back(ms) => {
                let back = clock.now().as_millis() - ms;
                clock.set(Timestamp::from_millis(back));
            }
            Step::Restart => {
                drop(opened.take());
                opened = Some(open());
            }
            Step::Read | Step::Scan { .. } => {}
        }
        let store = opened.as_ref().expect("open");
        assert_eq!(play(store, step, &txns).await, play(&memory, step, &txns).await, "{step:?}");
    }
}

/// Sequences of steps.
pub(crate) fn plans() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..40)
}
