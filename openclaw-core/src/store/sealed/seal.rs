//! A sealed value: format, key id, nonce, ciphertext, tag.
//!
//! A number (eight bytes) is no sealed value: those are longer.

use bytes::Bytes;
use chacha20poly1305::{AeadInOut, XNonce};

use super::keys::{ID_LEN, KeyId, Keys};
use crate::{
    Rng, SystemRng,
    traits::store::{Entry, Key, Prefix, StoreError},
};

/// Bytes of a number, which the store below adds to.
pub(super) const NUMBER: usize = 8;

/// Format and key id.
const HEAD: usize = 1 + ID_LEN;

const NONCE: usize = 24;
const TAG: usize = 16;

/// Bytes by which a sealed value is longer than what is in it.
pub(super) const OVERHEAD: usize = HEAD + NONCE + TAG;

/// Bytes behind the prefix in the key of an appended row.
const PLACE: usize = 10;

/// What a value is bound to.
#[derive(Clone, Copy)]
pub(super) enum Bound<'a> {
    /// This row and no other.
    Row(&'a Key),
    /// A row of this log: nobody knows the key of an append before it is stored.
    Log(&'a Prefix),
}

impl Bound<'_> {
    const ROW: u8 = 1;
    const LOG: u8 = 2;

    const fn format(self) -> u8 {
        match self {
            Self::Row(_) => Self::ROW,
            Self::Log(_) => Self::LOG,
        }
    }

    fn name(&self) -> &[u8] {
        match self {
            Self::Row(key) => key.as_bytes(),
            Self::Log(prefix) => prefix.as_bytes(),
        }
    }
}

/// Seals a value under the first key of the ring.
pub(super) fn seal(keys: &Keys, bound: Bound<'_>, value: &[u8]) -> Result<Bytes, StoreError> {
    let key = keys.first();
    let nonce = nonce();
    let mut sealed = Vec::with_capacity(value.len() + OVERHEAD);
    sealed.push(bound.format());
    sealed.extend_from_slice(&key.id);
    let associated = [&sealed, bound.name()].concat();
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(value);
    let body = sealed.get_mut(HEAD + NONCE..).unwrap_or_default();
    let tag = key
        .cipher
        .encrypt_inout_detached(&nonce, &associated, body.into())
        .map_err(|_opaque| too_long(value.len()))?;
    sealed.extend_from_slice(&tag);
    Ok(sealed.into())
}

/// The row with its value opened; a number stays as it is.
pub(super) fn open(keys: &Keys, key: &Key, mut entry: Entry) -> Result<Entry, StoreError> {
    if entry.value.len() != NUMBER {
        entry.value = value(keys, key, &entry.value)?;
    }
    Ok(entry)
}

/// Is this value sealed under a key that is not the first?
pub(super) fn is_old(keys: &Keys, stored: &[u8]) -> bool {
    stored.len() != NUMBER
        && stored.split_first().is_none_or(|(_, rest)| !rest.starts_with(&keys.first().id))
}

fn value(keys: &Keys, key: &Key, stored: &[u8]) -> Result<Bytes, StoreError> {
    let not = |why: &str| {
        let table = key.table().unwrap_or("no");
        StoreError::Corrupt(format!("a row of the table {table:?} {why}"))
    };
    let parts = split(stored);
    let Some((format, id, nonce, body, tag)) = parts else {
        return Err(not("is not sealed: copy plain rows into the store through its wrapper"));
    };
    let name = match format {
        Bound::ROW => key.as_bytes(),
        Bound::LOG => key.as_bytes().split_last_chunk::<PLACE>().map_or(&[][..], |(log, _)| log),
        _ => return Err(not("is not sealed in a format that is known here")),
    };
    let Some(named) = keys.find(id) else {
        let id = u32::from_be_bytes(id);
        return Err(not(&format!("is sealed by key {id:08x}, which is not in the ring: add it")));
    };
    let associated = [&[format], &id[..], name].concat();
    let mut opened = body.to_vec();
    named
        .cipher
        .decrypt_inout_detached(
            &nonce.into(),
            &associated,
            opened.as_mut_slice().into(),
            &tag.into(),
        )
        .map_err(|_opaque| not("does not open: it was changed, moved, or sealed by another key"))?;
    Ok(opened.into())
}

type Parts<'a> = (u8, KeyId, [u8; NONCE], &'a [u8], [u8; TAG]);

fn split(stored: &[u8]) -> Option<Parts<'_>> {
    let (format, rest) = stored.split_first()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let (body, tag) = rest.split_last_chunk()?;
    Some((*format, *id, *nonce, body, *tag))
}

/// Twenty-four random bytes: so many that no two values ever share them.
///
/// Always the machine's own entropy: a rng that replays would repeat a nonce, which gives the
/// values away. Nothing is decided by them, so a seeded run replays all the same.
fn nonce() -> XNonce {
    let mut nonce = XNonce::default();
    for eight in nonce.chunks_exact_mut(8) {
        eight.copy_from_slice(&SystemRng.next_u64().to_be_bytes());
    }
    nonce
}

fn too_long(size: usize) -> StoreError {
    StoreError::TooLarge { what: "value", size, limit: usize::try_from(u32::MAX).unwrap_or(size) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SealKey;

    #[test]
    fn a_value_is_longer_by_the_overhead_and_is_never_sealed_alike() {
        let keys = Keys::sealing("k", &SealKey::from_bytes(&[7; 32]));
        let key = Key::system("t").number(1).build();
        for len in [0, 1, 7, 8, 9, 4_096] {
            let plain = vec![5; len];
            let one = seal(&keys, Bound::Row(&key), &plain).unwrap();
            assert_eq!(one.len(), len + OVERHEAD);
            assert_ne!(one.len(), NUMBER);
            assert_ne!(one, seal(&keys, Bound::Row(&key), &plain).unwrap());
            assert_eq!(value(&keys, &key, &one).unwrap(), plain);
        }
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let keys = Keys::sealing("k", &SealKey::from_bytes(&[7; 32]));
        let key = Key::system("t").number(1).build();
        let sealed = seal(&keys, Bound::Row(&key), b"secret").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(value(&keys, &key, &changed), Err(StoreError::Corrupt(_))), "{bit}");
        }
        for len in 0..sealed.len() {
            assert!(matches!(value(&keys, &key, &sealed[..len]), Err(StoreError::Corrupt(_))));
        }
    }
}
