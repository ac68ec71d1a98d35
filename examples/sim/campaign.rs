//! Many seeds, on every core.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use openclaw_core::Digest;
use openclaw_testkit::sim::{Marks, Report, Sim};
use serde_json::{Value, json};

use crate::versions;

/// What came of all of them.
#[derive(Debug, Default)]
pub(crate) struct Campaign {
    seeds: u64,
    messages: u64,
    crashes: u64,
    violations: u64,
    seconds: u64,
    marks: Marks,
    /// The first seed that failed.
    pub(crate) failed: Option<u64>,
    pub(crate) hashes: BTreeMap<u64, Digest>,
}

/// The panics of agents and skills are part of the runs: nobody wants to read them.
pub(crate) fn quiet() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        if !text.contains("as the run says") && !text.contains("as it was asked") {
            println!("{text}");
        }
    }));
}

/// The run of a seed, with the versions of a registry.
pub(crate) fn sim_of(seed: u64, stacks: bool) -> Sim {
    let sim = Sim::new(seed).versions(versions::open);
    if stacks { sim.stacks() } else { sim }
}

impl Campaign {
    /// Plays every seed once.
    pub(crate) fn play(seeds: Range<u64>, stacks: bool) -> Self {
        let all = Mutex::new(Self::default());
        let next = AtomicU64::new(seeds.start);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds.end {
                            return;
                        }
                        let report = sim_of(seed, stacks).run();
                        all.lock().unwrap_or_else(PoisonError::into_inner).add(&report);
                    }
                });
            }
        });
        all.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.messages += report.messages;
        self.crashes += report.crashes;
        self.violations += report.violations.len() as u64;
        self.seconds += report.took.as_secs();
        self.marks.add(&report.marks);
        self.hashes.insert(report.seed, report.trace_hash);
        if !report.is_ok() {
            self.failed = Some(self.failed.map_or(report.seed, |seed| seed.min(report.seed)));
            println!("{report}");
        }
    }

    /// Was nothing violated?
    pub(crate) const fn is_calm(&self) -> bool {
        self.violations == 0
    }

    /// Was nothing violated, and everything met?
    pub(crate) fn is_fine(&self) -> bool {
        self.is_calm() && self.missed().is_empty()
    }

    /// Situations that no seed met.
    fn missed(&self) -> Vec<&'static str> {
        let all = Marks::expected().into_iter().chain(Marks::of_versions());
        all.filter(|mark| self.marks.count(mark) == 0).collect()
    }

    /// Prints the marks, most often first.
    pub(crate) fn show(&self) {
        let mut marks: Vec<_> = self.marks.all().into_iter().collect();
        marks.sort_by_key(|(mark, n)| (std::cmp::Reverse(*n), *mark));
        for (mark, n) in marks {
            println!("{n:>9}  {mark}");
        }
        for mark in self.missed() {
            println!("    never  {mark}");
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "seeds": self.seeds,
            "messages": self.messages,
            "crashes": self.crashes,
            "violations": self.violations,
            "missed": self.missed(),
            "marks": self.marks.all(),
            "simulated_hours": self.seconds / 3_600,
        })
    }
}
