//! The ring of keys: the first seals, all of them open.

use std::fmt;

use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use zeroize::Zeroizing;

use crate::{Digest, Error, ErrorKind, Result, Secret};

/// Bytes of a key's id in the header of a sealed value.
pub(super) const ID_LEN: usize = 4;

/// What a key is called in headers: the beginning of a digest of its name.
pub(super) type KeyId = [u8; ID_LEN];

/// Thirty-two secret bytes that are wiped when dropped, and hidden from `Debug`.
///
/// Draw them from the machine's entropy, never from a passphrase: `openssl rand -hex 32`.
///
/// ```
/// use openclaw_core::{Secret, store::SealKey};
///
/// let key = SealKey::from_hex(&Secret::new("5e".repeat(32)))?;
/// assert_eq!(format!("{key:?}"), "SealKey(***)");
/// assert!(SealKey::from_hex(&Secret::new("too short")).is_err());
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; 32]>);

impl SealKey {
    /// A key of these bytes. The caller's copy is the caller's to wipe.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// A key written as 64 hexadecimal digits, as an environment or a vault holds it.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for anything else; the error does not tell what was there.
    pub fn from_hex(text: &Secret) -> Result<Self> {
        let digits = text.expose().trim().as_bytes();
        let mut key = Self(Zeroizing::default());
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != key.0.len() || !rest.is_empty() {
            return Err(not_hex());
        }
        for (byte, [high, low]) in key.0.iter_mut().zip(pairs) {
            let (high, low) = (nibble(*high), nibble(*low));
            *byte = high.zip(low).map(|(high, low)| high << 4 | low).ok_or_else(not_hex)?;
        }
        Ok(key)
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok())
}

fn not_hex() -> Error {
    Error::new(ErrorKind::ValidationError, "a sealing key has 64 hexadecimal digits: make one anew")
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(***)")
    }
}

/// A ring of named keys: the first seals, all of them open.
///
/// A key is turned by putting a new one in front; the old one stays until
/// [`SealedStore::reseal`](super::SealedStore::reseal) has been through every row. A name is no
/// secret and is never given to another key: headers refer to it.
///
/// ```
/// use openclaw_core::store::{Keys, SealKey};
///
/// let (old, new) = (SealKey::from_bytes(&[1; 32]), SealKey::from_bytes(&[2; 32]));
/// let keys = Keys::sealing("2026-11", &new).opening("2026-05", &old)?;
/// assert_eq!(format!("{keys:?}"), r#"Keys["2026-11", "2026-05"]"#);
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Keys {
    first: Named,
    old: Vec<Named>,
}

#[derive(Clone)]
pub(super) struct Named {
    pub(super) id: KeyId,
    name: String,
    /// Wipes its key when dropped.
    pub(super) cipher: XChaCha20Poly1305,
}

impl Named {
    fn new(name: String, key: &SealKey) -> Self {
        let digest = Digest::of("openclaw sealing key", [&name]);
        let [a, b, c, d, ..] = *digest.as_bytes();
        Self { id: [a, b, c, d], name, cipher: XChaCha20Poly1305::new((&*key.0).into()) }
    }
}

impl Keys {
    /// A ring of one key, which seals.
    #[must_use]
    pub fn sealing(name: impl Into<String>, key: &SealKey) -> Self {
        Self { first: Named::new(name.into(), key), old: Vec::new() }
    }

    /// Adds a key that only opens.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when the ring has a key of this name, or one whose id is the same by
    /// chance: choose another name.
    pub fn opening(mut self, name: impl Into<String>, key: &SealKey) -> Result<Self> {
        let named = Named::new(name.into(), key);
        if let Some(other) = self.find(named.id) {
            let said = format!(
                "the sealing keys {:?} and {:?} can't be told apart: choose another name",
                other.name, named.name
            );
            return Err(Error::new(ErrorKind::ValidationError, said));
        }
        self.old.push(named);
        Ok(self)
    }

    pub(super) const fn first(&self) -> &Named {
        &self.first
    }

    pub(super) fn find(&self, id: KeyId) -> Option<&Named> {
        self.all().find(|named| named.id == id)
    }

    fn all(&self) -> impl Iterator<Item = &Named> {
        std::iter::once(&self.first).chain(&self.old)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")?;
        f.debug_list().entries(self.all().map(|named| &named.name)).finish()
    }
}
