//! Marks: which situations a run went through, and how often.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts of situations, by name. Clones are the same counts.
///
/// A simulation that never meets a situation proves nothing about it: the counts are printed,
/// and a mark without a hit is a hole in the workload.
#[derive(Clone, Debug, Default)]
pub struct Marks(Arc<Mutex<BTreeMap<&'static str, u64>>>);

/// The rows of the crash matrix.
pub(super) mod row {
    pub(crate) const C0: &str = "C0 died before the message was stored";
    pub(crate) const C1: &str = "C1 an effect was claimed and not sent";
    pub(crate) const C2: &str = "C2 died before the effect";
    pub(crate) const C3: &str = "C3 died between effect and receipt";
    pub(crate) const C4: &str = "C4 an effect was answered from its record";
    pub(crate) const C5: &str = "C5 died between turn and reply";
    pub(crate) const C6: &str = "C6 a process that was taken over went on";
    pub(crate) const C7: &str = "C7 a commit's outcome was unknown";
    pub(crate) const C8: &str = "C8 a crash lost commits that were not answered";
    pub(crate) const C9: &str = "C9 an id came with another message";
    pub(crate) const C10: &str = "C10 a duplicate came while its message was in flight";
    pub(crate) const C11: &str = "C11 the clock jumped between two lives";
    pub(crate) const C12: &str = "C12 a keyed effect was in doubt beyond its retention";
    pub(crate) const C13: &str = "C13 an agent asked for something else";

    /// Every row, in order.
    pub(crate) const ALL: [&str; 14] = [C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13];
}

/// Situations of a gateway's life.
pub(super) mod life {
    pub(crate) const TAKEN_OVER: &str = "a store was taken over from a living process";
    pub(crate) const FENCED: &str = "a commit of a process that was taken over was refused";
    pub(crate) const STARTED_IN_VAIN: &str = "a start failed";
    pub(crate) const DRAINED: &str = "a drain finished";
    pub(crate) const CUT_SHORT: &str = "a drain left work behind";
    pub(crate) const REFUSED: &str = "a message was refused for good";
    pub(crate) const RETRIED: &str = "a message was told to come again";
    pub(crate) const PARKED: &str = "a message was parked";
    pub(crate) const DEAD: &str = "a message became a dead letter";
    pub(crate) const REPLAYED: &str = "a letter was replayed";
    pub(crate) const PURGED: &str = "a letter was purged";
    pub(crate) const DECIDED: &str = "a person decided a parked effect";
    pub(crate) const RESOLVED: &str = "a suspended turn went on";
    pub(crate) const DEFERRED: &str = "a reply waited in the store";
    pub(crate) const RECONCILED: &str = "an effect was reconciled";
    pub(crate) const APPROVED: &str = "an approval was consumed";
    pub(crate) const UNAPPROVED: &str = "a call without a valid approval was refused";
    pub(crate) const GRANTED: &str = "enough people said yes to what a turn waits for";
    pub(crate) const DENIED: &str = "a person said no to what a turn waits for";
    pub(crate) const LAPSED: &str = "nobody decided in time about what a turn waits for";
    pub(crate) const SPENT: &str = "a call was refused because its tenant's budget was spent";
    pub(crate) const SPENT_AGENT: &str = "a call was refused because its agent's budget was spent";
    pub(crate) const SPENT_SESSION: &str =
        "a call was refused because its session's budget was spent";
    pub(crate) const SPENT_RUN: &str = "a call was refused because its run's budget was spent";
    pub(crate) const HINTED: &str = "a hint became a reply";
    pub(crate) const SPLIT: &str = "a reply had several parts";

    /// Every situation, in order.
    pub(crate) const ALL: [&str; 26] = [
        TAKEN_OVER,
        FENCED,
        STARTED_IN_VAIN,
        DRAINED,
        CUT_SHORT,
        REFUSED,
        RETRIED,
        PARKED,
        DEAD,
        REPLAYED,
        PURGED,
        DECIDED,
        RESOLVED,
        DEFERRED,
        RECONCILED,
        APPROVED,
        UNAPPROVED,
        GRANTED,
        DENIED,
        LAPSED,
        SPENT,
        SPENT_AGENT,
        SPENT_SESSION,
        SPENT_RUN,
        HINTED,
        SPLIT,
    ];
}

/// Situations of skills in two versions.
pub(super) mod tried {
    pub(crate) const MET: &str = "a new call met a second version";
    pub(crate) const COUNTED: &str = "a canary was rolled back for its failures";
    pub(crate) const BY_HAND: &str = "an operator rolled a canary back";
    pub(crate) const DIED: &str = "died at the commit of a rollout";
    pub(crate) const FOUND: &str = "a start found a canary that was rolled back";
    pub(crate) const GOES_ON: &str = "an effect went on with a version that no new call meets";
    pub(crate) const GONE: &str = "an effect was found whose version was not there";
    pub(crate) const SHADOWED: &str = "a shadow ran";

    /// Every situation, in order.
    pub(crate) const ALL: [&str; 8] = [MET, COUNTED, BY_HAND, DIED, FOUND, GOES_ON, GONE, SHADOWED];
}

impl Marks {
    /// Every mark that a campaign of the standard workload has to hit.
    #[must_use]
    pub fn expected() -> Vec<&'static str> {
        let faults = super::Fault::ALL.iter().map(|fault| fault.name());
        row::ALL.into_iter().chain(life::ALL).chain(faults).collect()
    }

    /// The marks that come to these where runs have [versions](super::Sim::versions).
    #[must_use]
    pub fn of_versions() -> Vec<&'static str> {
        tried::ALL.into()
    }

    /// Counts a situation.
    pub fn hit(&self, mark: &'static str) {
        *self.counts().entry(mark).or_default() += 1;
    }

    /// Adds the counts of another run.
    pub fn add(&self, other: &Self) {
        if Arc::ptr_eq(&self.0, &other.0) {
            return;
        }
        let others = other.all();
        let mut counts = self.counts();
        for (mark, n) in others {
            *counts.entry(mark).or_default() += n;
        }
    }

    /// How often this one was met.
    #[must_use]
    pub fn count(&self, mark: &str) -> u64 {
        self.counts().get(mark).copied().unwrap_or_default()
    }

    /// Every mark that was met, with its count.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, u64> {
        self.counts().clone()
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
