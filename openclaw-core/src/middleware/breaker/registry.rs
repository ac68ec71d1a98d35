//! A breaker for each key, in bounded memory.

use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    super::by_hash::{ByHash, Seeded, part},
    config::BreakerConfig,
    handle::BreakerHandle,
    lease::Seat,
    one::One,
};
use crate::{Refusal, Result};

/// Enough that threads seldom meet; a power of two.
const SHARDS: usize = 16;

/// Fewer keys are kept together, so that each of them makes room for any other.
const FEW: usize = 1_024;

/// Entries that a newcomer looks at, when there is no room, to find one that may go.
const LOOKS: usize = 8;

/// Breakers by key: tenant, integration, credential.
///
/// A breaker that is closed, has an empty window and no failure, and no call under way is as
/// good as a new one: it goes when room is needed. When all are in use, further keys share
/// one more breaker, so that a flood of keys can't make room for itself. A window of calls
/// is never empty again: with nothing but successes in it, it counts as empty when it has taken
/// none for 5 min.
pub struct Breakers<K> {
    config: RwLock<BreakerConfig>,
    seed: Seeded,
    capacity: usize,
    len: AtomicUsize,
    shards: Box<[Mutex<Shard<K>>]>,
    overflow: One,
}

struct Shard<K> {
    by_hash: ByHash<Entry<K>>,
    /// The hashes in it, to go round.
    order: Vec<u64>,
    hand: usize,
}

struct Entry<K> {
    key: K,
    seat: Arc<Seat>,
}

impl<K: Eq + Hash> Breakers<K> {
    /// A registry around the breaker that is there for the keys without room.
    pub(super) fn new(overflow: One, seed: u64, capacity: usize) -> Self {
        let shards = if capacity < FEW { 1 } else { SHARDS };
        let shard = || {
            let by_hash = ByHash::default();
            Mutex::new(Shard { by_hash, order: Vec::new(), hand: 0 })
        };
        Self {
            config: RwLock::new(overflow.circuit().config()),
            shards: std::iter::repeat_with(shard).take(shards).collect(),
            overflow,
            seed: Seeded::new(seed),
            capacity,
            len: AtomicUsize::new(0),
        }
    }

    /// How many keys have a breaker of their own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Has no key a breaker of its own?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The breaker of this key, when it has one of its own. While it is held, it stays.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<BreakerHandle> {
        let hash = self.seed.hash(key);
        let shard = self.shard(hash)?;
        let entry = shard.by_hash.get(&hash).filter(|entry| entry.key == *key)?;
        Some(BreakerHandle::new(Arc::clone(&entry.seat)))
    }

    /// The refusal of a call of this key that came now, counted as one; `None` lets it in.
    ///
    /// As [`BreakerHandle::refusal`]. A key without a breaker of its own is let in: when it calls it
    /// gets one, or shares the [`overflow`](Self::overflow).
    #[must_use]
    pub fn refusal(&self, key: &K) -> Option<Refusal> {
        self.get(key)?.refusal()
    }

    /// The breaker that the keys share for which there was no room.
    #[must_use]
    pub fn overflow(&self) -> BreakerHandle {
        self.overflow.handle()
    }

    /// Gives every breaker other settings; state, windows and waits that have begun stay.
    ///
    /// Those that this switches off or on begin anew, but for what somebody has forced.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` of [`BreakerConfig::check`]; the old settings stay then.
    pub fn reload(&self, config: &BreakerConfig) -> Result<()> {
        config.check()?;
        // First: a breaker that is made meanwhile has the new settings, or is met below.
        self.config.write().unwrap_or_else(PoisonError::into_inner).clone_from(config);
        self.overflow().reload(config)?;
        for shard in &self.shards {
            for entry in lock(shard).by_hash.values() {
                BreakerHandle::new(Arc::clone(&entry.seat)).reload(config)?;
            }
        }
        Ok(())
    }

    /// The place at this key's breaker, which is made when there is none.
    pub(super) fn seat(&self, key: K) -> Arc<Seat> {
        let hash = self.seed.hash(&key);
        let Some(mut shard) = self.shard(hash) else { return Arc::clone(self.overflow.seat()) };
        if let Some(entry) = shard.by_hash.get(&hash) {
            // Two keys of one 64-bit hash: the later one shares.
            let own = entry.key == key;
            return Arc::clone(if own { &entry.seat } else { self.overflow.seat() });
        }
        self.make_room(&mut shard);
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        if !self.reserve() {
            return Arc::clone(self.overflow.seat());
        }
        let seat = self.overflow.seat().like(config.clone(), hash);
        shard.by_hash.insert(hash, Entry { key, seat: Arc::clone(&seat) });
        shard.order.push(hash);
        seat
    }

    /// A newcomer to a full registry looks for one that may go; whoever fits stays.
    fn make_room(&self, shard: &mut Shard<K>) {
        if self.len() < self.capacity {
            return;
        }
        let now = self.overflow.seat().now();
        if (0..LOOKS).any(|_| shard.look(now)) {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn reserve(&self) -> bool {
        let more = |len: usize| (len < self.capacity).then_some(len + 1);
        self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn shard(&self, hash: u64) -> Option<MutexGuard<'_, Shard<K>>> {
        self.shards.get(part(hash, self.shards.len())).map(lock)
    }
}

impl<K> Shard<K> {
    /// Looks at the next entry, and drops it when nothing is lost with it.
    fn look(&mut self, now: Duration) -> bool {
        if self.hand >= self.order.len() {
            self.hand = 0;
        }
        let Some(hash) = self.order.get(self.hand) else { return false };
        let idle = |entry: &Entry<K>| {
            // Places are handed out under this shard's lock: nobody can take one meanwhile.
            Arc::strong_count(&entry.seat) == 1 && entry.seat.circuit().is_blank(now)
        };
        if !self.by_hash.get(hash).is_none_or(idle) {
            self.hand += 1;
            return false;
        }
        let gone = self.by_hash.remove(hash).is_some();
        self.order.swap_remove(self.hand);
        gone
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K> fmt::Debug for Breakers<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakers")
            .field("name", self.overflow.circuit().name())
            .field("len", &self.len)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// A breaker for each key.
pub struct PerKey<K, F> {
    pub(super) breakers: Arc<Breakers<K>>,
    pub(super) key: F,
}

impl<K, F: Clone> Clone for PerKey<K, F> {
    fn clone(&self) -> Self {
        Self { breakers: Arc::clone(&self.breakers), key: self.key.clone() }
    }
}

impl<K, F> fmt::Debug for PerKey<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PerKey").field(&self.breakers).finish()
    }
}
