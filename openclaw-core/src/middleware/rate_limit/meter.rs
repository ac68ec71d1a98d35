//! Where the numbers are kept: one for all calls, or one a key.

use std::{
    hash::Hash,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    super::by_hash::{ByHash, Seeded, part},
    gcra::Rule,
    line::Line,
    words::Words,
};
use crate::{Rng, SystemRng};

/// Keeps a line for each limit.
pub trait Numbers: Send + Sync + 'static {
    /// What tells limits apart.
    type Key: Clone + Send + Sync + 'static;

    /// The line of a key that was never seen.
    #[doc(hidden)]
    fn fresh(&self) -> Line;

    /// The line of a key.
    #[doc(hidden)]
    fn look(&self, key: &Self::Key) -> Line;

    /// Replaces the number of a key by what `change` makes of its line, unless that is nothing.
    ///
    /// `change` may be asked several times. True when the number was replaced.
    #[doc(hidden)]
    fn update(&self, key: &Self::Key, now: u64, change: impl FnMut(&Line) -> Option<u64>) -> bool;

    /// Changes the line of a key at once; says what `change` said.
    ///
    /// `change` may be asked several times, of the same line or another.
    #[doc(hidden)]
    fn amend(&self, key: &Self::Key, now: u64, change: impl FnMut(&mut Line) -> bool) -> bool;

    /// Changes every line there is, and the rule of those to come: each line at once.
    #[doc(hidden)]
    fn amend_all(&self, change: impl FnMut(&mut Line) -> bool);

    /// Keys on hand, keys that were forgotten, calls that found no room for their key.
    fn count(&self) -> (usize, u64, u64) {
        (1, 0, 0)
    }
}

/// Finds the key of the limit that a request falls under.
pub trait Meter<Req>: Numbers {
    /// The key of a request.
    fn key(&self, request: &Req) -> Self::Key;
}

/// One limit for all calls.
#[derive(Debug)]
pub struct Direct(Words);

impl Direct {
    pub(super) fn new(rule: Rule) -> Self {
        Self(Words::new(rule))
    }
}

impl<Req> Meter<Req> for Direct {
    fn key(&self, _: &Req) {}
}

impl Numbers for Direct {
    type Key = ();

    fn fresh(&self) -> Line {
        Line::new(self.0.look().rule)
    }

    fn look(&self, (): &()) -> Line {
        self.0.look()
    }

    #[inline]
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

/// Shards of the map of keys: each has a lock of its own.
const SHARDS: usize = 64;

/// One limit a key.
///
/// A key whose number lies in the past is as good as one that was never seen: each new key looks
/// at two old ones, and takes the place of one that can be forgotten. Keys that find no room share
/// one limit, so that a flood of keys is limited like one key.
pub struct PerKey<K, F> {
    shards: Box<[Mutex<Shard<K>>]>,
    key: F,
    seed: Seeded,
    rest: Words,
    /// Held while every line changes, so that all go from one rule to the next.
    changing: Mutex<()>,
    forgotten: AtomicU64,
    crowded: AtomicU64,
}

struct Shard<K> {
    places: ByHash<Place<K>>,
    /// The hashes of the places, to go round.
    round: Vec<u64>,
    room: usize,
    hand: usize,
    /// The rule of keys to come.
    rule: Rule,
}

struct Place<K> {
    key: K,
    line: Line,
}

impl<K, F> std::fmt::Debug for PerKey<K, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PerKey").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone, F> PerKey<K, F> {
    pub(super) fn new(key: F, keys: usize, rule: Rule) -> Self {
        let keys = keys.max(1);
        // A power of two, and no more than there are keys.
        let shards = SHARDS.min(1 << keys.ilog2());
        let room = keys.div_ceil(shards);
        let shard = |_| {
            let (places, round) = (ByHash::default(), Vec::new());
            Mutex::new(Shard { places, round, room, hand: 0, rule })
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            key,
            seed: Seeded::new(SystemRng.next_u64()),
            rest: Words::new(rule),
            changing: Mutex::default(),
            forgotten: AtomicU64::new(0),
            crowded: AtomicU64::new(0),
        }
    }
}

impl<K, F> PerKey<K, F> {
    /// Changes how many keys are told apart. Those on hand stay until their time is over.
    pub(super) fn set_keys(&self, keys: usize) {
        let room = keys.max(1).div_ceil(self.shards.len().max(1));
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).room = room;
        }
    }
}

impl<K: Eq + Clone, F> PerKey<K, F> {
    fn shard(&self, hash: u64) -> Option<MutexGuard<'_, Shard<K>>> {
        let shard = self.shards.get(part(hash, self.shards.len()))?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<Req, K, F> Meter<Req> for PerKey<K, F>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    F: Fn(&Req) -> K + Send + Sync + 'static,
{
    fn key(&self, request: &Req) -> K {
        (self.key)(request)
    }
}

impl<K, F> Numbers for PerKey<K, F>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    F: Send + Sync + 'static,
{
    type Key = K;

    fn fresh(&self) -> Line {
        Line::new(self.rest.look().rule)
    }

    fn look(&self, key: &K) -> Line {
        let hash = self.seed.hash(key);
        let Some(shard) = self.shard(hash) else { return self.rest.look() };
        match shard.places.get(&hash) {
            Some(place) if place.key == *key => place.line,
            None if shard.places.len() < shard.room => Line::new(shard.rule),
            _ => self.rest.look(),
        }
    }

    fn update(&self, key: &K, now: u64, mut change: impl FnMut(&Line) -> Option<u64>) -> bool {
        let hash = self.seed.hash(key);
        let own = self.shard(hash).and_then(|mut shard| {
            shard.with(hash, key, now, &self.forgotten, |line| {
                let next = change(line);
                line.number = next.unwrap_or(line.number);
                next.is_some()
            })
        });
        own.unwrap_or_else(|| {
            self.crowded.fetch_add(1, Ordering::Relaxed);
            self.rest.update(change)
        })
    }

    fn amend(&self, key: &K, now: u64, mut change: impl FnMut(&mut Line) -> bool) -> bool {
        let hash = self.seed.hash(key);
        let own = self
            .shard(hash)
            .and_then(|mut shard| shard.with(hash, key, now, &self.forgotten, &mut change));
        own.unwrap_or_else(|| self.rest.amend(change))
    }

    fn amend_all(&self, mut change: impl FnMut(&mut Line) -> bool) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.rest.amend(&mut change);
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let mut fresh = Line::new(shard.rule);
            change(&mut fresh);
            shard.rule = fresh.rule;
            for place in shard.places.values_mut() {
                change(&mut place.line);
            }
        }
    }

    fn count(&self) -> (usize, u64, u64) {
        let keys = |shard: &Mutex<Shard<K>>| {
            shard.lock().unwrap_or_else(PoisonError::into_inner).places.len()
        };
        (
            self.shards.iter().map(keys).sum(),
            self.forgotten.load(Ordering::Relaxed),
            self.crowded.load(Ordering::Relaxed),
        )
    }
}

impl<K: Eq + Clone> Shard<K> {
    /// Does something to the line of a key; `None` when there is no room for a new one.
    #[inline]
    fn with<T>(
        &mut self,
        hash: u64,
        key: &K,
        now: u64,
        forgotten: &AtomicU64,
        f: impl FnOnce(&mut Line) -> T,
    ) -> Option<T> {
        if let Some(place) = self.places.get_mut(&hash) {
            // Two keys with one hash: the second goes with those that find no room.
            return (place.key == *key).then(|| f(&mut place.line));
        }
        self.make_room(hash, now, forgotten)?;
        let new = Place { key: key.clone(), line: Line::new(self.rule) };
        Some(f(&mut self.places.entry(hash).or_insert(new).line))
    }

    /// Room for a new key: that of one of the next two, if it can be forgotten, or more.
    fn make_room(&mut self, hash: u64, now: u64, forgotten: &AtomicU64) -> Option<()> {
        for _ in 0..2.min(self.round.len()) {
            let len = self.round.len();
            let at = self.hand % len;
            self.hand = (at + 1) % len;
            let Some(old) = self.round.get_mut(at) else { continue };
            if self.places.get(old).is_none_or(|place| place.line.is_over(now)) {
                self.places.remove(old);
                forgotten.fetch_add(1, Ordering::Relaxed);
                if len > self.room {
                    // There was more room once.
                    self.round.swap_remove(at);
                    continue;
                }
                *old = hash;
                return Some(());
            }
        }
        (self.round.len() < self.room).then(|| self.round.push(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_by_key_show_how_they_are_kept() {
        let shown =
            format!("{:?}", PerKey::<u8, _>::new(|request: &u8| *request, 3, Rule::default()));
        assert_eq!(shown, "PerKey { shards: 2, .. }");
    }
}
