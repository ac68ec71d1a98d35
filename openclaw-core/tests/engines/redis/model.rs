//! Random transactions mean the same as in `MemoryStore`, numbers and times included.

use openclaw_core::store::{Entry, Page};

use super::*;

const NUMBERS: [i64; 12] = [
    i64::MIN,
    i64::MIN + 1,
    -(1 << 53) - 1,
    -4_294_967_296,
    -4_294_967_295,
    -1,
    0,
    1,
    4_294_967_295,
    4_294_967_296,
    (1 << 53) + 1,
    i64::MAX,
];

const SUFFIXES: [&[u8]; 8] =
    [b"", b"\0", b"\0\0", b"a", b"a\0", b"\xff", b"\xff\xff", "é😀".as_bytes()];

struct Dice(SeededRng);

impl Dice {
    fn key(&self) -> Key {
        let suffix = self.0.pick(&SUFFIXES).expect("one");
        Key::from_bytes([b"k".as_slice(), suffix].concat())
    }

    fn number(&self) -> i64 {
        *self.0.pick(&NUMBERS).expect("one")
    }

    fn ttl(&self) -> Option<Duration> {
        match self.0.below(8) {
            0..5 => None,
            5 => Some(Duration::MAX),
            6 => Some(Duration::from_millis(u64::MAX - self.0.below(2_000_000_000_000))),
            _ => Some(Duration::from_millis(self.0.below(40))),
        }
    }

    fn op(&self) -> Op {
        let (key, ttl) = (self.key(), self.ttl());
        match self.0.below(9) {
            0 => Op::Put { key, value: vec![0xff; 1 + self.0.below(9) as usize].into(), ttl },
            1 | 2 => Op::Put { key, value: self.number().to_be_bytes().to_vec().into(), ttl },
            3 => Op::Delete { key },
            4 => Op::Touch { key, ttl },
            5 => Op::Append { prefix: Prefix::from_bytes("k"), value: "line".into(), ttl },
            _ => {
                let bound = self.0.chance(0.6).then(|| self.number()..=self.number());
                Op::Add { key, delta: self.number(), bound, ttl }
            }
        }
    }

    async fn txn(&self, model: &MemoryStore) -> Txn {
        let mut txn = Txn::new("t");
        for _ in 0..self.0.below(3) {
            let key = self.key();
            let version = model.get(&key).await.unwrap().map(|row| row.version);
            txn = txn.guard(match (self.0.below(4), version) {
                (0, _) => Guard::Absent(key),
                (1, _) | (_, None) => Guard::Exists(key),
                (_, Some(version)) => Guard::VersionIs(key, version),
            });
        }
        (0..self.0.below(6)).fold(txn, |txn, _| txn.op(self.op()))
    }

    fn query(&self) -> ScanQuery {
        let prefix =
            Prefix::from_bytes([b"k".as_slice(), b"", b"ka", b"k\xff"][self.0.below(4) as usize]);
        let query = ScanQuery::new(prefix).after(self.0.chance(0.4).then(|| self.key()));
        let query = query.limit(((1 + self.0.below(6)) as usize).try_into().unwrap());
        if self.0.chance(0.5) { query.reversed() } else { query }
    }
}

fn seen(outcome: Outcome) -> String {
    let entry = |e: Entry| (e.value, e.version, e.expires_at);
    match outcome.expect("an answer") {
        Commit::Applied(a) => format!("{:?}", (a.version, a.as_of, a.sums)),
        Commit::Conflict(c) => format!("{:?}", (c.failed, c.current.map(entry))),
    }
}

async fn read(store: &dyn StateStore, query: &ScanQuery) -> String {
    let keys: Vec<Key> =
        SUFFIXES.iter().map(|s| Key::from_bytes([b"k".as_slice(), s].concat())).collect();
    let rows = store.get_many(&keys).await.unwrap();
    let page = store.scan(query.clone()).await.unwrap();
    let Page { rows: found, more, .. } = page.value;
    let value = |e: &Entry| (e.value.clone(), e.version, e.expires_at);
    let rows: Vec<_> = rows.value.iter().map(|e| e.as_ref().map(value)).collect();
    let found: Vec<_> = found.iter().map(|(key, e)| (key, value(e))).collect();
    format!("{rows:?} {found:?} {more} {:?}", page.as_of)
}

#[tokio::test]
async fn redis_means_what_memory_means() {
    let Some(url) = url() else { return };
    for seed in 0..30 {
        let (clock, dice) = (ManualClock::new(EPOCH), Dice(SeededRng::new(seed)));
        let model = MemoryStore::new(Arc::new(clock.clone()));
        let builder = RedisStore::builder().prefix(fresh_prefix()).clock(Arc::new(clock.clone()));
        let store = builder.open(&url).await.unwrap();
        for step in 0..60 {
            let mut txns = Vec::new();
            for _ in 0..=dice.0.below(3) {
                txns.push(dice.txn(&model).await);
            }
            let said = format!("seed {seed}, step {step}: {txns:?}");
            let ours = store.commit_many(txns.clone()).await;
            for (ours, models) in ours.into_iter().zip(model.commit_many(txns).await) {
                assert_eq!(seen(ours), seen(models), "{said}");
            }
            let query = dice.query();
            assert_eq!(read(&store, &query).await, read(&model, &query).await, "{said} {query:?}");
            match dice.0.below(10) {
                0 => clock.set(EPOCH),
                _ => clock.advance(Duration::from_millis(dice.0.below(15))),
            }
        }
    }
}
