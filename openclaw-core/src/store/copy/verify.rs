//! Both sides read again, row beside row.

use std::{cmp::Ordering, collections::VecDeque, num::NonZeroUsize, time::Duration};

use sha2::{Digest as _, Sha256};

use super::{
    CopyError, CopyReport, Difference, Mismatch, Pages, StoreCopy, cursor::cursor_key, everything,
};
use crate::{
    Digest, Timestamp,
    traits::store::{Entry, Key, ScanQuery, StateStore, StoreError, Version},
};

/// Mismatches that a report lists.
const LISTED: usize = 32;

/// What a row may outlive its original by, beside the time the run took.
const GRACE: Duration = Duration::from_secs(5);

impl<A: StateStore, B: StateStore> StoreCopy<A, B> {
    /// Reads both sides in the order of their keys and compares them.
    pub(super) async fn verify(
        &self,
        began: Timestamp,
        page: NonZeroUsize,
    ) -> Result<CopyReport, CopyError> {
        let mut from = Side::new(&self.from, page);
        let mut to = Side::new(&self.to, page);
        let mut books = Books::new(began);
        loop {
            from.fill().await.map_err(CopyError::Source)?;
            to.fill().await.map_err(CopyError::Destination)?;
            let order = match (from.rows.front(), to.rows.front()) {
                (None, None) => return Ok(books.close()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((here, _)), Some((there, _))) => here.cmp(there),
            };
            match order {
                Ordering::Less => {
                    books.alone(from.take(), Difference::Missing, from.as_of, to.as_of);
                }
                Ordering::Greater => {
                    books.alone(to.take(), Difference::Extra, to.as_of, to.as_of);
                }
                Ordering::Equal => books.both(from.take(), to.take()),
            }
        }
    }
}

/// One side, page by page.
struct Side<'a, S> {
    store: &'a S,
    rows: VecDeque<(Key, Entry)>,
    last: Option<Key>,
    ended: bool,
    pages: Pages,
    as_of: Timestamp,
}

impl<'a, S: StateStore> Side<'a, S> {
    fn new(store: &'a S, page: NonZeroUsize) -> Self {
        let (rows, as_of) = (VecDeque::new(), Timestamp::default());
        Self { store, rows, last: None, ended: false, pages: Pages::new(page), as_of }
    }

    /// Reads on until there is a row, or no more.
    async fn fill(&mut self) -> Result<(), StoreError> {
        while self.rows.is_empty() && !self.ended {
            let query = ScanQuery::new(everything()).after(self.last.clone());
            let found = self.store.scan(query.limit(self.pages.limit())).await?;
            self.pages.learn(&found.value);
            self.as_of = found.as_of;
            self.last = found.value.rows.last().map(|(key, _)| key.clone());
            self.ended = !found.value.more || self.last.is_none();
            self.rows.extend(found.value.rows);
            self.rows.retain(|(key, _)| *key != cursor_key());
        }
        Ok(())
    }

    fn take(&mut self) -> Option<(Key, Entry)> {
        self.rows.pop_front()
    }
}

/// Counts and digests of both sides.
struct Books {
    began: Timestamp,
    rows: [u64; 2],
    digests: [Sha256; 2],
    mismatches: Vec<Mismatch>,
    differing: u64,
}

impl Books {
    fn new(began: Timestamp) -> Self {
        let digests = [Sha256::new(), Sha256::new()];
        Self { began, rows: [0; 2], digests, mismatches: Vec::new(), differing: 0 }
    }

    /// A row that only one side has.
    ///
    /// One that is about to expire may be gone on the other side already: the copy lives on for
    /// the moment that its page took.
    fn alone(
        &mut self,
        row: Option<(Key, Entry)>,
        difference: Difference,
        as_of: Timestamp,
        now: Timestamp,
    ) {
        let Some((key, entry)) = row else { return };
        let grace = now.since(self.began) + GRACE;
        if entry.expires_at.is_some_and(|at| at.since(as_of) <= grace) {
            return;
        }
        self.count(usize::from(difference == Difference::Extra), &key, &entry);
        self.differ(key, difference);
    }

    fn both(&mut self, here: Option<(Key, Entry)>, there: Option<(Key, Entry)>) {
        let (Some((key, here)), Some((_, there))) = (here, there) else { return };
        self.count(0, &key, &here);
        self.count(1, &key, &there);
        if here.value != there.value {
            self.differ(key, Difference::Value);
        } else if here.expires_at.is_some() != there.expires_at.is_some() {
            self.differ(key, Difference::Expiry);
        }
    }

    fn count(&mut self, side: usize, key: &Key, entry: &Entry) {
        let sides = self.rows.iter_mut().zip(&mut self.digests);
        for (rows, digest) in sides.skip(side).take(1) {
            *rows += 1;
            for part in [key.as_bytes(), &entry.value] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
    }

    fn differ(&mut self, key: Key, difference: Difference) {
        self.differing += 1;
        if self.mismatches.len() < LISTED {
            self.mismatches.push(Mismatch::new(key, difference));
        }
    }

    fn close(self) -> CopyReport {
        let [rows, rows_there] = self.rows;
        let [digest, digest_there] =
            self.digests.map(|digest| Digest::from_bytes(digest.finalize().into()));
        CopyReport {
            copied: 0,
            resumed: false,
            rows,
            rows_there,
            digest,
            digest_there,
            highest: Version::default(),
            mismatches: self.mismatches,
            differing: self.differing,
        }
    }
}
