//! A breaker that many threads share: fast successes read one word, the rest takes a short lock.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tracing::{debug, info, warn};

use super::{
    config::{BreakerConfig, OnCancel},
    machine::{Machine, Transition},
    state::{Pending, State, Word},
    window::{Counts, Outcome, nanos},
};
use crate::middleware::kit::{Atomic, Kit, Lock, Native};

/// Keeps what one thread writes off the cache line that others read.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

/// A breaker that many threads share.
pub(super) struct Circuit<K: Kit = Native> {
    name: Arc<str>,
    read: Apart<Read<K>>,
    /// Successes that the window has not taken yet, one place a seat.
    pending: Box<[Apart<K::Atomic>]>,
    refused: Apart<K::Atomic>,
    machine: K::Lock<Machine>,
    changed: Notify,
}

/// What every call reads, and only a change writes.
struct Read<K: Kit> {
    word: K::Atomic,
    /// Until when it is open.
    until: K::Atomic,
    /// From when on a call is slow.
    slow: K::Atomic,
    /// How long a tick is.
    tick: K::Atomic,
    /// The generation whose first refusal has been told.
    told: K::Atomic,
}

/// What a breaker knows of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) state: State,
    pub(super) generation: u64,
    pub(super) since: Duration,
    pub(super) counts: Counts,
    pub(super) trial: Counts,
    pub(super) streak: u32,
}

impl<K: Kit> Circuit<K> {
    pub(super) fn new(name: Arc<str>, config: BreakerConfig, seed: u64, seats: usize) -> Self {
        let machine = Machine::new(config, seed);
        let none = || Apart(K::Atomic::new(Pending::new(0, 0).0));
        let circuit = Self {
            name,
            read: Apart(Read {
                word: K::Atomic::new(0),
                until: K::Atomic::new(0),
                slow: K::Atomic::new(u64::MAX),
                tick: K::Atomic::new(0),
                told: K::Atomic::new(0),
            }),
            pending: std::iter::repeat_with(none).take(seats.max(1)).collect(),
            refused: Apart(K::Atomic::new(0)),
            machine: K::Lock::new(machine),
            changed: Notify::new(),
        };
        circuit.machine.with(|machine| circuit.publish(machine, Duration::ZERO));
        circuit
    }

    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    #[inline]
    pub(super) fn word(&self) -> Word {
        Word(self.read.0.word.load())
    }

    pub(super) fn is_slow(&self, took: Duration) -> bool {
        nanos(took) >= self.read.0.slow.load()
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.0.load()
    }

    pub(super) fn on_cancel(&self) -> OnCancel {
        self.machine.with(|machine| machine.config().on_cancel)
    }

    pub(super) fn config(&self) -> BreakerConfig {
        self.machine.with(|machine| machine.config().clone())
    }

    pub(super) fn behind(&self, generation: u64) -> Option<Transition> {
        self.machine.with(|machine| machine.behind(generation))
    }

    pub(super) const fn changed(&self) -> &Notify {
        &self.changed
    }

    /// Lets a call in, under the word that it has to bring back; else how long it refuses yet.
    #[inline]
    pub(super) fn admit(&self, now: impl Fn() -> Duration) -> Result<Word, Option<Duration>> {
        let word = self.word();
        match word.state() {
            State::Closed | State::Disabled | State::MetricsOnly => Ok(word),
            _ => self.admit_few(word, now),
        }
    }

    fn admit_few(&self, word: Word, now: impl Fn() -> Duration) -> Result<Word, Option<Duration>> {
        let refused = match word.state() {
            State::Closed | State::Disabled | State::MetricsOnly => return Ok(word),
            State::ForcedOpen => None,
            State::Open => {
                let now = now();
                match self.read.0.until.load().checked_sub(nanos(now)) {
                    None | Some(0) => match self.try_in(now) {
                        Ok(word) => return Ok(word),
                        Err(after) => after,
                    },
                    Some(left) => Some(Duration::from_nanos(left)),
                }
            }
            State::HalfOpen => match self.try_in(now()) {
                Ok(word) => return Ok(word),
                Err(after) => after,
            },
        };
        self.refused.0.add(1);
        self.tell_first(word, refused);
        Err(refused)
    }

    /// How long it would refuse a call now; zero when nobody knows, the longest when forced.
    pub(super) fn would_refuse(&self, now: Duration) -> Option<Duration> {
        match self.word().state() {
            State::Closed | State::Disabled | State::MetricsOnly => None,
            State::ForcedOpen => Some(Duration::MAX),
            State::Open => {
                let left = self.read.0.until.load().saturating_sub(nanos(now));
                (left > 0).then_some(Duration::from_nanos(left))
            }
            State::HalfOpen => self.machine.with(|machine| machine.would_refuse(now)),
        }
    }

    /// Refuses a call that has not come yet, as it would now, and counts it; `None` lets it come.
    pub(super) fn refuse(&self, now: impl Fn() -> Duration) -> Option<Option<Duration>> {
        let word = self.word();
        if matches!(word.state(), State::Closed | State::Disabled | State::MetricsOnly) {
            return None;
        }
        let after = self.would_refuse(now())?;
        let after = (!after.is_zero() && after < Duration::MAX).then_some(after);
        self.refused.0.add(1);
        self.tell_first(word, after);
        Some(after)
    }

    #[cold]
    fn try_in(&self, now: Duration) -> Result<Word, Option<Duration>> {
        self.edit(now, |machine| machine.admit(now).map(|()| machine.word(now)))
    }

    /// Takes the outcome of a call that was admitted under this word.
    #[inline]
    pub(super) fn leave(
        &self,
        seat: usize,
        ticket: Word,
        outcome: Option<Outcome>,
        now: impl Fn() -> Duration,
    ) {
        let state = ticket.state();
        if state == State::Disabled || (outcome.is_none() && state != State::HalfOpen) {
            return;
        }
        let plain = outcome.is_some_and(Outcome::is_plain) && state.counts();
        if plain && !ticket.has(Word::ALERT) && self.word() == ticket {
            if !ticket.has(Word::COUNTED) {
                return;
            }
            let now = if ticket.has(Word::TIMED) { now() } else { Duration::ZERO };
            if self.count(seat, ticket, now) {
                return;
            }
        }
        self.settle(seat, ticket, outcome, now());
    }

    /// Counts a success without the lock, where its seat is of this generation and tick.
    fn count(&self, seat: usize, ticket: Word, now: Duration) -> bool {
        let Some(Apart(pending)) = self.pending.get(seat) else { return false };
        let own = Pending::new(ticket.generation(), self.tick(now));
        let mut old = Pending(pending.load());
        while old.empty() == own {
            let Some(new) = old.more() else { return false };
            match pending.exchange(old.0, new.0) {
                Ok(_) => return true,
                Err(now) => old = Pending(now),
            }
        }
        false
    }

    fn tick(&self, now: Duration) -> u64 {
        nanos(now).checked_div(self.read.0.tick.load()).unwrap_or(0)
    }

    #[cold]
    fn settle(&self, seat: usize, ticket: Word, outcome: Option<Outcome>, now: Duration) {
        self.edit(now, |machine| {
            machine.record(ticket.generation(), outcome, now);
            // From here on this seat's successes need no lock, until something changes.
            if let Some(Apart(pending)) = self.pending.get(seat) {
                let own = Pending::new(machine.generation(), self.tick(now));
                take(pending, machine, now, |_| own);
            }
        });
    }

    /// Goes into a state because somebody says so.
    pub(super) fn force(&self, state: State, now: Duration) {
        self.edit(now, |machine| machine.enter(state, now));
    }

    /// As new, but for its settings.
    pub(super) fn reset(&self, now: Duration) {
        self.force(State::Closed, now);
        self.refused.0.store(0);
    }

    /// Takes other settings; state, window and waits that have begun stay.
    pub(super) fn reload(&self, config: BreakerConfig, now: Duration) {
        self.edit(now, |machine| {
            machine.reload(config, now);
            for Apart(pending) in &self.pending {
                // Nobody's: whoever counted by the old ticks has to look again.
                let nobody = Pending::new(machine.generation().wrapping_sub(1), 0);
                take(pending, machine, now, |_| nobody);
            }
        });
    }

    pub(super) fn look(&self, now: Duration) -> Look {
        self.edit(now, |machine| Look {
            state: machine.state(),
            generation: machine.generation(),
            since: machine.since(),
            counts: machine.counts(now),
            trial: machine.trial(),
            streak: machine.streak(),
        })
    }

    /// Is it as a new one is, so that forgetting it loses nothing?
    pub(super) fn is_blank(&self, now: Duration) -> bool {
        self.edit(now, |machine| machine.is_blank(now))
    }

    /// Takes in what the seats have counted, changes the machine, and says what that changed.
    fn edit<R>(&self, now: Duration, f: impl FnOnce(&mut Machine) -> R) -> R {
        let (result, transition) = self.machine.with(|machine| {
            for Apart(pending) in &self.pending {
                take(pending, machine, now, Pending::empty);
            }
            let generation = machine.generation();
            let result = f(machine);
            self.publish(machine, now);
            (result, machine.behind(generation))
        });
        if let Some(transition) = transition {
            self.tell(transition);
            self.changed.notify_waiters();
        }
        result
    }

    /// Writes what calls read; only what has changed, for they all read it.
    fn publish(&self, machine: &Machine, now: Duration) {
        let slow = machine.config().slow_call_duration.map_or(u64::MAX, nanos);
        let write = |place: &K::Atomic, value: u64| {
            if place.load() != value {
                place.store(value);
            }
        };
        write(&self.read.0.until, nanos(machine.until()));
        write(&self.read.0.slow, slow);
        write(&self.read.0.tick, machine.tick_nanos());
        write(&self.read.0.word, machine.word(now).0);
    }

    fn tell(&self, transition: Transition) {
        let opened = matches!(transition.to, State::Open | State::ForcedOpen);
        if opened { self.tell_opened(transition) } else { self.tell_changed(transition) }
    }

    fn tell_opened(&self, Transition { from, to, .. }: Transition) {
        warn!(breaker = &*self.name, %from, %to, "the circuit breaker has opened");
    }

    fn tell_changed(&self, Transition { from, to, .. }: Transition) {
        info!(breaker = &*self.name, %from, %to, "the circuit breaker has changed");
    }

    /// Tells of the first refusal of a generation, and of no other.
    fn tell_first(&self, word: Word, after: Option<Duration>) {
        let told = self.read.0.told.load();
        let generation = word.generation();
        if told < generation && self.read.0.told.exchange(told, generation).is_ok() {
            debug!(breaker = &*self.name, state = %word.state(), ?after, "a call is refused");
        }
    }
}

/// Takes what a seat has counted into the window, and leaves something in its place.
fn take<A: Atomic>(
    place: &A,
    machine: &mut Machine,
    now: Duration,
    leave: impl Fn(Pending) -> Pending,
) {
    let mut old = Pending(place.load());
    while leave(old) != old {
        match place.exchange(old.0, leave(old).0) {
            Ok(_) => {
                machine.absorb(old, now);
                return;
            }
            Err(there) => old = Pending(there),
        }
    }
}

impl<K: Kit> std::fmt::Debug for Circuit<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Circuit")
            .field("name", &self.name)
            .field("word", &self.word())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    };

    use super::*;
    use crate::middleware::breaker::config::Window;

    /// A lock that counts how often it is taken.
    struct Counting<T>(Mutex<T>, AtomicU64);

    impl<T> Lock<T> for Counting<T> {
        fn new(value: T) -> Self {
            Self(Mutex::new(value), AtomicU64::new(0))
        }

        fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            self.1.fetch_add(1, Ordering::Relaxed);
            f(&mut self.0.lock().unwrap())
        }
    }

    struct Counted;

    impl Kit for Counted {
        type Atomic = AtomicU64;
        type Bit = AtomicBool;
        type Lock<T> = Counting<T>;
    }

    const NOW: Duration = Duration::from_secs(5);
    const GOOD: Option<Outcome> = Some(Outcome { failed: false, slow: false });
    const BAD: Option<Outcome> = Some(Outcome { failed: true, slow: false });

    fn circuit(window: Option<Window>) -> Circuit<Counted> {
        let config = BreakerConfig { window, ..BreakerConfig::default() };
        Circuit::new("it".into(), config, 7, 1)
    }

    /// Makes so many calls that end like this; says how often they took the lock.
    fn locks(circuit: &Circuit<Counted>, calls: u32, outcome: Option<Outcome>) -> u64 {
        let taken = || circuit.machine.1.load(Ordering::Relaxed);
        let before = taken();
        for _ in 0..calls {
            let ticket = circuit.admit(|| NOW).unwrap();
            circuit.leave(0, ticket, outcome, || NOW);
        }
        taken() - before
    }

    #[test]
    fn calls_that_change_nothing_take_no_lock() {
        let time = Window::Time(Duration::from_secs(10));
        for window in [None, Some(Window::Count(100)), Some(time)] {
            let circuit = circuit(window);
            assert!(locks(&circuit, 1, GOOD) <= 1, "a seat looks once which tick it is");
            assert_eq!(locks(&circuit, 50, GOOD), 0, "{window:?}");
            assert_eq!(locks(&circuit, 50, None), 0, "what nobody waited for, {window:?}");
            circuit.force(State::Disabled, NOW);
            assert_eq!(locks(&circuit, 50, BAD), 0, "it is off, {window:?}");
        }
    }

    #[test]
    fn a_success_takes_the_lock_only_while_it_matters() {
        let circuit = circuit(Some(Window::Count(100)));
        locks(&circuit, 1, BAD);
        assert_eq!(locks(&circuit, 9, GOOD), 9, "the tenth call makes them enough to judge");
        assert_eq!(locks(&circuit, 50, GOOD), 0);
    }

    #[test]
    fn its_name_and_its_state_are_shown() {
        let shown = format!("{:?}", circuit(None));
        assert_eq!(shown, r#"Circuit { name: "it", word: closed@0, .. }"#);
    }
}
