//! A flag that is raised once, and tasks that wait for it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A flag that is raised once. Whoever waits is woken in the order of waiting.
///
/// tokio's `watch` wakes its waiters in a random order, and a seeded run would not repeat.
#[derive(Debug, Default)]
pub(crate) struct Flag {
    up: AtomicBool,
    raised: Notify,
}

impl Flag {
    pub(crate) fn raise(&self) {
        self.up.store(true, Ordering::Release);
        self.raised.notify_waiters();
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Waits until it is raised.
    pub(crate) async fn wait(&self) {
        loop {
            // Registered before the look: a flag that is raised in between is not missed.
            let raised = self.raised.notified();
            if self.is_up() {
                return;
            }
            raised.await;
        }
    }
}
