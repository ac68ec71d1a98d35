//! How rows and their expiries lie in an engine that knows only bytes.
//!
//! A row: version (be64), expiry (be64), value. Its expiry: expiry (be64), key.

use std::ops::Bound;

use bytes::Bytes;

use crate::{
    Timestamp,
    store::apply::Row,
    traits::store::{Entry, MAX_KEY_LEN, ScanQuery, StoreError, Version},
};

/// Version and expiry of a row.
pub(in crate::store) type Found = (Version, Timestamp);

/// Writes a row over what is in the buffer.
pub(in crate::store) fn encode<'a>(scratch: &'a mut Vec<u8>, row: &Row) -> &'a [u8] {
    scratch.clear();
    scratch.extend_from_slice(&row.version.get().to_be_bytes());
    scratch.extend_from_slice(&row.expires.as_millis().to_be_bytes());
    scratch.extend_from_slice(&row.value);
    scratch
}

/// The head of a stored row.
pub(in crate::store) fn head(row: &[u8]) -> Result<Found, StoreError> {
    split(row).map(|(head, _)| head)
}

/// A stored row.
pub(in crate::store) fn row(row: &[u8]) -> Result<Row, StoreError> {
    let ((version, expires), value) = split(row)?;
    Ok(Row { version, expires, value: Bytes::copy_from_slice(value) })
}

/// A stored row as readers see it; `None` when it has expired.
pub(in crate::store) fn live(bytes: &[u8], now: Timestamp) -> Result<Option<Entry>, StoreError> {
    let (_, expires) = head(bytes)?;
    if expires > now { Ok(Some(row(bytes)?.entry())) } else { Ok(None) }
}

/// Writes the key of an expiry over what is in the buffer.
pub(in crate::store) fn due_key<'a>(
    scratch: &'a mut Vec<u8>,
    at: Timestamp,
    key: &[u8],
) -> &'a [u8] {
    scratch.clear();
    scratch.extend_from_slice(&at.as_millis().to_be_bytes());
    scratch.extend_from_slice(key);
    scratch
}

/// When which row expires.
pub(in crate::store) fn due(index: &[u8]) -> Result<(Timestamp, &[u8]), StoreError> {
    let (at, key) = index.split_first_chunk().ok_or_else(short)?;
    Ok((Timestamp::from_millis(u64::from_be_bytes(*at)), key))
}

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The keys a query asks for; `None` when there can be none.
///
/// `end` is that of the query's prefix.
pub(in crate::store) fn range<'a>(
    query: &'a ScanQuery,
    end: Option<&'a [u8]>,
) -> Option<Bounds<'a>> {
    let start = within(query.prefix.as_bytes());
    let after = query.after.as_ref().map(|after| within(after.as_bytes()));
    let end = end.map(within);
    let low = match after {
        Some(after) if !query.reverse && after >= start => Bound::Excluded(after),
        _ => Bound::Included(start),
    };
    let high = match after.filter(|_| query.reverse) {
        Some(after) => Some(end.map_or(after, |end| end.min(after))),
        None => end,
    };
    let empty = matches!(
        (low, high),
        (Bound::Included(low) | Bound::Excluded(low), Some(high)) if low >= high
    );
    (!empty).then_some((low, high.map_or(Bound::Unbounded, Bound::Excluded)))
}

/// As much of a bound as any key is compared with: an engine may fall over a longer one.
fn within(bound: &[u8]) -> &[u8] {
    bound.get(..=MAX_KEY_LEN).unwrap_or(bound)
}

fn split(row: &[u8]) -> Result<(Found, &[u8]), StoreError> {
    let (version, rest) = row.split_first_chunk().ok_or_else(short)?;
    let (expires, value) = rest.split_first_chunk().ok_or_else(short)?;
    let version = Version::new(u64::from_be_bytes(*version));
    Ok(((version, Timestamp::from_millis(u64::from_be_bytes(*expires))), value))
}

fn short() -> StoreError {
    StoreError::Corrupt("a row is shorter than its header".to_owned())
}
