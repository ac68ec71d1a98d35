//! When the child dies: at every named point, and at moments nobody chose.

use std::{collections::VecDeque, time::Duration};

use openclaw_testkit::env::SeededRng;

use crate::wire::{Point, Trap};

/// Runs with fewer kills than this go from point to point and leave chance out.
const WITH_CHANCE: usize = 2 * Point::ALL.len();

/// How one child dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    /// So long after its birth: while it opens the store and recovers.
    Early(Duration),
    /// So long after it acknowledged so many messages.
    Random { acknowledged: usize, after: Duration },
    /// At a point that it comes to after so many acknowledgements.
    At { acknowledged: usize, trap: Trap },
}

/// The deaths to come.
#[derive(Debug)]
pub(crate) struct Plan {
    dice: SeededRng,
    chance: bool,
    even: bool,
    round: usize,
    points: VecDeque<Point>,
}

impl Plan {
    pub(crate) fn new(kills: usize, dice: SeededRng) -> Self {
        let chance = kills >= WITH_CHANCE;
        Self { dice, chance, even: false, round: 0, points: VecDeque::new() }
    }

    /// The next death.
    pub(crate) fn next(&mut self) -> Kill {
        self.even = !self.even;
        let acknowledged = 15 + self.below(40);
        if self.chance && !self.even {
            let micros = self.dice.below(40_000);
            return match self.dice.below(4) {
                0 => Kill::Early(Duration::from_micros(micros)),
                _ => Kill::Random { acknowledged, after: Duration::from_micros(micros / 4) },
            };
        }
        if self.points.is_empty() {
            self.points.extend(Point::ALL);
            self.round += 1;
        }
        let point = self.points.pop_front().unwrap_or(Point::C0);
        let skip = u32::try_from(self.below(12)).unwrap_or_default();
        // Every second time the other kind: both are met in each run of two rounds.
        let trap = Trap { point, skip, other: self.round.is_multiple_of(2) };
        // Now and then on what was recovered, before anything new comes in.
        let at_once = self.chance && self.dice.below(4) == 0;
        Kill::At { acknowledged: if at_once { 0 } else { acknowledged }, trap }
    }

    /// The child never came to this point: it is due again.
    pub(crate) fn missed(&mut self, point: Point) {
        self.points.push_front(point);
    }

    fn below(&self, n: u64) -> usize {
        usize::try_from(self.dice.below(n)).unwrap_or_default()
    }
}
