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
    gcra::Pace,
};
use crate::{Rng, SystemRng};

/// Keeps two words for each limit: its number, and the pace that the other side asked for.
///
/// Both are 0 for a limit that was never asked. Each word changes atomically by itself.
pub trait Numbers: Send + Sync + 'static {
    /// What tells limits apart.
    type Key: Clone + Send + Sync + 'static;

    /// The number and the pace of a key.
    fn look(&self, key: &Self::Key) -> (u64, u64);

    /// Replaces the number by what `change` makes of it and of the pace, unless that is nothing.
    ///
    /// `change` may be asked several times. True when the number was replaced.
    fn update(
        &self,
        key: &Self::Key,
        now: u64,
        change: impl FnMut(u64, u64) -> Option<u64>,
    ) -> bool;

    /// Replaces the pace by what `change` makes of it, unless that is nothing.
    fn repace(&self, key: &Self::Key, now: u64, change: impl FnMut(u64) -> Option<u64>);

    /// Replaces every number and every pace there is; a number by what is made of both.
    fn update_all(
        &self,
        number: impl FnMut(u64, u64) -> Option<u64>,
        pace: impl FnMut(u64) -> Option<u64>,
    );

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
#[derive(Debug, Default)]
pub struct Direct(Words<AtomicU64>);

impl<Req> Meter<Req> for Direct {
    fn key(&self, _: &Req) {}
}

impl Numbers for Direct {
    type Key = ();

    fn look(&self, (): &()) -> (u64, u64) {
        self.0.look()
    }

    #[inline]
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

/// An atomic number, so that a model checker can bring its own.
pub(super) trait Word: Send + Sync {
    fn get(&self) -> u64;

    /// Puts `new` where `old` is; else what is there.
    fn exchange(&self, old: u64, new: u64) -> Result<u64, u64>;

    /// Replaces the number, unless `change` makes nothing of it.
    #[inline]
    fn change(&self, mut change: impl FnMut(u64) -> Option<u64>) -> bool {
        let mut old = self.get();
        while let Some(new) = change(old) {
            match self.exchange(old, new) {
                Ok(_) => return true,
                Err(other) => old = other,
            }
        }
        false
    }
}

impl Word for AtomicU64 {
    fn get(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn exchange(&self, old: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire)
    }
}

/// Number and pace of one limit.
#[derive(Debug, Default)]
pub(super) struct Words<W> {
    pub(super) number: W,
    pub(super) pace: W,
}

impl<W: Word> Words<W> {
    pub(super) fn look(&self) -> (u64, u64) {
        (self.number.get(), self.pace.get())
    }

    #[inline]
    pub(super) fn update(&self, mut change: impl FnMut(u64, u64) -> Option<u64>) -> bool {
        let pace = self.pace.get();
        self.number.change(|number| change(number, pace))
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
    rest: Words<AtomicU64>,
    forgotten: AtomicU64,
    crowded: AtomicU64,
}

struct Shard<K> {
    places: ByHash<Place<K>>,
    /// The hashes of the places, to go round.
    round: Vec<u64>,
    room: usize,
    hand: usize,
}

struct Place<K> {
    key: K,
    number: u64,
    pace: u64,
}

impl<K> Place<K> {
    /// Is it as good as one that was never seen?
    const fn is_over(&self, now: u64) -> bool {
        self.number <= now && Pace(self.pace).is_over(now)
    }
}

impl<K, F> std::fmt::Debug for PerKey<K, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PerKey").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone, F> PerKey<K, F> {
    pub(super) fn new(key: F, keys: usize) -> Self {
        let keys = keys.max(1);
        // A power of two, and no more than there are keys.
        let shards = SHARDS.min(1 << keys.ilog2());
        let room = keys.div_ceil(shards);
        let shard =
            |_| Mutex::new(Shard { places: ByHash::default(), round: Vec::new(), room, hand: 0 });
        Self {
            shards: (0..shards).map(shard).collect(),
            key,
            seed: Seeded::new(SystemRng.next_u64()),
            rest: Words::default(),
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

    fn look(&self, key: &K) -> (u64, u64) {
        let hash = self.seed.hash(key);
        let Some(shard) = self.shard(hash) else { return self.rest.look() };
        match shard.places.get(&hash) {
            Some(place) if place.key == *key => (place.number, place.pace),
            None if shard.places.len() < shard.room => (0, 0),
            _ => self.rest.look(),
        }
    }

    fn update(&self, key: &K, now: u64, mut change: impl FnMut(u64, u64) -> Option<u64>) -> bool {
        let hash = self.seed.hash(key);
        let own = self.shard(hash).and_then(|mut shard| {
            shard.with(hash, key, now, &self.forgotten, |place| {
                let next = change(place.number, place.pace);
                place.number = next.unwrap_or(place.number);
                next.is_some()
            })
        });
        own.unwrap_or_else(|| {
            self.crowded.fetch_add(1, Ordering::Relaxed);
            self.rest.update(change)
        })
    }

    fn repace(&self, key: &K, now: u64, mut change: impl FnMut(u64) -> Option<u64>) {
        let hash = self.seed.hash(key);
        let own = self.shard(hash).and_then(|mut shard| {
            shard.with(hash, key, now, &self.forgotten, |place| {
                place.pace = change(place.pace).unwrap_or(place.pace);
            })
        });
        own.unwrap_or_else(|| {
            self.rest.pace.change(change);
        });
    }

    fn update_all(
        &self,
        mut number: impl FnMut(u64, u64) -> Option<u64>,
        mut pace: impl FnMut(u64) -> Option<u64>,
    ) {
        self.rest.update(&mut number);
        self.rest.pace.change(&mut pace);
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for place in shard.places.values_mut() {
                place.number = number(place.number, place.pace).unwrap_or(place.number);
                place.pace = pace(place.pace).unwrap_or(place.pace);
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
    /// Does something to the place of a key; `None` when there is no room for a new one.
    #[inline]
    fn with<T>(
        &mut self,
        hash: u64,
        key: &K,
        now: u64,
        forgotten: &AtomicU64,
        f: impl FnOnce(&mut Place<K>) -> T,
    ) -> Option<T> {
        if let Some(place) = self.places.get_mut(&hash) {
            // Two keys with one hash: the second goes with those that find no room.
            return (place.key == *key).then(|| f(place));
        }
        self.make_room(hash, now, forgotten)?;
        let new = Place { key: key.clone(), number: 0, pace: 0 };
        Some(f(self.places.entry(hash).or_insert(new)))
    }

    /// Room for a new key: that of one of the next two, if it can be forgotten, or more.
    fn make_room(&mut self, hash: u64, now: u64, forgotten: &AtomicU64) -> Option<()> {
        for _ in 0..2.min(self.round.len()) {
            let len = self.round.len();
            let at = self.hand % len;
            self.hand = (at + 1) % len;
            let Some(old) = self.round.get_mut(at) else { continue };
            if self.places.get(old).is_none_or(|place| place.is_over(now)) {
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
        let shown = format!("{:?}", PerKey::<u8, _>::new(|request: &u8| *request, 3));
        assert_eq!(shown, "PerKey { shards: 2, .. }");
    }
}
