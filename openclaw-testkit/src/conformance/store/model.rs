//! Random transactions, run by a store and by the model side by side.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::Duration};

use openclaw_core::store::{
    Commit, Entry, Guard, Key, MemoryStore, Op, Prefix, ScanQuery, StateStore, Version,
};

use super::steps::{group, nth, rows, shown};
use crate::env::{ManualClock, SeededRng};

const SEEDS: u64 = 12;
const STEPS: u64 = 120;
const KEYS: u64 = 6;

/// Random transactions have the outcomes and leave the rows that the memory store's have.
pub async fn random_transactions_agree_with_the_model(store: &dyn StateStore) {
    let still = ManualClock::default();
    for seed in 0..SEEDS {
        compare(store, &still, None, seed).await;
    }
}

/// The same while time goes on and rows expire.
pub async fn expiring_rows_agree_with_the_model(store: &dyn StateStore, clock: &ManualClock) {
    for seed in 0..SEEDS {
        compare(store, clock, Some(clock), seed).await;
    }
}

async fn compare(
    store: &dyn StateStore,
    clock: &ManualClock,
    moving: Option<&ManualClock>,
    seed: u64,
) {
    let model = MemoryStore::new(Arc::new(clock.clone()));
    let mut twins =
        Twins { store, model, seed, rng: SeededRng::new(seed), moving, seen: BTreeMap::new() };
    for step in 0..STEPS {
        let at = format!("seed {seed}, step {step}");
        twins.commit(&at).await;
        twins.read(&at).await;
        if let Some(clock) = moving {
            clock.advance(Duration::from_millis(twins.rng.below(1_500)));
        }
    }
}

/// A store and its model, and which of their versions belong together.
struct Twins<'a> {
    store: &'a dyn StateStore,
    model: MemoryStore,
    seed: u64,
    rng: SeededRng,
    moving: Option<&'a ManualClock>,
    /// For each key the versions that were seen, the store's beside the model's.
    seen: BTreeMap<Key, Vec<(Version, Version)>>,
}

impl Twins<'_> {
    fn key(&self) -> Key {
        nth(&format!("model {}", self.seed), self.rng.below(KEYS))
    }

    fn log(&self, n: u64) -> Prefix {
        group(&format!("model log {} {n}", self.seed))
    }

    fn ttl(&self) -> Option<Duration> {
        let some = self.moving.is_some() && self.rng.chance(0.6);
        some.then(|| Duration::from_millis(self.rng.below(4_000)))
    }

    /// The same guard for both, in the versions of each.
    fn guard(&self) -> (Guard, Guard) {
        let key = self.key();
        let seen = self.seen.get(&key).map_or(&[][..], Vec::as_slice);
        // Mostly one of the last versions, so that it holds about as often as it doesn't.
        let recent = &seen[seen.len().saturating_sub(2)..];
        match (self.rng.below(4), self.rng.pick(recent)) {
            (0, _) => (Guard::Absent(key.clone()), Guard::Absent(key)),
            (1, _) | (_, None) => (Guard::Exists(key.clone()), Guard::Exists(key)),
            (_, Some((a, b))) => (Guard::VersionIs(key.clone(), *a), Guard::VersionIs(key, *b)),
        }
    }

    fn op(&self) -> Op {
        let (key, ttl, n) = (self.key(), self.ttl(), self.rng.below(100));
        match self.rng.below(8) {
            0 | 1 => Op::Put { key, value: n.to_string().into(), ttl },
            2 => Op::Put { key, value: n.to_be_bytes().to_vec().into(), ttl },
            3 => Op::Delete { key },
            4 => Op::Touch { key, ttl },
            5 => Op::Append { prefix: self.log(n % 2), value: n.to_string().into(), ttl },
            _ => {
                let delta = i64::try_from(n).unwrap_or_default() - 50;
                let bound = self.rng.chance(0.5).then_some(-60..=60);
                Op::Add { key, delta, bound, ttl }
            }
        }
    }

    async fn commit(&mut self, at: &str) {
        let (mut ours, mut models) = (super::steps::txn(), super::steps::txn());
        for _ in 0..self.rng.below(3) {
            let (a, b) = self.guard();
            (ours, models) = (ours.guard(a), models.guard(b));
        }
        for _ in 0..=self.rng.below(4) {
            let op = self.op();
            (ours, models) = (ours.op(op.clone()), models.op(op));
        }
        let said = format!("{at}: {ours:?}");
        let answer = self.store.commit(ours).await.expect("a commit");
        match (answer, self.model.commit(models).await.expect("a commit")) {
            (Commit::Applied(a), Commit::Applied(b)) => {
                assert_eq!(a.sums, b.sums, "the sums of {said}");
                if self.moving.is_some() {
                    assert_eq!(a.as_of, b.as_of, "the time of {said}");
                }
            }
            (Commit::Conflict(a), Commit::Conflict(b)) => {
                assert_eq!(a.failed, b.failed, "which guard lost in {said}");
                self.same(a.current.as_ref(), b.current.as_ref(), &said);
            }
            (a, b) => panic!("{said} is {a:?}, but {b:?} in the model"),
        }
    }

    /// Two entries that must be alike but for the numbers of their versions.
    fn same(&self, ours: Option<&Entry>, models: Option<&Entry>, at: &str) {
        let plain = |e: Option<&Entry>| e.map(|e| e.value.clone());
        assert_eq!(plain(ours), plain(models), "a value, {at}");
        if self.moving.is_some() {
            let until = |e: Option<&Entry>| e.and_then(|e| e.expires_at);
            assert_eq!(until(ours), until(models), "an expiry, {at}");
        }
    }

    async fn read(&mut self, at: &str) {
        let keys: Vec<Key> = (0..KEYS).map(|n| nth(&format!("model {}", self.seed), n)).collect();
        let ours = self.store.get_many(&keys).await.expect("a read").value;
        let models = self.model.get_many(&keys).await.expect("a read").value;
        for (key, (a, b)) in keys.iter().zip(ours.iter().zip(&models)) {
            self.same(a.as_ref(), b.as_ref(), &format!("{key:?}, {at}"));
            if let (Some(a), Some(b)) = (a, b) {
                self.pair(key, a.version, b.version, at);
            }
        }
        self.scan(at).await;
        for n in 0..2 {
            let log = self.log(n);
            let texts = |rows: Vec<(Key, Entry)>| -> Vec<String> {
                rows.iter().map(|(_, entry)| shown(entry)).collect()
            };
            let ours = texts(rows(self.store, &log).await);
            assert_eq!(ours, texts(rows(&self.model, &log).await), "log {n}, {at}");
        }
    }

    /// Versions of one key must keep their model's order, and belong to one each.
    fn pair(&mut self, key: &Key, ours: Version, models: Version, at: &str) {
        let seen = self.seen.entry(key.clone()).or_default();
        let Some((last, last_model)) = seen.last().copied() else {
            seen.push((ours, models));
            return;
        };
        let (order, model) = (ours.cmp(&last), models.cmp(&last_model));
        assert_eq!(order, model, "the version of {key:?}, {at}: {ours} behind {last}");
        if order.is_gt() {
            seen.push((ours, models));
        }
    }

    async fn scan(&self, at: &str) {
        let limit =
            NonZeroUsize::MIN.saturating_add(usize::try_from(self.rng.below(8)).unwrap_or(0));
        let query = ScanQuery::new(group(&format!("model {}", self.seed))).limit(limit);
        let query = query.after(self.rng.chance(0.3).then(|| self.key()));
        let query = if self.rng.chance(0.5) { query.reversed() } else { query };
        let ours = self.store.scan(query.clone()).await.expect("a scan").value;
        let models = self.model.scan(query).await.expect("a scan").value;
        let keys =
            |rows: &[(Key, Entry)]| -> Vec<Key> { rows.iter().map(|(k, _)| k.clone()).collect() };
        assert_eq!(keys(&ours.rows), keys(&models.rows), "a page, {at}");
        for ((key, a), (_, b)) in ours.rows.iter().zip(&models.rows) {
            self.same(Some(a), Some(b), &format!("{key:?} in a page, {at}"));
        }
        assert!(ours.more || !models.more, "a page says that nothing follows, {at}");
    }
}
