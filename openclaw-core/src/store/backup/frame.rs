//! The bytes of a backup: a head, then frames, each bound to all before it.
//!
//! Head: eight letters and a format number (be16). A frame: kind, length (be32), payload, and the
//! SHA-256 of the digest before it and of these. The first holds the moment, the last the counts;
//! between them are blocks of rows in the order of their keys. Nothing follows the last.

use std::io::{self, Read};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::BackupError;
use crate::{
    Digest, Timestamp,
    traits::store::{Entry, Key, Version},
};

/// How a backup begins.
pub(super) const MAGIC: &[u8; 8] = b"OCLWBKUP";

/// The layout that this code reads and writes.
pub(super) const FORMAT: u16 = 1;

/// Bytes of the head.
pub(super) const HEAD: u64 = 10;

/// Bytes of a frame beside its payload.
const AROUND: u64 = 1 + 4 + 32;

/// The largest payload: a block ends behind the row that fills it.
pub(super) const MOST: usize = 64 << 20;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Begin = 1,
    Rows = 2,
    End = 3,
}

impl Kind {
    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Begin),
            2 => Some(Self::Rows),
            3 => Some(Self::End),
            _ => None,
        }
    }
}

/// The first frame.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Begin {
    pub(super) as_of: u64,
    pub(super) version: u64,
}

/// The last frame.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) rows: u64,
    pub(super) blocks: u64,
}

/// A row in a block.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    key: Bytes,
    version: u64,
    expires: Option<u64>,
    value: Bytes,
}

/// A frame as it was read, and where.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) payload: Vec<u8>,
    /// Where it begins.
    pub(super) at: u64,
    /// What its digest was bound to.
    pub(super) before: Digest,
    pub(super) digest: Digest,
}

impl Frame {
    /// Where the next one begins.
    pub(super) const fn end(&self) -> u64 {
        self.at + self.payload.len() as u64 + AROUND
    }
}

/// What the first frame is bound to.
pub(super) fn head() -> (Vec<u8>, Digest) {
    let head = [&MAGIC[..], &FORMAT.to_be_bytes()].concat();
    let digest = Digest::of("openclaw.backup", [&head]);
    (head, digest)
}

/// The bytes of a frame, and its digest.
pub(super) fn encode(kind: Kind, payload: &[u8], before: &Digest) -> (Vec<u8>, Digest) {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(payload.len() + 37);
    bytes.push(kind as u8);
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(payload);
    let digest = chain(before, &bytes, b"");
    bytes.extend_from_slice(digest.as_bytes());
    (bytes, digest)
}

fn chain(before: &Digest, one: &[u8], two: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(before.as_bytes());
    hasher.update(one);
    hasher.update(two);
    Digest::from_bytes(hasher.finalize().into())
}

/// Reads the head.
pub(super) fn read_head(from: &mut impl Read) -> Result<Digest, BackupError> {
    let damaged = |why| BackupError::Damaged { place: String::new(), at: 0, why };
    let mut found = [0; 10];
    from.read_exact(&mut found).map_err(|e| short(e, 0))?;
    let [magic @ .., high, low] = found;
    if magic != *MAGIC {
        return Err(damaged("it does not begin like a backup"));
    }
    let found = u16::from_be_bytes([high, low]);
    if found != FORMAT {
        return Err(BackupError::Format { place: String::new(), found, known: FORMAT });
    }
    Ok(head().1)
}

/// Reads the frame that begins here.
pub(super) fn read(from: &mut impl Read, at: u64, before: Digest) -> Result<Frame, BackupError> {
    let damaged = |why| BackupError::Damaged { place: String::new(), at, why };
    let mut head = [0; 5];
    from.read_exact(&mut head).map_err(|e| short(e, at))?;
    let [kind, len @ ..] = head;
    let kind_of = Kind::of(kind).ok_or_else(|| damaged("no block begins there"))?;
    let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
    if len > MOST {
        return Err(damaged("its length is wrong"));
    }
    let mut payload = Vec::new();
    // Grows with what is there, whatever the length says.
    let whole = from.by_ref().take(len as u64).read_to_end(&mut payload);
    if whole.map_err(reading)? < len {
        return Err(damaged(CUT));
    }
    let mut digest = [0; 32];
    from.read_exact(&mut digest).map_err(|e| short(e, at))?;
    if chain(&before, &head, &payload) != Digest::from_bytes(digest) {
        return Err(damaged("its checksum does not fit"));
    }
    Ok(Frame { kind: kind_of, payload, at, before, digest: Digest::from_bytes(digest) })
}

const CUT: &str = "it is cut off";

fn short(e: io::Error, at: u64) -> BackupError {
    if e.kind() == io::ErrorKind::UnexpectedEof {
        return BackupError::Damaged { place: String::new(), at, why: CUT };
    }
    reading(e)
}

pub(super) const fn reading(source: io::Error) -> BackupError {
    BackupError::Read { place: String::new(), source }
}

/// Adds a row to a block.
pub(super) fn push(block: &mut Vec<u8>, key: &Key, row: &Entry) -> Result<(), BackupError> {
    let stored = Stored {
        key: Bytes::copy_from_slice(key.as_bytes()),
        version: row.version.get(),
        expires: row.expires_at.map(Timestamp::as_millis),
        value: row.value.clone(),
    };
    let full = std::mem::take(block);
    *block = postcard::to_extend(&stored, full)
        .map_err(|e| BackupError::writing(io::Error::other(e)))?;
    Ok(())
}

/// The rows of a block; `None` when they are none.
pub(super) fn rows(mut block: &[u8]) -> Option<Vec<(Key, Entry)>> {
    let mut rows = Vec::new();
    while !block.is_empty() {
        let (stored, rest) = postcard::take_from_bytes::<Stored>(block).ok()?;
        let expires = stored.expires.map(Timestamp::from_millis);
        let entry = Entry::new(stored.value, Version::new(stored.version)).expiring(expires);
        rows.push((Key::from_bytes(stored.key), entry));
        block = rest;
    }
    Some(rows)
}
