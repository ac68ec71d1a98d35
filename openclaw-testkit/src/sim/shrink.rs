//! A failing run made small: fewer faults, fewer lives, fewer messages, and it still fails.

use std::collections::BTreeSet;

use super::{Cut, Report, Sim};

/// Runs at most; each is as long as the first.
const MOST: usize = 60;

/// The smallest failing run that was found, the given one when nothing smaller fails.
///
/// The violation may be another one: what counts is that something is wrong.
pub(super) fn shrink(sim: &Sim, first: Report) -> Report {
    let mut search = Search { sim, best: first, left: MOST };
    search.lives();
    search.faults();
    search.messages();
    search.faults();
    search.best
}

struct Search<'a> {
    sim: &'a Sim,
    best: Report,
    left: usize,
}

impl Search<'_> {
    /// Takes the smaller run over when it fails as well.
    fn attempt(&mut self, change: impl FnOnce(Sim) -> Sim) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let smaller = self.sim.clone().faults(self.best.faults.clone()).cut(self.best.cut.clone());
        let report = change(smaller).run();
        let fails = !report.is_ok();
        if fails {
            self.best = report;
        }
        fails
    }

    fn lives(&mut self) {
        for lives in [0, 1, 2, 4, 7] {
            let cut = Cut { lives: Some(lives), ..self.best.cut.clone() };
            if self.attempt(|sim| sim.cut(cut)) {
                return;
            }
        }
    }

    /// Leaves faults out: half of them, a quarter, and so on, down to one by one.
    fn faults(&mut self) {
        let mut size = self.best.faults.iter().count().div_ceil(2);
        while size > 0 {
            let all: Vec<_> = self.best.faults.iter().collect();
            for chunk in all.chunks(size) {
                let fewer = chunk.iter().fold(self.best.faults.clone(), |f, x| f.without(*x));
                self.attempt(|sim| sim.faults(fewer));
            }
            size = if size == 1 { 0 } else { size.div_ceil(4) };
        }
    }

    fn messages(&mut self) {
        let kept = |report: &Report| -> Vec<u32> {
            let all = 0..u32::try_from(report.messages).unwrap_or(u32::MAX);
            report
                .cut
                .messages
                .as_ref()
                .map_or_else(|| all.collect(), |m| m.iter().copied().collect())
        };
        let mut size = kept(&self.best).len().div_ceil(2);
        while size > 0 && self.left > 0 {
            let all = kept(&self.best);
            for chunk in all.chunks(size) {
                let now: BTreeSet<u32> = kept(&self.best).into_iter().collect();
                let fewer: BTreeSet<u32> =
                    now.iter().copied().filter(|n| !chunk.contains(n)).collect();
                if fewer.len() < now.len() && !fewer.is_empty() {
                    let cut = Cut { messages: Some(fewer), ..self.best.cut.clone() };
                    self.attempt(|sim| sim.cut(cut));
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }
}
