//! A journal that is torn or damaged: what lies before is there, and nothing by half.

use std::{fs, path::PathBuf};

use super::*;

/// A store of some steps, each a batch of its own, that was closed.
struct Torn {
    bench: Bench,
    journal: Vec<u8>,
    /// Where the n-th step ends.
    ends: Vec<usize>,
}

/// What is left of a store.
#[derive(Debug)]
enum Left {
    Steps(u64),
    Corrupt,
}

fn end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

impl Torn {
    async fn new(count: u64) -> Self {
        let bench = Bench::new();
        let store = bench.open();
        let journal = bench.path().join("rows/0.jnl");
        let mut ends = Vec::new();
        for n in 0..count {
            let bulk = Op::put(Key::system("bulk").number(n).build(), vec![7; 5000]);
            applied(store.commit(admit(n).op(bulk)).await);
            ends.push(end(&fs::read(&journal).unwrap()));
        }
        drop(store);
        let journal = fs::read(journal).unwrap();
        Self { bench, journal, ends }
    }

    fn journal(&self) -> PathBuf {
        self.bench.path().join("rows/0.jnl")
    }

    /// Opens the store with this journal in the place of its own, and works with it.
    async fn with(&self, journal: &[u8]) -> Left {
        let whole = &self.journal;
        fs::write(self.journal(), journal).unwrap();
        let left = match FjallStore::open(self.bench.path(), Arc::new(self.bench.clock.clone())) {
            Ok(store) => {
                let there = steps(&store).await;
                let count = there.len() as u64;
                assert_eq!(there, (0..count).collect(), "not a beginning");
                applied(store.commit(admit(1000)).await);
                drop(store);
                let again = steps(&self.bench.open()).await;
                assert_eq!(again.len() as u64, count + 1, "not the same when opened again");
                Left::Steps(count)
            }
            Err(StoreError::Corrupt(_)) => Left::Corrupt,
            Err(e) => panic!("{e}"),
        };
        fs::write(self.journal(), whole).unwrap();
        left
    }

    /// The steps that end at or before this place.
    fn before(&self, at: usize) -> u64 {
        self.ends.iter().filter(|end| **end <= at).count() as u64
    }

    /// Places worth a try: borders, their neighbours, and some between.
    fn places(&self) -> Vec<usize> {
        let rng = SeededRng::new(5);
        let first = self.ends[0];
        let span = (self.ends[self.ends.len() - 1] - first) as u64;
        let borders = self.ends.iter().flat_map(|end| [end - 1, *end, end + 1, end + 13]);
        let between = (0..40).map(|_| first + rng.below(span) as usize);
        borders.chain(between).filter(|at| *at < self.journal.len()).collect()
    }
}

#[tokio::test]
async fn a_journal_that_ends_early_has_every_step_before_its_end() {
    let torn = Torn::new(8).await;
    for at in torn.places() {
        let short = &torn.journal[..at.min(torn.journal.len())];
        let mut zeros = short.to_vec();
        zeros.resize(1 << 20, 0);
        for journal in [short, &zeros] {
            match torn.with(journal).await {
                Left::Steps(count) => assert_eq!(count, torn.before(at), "cut at {at}"),
                Left::Corrupt => panic!("cut at {at}: refused"),
            }
        }
    }
}

#[tokio::test]
async fn a_last_batch_with_a_hole_is_cut_off() {
    let torn = Torn::new(4).await;
    let (from, to) = (torn.ends[2], torn.ends[3]);
    for start in (from..to).step_by(512) {
        let mut journal = torn.journal.clone();
        journal[start..(start + 512).min(to - 13)].fill(0);
        match torn.with(&journal).await {
            Left::Steps(count) => assert_eq!(count, 3, "a hole at {start}"),
            Left::Corrupt => panic!("a hole at {start}: refused"),
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_costs_what_follows_or_everything() {
    let torn = Torn::new(6).await;
    let mut refused = 0;
    for at in torn.places() {
        let mut journal = torn.journal.clone();
        journal[at] ^= 0x10;
        match torn.with(&journal).await {
            Left::Steps(count) => assert!(count >= torn.before(at), "flipped at {at}: {count}"),
            Left::Corrupt => refused += 1,
        }
    }
    assert!(refused > 10, "damage in the middle is noticed: {refused}");
}

#[tokio::test]
async fn a_journal_that_is_refused_is_left_as_it_was() {
    let torn = Torn::new(4).await;
    let mut journal = torn.journal.clone();
    journal[torn.ends[1] + 3000] ^= 1;
    assert!(matches!(torn.with(&journal).await, Left::Corrupt));
    fs::write(torn.journal(), &journal).unwrap();
    let opened = FjallStore::open(torn.bench.path(), Arc::new(torn.bench.clock.clone()));
    let said = opened.expect_err("it opened").to_string();
    assert!(said.contains("restore it from a backup"), "{said}");
    assert!(fs::read(torn.journal()).unwrap() == journal, "the journal was changed");
}
