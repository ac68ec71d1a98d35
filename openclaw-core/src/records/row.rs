//! Rows as bytes: a format number, then the fields.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, ErrorKind, Happened, Result, words::scratch::scratch};

/// A record that knows its format number.
///
/// A changed field means a new number, and a reader that still knows the old one.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// Names the record in errors.
    const NAME: &'static str;
    /// The number that its rows start with.
    const FORMAT: u8;

    /// The row's bytes.
    fn encode(&self) -> Result<Bytes> {
        written::<Self>(|mut bytes| {
            bytes.push(Self::FORMAT);
            postcard::to_extend(self, bytes)
        })
    }

    /// Reads the fields.
    fn fields(bytes: &[u8]) -> postcard::Result<Self> {
        postcard::from_bytes(bytes)
    }

    /// Reads the fields of an older format; `None` for a number that was never used.
    fn decode_old(_format: u8, _fields: &[u8]) -> Option<postcard::Result<Self>> {
        None
    }

    /// Reads a row.
    fn decode(bytes: &[u8]) -> Result<Self> {
        let Some((&format, fields)) = bytes.split_first() else {
            return Err(damaged(Self::NAME, "is empty"));
        };
        let read = if format == Self::FORMAT {
            Some(Self::fields(fields))
        } else {
            Self::decode_old(format, fields)
        };
        let unknown = || {
            damaged(Self::NAME, "has a format this program does not know")
                .with("format", format)
                .with("known", Self::FORMAT)
        };
        read.ok_or_else(unknown)?.map_err(|e| damaged(Self::NAME, "is damaged").with_source(e))
    }
}

/// The bytes of a row that `write` adds to an empty buffer.
pub(crate) fn written<R: Row>(
    write: impl FnOnce(Vec<u8>) -> postcard::Result<Vec<u8>>,
) -> Result<Bytes> {
    scratch(|buffer| {
        *buffer = write(std::mem::take(buffer)).map_err(|e| {
            // What can't be written now can't be written later.
            let why = format!("a row of {} can't be written", R::NAME);
            Error::new(ErrorKind::ValidationError, why).with_happened(Happened::No).with_source(e)
        })?;
        Ok(Bytes::copy_from_slice(buffer))
    })
}

fn damaged(name: &'static str, what: &str) -> Error {
    Error::new(ErrorKind::ServerError, format!("a row of {name} {what}"))
        .with_happened(Happened::No)
}
