//! What happened, in order: every commit, every verdict, every send.

use std::sync::{Arc, Mutex};

use openclaw_core::{
    Digest,
    store::{Op, Txn},
};

use super::Verdict;

/// One thing that the outside could see.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A commit that was applied, with its rows: key and value, no value for a delete.
    Commit { label: &'static str, rows: Vec<(Vec<u8>, Option<Vec<u8>>)> },
    /// A commit that lost a guard.
    Conflict { label: &'static str },
    /// A delivery got its verdict.
    Settled(Verdict),
    /// The platform took a post.
    Sent { key: String, text: String },
}

/// The events of a world. Clones are the same trace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Arc<Mutex<Vec<Event>>>);

impl Trace {
    pub(crate) fn push(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    /// Forgets everything so far.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// The labels of the applied commits, in order; a start's own are left out.
    pub(crate) fn commits(&self) -> Vec<&'static str> {
        self.rows().into_iter().map(|(label, _)| label).collect()
    }

    /// The labels of the applied commits with the number of their operations.
    pub(crate) fn rows(&self) -> Vec<(&'static str, usize)> {
        let events = self.events();
        let commits = events.iter().filter_map(|event| match event {
            Event::Commit { label, rows } if *label != "seize" => Some((*label, rows.len())),
            _ => None,
        });
        commits.collect()
    }

    /// One digest of everything.
    pub(crate) fn digest(&self) -> Digest {
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
}

/// The rows of a transaction: an append is shown by its prefix.
pub(super) fn rows_of(txn: &Txn) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let row = |op: &Op| match op {
        Op::Put { key, value, .. } => (key.as_bytes().to_vec(), Some(value.to_vec())),
        Op::Append { prefix, value, .. } => (prefix.as_bytes().to_vec(), Some(value.to_vec())),
        Op::Delete { key } | Op::Touch { key, .. } => (key.as_bytes().to_vec(), None),
        Op::Add { key, delta, .. } => (key.as_bytes().to_vec(), Some(delta.to_be_bytes().to_vec())),
    };
    txn.ops.iter().map(row).collect()
}
