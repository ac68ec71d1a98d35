//! Where the numbers are kept: one for all calls, or one a key.

use std::{
    collections::{
        HashMap,
        hash_map::{DefaultHasher, Entry},
    },
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{Rng, SystemRng};

/// Finds the number that limits a request, and changes it atomically.
pub trait Meter<Req>: Send + Sync + 'static {
    /// What tells requests apart.
    type Key: Clone + Send + Sync + 'static;

    /// The key of a request.
    fn key(&self, request: &Req) -> Self::Key;

    /// Replaces the number by what `change` makes of it, unless that is nothing.
    ///
    /// `change` may be asked several times. True when the number was replaced.
    fn update(&self, key: &Self::Key, now: u64, change: impl FnMut(u64) -> Option<u64>) -> bool;

    /// Replaces every number there is.
    fn update_all(&self, change: impl FnMut(u64) -> Option<u64>);

    /// Keys on hand, keys that were forgotten, calls that found no room for their key.
    fn count(&self) -> (usize, u64, u64) {
        (1, 0, 0)
    }
}

/// One limit for all calls.
#[derive(Debug, Default)]
pub struct Direct(AtomicU64);

impl<Req> Meter<Req> for Direct {
    type Key = ();

    fn key(&self, _: &Req) {}

    fn update(&self, (): &(), _: u64, change: impl FnMut(u64) -> Option<u64>) -> bool {
        swap(&self.0, change)
    }

    fn update_all(&self, change: impl FnMut(u64) -> Option<u64>) {
        swap(&self.0, change);
    }
}

fn swap(number: &AtomicU64, change: impl FnMut(u64) -> Option<u64>) -> bool {
    number.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).is_ok()
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
    seed: u64,
    rest: AtomicU64,
    forgotten: AtomicU64,
    crowded: AtomicU64,
}

struct Shard<K> {
    places: HashMap<u64, usize, BuildHasherDefault<Same>>,
    slots: Vec<Place<K>>,
    room: usize,
    hand: usize,
}

struct Place<K> {
    hash: u64,
    key: K,
    number: u64,
}

impl<K, F> std::fmt::Debug for PerKey<K, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PerKey").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone, F> PerKey<K, F> {
    pub(super) fn new(key: F, keys: usize) -> Self {
        let shards = SHARDS.min(keys.max(1));
        let room = keys.max(1).div_ceil(shards);
        let shard =
            |_| Mutex::new(Shard { places: HashMap::default(), slots: Vec::new(), room, hand: 0 });
        Self {
            shards: (0..shards).map(shard).collect(),
            key,
            // Who can't guess the seed can't make keys that fall together.
            seed: SystemRng.next_u64(),
            rest: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            crowded: AtomicU64::new(0),
        }
    }

    fn hash(&self, key: &K) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        key.hash(&mut hasher);
        hasher.finish()
    }
}

impl<Req, K, F> Meter<Req> for PerKey<K, F>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    F: Fn(&Req) -> K + Send + Sync + 'static,
{
    type Key = K;

    fn key(&self, request: &Req) -> K {
        (self.key)(request)
    }

    fn update(&self, key: &K, now: u64, change: impl FnMut(u64) -> Option<u64>) -> bool {
        let hash = self.hash(key);
        let shard = usize::try_from(hash >> 32).unwrap_or_default() % self.shards.len().max(1);
        let Some(shard) = self.shards.get(shard) else { return swap(&self.rest, change) };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        match shard.find(hash, key, now, &self.forgotten) {
            Some(number) => {
                let mut change = change;
                change(*number).is_some_and(|next| {
                    *number = next;
                    true
                })
            }
            None => {
                drop(shard);
                self.crowded.fetch_add(1, Ordering::Relaxed);
                swap(&self.rest, change)
            }
        }
    }

    fn update_all(&self, mut change: impl FnMut(u64) -> Option<u64>) {
        swap(&self.rest, &mut change);
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for place in &mut shard.slots {
                place.number = change(place.number).unwrap_or(place.number);
            }
        }
    }

    fn count(&self) -> (usize, u64, u64) {
        let keys = |shard: &Mutex<Shard<K>>| {
            shard.lock().unwrap_or_else(PoisonError::into_inner).slots.len()
        };
        (
            self.shards.iter().map(keys).sum(),
            self.forgotten.load(Ordering::Relaxed),
            self.crowded.load(Ordering::Relaxed),
        )
    }
}

impl<K: Eq + Clone> Shard<K> {
    /// The number of a key; `None` when there is no room for a new one.
    fn find(&mut self, hash: u64, key: &K, now: u64, forgotten: &AtomicU64) -> Option<&mut u64> {
        if let Some(at) = self.places.get(&hash) {
            let place = self.slots.get_mut(*at)?;
            // Two keys with one hash: the second goes with those that find no room.
            return (place.key == *key).then_some(&mut place.number);
        }
        let at = self.make_room(now, forgotten)?;
        let place = Place { hash, key: key.clone(), number: 0 };
        match self.slots.get_mut(at) {
            Some(old) => *old = place,
            None => self.slots.push(place),
        }
        self.places.insert(hash, at);
        self.slots.get_mut(at).map(|place| &mut place.number)
    }

    /// A place for a new key: that of one of the next two, if it can be forgotten, or a new one.
    fn make_room(&mut self, now: u64, forgotten: &AtomicU64) -> Option<usize> {
        for _ in 0..2.min(self.slots.len()) {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            let old = self.slots.get(at).filter(|place| place.number <= now);
            if let Some(Entry::Occupied(entry)) = old.map(|place| self.places.entry(place.hash)) {
                entry.remove();
                forgotten.fetch_add(1, Ordering::Relaxed);
                return Some(at);
            }
        }
        (self.slots.len() < self.room).then_some(self.slots.len())
    }
}

/// A hasher of what is a hash already.
#[derive(Default)]
pub(super) struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}
