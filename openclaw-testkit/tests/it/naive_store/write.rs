//! What its transactions do: guards, operations, and the ways to get both wrong.

use std::time::Duration;

use bytes::Bytes;
use openclaw_core::{
    Timestamp,
    store::{Applied, Commit, Conflict, Guard, Key, Op, StateStore, StoreError, Txn, Version},
};
use tokio::task::yield_now;

use super::{NaiveStore, Row, State};
use crate::flaws::Flaw;

/// What a transaction writes with.
struct Pen {
    version: u64,
    place: u16,
}

/// A sum that must not be.
struct Unfit;

type Loss = (usize, Option<Row>);

/// The laws' own threads are blocking tasks; the rest runs outside of any task.
fn on_a_thread() -> bool {
    tokio::task::try_id().is_some()
}

fn unguarded(ops: &[Op]) -> Txn {
    ops.iter().cloned().fold(Txn::new("naive"), Txn::op)
}

impl NaiveStore {
    fn until(&self, now: Timestamp, ttl: Option<Duration>) -> Option<Timestamp> {
        let ttl = ttl?;
        if self.is(Flaw::TimesWrap) {
            let ms = ttl.as_millis() as u64;
            return Some(Timestamp::from_millis(now.as_millis().wrapping_add(ms)));
        }
        Some(now.after(ttl))
    }

    pub(super) fn check(&self, txn: &Txn) -> Result<(), StoreError> {
        match txn.check(&self.capabilities()) {
            Err(StoreError::TooLarge { what: "value", .. }) if self.is(Flaw::TakesAnyValue) => {
                Ok(())
            }
            Err(StoreError::TooLarge { what: "key", .. })
                if matches!(self.flaw, Flaw::TakesAnyKey | Flaw::KeysAreCut) =>
            {
                Ok(())
            }
            Err(StoreError::TooLarge { what: "operations", .. })
                if self.is(Flaw::TakesAnyBatch) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// The first guard that loses, and the row it looked at.
    fn lost(&self, state: &State, txn: &Txn) -> Option<Loss> {
        let guards = txn.guards.iter().enumerate();
        let guards: Vec<_> = match self.flaw {
            Flaw::ChecksTheFirstGuard => guards.take(1).collect(),
            Flaw::ChecksTheLastGuardFirst => guards.rev().collect(),
            _ => guards.collect(),
        };
        for (at, guard) in guards {
            let key = guard.key().as_bytes();
            let row = match self.flaw {
                Flaw::ExpiredHoldGuards => state.rows.get(&self.name(key)),
                _ => self.live(state, key),
            };
            let held = match (self.flaw, guard) {
                (Flaw::ExistsIsIgnored, Guard::Exists(_)) => true,
                (Flaw::AnyVersionHolds, Guard::VersionIs(..)) => row.is_some(),
                (Flaw::GuardsSeeTheOperations, Guard::Exists(k)) => {
                    let puts = |op: &Op| matches!(op, Op::Put { key, .. } if key == k);
                    row.is_some() || txn.ops.iter().any(puts)
                }
                _ => guard.holds(row.map(|row| Version::new(row.version))),
            };
            if !held {
                return Some((at, row.cloned()));
            }
        }
        None
    }

    fn number(&self, row: Option<&Row>) -> Option<i64> {
        let Some(row) = row else { return Some(0) };
        match <[u8; 8]>::try_from(row.value.as_ref()) {
            Ok(bytes) => Some(i64::from_be_bytes(bytes)),
            Err(_) if self.is(Flaw::AddsToText) => Some(0),
            Err(_) => None,
        }
    }

    fn sum(&self, before: i64, delta: i64) -> Option<i64> {
        if self.is(Flaw::SumsWrap) {
            Some(before.wrapping_add(delta))
        } else {
            before.checked_add(delta)
        }
    }

    /// Applies one operation; a sum that must not be is a conflict.
    fn step(&self, state: &mut State, op: &Op, pen: &mut Pen) -> Result<Option<i64>, Unfit> {
        let (now, version) = (state.now, pen.version);
        match op {
            Op::Put { key, value, ttl } => {
                self.write(state, key.as_bytes(), value.clone(), self.until(now, *ttl), version);
            }
            Op::Delete { key } => {
                let name = self.name(key.as_bytes());
                if self.is(Flaw::DeleteLeavesAnEmptyRow) {
                    self.write(state, key.as_bytes(), Bytes::new(), None, version);
                } else {
                    state.rows.remove(&name);
                }
            }
            Op::Touch { key, ttl } => self.touch(state, key, self.until(now, *ttl), version),
            Op::Append { prefix, value, ttl } => {
                let mut key = prefix.appended(Version::new(version), pen.place).as_bytes().to_vec();
                if self.is(Flaw::AppendsAsText) {
                    key = [
                        prefix.as_bytes(),
                        version.to_string().as_bytes(),
                        &pen.place.to_be_bytes(),
                    ]
                    .concat();
                }
                if !self.is(Flaw::PlacesStartAnew) {
                    pen.place += 1;
                }
                self.write(state, &key, value.clone(), self.until(now, *ttl), version);
            }
            Op::Add { key, delta, bound, ttl } => {
                let row = match self.flaw {
                    Flaw::AddsToTheExpired => state.rows.get(&self.name(key.as_bytes())),
                    _ => self.live(state, key.as_bytes()),
                };
                let before = self.number(row).ok_or(Unfit)?;
                let sum = self.sum(before, *delta).ok_or(Unfit)?;
                let out = bound.as_ref().is_some_and(|bound| !bound.contains(&sum));
                if out && !self.is(Flaw::BoundsAreIgnored) {
                    return Err(Unfit);
                }
                let value = Bytes::copy_from_slice(&sum.to_be_bytes());
                self.write(state, key.as_bytes(), value, self.until(now, *ttl), version);
                return Ok(Some(sum));
            }
        }
        Ok(None)
    }

    fn write(
        &self,
        state: &mut State,
        key: &[u8],
        value: Bytes,
        until: Option<Timestamp>,
        version: u64,
    ) {
        let name = self.name(key);
        let old = state.rows.get(&name);
        let version = match self.flaw {
            Flaw::VersionsCountInTheRow => old.map_or(1, |row| row.version + 1),
            Flaw::EqualValuesKeepVersions => {
                old.filter(|row| row.value == value).map_or(version, |row| row.version)
            }
            Flaw::VersionsAreDifferentInARead => version + 1,
            _ => version,
        };
        let until = match self.flaw {
            Flaw::OldExpiryStays => until.or_else(|| old.and_then(|row| row.until)),
            _ => until,
        };
        if self.is(Flaw::EmptyIsAbsent) && value.is_empty() {
            state.rows.remove(&name);
            return;
        }
        state.rows.insert(name, Row { version, until, value });
    }

    fn touch(&self, state: &mut State, key: &Key, until: Option<Timestamp>, version: u64) {
        let now = state.now;
        let name = self.name(key.as_bytes());
        if self.is(Flaw::TouchMakesRows) && !state.rows.contains_key(&name) {
            state.rows.insert(name, Row { version, until, value: Bytes::new() });
            return;
        }
        let revives = self.is(Flaw::TouchRevives);
        let Some(row) = state.rows.get_mut(&name) else { return };
        if !revives && row.until.is_some_and(|until| until <= now) {
            return;
        }
        match self.flaw {
            Flaw::TouchIsIgnored => return,
            Flaw::TouchOnlyLengthens => row.until = row.until.zip(until).map(|(a, b)| a.max(b)),
            _ => row.until = until,
        }
        if self.is(Flaw::TouchMovesTheVersion) {
            row.version = version;
        }
    }

    /// Applies what it can on a copy, so that a conflict leaves nothing.
    pub(super) fn apply(&self, state: &mut State, txn: &Txn) -> Commit {
        if let Some((failed, row)) = self.lost(state, txn) {
            match self.flaw {
                Flaw::ConflictsApplyAnyway => drop(self.run(state, txn)),
                Flaw::TornBatch => {
                    let first = unguarded(txn.ops.get(..1).unwrap_or_default());
                    drop(self.run(state, &first));
                }
                _ => {}
            }
            return Commit::Conflict(self.conflict(failed, row));
        }
        let mut copy = state.clone();
        match self.run(&mut copy, txn) {
            Ok(applied) => {
                *state = copy;
                Commit::Applied(applied)
            }
            Err(failed) => {
                let row = match &txn.ops[failed] {
                    Op::Add { key, .. } => self.live(state, key.as_bytes()).cloned(),
                    _ => None,
                };
                if self.is(Flaw::LostSumsKeepTheRest) {
                    *state = copy;
                }
                Commit::Conflict(self.conflict(txn.guards.len() + failed, row))
            }
        }
    }

    fn conflict(&self, failed: usize, row: Option<Row>) -> Conflict {
        let row = row.filter(|_| !self.is(Flaw::ConflictsHideTheRow));
        Conflict::new(failed, row.map(|row| self.entry(&row)))
    }

    fn run(&self, state: &mut State, txn: &Txn) -> Result<Applied, usize> {
        if !self.is(Flaw::VersionsStandStill) {
            state.version += 1;
        }
        let version = state.version;
        let (mut sums, mut pen) = (Vec::new(), Pen { version, place: 0 });
        let backwards = self.is(Flaw::OperationsRunBackwards);
        let count = txn.ops.len();
        for n in 0..count {
            let at = if backwards { count - 1 - n } else { n };
            let done = self.step(state, &txn.ops[at], &mut pen);
            sums.extend(done.map_err(|Unfit| at)?);
        }
        let last = txn.ops.iter().rev().find_map(|op| match op {
            Op::Put { key, .. } => state.rows.get(&self.name(key.as_bytes())).map(|r| r.version),
            _ => None,
        });
        let counts = self.is(Flaw::VersionsCountInTheRow);
        let version = last.filter(|_| counts).unwrap_or(version);
        Ok(Applied::new(Version::new(version), state.now, sums))
    }

    /// Guards first, operations later: others come in between.
    pub(super) async fn slowly(&self, txn: &Txn) -> Commit {
        if let Some((failed, row)) = self.lost(&self.lock(), txn) {
            return Commit::Conflict(self.conflict(failed, row));
        }
        self.pause().await;
        self.apply(&mut self.lock(), &unguarded(&txn.ops))
    }

    /// One operation after the other, each seen at once.
    pub(super) async fn piecewise(&self, txn: &Txn) -> Commit {
        if let Some((failed, row)) = self.lost(&self.lock(), txn) {
            return Commit::Conflict(self.conflict(failed, row));
        }
        let mut last = Applied::new(Version::default(), self.lock().now, Vec::new());
        for op in &txn.ops {
            yield_now().await;
            let one = unguarded(std::slice::from_ref(op));
            if let Commit::Applied(applied) = self.apply(&mut self.lock(), &one) {
                last = applied;
            }
        }
        Commit::Applied(last)
    }

    /// The version is drawn first, as from a sequence; the row comes later.
    pub(super) async fn late(&self, txn: &Txn) -> Commit {
        let version = {
            let mut state = self.lock();
            state.version += 1;
            state.version
        };
        if on_a_thread() {
            self.hold(|_| version % 3 == 1);
        }
        for _ in 0..version % 3 {
            yield_now().await;
        }
        let mut state = self.lock();
        let now = state.now;
        let (mut sums, mut pen) = (Vec::new(), Pen { version, place: 0 });
        for op in &txn.ops {
            if let Ok(sum) = self.step(&mut state, op, &mut pen) {
                sums.extend(sum);
            }
        }
        Commit::Applied(Applied::new(Version::new(version), now, sums))
    }

    /// Lets others come in between.
    pub(super) async fn pause(&self) {
        if on_a_thread() {
            self.hold(|here| here < 2);
        }
        yield_now().await;
    }

    /// Holds a thread while this is so of the threads held here, for a moment at most.
    fn hold(&self, so: impl Fn(u32) -> bool) {
        let mut here = self.held.0.lock().unwrap();
        *here += 1;
        self.held.1.notify_all();
        let moment = Duration::from_millis(5);
        let (mut here, _) = self.held.1.wait_timeout_while(here, moment, |n| so(*n)).unwrap();
        *here -= 1;
    }
}
