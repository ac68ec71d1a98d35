//! What readers and the writer share: the engine and the store's time.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::fault::{fault, guarded};
use crate::{Timestamp, traits::store::StoreError};

/// The engine and the time, behind one short lock.
///
/// A snapshot and its time are taken together, and time stands still for readers while a batch
/// is written at its own: else a reader could see a row expire that a batch with an earlier time
/// is about to touch, and the row would come back.
pub(super) struct View(Mutex<State>);

struct State {
    engine: Engine,
    time: Timestamp,
    writing: bool,
}

enum Engine {
    Up(Database),
    /// An error of the file made redb give up; it is opened again with the next batch.
    Down(StoreError),
    Closed(String),
}

impl View {
    pub(super) const fn new(db: Database, time: Timestamp) -> Self {
        Self(Mutex::new(State { engine: Engine::Up(db), time, writing: false }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot with its time.
    pub(super) fn read(&self, now: Timestamp) -> Result<(ReadTransaction, Timestamp), StoreError> {
        let mut state = self.lock();
        if !state.writing {
            state.time = state.time.max(now);
        }
        let txn = state.engine.db()?.begin_read().map_err(fault)?;
        Ok((txn, state.time))
    }

    /// Begins a batch, whose time is the readers' until [`View::done`].
    pub(super) fn begin(
        &self,
        now: Timestamp,
    ) -> Result<(WriteTransaction, Timestamp), StoreError> {
        let mut state = self.lock();
        let txn = state.engine.db()?.begin_write().map_err(fault)?;
        state.time = state.time.max(now);
        state.writing = true;
        Ok((txn, state.time))
    }

    pub(super) fn done(&self) {
        self.lock().writing = false;
    }

    /// Is an engine there, or was one put down for good?
    pub(super) fn is_down(&self) -> bool {
        matches!(self.lock().engine, Engine::Down(_))
    }

    /// Puts the engine down, so that its file can be opened again.
    pub(super) fn put_down(&self, why: StoreError) {
        self.replace(Engine::Down(why));
    }

    pub(super) fn put_up(&self, db: Database) {
        self.replace(Engine::Up(db));
    }

    /// Closes for good. The first reason stays.
    pub(super) fn close(&self, why: &str) {
        if !matches!(self.lock().engine, Engine::Closed(_)) {
            self.replace(Engine::Closed(why.to_owned()));
        }
    }

    fn replace(&self, engine: Engine) {
        let before = mem::replace(&mut self.lock().engine, engine);
        // Closing a database writes to its file: not under the lock. What it can't write any
        // more, the next opening makes up for.
        drop(guarded(|| drop(before)));
    }
}

impl Engine {
    fn db(&self) -> Result<&Database, StoreError> {
        match self {
            Self::Up(db) => Ok(db),
            Self::Down(why) => Err(why.clone()),
            Self::Closed(why) => Err(StoreError::Closed(why.clone())),
        }
    }
}
