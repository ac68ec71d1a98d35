//! The shared word under every order of its threads that a scheduler comes up with.

use std::{sync::Arc, time::Duration};

use shuttle::thread;

use super::{
    circuit::Circuit,
    config::{BreakerConfig, Window},
    state::State,
    window::Outcome,
};
use crate::middleware::checked::Checked;

const NOW: Duration = Duration::from_secs(5);
const GOOD: Option<Outcome> = Some(Outcome { failed: false, slow: false });
const BAD: Option<Outcome> = Some(Outcome { failed: true, slow: false });

fn circuit(edit: impl Fn(&mut BreakerConfig)) -> Arc<Circuit<Checked>> {
    let mut config = BreakerConfig { open_jitter: 0.0, ..BreakerConfig::default() };
    edit(&mut config);
    Arc::new(Circuit::new("it".into(), config, 7, 2))
}

/// One call at a time; says whether it was let in.
fn call(circuit: &Circuit<Checked>, seat: usize, outcome: Option<Outcome>, now: Duration) -> bool {
    let Ok(ticket) = circuit.admit(|| now) else { return false };
    circuit.leave(seat, ticket, outcome, || now);
    true
}

/// Runs each of these on a thread of its own, under many schedules.
fn explore(scenario: fn()) {
    shuttle::check_random(scenario, 2_000);
    shuttle::check_pct(scenario, 2_000, 3);
}

#[test]
fn no_outcome_is_lost_or_counted_twice() {
    for window in [Window::Count(100), Window::Time(Duration::from_secs(60))] {
        let scenario = move || {
            let circuit = circuit(|config| {
                config.window = Some(window);
                config.failure_rate = 1.0;
                config.consecutive_failures = None;
            });
            let threads: Vec<_> = (0..3)
                .map(|n| {
                    let circuit = Arc::clone(&circuit);
                    thread::spawn(move || {
                        for i in 0..3 {
                            let outcome = if i == n { BAD } else { GOOD };
                            assert!(call(&circuit, n % 2, outcome, NOW));
                        }
                    })
                })
                .collect();
            circuit.look(NOW);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let counts = circuit.look(NOW).counts;
            assert_eq!((counts.calls, counts.failures), (9, 3));
        };
        shuttle::check_random(scenario, 1_000);
        shuttle::check_pct(scenario, 1_000, 3);
    }
}

#[test]
fn what_was_called_before_a_change_is_not_counted_behind_it() {
    explore(|| {
        let circuit = circuit(|config| config.window = Some(Window::Count(100)));
        let early = circuit.admit(|| NOW).unwrap();
        let late = {
            let circuit = Arc::clone(&circuit);
            thread::spawn(move || circuit.leave(0, early, GOOD, || NOW))
        };
        let forced = {
            let circuit = Arc::clone(&circuit);
            thread::spawn(move || circuit.force(State::Closed, NOW))
        };
        late.join().unwrap();
        forced.join().unwrap();
        assert!(call(&circuit, 0, BAD, NOW));
        let look = circuit.look(NOW);
        assert_eq!((look.generation, look.counts.calls), (1, 1), "the window began anew");
    });
}

#[test]
fn a_trial_has_exactly_its_permits() {
    explore(|| {
        let circuit = circuit(|config| config.half_open_permits = 2);
        circuit.force(State::Open, Duration::ZERO);
        let later = Duration::from_secs(100);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let circuit = Arc::clone(&circuit);
                thread::spawn(move || circuit.admit(|| later).ok())
            })
            .collect();
        let answers = threads.into_iter().map(|thread| thread.join().unwrap());
        let tickets: Vec<_> = answers.flatten().collect();
        assert_eq!(tickets.len(), 2, "permits");
        // One comes back unused, and is given again.
        circuit.leave(0, tickets[0], None, || later);
        let again = circuit.admit(|| later).unwrap();
        assert!(circuit.admit(|| later).is_err());
        let threads: Vec<_> = [tickets[1], again]
            .into_iter()
            .map(|ticket| {
                let circuit = Arc::clone(&circuit);
                thread::spawn(move || circuit.leave(0, ticket, GOOD, || later))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(circuit.word().state(), State::Closed);
    });
}

#[test]
fn failures_in_a_row_open_it_once() {
    explore(|| {
        let circuit = circuit(|config| config.consecutive_failures = Some(3));
        let threads: Vec<_> = (0..3)
            .map(|seat| {
                let circuit = Arc::clone(&circuit);
                thread::spawn(move || {
                    call(&circuit, seat % 2, BAD, NOW);
                    call(&circuit, seat % 2, BAD, NOW);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let look = circuit.look(NOW);
        assert_eq!((look.state, look.generation), (State::Open, 1));
        let refused = circuit.admit(|| NOW).unwrap_err();
        assert_eq!(refused, Some(Duration::from_secs(60)));
    });
}

#[test]
fn other_settings_lose_no_outcome() {
    explore(|| {
        let edit = |config: &mut BreakerConfig| config.window = Some(Window::Count(100));
        let circuit = circuit(edit);
        let caller = {
            let circuit = Arc::clone(&circuit);
            thread::spawn(move || {
                for outcome in [GOOD, GOOD, BAD, GOOD] {
                    assert!(call(&circuit, 1, outcome, NOW));
                }
            })
        };
        let other = BreakerConfig { window: Some(Window::Count(50)), ..BreakerConfig::default() };
        circuit.reload(other, NOW);
        caller.join().unwrap();
        let look = circuit.look(NOW);
        assert_eq!((look.counts.calls, look.counts.failures, look.streak), (4, 1, 0));
    });
}
