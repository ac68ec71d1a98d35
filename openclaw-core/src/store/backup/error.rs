//! Why there is no backup, or none that can be read.

use std::io;

use crate::traits::store::StoreError;

/// Why there is no backup, or none that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The store did not answer, or has no snapshots.
    #[error("the store that is backed up: {0}")]
    Store(#[from] StoreError),
    /// The store is itself a copy, or a restored one, that was not finished.
    #[error("the store is an unfinished copy: finish it first")]
    Unfinished,
    /// The bytes could not be written.
    #[error("the backup can't be written{}: {source}", at(place))]
    Write {
        /// The file; empty when the caller gave a writer.
        place: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file can't be read.
    #[error("the backup{} can't be read: {source}", at(place))]
    Read {
        /// The file; empty when the caller gave a reader.
        place: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is no backup, not a whole one, or was changed.
    #[error("the backup{} is damaged at byte {at}: {why}: take another one", self::at(place))]
    Damaged {
        /// The file; empty when the caller gave a reader.
        place: String,
        /// Where the block begins that is wrong.
        at: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It was written by a program that knows more.
    #[error(
        "the backup{} has the format {found}, this program knows {known}: use the program that wrote it",
        at(place)
    )]
    Format {
        /// The file; empty when the caller gave a reader.
        place: String,
        /// Its number.
        found: u16,
        /// The newest number that is known here.
        known: u16,
    },
}

fn at(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" {place}") }
}

impl BackupError {
    pub(super) const fn writing(source: io::Error) -> Self {
        Self::Write { place: String::new(), source }
    }

    /// The same error of this file.
    pub(super) fn in_place(mut self, file: &str) -> Self {
        if let Self::Write { place, .. }
        | Self::Read { place, .. }
        | Self::Damaged { place, .. }
        | Self::Format { place, .. } = &mut self
        {
            file.clone_into(place);
        }
        self
    }
}
