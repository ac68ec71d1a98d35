//! What its scans show.

use openclaw_core::store::{Key, Page, ScanQuery};

use super::{NaiveStore, Row, State};
use crate::flaws::Flaw;

impl NaiveStore {
    pub(super) fn page(&self, state: &State, query: &ScanQuery) -> Page {
        let prefix = self.name(query.prefix.as_bytes());
        let inside = |key: &[u8]| match self.flaw {
            Flaw::ScansHaveNoEnd => key >= &prefix[..],
            Flaw::ScansEndBehindThePrefix => {
                key >= &prefix[..] && key <= &[&prefix[..], b"\xfe"].concat()[..]
            }
            Flaw::PrefixesOfFfAreEmpty => key.starts_with(&prefix) && prefix.last() != Some(&0xFF),
            _ => key.starts_with(&prefix),
        };
        let seen = |row: &Row| self.is(Flaw::ExpiredAreScanned) || self.is_live(row, state.now);
        let mut rows: Vec<_> = state.rows.iter().filter(|(key, _)| inside(key)).collect();
        if self.is(Flaw::ScansAreByLength) {
            rows.sort_by_key(|(key, _)| key.len());
        }
        let reverse = query.reverse && !self.is(Flaw::ReverseIsIgnored);
        if reverse {
            rows.reverse();
        }
        if let Some(after) = &query.after {
            let after = self.name(after.as_bytes());
            match self.flaw {
                Flaw::CursorsAreIncluded if reverse => rows.retain(|(key, _)| **key <= after),
                Flaw::CursorsAreIncluded => rows.retain(|(key, _)| **key >= after),
                Flaw::CursorsNeedARow => {
                    let at = rows.iter().position(|(key, _)| **key == after);
                    drop(rows.drain(..at.map_or(0, |at| at + 1)));
                }
                Flaw::CursorsIgnoreTheDirection => rows.retain(|(key, _)| **key > after),
                _ if reverse => rows.retain(|(key, _)| **key < after),
                _ => rows.retain(|(key, _)| **key > after),
            }
        }
        let limit = query.limit.get();
        if self.is(Flaw::ExpiredFillPages) {
            let more = rows.len() > limit;
            rows.truncate(limit);
            rows.retain(|(_, row)| seen(row));
            return self.shown(&rows, more);
        }
        rows.retain(|(_, row)| seen(row));
        let more = rows.len() > limit && !self.is(Flaw::NothingEverFollows);
        rows.truncate(limit);
        self.shown(&rows, more)
    }

    fn shown(&self, rows: &[(&Vec<u8>, &Row)], more: bool) -> Page {
        let rows = rows.iter().map(|(key, row)| (Key::from_bytes((*key).clone()), self.entry(row)));
        Page::new(rows.collect(), more)
    }
}
