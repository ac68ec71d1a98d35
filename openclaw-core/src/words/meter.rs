//! What a call says it has spent.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Units that one call reports at most.
const UNITS: usize = 16;
/// The most that counts of one report.
const MOST: u64 = 1 << 50;

/// What the tries of one call have spent, by unit. Clones are the same meter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<Mutex<BTreeMap<Box<str>, u64>>>);

impl Meter {
    /// Adds to what was spent.
    pub(crate) fn add(&self, unit: &str, amount: u64) {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sum) = spent.get_mut(unit) {
            *sum = sum.saturating_add(amount).min(MOST);
        } else if spent.len() < UNITS {
            spent.insert(unit.into(), amount.min(MOST));
        }
    }

    /// What was said of this unit; `None` without a word.
    pub(crate) fn of(&self, unit: &str) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(unit).copied()
    }
}
