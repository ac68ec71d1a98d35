//! Histories of many clients on one store, and whether some order of their calls explains them.
//!
//! Clients note each call as it begins and as it is answered. A history is *linearizable* when
//! its calls could have run one after the other, each at some moment between its beginning and
//! its answer, with exactly these answers. A commit without an answer may have run at any moment
//! behind its beginning, or never.
//!
//! Histories are of rows that were absent before, and a guard names only versions that a call of
//! the same history was answered. Appends and times to live are left out: laws of their own are
//! held for those.

mod search;
mod shown;
mod state;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use openclaw_core::store::{Commit, Entry, Guard, Key, Op, StoreError, Txn};

/// Notes what clients ask a store, and what they are answered. Clones note the same history.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), openclaw_core::store::StoreError> {
/// use openclaw_core::store::{Key, MemoryStore, Op, StateStore, Txn};
/// use openclaw_testkit::{env::test_env, history::Recorder};
///
/// let (store, recorder) = (MemoryStore::new(test_env(1).clock()), Recorder::default());
/// let key = Key::system("doc").text("x").build();
/// let put = Txn::new("doc").op(Op::put(key.clone(), "1"));
/// let call = recorder.commits(1, &put);
/// call.committed(&store.commit(put).await);
/// let call = recorder.reads(2, &[key.clone()]);
/// let stale = Ok(vec![None]);
/// call.read(&stale);
/// let anomaly = recorder.history().check().unwrap_err();
/// assert!(anomaly.to_string().contains("read a"), "{anomaly}");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    /// Counts beginnings and answers: the only time that a history knows.
    moment: u64,
    calls: Vec<Call>,
}

/// A call that has begun; dropped, nobody has heard its answer.
#[derive(Debug)]
#[must_use = "tell it the answer"]
pub struct Open {
    recorder: Recorder,
    at: usize,
}

/// What many clients asked and heard.
///
/// ```
/// use openclaw_testkit::history::Recorder;
///
/// assert!(Recorder::default().history().check().is_ok(), "nothing was asked");
/// ```
#[derive(Clone, Debug, Default)]
pub struct History(Vec<Call>);

/// A history that no order explains; its text shows the shortest part of it that fails.
#[derive(Clone, Debug)]
pub struct Anomaly {
    calls: Vec<Call>,
    /// The longest order that explains the answers of its calls.
    order: Vec<usize>,
    /// All orders were tried.
    sure: bool,
}

/// One call of one client.
#[derive(Clone, Debug)]
struct Call {
    client: u64,
    asked: Asked,
    heard: Heard,
    from: u64,
    /// `None`: its answer was never heard.
    to: Option<u64>,
}

#[derive(Clone, Debug)]
enum Asked {
    Commit(Txn),
    Read(Vec<Key>),
}

#[derive(Clone, Debug)]
enum Heard {
    /// Nothing: a commit may have been applied, or will be.
    Nothing,
    /// It was surely not done.
    Refused,
    Commit(Commit),
    Rows(Vec<Option<Entry>>),
}

impl Recorder {
    /// A client begins a commit.
    pub fn commits(&self, client: u64, txn: &Txn) -> Open {
        self.begin(client, Asked::Commit(txn.clone()))
    }

    /// A client begins to read these keys from one state.
    pub fn reads(&self, client: u64, keys: &[Key]) -> Open {
        self.begin(client, Asked::Read(keys.to_vec()))
    }

    /// What was noted so far.
    #[must_use]
    pub fn history(&self) -> History {
        History(self.notes().calls.clone())
    }

    fn begin(&self, client: u64, asked: Asked) -> Open {
        let mut notes = self.notes();
        notes.moment += 1;
        let from = notes.moment;
        notes.calls.push(Call { client, asked, heard: Heard::Nothing, from, to: None });
        Open { recorder: self.clone(), at: notes.calls.len() - 1 }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// The commit was answered.
    pub fn committed(self, outcome: &Result<Commit, StoreError>) {
        match outcome {
            Ok(commit) => self.end(Heard::Commit(commit.clone())),
            Err(StoreError::OutcomeUnknown(_)) => {}
            Err(_) => self.end(Heard::Refused),
        }
    }

    /// The read was answered.
    pub fn read(self, rows: &Result<Vec<Option<Entry>>, StoreError>) {
        self.end(rows.as_ref().map_or(Heard::Refused, |rows| Heard::Rows(rows.clone())));
    }

    fn end(self, heard: Heard) {
        let mut notes = self.recorder.notes();
        notes.moment += 1;
        let to = Some(notes.moment);
        if let Some(call) = notes.calls.get_mut(self.at) {
            (call.heard, call.to) = (heard, to);
        }
    }
}

impl History {
    /// How many calls there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Was nothing asked?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Looks for an order that explains every answer.
    ///
    /// Calls that share no key with others are looked at apart. At most 128 may share keys.
    ///
    /// # Errors
    /// There is none: an [`Anomaly`].
    pub fn check(&self) -> Result<(), Anomaly> {
        self.apart().into_iter().try_for_each(|calls| match search::order(&calls) {
            Ok(()) => Ok(()),
            Err(_) => Err(shortest(&calls)),
        })
    }

    /// The calls in groups that share no keys, without those that did nothing and say nothing.
    fn apart(&self) -> Vec<Vec<Call>> {
        let mut groups: Vec<(Vec<&Key>, Vec<Call>)> = Vec::new();
        for call in self.0.iter().filter(|call| call.counts()) {
            let (mut keys, mut calls) = (call.keys(), vec![call.clone()]);
            let touched = |group: &mut (Vec<&Key>, Vec<Call>)| {
                group.0.iter().any(|key| call.keys().contains(key))
            };
            for (others, theirs) in groups.extract_if(.., touched) {
                keys.extend(others);
                calls.extend(theirs);
            }
            keys.sort_unstable();
            keys.dedup();
            groups.push((keys, calls));
        }
        groups.into_iter().map(|(_, calls)| calls).collect()
    }
}

impl Call {
    /// Says it something about an order?
    const fn counts(&self) -> bool {
        !matches!(
            (&self.asked, &self.heard),
            (_, Heard::Refused) | (Asked::Read(_), Heard::Nothing)
        )
    }

    fn keys(&self) -> Vec<&Key> {
        match &self.asked {
            Asked::Read(keys) => keys.iter().collect(),
            Asked::Commit(txn) => {
                let ops = txn.ops.iter().filter_map(written);
                txn.guards.iter().map(Guard::key).chain(ops).collect()
            }
        }
    }

    /// The same call, as it looked at this moment.
    fn until(&self, moment: u64) -> Option<Self> {
        if self.from > moment {
            return None;
        }
        let open = || Self { heard: Heard::Nothing, to: None, ..self.clone() };
        Some(if self.to.is_some_and(|to| to <= moment) { self.clone() } else { open() })
            .filter(Self::counts)
    }
}

/// The row that an operation names.
const fn written(op: &Op) -> Option<&Key> {
    match op {
        Op::Put { key, .. } | Op::Delete { key } | Op::Add { key, .. } => Some(key),
        Op::Touch { .. } | Op::Append { .. } => None,
    }
}

/// The shortest beginning of these calls that no order explains.
fn shortest(calls: &[Call]) -> Anomaly {
    let mut ends: Vec<u64> = calls.iter().filter_map(|call| call.to).collect();
    ends.sort_unstable();
    let cut = |moment: u64| -> Vec<Call> {
        let mut calls: Vec<Call> = calls.iter().filter_map(|call| call.until(moment)).collect();
        calls.sort_by_key(|call| call.from);
        calls
    };
    // A beginning of what can be explained can be explained.
    let at = ends.partition_point(|end| search::order(&cut(*end)).is_ok());
    let calls = cut(ends.get(at).copied().unwrap_or(u64::MAX));
    match search::order(&calls) {
        Err(search::Stuck { order, sure }) => Anomaly { calls, order, sure },
        Ok(()) => Anomaly { calls, order: Vec::new(), sure: false },
    }
}

impl std::error::Error for Anomaly {}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown::show(self, f)
    }
}

/// The keys of these calls, each with a place.
fn places(calls: &[Call]) -> BTreeMap<&Key, usize> {
    let mut keys: Vec<&Key> = calls.iter().flat_map(Call::keys).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().zip(0..).collect()
}
