//! The skills of a run that come in two versions, and how well the second one does.

use openclaw_core::SkillId;

use crate::env::SeededRng;

/// The version of every skill that everybody meets at first.
pub(super) const FIRST: &str = "1.0.0";

/// The one that is tried.
pub(super) const SECOND: &str = "1.1.0";

/// The skills that have a second version where versions are played.
pub(super) const TWICE: [&str; 5] = ["keyed", "often", "once", "pure", "reconcilable"];

/// How often the second version fails, by the seed.
const RATES: [f64; 4] = [0.0, 0.4, 0.9, 0.9];

/// How often a process is started without it.
const LEFT_OUT: f64 = 0.15;

/// The ids of the skills that have a second version.
pub(super) fn ids() -> Vec<SkillId> {
    TWICE.iter().filter_map(|name| SkillId::new(*name).ok()).collect()
}

/// The second version of every skill, as the seed made it.
#[derive(Debug)]
pub(super) struct Second {
    seed: u64,
    rate: f64,
    rng: SeededRng,
}

impl Second {
    pub(super) fn new(seed: u64) -> Self {
        let rng = SeededRng::new(seed ^ 0x5345_434f);
        let rate = rng.pick(&RATES).copied().unwrap_or_default();
        Self { seed, rate, rng }
    }

    /// Does it fail now?
    pub(super) fn fails(&self) -> bool {
        self.rng.chance(self.rate)
    }

    /// Was this process started with it?
    pub(super) fn is_in(&self, process: u32) -> bool {
        let rng = SeededRng::new(self.seed ^ (u64::from(process) << 24) ^ 0x4c45_4654);
        !rng.chance(LEFT_OUT)
    }
}
