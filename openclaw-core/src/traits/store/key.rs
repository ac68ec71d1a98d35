//! Keys whose parts can't run into each other.

use std::fmt;

use bytes::Bytes;

use crate::{MessageId, TenantId, Timestamp, words::scratch};

/// The longest key, in bytes.
pub const MAX_KEY_LEN: usize = 480;

/// A row's name: tenant first, then the table, then length-delimited parts.
///
/// System rows (leases, indexes) have no tenant and hold no data of one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

/// The first bytes of some keys: what a scan or an append names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Bytes);

impl Key {
    /// Starts the key of a tenant's row.
    ///
    /// ```
    /// use openclaw_core::{TenantId, store::Key};
    ///
    /// let (a, b) = (TenantId::new("a")?, TenantId::new("a/b")?);
    /// let one = Key::of(&a, "se").text("b/c").build();
    /// let two = Key::of(&b, "se").text("c").build();
    /// assert_ne!(one, two, "no separator in a name can move a border");
    /// # Ok::<(), openclaw_core::InvalidId>(())
    /// ```
    pub fn of(tenant: &TenantId, table: &'static str) -> KeyBuilder {
        KeyBuilder::start(tenant.as_str(), table)
    }

    /// What all keys of a tenant begin with, and no others.
    ///
    /// ```
    /// use openclaw_core::{TenantId, store::Key};
    ///
    /// let (a, longer) = (TenantId::new("a")?, TenantId::new("ab")?);
    /// let all = Key::all_of(&a);
    /// assert!(Key::of(&a, "se").build().behind(&all).is_some());
    /// assert!(Key::of(&longer, "se").build().behind(&all).is_none());
    /// # Ok::<(), openclaw_core::InvalidId>(())
    /// ```
    #[must_use]
    pub fn all_of(tenant: &TenantId) -> Prefix {
        KeyBuilder(scratch::take()).text(tenant.as_str()).prefix()
    }

    /// Starts the key of a system row: no tenant's data.
    pub fn system(table: &'static str) -> KeyBuilder {
        KeyBuilder::start("", table)
    }

    /// A key from bytes that a store read back.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, in which keys sort.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, shared.
    pub(crate) fn shared(&self) -> Bytes {
        self.0.clone()
    }

    /// The table it names: its second part. `None` when it is not built of parts.
    #[cfg(feature = "sealed")]
    pub(crate) fn table(&self) -> Option<&str> {
        self.parts().map(|(_, table, _)| table)
    }

    /// Tenant (empty in a system row), table, and what stands behind them.
    ///
    /// `None` when it is not built of parts.
    pub(crate) fn parts(&self) -> Option<(&str, &str, &[u8])> {
        let (tenant, behind) = first_part(&self.0)?;
        let (table, rest) = first_part(behind)?;
        Some((tenant, table, rest))
    }

    /// What stands behind this prefix; `None` when the key does not start with it.
    #[must_use]
    pub fn behind(&self, prefix: &Prefix) -> Option<&[u8]> {
        self.0.strip_prefix(prefix.as_bytes())
    }
}

impl Prefix {
    /// A prefix from bytes.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The smallest bytes behind every key of this prefix; `None` when there are none.
    #[must_use]
    pub fn end(&self) -> Option<Vec<u8>> {
        let mut end = self.0.to_vec();
        while let Some(last) = end.pop() {
            if let Some(next) = last.checked_add(1) {
                end.push(next);
                return Some(end);
            }
        }
        None
    }

    /// The key that an append with this version and place in the transaction gets.
    #[must_use]
    pub fn appended(&self, version: super::Version, place: u16) -> Key {
        let mut bytes = Vec::with_capacity(self.0.len() + 10);
        bytes.extend_from_slice(&self.0);
        bytes.extend_from_slice(&version.get().to_be_bytes());
        bytes.extend_from_slice(&place.to_be_bytes());
        Key(bytes.into())
    }
}

/// Builds a [`Key`] or a [`Prefix`] part by part.
#[derive(Clone, Debug)]
#[must_use = "end it with `build` or `prefix`"]
pub struct KeyBuilder(Vec<u8>);

impl KeyBuilder {
    fn start(tenant: &str, table: &str) -> Self {
        Self(scratch::take()).text(tenant).text(table)
    }

    /// A part of any text: its length in two bytes, then its bytes.
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// A part of any bytes: their length in two bytes, then the bytes.
    ///
    /// A part over 65,535 bytes is cut: such a key is over every store's limit anyway.
    pub fn bytes(mut self, part: &[u8]) -> Self {
        let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(part);
        self
    }

    /// A number of fixed width: keys sort by it.
    pub fn number(mut self, n: u64) -> Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    /// A date of fixed width: keys sort by it.
    pub fn time(self, at: Timestamp) -> Self {
        self.number(at.as_millis())
    }

    /// A message id of fixed width: keys sort by it.
    pub fn id(mut self, id: MessageId) -> Self {
        self.0.extend_from_slice(&id.to_bytes());
        self
    }

    /// The key.
    #[must_use]
    pub fn build(self) -> Key {
        Key(self.bytes_of_its_own())
    }

    /// The prefix of all keys that go on from here.
    #[must_use]
    pub fn prefix(self) -> Prefix {
        Prefix(self.bytes_of_its_own())
    }

    /// The bytes and no more: stores keep keys for long.
    fn bytes_of_its_own(self) -> Bytes {
        let bytes = Bytes::copy_from_slice(&self.0);
        scratch::give_back(self.0);
        bytes
    }
}

/// The first part as text, and what stands behind it.
fn first_part(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (part, behind) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
    Some((std::str::from_utf8(part).ok()?, behind))
}

fn show(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}", bytes.escape_ascii())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.0, f)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.0, f)?;
        f.write_str("…")
    }
}
