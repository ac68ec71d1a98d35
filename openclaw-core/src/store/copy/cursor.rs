//! How far a copy came: a system row in its destination.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::traits::store::{Key, Op, StoreError, Version};

/// The row that marks a destination as the copy's own.
pub(super) fn cursor_key() -> Key {
    Key::system("copy").text("cursor").build()
}

/// The row that marks a restored store in which messages under way are still to be dealt with.
pub(crate) fn restore_key() -> Key {
    Key::system("copy").text("restore").build()
}

/// While one of these rows is there, nobody may work on the store.
pub(crate) fn unfinished_marks() -> [Key; 2] {
    [cursor_key(), restore_key()]
}

/// The layout that this code reads and writes.
const FORMAT: u8 = 1;

/// What is in the row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The last row that was copied; none yet.
    pub(super) last: Option<Key>,
    /// The highest version among the rows that were copied.
    pub(super) highest: Version,
    /// Every row was copied.
    pub(super) done: bool,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u8,
    last: Option<Bytes>,
    highest: u64,
    done: bool,
}

impl Cursor {
    /// Goes behind this row.
    pub(super) fn take(&mut self, key: &Key, version: Version) {
        self.last = Some(key.clone());
        self.highest = self.highest.max(version);
    }

    pub(super) fn put(&self) -> Op {
        Op::put(cursor_key(), self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let last = self.last.as_ref().map(|key| Bytes::copy_from_slice(key.as_bytes()));
        let stored = Stored { format: FORMAT, last, highest: self.highest.get(), done: self.done };
        // Writing bytes and numbers into memory can't fail.
        postcard::to_stdvec(&stored).unwrap_or_default()
    }

    pub(super) fn decode(value: &[u8]) -> Result<Self, StoreError> {
        match postcard::from_bytes::<Stored>(value) {
            Ok(Stored { format: FORMAT, last, highest, done }) => {
                let last = last.map(Key::from_bytes);
                Ok(Self { last, highest: Version::new(highest), done })
            }
            _ => Err(StoreError::Corrupt(
                "the cursor of a copy can't be read: empty the destination and copy anew"
                    .to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_junk_does_not() {
        let mut cursor = Cursor::default();
        for done in [false, true] {
            cursor.done = done;
            assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
            cursor.take(&Key::from_bytes(vec![0xFF, 0, 7]), Version::new(5));
        }
        assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
        for junk in [&b""[..], b"\x02\0\0\0", b"text"] {
            assert!(matches!(Cursor::decode(junk), Err(StoreError::Corrupt(_))));
        }
    }
}
