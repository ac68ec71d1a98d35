//! Sixty-four random bits at a time, for ids that nobody can guess or meet twice.

use std::{collections::BTreeSet, sync::Arc};

use super::Trial;
use crate::conformance::run::threads;

const MANY: usize = 4_096;

/// Of thousands of numbers no two are the same.
pub fn numbers_do_not_come_again(trial: &Trial<'_>) {
    let drawn: BTreeSet<u64> = (0..MANY).map(|_| trial.rng.next_u64()).collect();
    assert_eq!(drawn.len(), MANY, "numbers that were drawn once");
}

/// Each of the sixty-four bits is set about every other time.
pub fn every_bit_is_drawn(trial: &Trial<'_>) {
    let mut set = [0_usize; 64];
    for _ in 0..MANY {
        let n = trial.rng.next_u64();
        for (bit, set) in set.iter_mut().enumerate() {
            *set += usize::from(n >> bit & 1 == 1);
        }
    }
    // Eight standard deviations: fair bits leave them once in 10^15 runs.
    let fair = MANY / 2 - 256..=MANY / 2 + 256;
    for (bit, set) in set.into_iter().enumerate() {
        assert!(fair.contains(&set), "bit {bit} was set {set} times of {MANY}");
    }
}

/// A number doesn't tell the next: their differences are no fewer than the numbers.
pub fn numbers_do_not_follow_each_other(trial: &Trial<'_>) {
    let drawn: Vec<u64> = (0..MANY).map(|_| trial.rng.next_u64()).collect();
    let steps: BTreeSet<u64> = drawn.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert_eq!(steps.len(), MANY - 1, "steps from one number to the next");
}

/// Threads that draw side by side never draw the same number.
pub fn threads_draw_their_own_numbers(trial: &Trial<'_>) {
    let draw = |_| {
        let rng = Arc::clone(&trial.rng);
        move || (0..MANY).map(|_| rng.next_u64()).collect::<Vec<u64>>()
    };
    let drawn = threads((0..4).map(draw)).concat();
    let different: BTreeSet<u64> = drawn.iter().copied().collect();
    assert_eq!(different.len(), drawn.len(), "numbers that one thread drew");
}

/// Two sources give two streams.
pub fn two_sources_differ(trial: &Trial<'_>) {
    let other = trial.harness.fresh();
    let same = (0..64).filter(|_| trial.rng.next_u64() == other.next_u64()).count();
    assert_eq!(same, 0, "numbers that two sources have in common");
}
