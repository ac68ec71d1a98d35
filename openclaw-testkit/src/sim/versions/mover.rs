//! Operators who move versions while a run goes on.

use openclaw_core::{
    SkillId,
    records::{EVERYBODY, RolloutStep, Stage},
};

use super::Watched;
use crate::{
    env::SeededRng,
    sim::{
        rolled::BY_HAND,
        second::{FIRST, SECOND, ids},
    },
};

/// The parts of all routes that a canary is given.
const WEIGHTS: [u16; 5] = [500, 2_500, 5_000, 7_500, EVERYBODY];

/// Operators who try versions, promote them, and take them back, a step now and then.
#[derive(Debug)]
pub(in crate::sim) struct Mover {
    rng: SeededRng,
    skills: Vec<SkillId>,
}

impl Mover {
    pub(in crate::sim) fn new(seed: u64) -> Self {
        Self { rng: SeededRng::new(seed ^ 0x4d4f_5645), skills: ids() }
    }

    /// Moves some versions, as one process sees them; nothing is moved in a calm.
    pub(in crate::sim) async fn round(&self, versions: &Watched, calm: bool) {
        if !calm {
            if self.rng.chance(0.2) {
                versions.refresh().await;
            }
            for skill in &self.skills {
                if self.rng.chance(0.3) {
                    versions.apply(skill, &self.step()).await;
                }
            }
        }
        versions.probe();
    }

    /// The next step. The first version is never taken away: calls have to meet something.
    fn step(&self) -> RolloutStep {
        let (first, second) = (|| FIRST.into(), || SECOND.into());
        let since = openclaw_core::Timestamp::default();
        let old = Stage::Deprecated { since, sunset: None, replacement: Some(second()) };
        match self.rng.below(16) {
            0 => RolloutStep::RollBack { version: second(), why: BY_HAND.into() },
            1..=3 => RolloutStep::Clear,
            4 => RolloutStep::Stage { version: second(), stage: Stage::Active },
            5 => RolloutStep::Stage { version: first(), stage: old },
            6 => RolloutStep::Stage {
                version: second(),
                stage: Stage::Retired { replacement: Some(first()) },
            },
            7 => RolloutStep::Shadow(None),
            8 | 9 => RolloutStep::Shadow(Some(second())),
            _ => {
                let weight = self.rng.pick(&WEIGHTS).copied().unwrap_or(EVERYBODY);
                RolloutStep::Canary { version: second(), weight }
            }
        }
    }
}
