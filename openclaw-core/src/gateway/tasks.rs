//! Every task of a gateway, owned here until it ends or is aborted.

use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;

/// The tasks of one gateway.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    /// Starts a task; ended ones are cleared away in passing.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while set.try_join_next().is_some() {}
        set.spawn(task);
    }

    /// Waits until every task has ended.
    pub(super) async fn ended(&self) {
        let mut set = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        while set.join_next().await.is_some() {}
    }

    /// Aborts every task and waits until none is left.
    pub(super) async fn stop(&self) {
        let mut set = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        set.shutdown().await;
    }
}
