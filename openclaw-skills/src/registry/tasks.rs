//! The tasks of a registry, owned here until they end or are aborted.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;

/// The tasks of one registry. Those that are left when it is dropped are aborted.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    /// Starts a task; ended ones are cleared away in passing.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while set.try_join_next().is_some() {}
        set.spawn(task);
    }

    /// Waits until every task has ended, and aborts those that take longer. True: all ended.
    pub(super) async fn drain(&self, limit: Duration) -> bool {
        let mut set = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async { while set.join_next().await.is_some() {} };
        let ended = tokio::time::timeout(limit, ended).await.is_ok();
        set.shutdown().await;
        ended
    }
}
