//! The words of a limit under every order of its threads that a scheduler comes up with.

use std::sync::Arc;

use shuttle::{sync::Mutex, thread};

use super::{
    gcra::Rule,
    line::{Lesson, Line},
    meter::Numbers,
    place::{Taken, give_back, take},
    words::Words,
};
use crate::middleware::checked::Checked;

struct Watched(Words<Checked>);

impl Numbers for Watched {
    type Key = ();

    fn fresh(&self) -> Line {
        Line::new(self.0.look().rule)
    }

    fn look(&self, (): &()) -> Line {
        self.0.look()
    }

    fn update(&self, (): &(), _: u64, change: impl FnMut(&Line) -> Option<u64>) -> bool {
        self.0.update(change)
    }

    fn amend(&self, (): &(), _: u64, change: impl FnMut(&mut Line) -> bool) -> bool {
        self.0.amend(change)
    }

    fn amend_all(&self, change: impl FnMut(&mut Line) -> bool) {
        self.0.amend(change);
    }
}

const NOW: u64 = 1_000_000_000;
const SECOND: u64 = 1_000_000_000;
const RULE: Rule = Rule { cost: SECOND, ahead: SECOND };

fn fresh() -> Arc<Watched> {
    Arc::new(Watched(Words::new(RULE)))
}

fn silence(until: u64) -> Lesson {
    Lesson { calls: 0, cost: 0, until, now: NOW, queue: true }
}

/// Runs these side by side, and then looks; under many schedules.
fn explore(
    threads: usize,
    part: impl Fn(usize, &Watched) -> Vec<Taken> + Copy + Send + Sync + 'static,
    look: impl Fn(&Watched, &[Taken]) + Copy + Send + Sync + 'static,
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

fn are_apart(numbers: &Watched, taken: &[Taken]) {
    let mut behind: Vec<_> = taken.iter().map(|taken| taken.slot.next).collect();
    behind.sort_unstable();
    assert!(behind.windows(2).all(|pair| pair[0] + SECOND <= pair[1]), "{behind:?}");
    assert!(behind.last().is_none_or(|last| *last <= numbers.look(&()).number), "{behind:?}");
}

#[test]
fn no_more_pass_than_the_burst() {
    let part =
        |_, numbers: &Watched| (0..2).filter_map(|_| take(numbers, &(), NOW, NOW).ok()).collect();
    explore(3, part, |numbers, taken| {
        assert_eq!(taken.len(), 2);
        are_apart(numbers, taken);
    });
}

#[test]
fn no_two_have_the_same_place() {
    let part = |_, numbers: &Watched| {
        (0..2).filter_map(|_| take(numbers, &(), NOW, u64::MAX).ok()).collect()
    };
    explore(3, part, |numbers, taken| {
        assert_eq!(taken.len(), 6);
        assert_eq!(numbers.look(&()).number, NOW + 6 * SECOND, "no place is left out");
        are_apart(numbers, taken);
    });
}

#[test]
fn a_place_that_is_given_back_is_given_once() {
    let part = |n, numbers: &Watched| {
        let first = take(numbers, &(), NOW, u64::MAX).unwrap();
        let second = take(numbers, &(), NOW, u64::MAX).unwrap();
        give_back(numbers, &(), NOW, second);
        if n == 0 {
            give_back(numbers, &(), NOW, first);
            return Vec::new();
        }
        vec![first]
    };
    explore(3, part, are_apart);
}

#[test]
fn silence_moves_everyone_who_has_a_place_in_it_in_their_order() {
    const UNTIL: u64 = NOW + 60 * SECOND;
    let part = |n, numbers: &Watched| {
        if n == 0 {
            numbers.amend(&(), NOW, |line| silence(UNTIL).teach(line));
            return Vec::new();
        }
        (0..3).filter_map(|_| take(numbers, &(), NOW, u64::MAX).ok()).collect()
    };
    explore(3, part, |numbers, taken| {
        let line = numbers.look(&());
        let waits = taken.iter().filter(|taken| taken.slot.wait > 0);
        let mut turns: Vec<_> = waits.map(|taken| (taken.behind(&line).at, taken.slot)).collect();
        turns.sort_unstable_by_key(|(_, slot)| slot.from);
        assert!(turns.iter().all(|(at, _)| *at >= UNTIL), "{turns:?}");
        let apart = turns.windows(2).all(|pair| pair[0].0 + SECOND <= pair[1].0);
        assert!(apart, "{turns:?}");
        let last = turns.last().map_or(UNTIL, |(at, _)| at + SECOND);
        assert_eq!(line.slot(NOW).wait, last - NOW, "no place is left out");
    });
}

#[test]
fn of_two_silences_the_longer_holds() {
    let part = |n, numbers: &Watched| {
        let until = NOW + (n as u64 + 1) * 60 * SECOND;
        numbers.amend(&(), NOW, |line| silence(until).teach(line));
        Vec::new()
    };
    explore(3, part, |numbers, _| {
        let line = numbers.look(&());
        assert_eq!(line.slot(NOW).wait, 180 * SECOND);
        assert!(line.pace.is_silent(NOW + 180 * SECOND - 1));
    });
}

/// A thousand an hour, all used up, become a hundred a second: nobody waits for longer than 10 ms.
#[test]
fn a_call_is_judged_by_a_rule_and_the_number_that_belongs_to_it() {
    const SLOW: Rule = Rule { cost: 3_600 * SECOND / 1_000, ahead: 3_600 * SECOND / 1_000 * 999 };
    const FAST: Rule = Rule { cost: SECOND / 100, ahead: SECOND / 100 * 89 };
    let part = |n, numbers: &Watched| {
        if n == 0 {
            numbers.amend_all(|line| {
                line.change(SLOW, NOW);
                line.number = NOW + 3_600 * SECOND;
                true
            });
            numbers.amend_all(|line| {
                line.change(FAST, NOW);
                true
            });
            return Vec::new();
        }
        let Err(wait) = take(numbers, &(), NOW, NOW) else { return Vec::new() };
        assert!([SECOND, SLOW.cost, FAST.cost].contains(&wait), "{wait}");
        Vec::new()
    };
    explore(3, part, |numbers, _| assert!(numbers.look(&()).slot(NOW).wait <= FAST.cost));
}
