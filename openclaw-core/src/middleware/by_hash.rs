//! Maps by the hash of a key, where others choose the keys.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher},
};

use foldhash::quality::FixedState;

/// A map by what is a hash already.
pub(super) type ByHash<V> = HashMap<u64, V, BuildHasherDefault<Same>>;

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

/// The part of so many, a power of two, that a hash falls into; the map takes other bits of it.
#[inline]
pub(super) const fn part(hash: u64, parts: usize) -> usize {
    (hash >> 32) as usize & (parts - 1)
}

/// Takes a hash as it is.
#[derive(Debug, Default)]
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

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_stays_what_it_is() {
        for hash in [0, 7, u64::MAX] {
            assert_eq!(BuildHasherDefault::<Same>::default().hash_one(hash), hash);
        }
    }

    #[test]
    fn bytes_are_folded_into_a_hash() {
        let folded = |bytes: &[u8]| {
            let mut hasher = Same::default();
            hasher.write(bytes);
            hasher.finish()
        };
        assert_eq!(folded(&[1, 2, 3]), 0x01_02_03);
        assert_eq!(folded(&[0xFF; 9]), u64::MAX << 8);
    }

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
