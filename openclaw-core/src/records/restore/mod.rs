//! A backup, put into an empty store; what was under way when it was taken is parked.

mod aside;
mod mark;

use std::{fmt, sync::Arc};

use self::mark::Mark;
use super::inventory::Inventory;
use crate::{
    Error, Timestamp,
    store::{
        BackupFile, BackupSummary, CopyError, CopyReport, SharedStore, StateStore, StoreCopy,
        StoreError,
    },
};

/// What becomes of messages that were not finished when the backup was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a host that restores has to know both")]
pub enum Unfinished {
    /// They are parked: a person looks at each, and replays or purges it.
    ///
    /// They may have gone on since. A gateway that ran them again would refund twice.
    #[default]
    Park,
    /// They go on as they were.
    ///
    /// Only right when no gateway has worked on the store since the backup: one that was drained
    /// before it, or never started again.
    Resume,
}

/// Puts a backup into an empty store.
///
/// A backup is older than the world. What was acknowledged behind it is not there, and what was
/// under way may have been finished meanwhile. So nothing runs by itself on what was restored:
///
/// | in the backup | becomes |
/// |---|---|
/// | a turn, suspended or not; a reply | a parked letter with this cause |
/// | a parked or dead letter | stays, with this cause added: it may have been replayed |
/// | an effect that was claimed or dispatched | `Unknown`: its class decides when it is asked for again |
/// | a job that was not finished | parked, to be decided |
/// | an approval that was not used | expired: it may have been used |
/// | a message for another replica | gone: it was not acknowledged yet, and its sender has it |
///
/// [`Unfinished::Resume`] leaves all of it as it was.
///
/// What the backup does not know of can't be marked. An effect that was first asked for behind it
/// has no record: a replay of its turn asks for it again. A message that was admitted behind it is
/// not known as a duplicate when it comes again. At remotes that honour keys, or can be asked,
/// both are harmless; for the others look at the remote before you replay.
///
/// Versions go on above those of the backup; rows live as long as they had left, by the wall clock.
/// A restore that is cut short is taken up by the next run with the same backup. Until it has come
/// to its end no gateway starts on the store.
///
/// ```
/// use openclaw_core::{Env, records::Restore, store::{Backup, BackupFile, Key, MemoryStore, Op, StateStore, StateStoreExt, Txn}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("monday.backup");
/// let clock = Env::system().clock();
/// let lost = MemoryStore::new(clock.clone());
/// let key = Key::system("doc").build();
/// lost.commit(Txn::new("docs").op(Op::put(key.clone(), "hello"))).await?;
/// Backup::new(lost).save(&path).await?;
///
/// let store = MemoryStore::new(clock.clone());
/// let restored = Restore::new(BackupFile::open(&path, clock)?, store.clone()).run().await?;
/// assert_eq!((restored.rows, restored.aside.messages), (1, 0));
/// assert!(store.get(&key).await?.is_some());
/// println!("{restored}");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `run`"]
pub struct Restore {
    summary: BackupSummary,
    from: SharedStore,
    to: SharedStore,
    unfinished: Unfinished,
}

/// What was restored.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Restored {
    /// The backup. Nothing behind its moment is there.
    pub backup: BackupSummary,
    /// Rows that were copied, by this run and those that it went on from.
    pub rows: u64,
    /// It went on where an earlier run had ended.
    pub resumed: bool,
    /// What this run took out of the way.
    pub aside: Aside,
    /// What is in the store now.
    pub inventory: Inventory,
}

/// What a restore took out of the way, so that nothing runs by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Aside {
    /// Messages that were not finished, now parked.
    pub messages: u64,
    /// Letters that lay there already, now with the cause added.
    pub letters: u64,
    /// Effects that were claimed or on their way, now in doubt.
    pub effects: u64,
    /// Jobs that were not finished, now parked.
    pub jobs: u64,
    /// Approvals that were not used, now expired.
    pub approvals: u64,
    /// Messages for another replica, not acknowledged then, now gone.
    pub relayed: u64,
    /// Rows that can't be read. They stay; a gateway may refuse to start on them.
    pub unreadable: u64,
}

/// Why a restore did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The rows could not be copied.
    #[error("the rows could not be restored: {0}")]
    Copy(#[from] CopyError),
    /// What was copied is not what is in the backup.
    #[error("{} rows differ from the backup: empty the store and restore anew", .0.differing)]
    Differs(Box<CopyReport>),
    /// The store holds an unfinished restore of another backup.
    #[error("the store holds an unfinished restore of the backup of {0}: finish that, or empty it")]
    Another(Timestamp),
    /// What was under way could not be parked. Run it again.
    #[error("what was under way could not be parked: {0}: run it again")]
    Aside(#[source] Error),
}

impl From<Error> for RestoreError {
    fn from(e: Error) -> Self {
        Self::Aside(e)
    }
}

impl From<StoreError> for RestoreError {
    fn from(e: StoreError) -> Self {
        Self::Aside(e.into())
    }
}

impl Restore {
    /// Puts this backup into this store, as the gateway will open it.
    pub fn new(file: BackupFile, to: impl StateStore) -> Self {
        let summary = file.summary().clone();
        let (from, to): (SharedStore, SharedStore) = (Arc::new(file), Arc::new(to));
        Self { summary, from, to, unfinished: Unfinished::default() }
    }

    /// Reads the backup through this wrapper around it.
    ///
    /// A backup of sealed rows is read through a `SealedStore` with their keys, and goes into one.
    pub fn read_through(mut self, from: impl StateStore) -> Self {
        self.from = Arc::new(from);
        self
    }

    /// Sets what becomes of messages that were not finished; they are parked unless it is set.
    pub const fn unfinished(mut self, unfinished: Unfinished) -> Self {
        self.unfinished = unfinished;
        self
    }

    /// Copies all rows, compares both sides, and parks what was under way.
    ///
    /// # Errors
    /// [`RestoreError`]; the store must be empty, or hold what an earlier run of the same restore
    /// left.
    pub async fn run(&self) -> Result<Restored, RestoreError> {
        let (mut rows, mut resumed) = (self.summary.rows, true);
        let mut mark = Mark::find(&self.to, &self.summary).await?;
        if mark.is_none() {
            let then = match self.unfinished {
                Unfinished::Park => Some(Mark::put(&self.summary)?),
                Unfinished::Resume => None,
            };
            let copy = StoreCopy::new(Arc::clone(&self.from), Arc::clone(&self.to));
            let report = copy.run_then(then).await?;
            if !report.is_exact() {
                return Err(RestoreError::Differs(Box::new(report)));
            }
            (rows, resumed) = (report.rows, report.resumed);
            mark = Mark::find(&self.to, &self.summary).await?;
        }
        let mut aside = Aside::default();
        if let Some(mark) = mark {
            aside = aside::put(&self.to, &self.summary, mark.version()).await?;
            mark.remove(&self.to).await?;
        }
        let inventory = Inventory::of(&self.to).await?;
        Ok(Restored { backup: self.summary.clone(), rows, resumed, aside, inventory })
    }
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backup, rows, aside, inventory, .. } = self;
        let age = inventory.as_of.since(backup.as_of).as_secs();
        writeln!(f, "restored {rows} rows from the backup of {}, {age} s old", backup.as_of)?;
        writeln!(f, "nothing that was acknowledged behind it is here")?;
        let Aside { messages, letters, effects, jobs, approvals, relayed, unreadable } = aside;
        for (n, what) in [
            (messages, "unfinished messages are parked: they may have gone on since"),
            (letters, "letters lay there already: they may have been replayed since"),
            (effects, "effects are in doubt: they may have happened since"),
            (jobs, "jobs are parked: they may have run since"),
            (approvals, "approvals have expired: they may have been used since"),
            (relayed, "messages for another replica are gone: their senders have them"),
            (unreadable, "ROWS CAN'T BE READ: no gateway may be able to work on them"),
        ] {
            if *n > 0 {
                writeln!(f, "  {n} {what}")?;
            }
        }
        write!(f, "{inventory}")
    }
}
