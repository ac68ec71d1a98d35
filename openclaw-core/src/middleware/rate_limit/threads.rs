//! The two words of a limit under every order of its threads that a scheduler comes up with.

use std::sync::Arc;

use shuttle::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::{
    gcra::{Pace, Rule},
    meter::{Numbers, Word, Words},
    place::{Lesson, Taken, give_back, is_silenced, learn, take},
};

impl Word for AtomicU64 {
    fn get(&self) -> u64 {
        self.load(Ordering::SeqCst)
    }

    fn exchange(&self, old: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
    }
}

struct Checked(Words<AtomicU64>);

impl Numbers for Checked {
    type Key = ();

    fn look(&self, (): &()) -> (u64, u64) {
        self.0.look()
    }

    fn update(&self, (): &(), _: u64, change: impl FnMut(u64, u64) -> Option<u64>) -> bool {
        self.0.update(change)
    }

    fn repace(&self, (): &(), _: u64, change: impl FnMut(u64) -> Option<u64>) {
        self.0.pace.change(change);
    }

    fn update_all(
        &self,
        number: impl FnMut(u64, u64) -> Option<u64>,
        pace: impl FnMut(u64) -> Option<u64>,
    ) {
        self.0.update(number);
        self.0.pace.change(pace);
    }
}

const NOW: u64 = 1_000_000_000;
const SECOND: u64 = 1_000_000_000;
const RULE: Rule = Rule { cost: SECOND, ahead: SECOND };

fn fresh() -> Arc<Checked> {
    Arc::new(Checked(Words { number: AtomicU64::new(0), pace: AtomicU64::new(0) }))
}

/// Runs these side by side, and then looks; under many schedules.
fn explore(
    threads: usize,
    part: impl Fn(usize, &Checked) -> Vec<Taken> + Copy + Send + Sync + 'static,
    look: impl Fn(&Checked, &[Taken]) + Copy + Send + Sync + 'static,
) {
    let scenario = move || {
        let (numbers, all) = (fresh(), Arc::new(Mutex::new(Vec::new())));
        let run = |n| {
            let (numbers, all) = (Arc::clone(&numbers), Arc::clone(&all));
            thread::spawn(move || {
                let taken = part(n, &numbers);
                all.lock().unwrap().extend(taken);
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        running.into_iter().for_each(|thread| thread.join().unwrap());
        look(&numbers, &all.lock().unwrap());
    };
    shuttle::check_random(scenario, 2_000);
    shuttle::check_pct(scenario, 2_000, 3);
}

fn are_apart(numbers: &Checked, taken: &[Taken]) {
    let mut behind: Vec<_> = taken.iter().map(|taken| taken.slot.next).collect();
    behind.sort_unstable();
    assert!(behind.windows(2).all(|pair| pair[0] + SECOND <= pair[1]), "{behind:?}");
    assert!(behind.last().is_none_or(|last| *last <= numbers.look(&()).0), "{behind:?}");
}

#[test]
fn no_more_pass_than_the_burst() {
    let part = |_, numbers: &Checked| {
        (0..2).filter_map(|_| take(numbers, &(), NOW, RULE, NOW).ok()).collect()
    };
    explore(3, part, |numbers, taken| {
        assert_eq!(taken.len(), 2);
        are_apart(numbers, taken);
    });
}

#[test]
fn no_two_have_the_same_place() {
    let part = |_, numbers: &Checked| {
        (0..2).filter_map(|_| take(numbers, &(), NOW, RULE, u64::MAX).ok()).collect()
    };
    explore(3, part, |numbers, taken| {
        assert_eq!(taken.len(), 6);
        assert_eq!(numbers.look(&()).0, NOW + 6 * SECOND, "no place is left out");
        are_apart(numbers, taken);
    });
}

#[test]
fn a_place_that_is_given_back_is_given_once() {
    let part = |n, numbers: &Checked| {
        let first = take(numbers, &(), NOW, RULE, u64::MAX).unwrap();
        let second = take(numbers, &(), NOW, RULE, u64::MAX).unwrap();
        give_back(numbers, &(), NOW, second.slot);
        if n == 0 {
            give_back(numbers, &(), NOW, first.slot);
            return Vec::new();
        }
        vec![first]
    };
    explore(3, part, are_apart);
}

#[test]
fn silence_reaches_everyone_who_has_a_place_in_it() {
    const UNTIL: u64 = NOW + 60 * SECOND;
    let part = |n, numbers: &Checked| {
        if n == 0 {
            learn(numbers, &(), Lesson::silence(UNTIL, RULE, NOW));
            return Vec::new();
        }
        (0..2).filter_map(|_| take(numbers, &(), NOW, RULE, u64::MAX).ok()).collect()
    };
    explore(3, part, |numbers, taken| {
        for taken in taken {
            let behind = NOW + taken.slot.wait >= UNTIL;
            assert!(behind || is_silenced(numbers, &(), NOW, *taken), "{taken:?}");
        }
        assert!(take(numbers, &(), NOW, RULE, UNTIL - 1).is_err());
    });
}

#[test]
fn of_two_silences_the_longer_holds() {
    let part = |n, numbers: &Checked| {
        let until = NOW + (n as u64 + 1) * 60 * SECOND;
        learn(numbers, &(), Lesson::silence(until, RULE, NOW));
        Vec::new()
    };
    explore(3, part, |numbers, _| {
        let (number, pace) = numbers.look(&());
        assert_eq!(RULE.slot(number, NOW).wait, 180 * SECOND);
        assert!(Pace(pace).is_silent(NOW + 180 * SECOND - 1));
    });
}
