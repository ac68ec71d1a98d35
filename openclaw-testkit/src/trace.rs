//! What happened, in order: every commit, every verdict, every send.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_core::{
    Digest,
    store::{Op, Txn},
};

use crate::platform::Verdict;

/// One thing that the outside could see.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A commit that was applied.
    Commit {
        /// Its step.
        label: &'static str,
        /// Key and value of each operation; no value for a delete or a touch, the prefix for
        /// the key of an append, the difference for the value of an addition.
        rows: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    },
    /// A commit that lost a guard.
    Conflict {
        /// Its step.
        label: &'static str,
    },
    /// A delivery got its verdict.
    Settled(Verdict),
    /// The platform took a post.
    Sent {
        /// The idempotency key that it came with; empty when there was none.
        key: String,
        /// What it says.
        text: String,
    },
}

/// The events of a world, in order. Clones are the same trace.
///
/// ```
/// use openclaw_testkit::trace::{Event, Trace};
///
/// let (a, b) = (Trace::default(), Trace::default());
/// a.push(Event::Commit { label: "admit", rows: Vec::new() });
/// assert_eq!(a.commits(), ["admit"]);
/// assert_ne!(a.digest(), b.digest(), "the same digest means the same run");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Vec<Event>>>);

impl Trace {
    /// Adds an event.
    pub fn push(&self, event: Event) {
        self.lock().push(event);
    }

    /// Everything so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    /// Forgets everything so far.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The labels of the applied commits, in order; a start's own are left out.
    #[must_use]
    pub fn commits(&self) -> Vec<&'static str> {
        self.rows().into_iter().map(|(label, _)| label).collect()
    }

    /// The labels of the applied commits with the number of their operations.
    ///
    /// The commit that seizes a partition is left out: every start makes it.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, usize)> {
        let events = self.lock();
        let commits = events.iter().filter_map(|event| match event {
            Event::Commit { label, rows } if *label != "seize" => Some((*label, rows.len())),
            _ => None,
        });
        commits.collect()
    }

    /// One digest of everything.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for event in self.events() {
            match event {
                Event::Commit { label, rows } => {
                    parts.push(label.into());
                    for (key, value) in rows {
                        parts.push(key);
                        parts.push(value.unwrap_or_else(|| b"deleted".to_vec()));
                    }
                }
                Event::Conflict { label } => parts.push(format!("{label} lost").into()),
                Event::Settled(verdict) => parts.push(format!("{verdict:?}").into()),
                Event::Sent { key, text } => parts.extend([key.into(), text.into()]),
            }
        }
        Digest::of("trace", parts)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rows of a transaction: an append is shown by its prefix.
pub(crate) fn rows_of(txn: &Txn) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let row = |op: &Op| match op {
        Op::Put { key, value, .. } => (key.as_bytes().to_vec(), Some(value.to_vec())),
        Op::Append { prefix, value, .. } => (prefix.as_bytes().to_vec(), Some(value.to_vec())),
        Op::Delete { key } | Op::Touch { key, .. } => (key.as_bytes().to_vec(), None),
        Op::Add { key, delta, .. } => (key.as_bytes().to_vec(), Some(delta.to_be_bytes().to_vec())),
    };
    txn.ops.iter().map(row).collect()
}
