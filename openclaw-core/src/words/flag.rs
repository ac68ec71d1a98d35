//! A flag that is raised once, and tasks that wait for it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// One shared bit, so that a model checker can bring its own.
pub(crate) trait Bit: Default + Send + Sync + 'static {
    fn set(&self);
    fn get(&self) -> bool;
}

impl Bit for AtomicBool {
    fn set(&self) {
        self.store(true, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.load(Ordering::Acquire)
    }
}

/// A flag that is raised once. Whoever waits is woken in the order of waiting.
///
/// tokio's `watch` wakes its waiters in a random order, and a seeded run would not repeat.
#[derive(Debug, Default)]
pub(crate) struct Flag<B = AtomicBool> {
    up: B,
    raised: Notify,
}

impl<B: Bit> Flag<B> {
    pub(crate) fn raise(&self) {
        self.up.set();
        self.raised.notify_waiters();
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.get()
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
