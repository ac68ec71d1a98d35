//! What readers and the writer share: the engine and the store's time.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::guarded;
use crate::{Timestamp, traits::store::StoreError};

/// An engine and its time, behind one short lock.
///
/// A snapshot and its time are taken together, and time stands still for readers while a batch
/// is written at its own: else a reader could see a row expire that a batch with an earlier time
/// is about to touch, and the row would come back.
pub(in crate::store) struct View<D>(Mutex<State<D>>);

struct State<D> {
    engine: Engine<D>,
    time: Timestamp,
    writing: bool,
}

enum Engine<D> {
    Up(D),
    /// An error of its files made the engine give up; it is opened again with the next batch.
    Down(StoreError),
    Closed(String),
}

impl<D> View<D> {
    pub(in crate::store) const fn new(db: D, time: Timestamp) -> Self {
        Self(Mutex::new(State { engine: Engine::Up(db), time, writing: false }))
    }

    fn lock(&self) -> MutexGuard<'_, State<D>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot with its time.
    pub(in crate::store) fn read<R>(
        &self,
        now: Timestamp,
        snapshot: impl FnOnce(&D) -> Result<R, StoreError>,
    ) -> Result<(R, Timestamp), StoreError> {
        self.read_from(now, |db| Ok((snapshot(db)?, Timestamp::default())))
    }

    /// A snapshot that may know a later time than this process: others write too.
    pub(in crate::store) fn read_from<R>(
        &self,
        now: Timestamp,
        snapshot: impl FnOnce(&D) -> Result<(R, Timestamp), StoreError>,
    ) -> Result<(R, Timestamp), StoreError> {
        let mut state = self.lock();
        if !state.writing {
            state.time = state.time.max(now);
        }
        let (snapshot, known) = snapshot(state.engine.db()?)?;
        state.time = state.time.max(known);
        Ok((snapshot, state.time))
    }

    /// Begins a batch, whose time is the readers' until [`View::done`].
    pub(in crate::store) fn begin<W>(
        &self,
        now: Timestamp,
        transaction: impl FnOnce(&D) -> Result<W, StoreError>,
    ) -> Result<(W, Timestamp), StoreError> {
        let mut state = self.lock();
        let transaction = transaction(state.engine.db()?)?;
        state.time = state.time.max(now);
        state.writing = true;
        Ok((transaction, state.time))
    }

    /// Ends a batch: time goes on.
    pub(in crate::store) fn done(&self) {
        self.lock().writing = false;
    }

    /// Is an engine there, or was one put down for good?
    pub(in crate::store) fn is_down(&self) -> bool {
        matches!(self.lock().engine, Engine::Down(_))
    }

    /// Why it was closed for good, if it was.
    pub(in crate::store) fn closed(&self) -> Option<String> {
        match &self.lock().engine {
            Engine::Closed(why) => Some(why.clone()),
            Engine::Up(_) | Engine::Down(_) => None,
        }
    }

    /// Puts the engine down, so that its files can be opened again. What is closed stays closed.
    pub(in crate::store) fn put_down(&self, why: StoreError) {
        self.replace(Engine::Down(why));
    }

    /// Puts an opened engine up. What is closed stays closed.
    pub(in crate::store) fn put_up(&self, db: D) {
        self.replace(Engine::Up(db));
    }

    /// Closes for good. The first reason stays.
    pub(in crate::store) fn close(&self, why: &str) {
        self.replace(Engine::Closed(why.to_owned()));
    }

    fn replace(&self, engine: Engine<D>) {
        let mut state = self.lock();
        let closed = matches!(state.engine, Engine::Closed(_));
        let unused = if closed { engine } else { mem::replace(&mut state.engine, engine) };
        drop(state);
        // Closing an engine writes to its files: not under the lock. What it can't write any
        // more, the next opening makes up for.
        drop(guarded(|| drop(unused)));
    }
}

impl<D> Engine<D> {
    fn db(&self) -> Result<&D, StoreError> {
        match self {
            Self::Up(db) => Ok(db),
            Self::Down(why) => Err(why.clone()),
            Self::Closed(why) => Err(StoreError::Closed(why.clone())),
        }
    }
}
