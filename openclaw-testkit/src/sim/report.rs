//! What came of a run.

use std::{collections::BTreeSet, fmt, time::Duration};

use openclaw_core::Digest;

use super::{Faults, Marks};

/// What is left out of a run; the rest stays where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// Only these messages; all of them when `None`.
    pub messages: Option<BTreeSet<u32>>,
    /// Only the first so many planned ends of processes.
    pub lives: Option<usize>,
}

impl Cut {
    /// Leaves nothing out.
    #[must_use]
    pub const fn none() -> Self {
        Self { messages: None, lives: None }
    }

    /// Keeps only these messages.
    #[must_use]
    pub fn messages(mut self, numbers: impl IntoIterator<Item = u32>) -> Self {
        self.messages = Some(numbers.into_iter().collect());
        self
    }

    /// Keeps only the first `n` planned ends of processes.
    #[must_use]
    pub const fn lives(mut self, n: usize) -> Self {
        self.lives = Some(n);
        self
    }

    pub(super) fn keeps(&self, n: u32) -> bool {
        self.messages.as_ref().is_none_or(|messages| messages.contains(&n))
    }
}

/// What came of one run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The faults that were switched on.
    pub faults: Faults,
    /// What was left out.
    pub cut: Cut,
    /// Were there stacks around sends and turns?
    pub stacks: bool,
    /// Messages that people said.
    pub messages: u64,
    /// Processes that died while something was on hand.
    pub crashes: u64,
    /// How long the run took in its own time.
    pub took: Duration,
    /// One digest of everything that happened: the same seed gives the same one.
    pub trace_hash: Digest,
    /// Which situations were met, and how often.
    pub marks: Marks,
    /// What must not be and was; empty when all is well.
    pub violations: Vec<String>,
    /// Does the standard agent answer the standard workload?
    pub(super) standard: bool,
    /// What happened, in words, a line each; empty unless [`Sim::telling`](super::Sim::telling).
    pub story: Vec<String>,
}

impl Report {
    /// Is all well?
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.violations.is_empty()
    }

    /// The words that play this run again: behind `--example sim --`, or in the variable
    /// `OPENCLAW_SIM` for [`Sim::from_env`](super::Sim::from_env).
    ///
    /// ```
    /// use openclaw_testkit::sim::{Sim, Workload};
    ///
    /// let report = Sim::new(3).workload(Workload::mix().messages(5)).run();
    /// assert!(report.repro().starts_with("--seed 3"));
    /// ```
    #[must_use]
    pub fn repro(&self) -> String {
        let mut words = vec![format!("--seed {}", self.seed)];
        if let Some(messages) = &self.cut.messages {
            words.push(format!("--only {}", ranges(messages)));
        }
        if let Some(lives) = self.cut.lives {
            words.push(format!("--lives {lives}"));
        }
        if self.faults != Faults::swarm(self.seed) {
            let names: Vec<&str> = self.faults.iter().map(super::Fault::name).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(",") };
            words.push(format!("--faults {names}"));
        }
        if self.stacks {
            words.push("--stacks on".to_owned());
        }
        words.join(" ")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, messages, crashes, took, .. } = self;
        writeln!(f, "seed {seed}: {messages} messages, {crashes} crashes, {} s", took.as_secs())?;
        for violation in self.violations.iter().take(SHOWN) {
            writeln!(f, "  violation: {violation}")?;
        }
        if self.violations.len() > SHOWN {
            writeln!(f, "  and {} more", self.violations.len() - SHOWN)?;
        }
        match (self.is_ok(), self.standard) {
            (true, _) => {}
            (false, true) => {
                writeln!(f, "  again: cargo run --release --example sim -- {}", self.repro())?;
            }
            (false, false) => {
                writeln!(
                    f,
                    "  again: Sim::parse({:?}), your gateway and your texts",
                    self.repro()
                )?;
            }
        }
        Ok(())
    }
}

/// How many violations are printed.
const SHOWN: usize = 6;

/// Numbers as ranges: `0-3,7,9-11`.
fn ranges(numbers: &BTreeSet<u32>) -> String {
    let mut spans: Vec<(u32, u32)> = Vec::new();
    for n in numbers {
        match spans.last_mut() {
            Some((_, end)) if *end + 1 == *n => *end = *n,
            _ => spans.push((*n, *n)),
        }
    }
    let words = spans.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
    words.collect::<Vec<_>>().join(",")
}

/// Reads what [`ranges`] writes; `None` when it can't be read.
pub(super) fn parse_ranges(text: &str) -> Option<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        numbers.extend(first..=last.min(first.saturating_add(100_000)));
    }
    Some(numbers)
}
