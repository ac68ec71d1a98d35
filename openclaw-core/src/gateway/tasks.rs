//! Every task of a gateway, owned here until it ends or is aborted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;

/// The tasks of one gateway; none begins once they are stopped.
#[derive(Debug)]
pub(super) struct Tasks(Mutex<Option<JoinSet<()>>>);

impl Default for Tasks {
    fn default() -> Self {
        Self(Mutex::new(Some(JoinSet::new())))
    }
}

impl Tasks {
    /// Starts a task; ended ones are cleared away in passing. Behind the stop it is dropped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.lock();
        if let Some(set) = &mut *set {
            while set.try_join_next().is_some() {}
            set.spawn(task);
            return;
        }
        // What it holds may come back here when it is dropped.
        drop(set);
        drop(task);
    }

    /// Waits until every task has ended.
    pub(super) async fn ended(&self) {
        let set = self.lock().as_mut().map(std::mem::take);
        if let Some(mut set) = set {
            while set.join_next().await.is_some() {}
        }
    }

    /// Aborts every task and waits until none is left; no other begins.
    pub(super) async fn stop(&self) {
        // A task in the middle of a poll goes on to its end, and may ask for another one.
        let set = self.lock().take();
        if let Some(mut set) = set {
            set.shutdown().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<JoinSet<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn nothing_begins_behind_the_stop() {
        let (tasks, ran) = (Tasks::default(), Arc::new(AtomicBool::new(false)));
        tasks.stop().await;
        let here = Arc::clone(&ran);
        tasks.spawn(async move { here.store(true, Ordering::SeqCst) });
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!ran.load(Ordering::SeqCst), "a task began");
        assert_eq!(Arc::strong_count(&ran), 1, "a task is kept");
    }

    #[tokio::test]
    async fn tasks_go_on_behind_a_wait_for_others() {
        let (tasks, ran) = (Tasks::default(), Arc::new(AtomicBool::new(false)));
        tasks.ended().await;
        let here = Arc::clone(&ran);
        tasks.spawn(async move { here.store(true, Ordering::SeqCst) });
        tasks.ended().await;
        assert!(ran.load(Ordering::SeqCst), "no task began");
    }
}
