//! Hashes of keys that others choose, for tables and their parts.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::FixedState;

/// Hashes keys.
///
/// Who doesn't know the seed, and sees no hash, can't choose keys that fall together.
#[derive(Clone, Debug)]
pub(super) struct Seeded(FixedState);

impl Seeded {
    pub(super) const fn new(seed: u64) -> Self {
        Self(FixedState::with_seed(seed))
    }

    #[inline]
    pub(super) fn hash(&self, key: &impl Hash) -> u64 {
        self.0.hash_one(key)
    }
}

/// The part of so many, a power of two, that a hash falls into; the table takes other bits of it.
#[inline]
pub(super) const fn part(hash: u64, parts: usize) -> usize {
    (hash >> 32) as usize & (parts - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_tells_hashes_apart() {
        let hash = |seed| Seeded::new(seed).hash(&"acme");
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }

    #[test]
    fn a_part_is_one_of_so_many() {
        for hash in [0, u64::MAX, 0x1234_5678_9ABC_DEF0] {
            assert_eq!(part(hash, 1), 0);
            assert!(part(hash, 64) < 64);
        }
        assert_eq!(part(u64::MAX, 64), 63);
    }
}
