//! Every task of a gateway, owned here until it ends or is aborted.

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Mutex, PoisonError},
};

use tokio::task::JoinSet;

use crate::{Error, ErrorKind, Result};

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

    /// Aborts every task and waits until none is left.
    pub(super) async fn stop(&self) {
        let mut set = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        set.shutdown().await;
    }
}

/// Runs foreign code that does not wait; its panic becomes an error.
pub(super) fn caught_now<T>(what: &'static str, f: impl FnOnce() -> T) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(f)).map_err(|_text| panicked(what))
}

fn panicked(what: &str) -> Error {
    // The panic's own text may quote a payload: it stays with the panic hook.
    Error::new(ErrorKind::Unclassified, format!("{what} panicked"))
}

/// Runs foreign code; its panic becomes an error.
pub(super) async fn caught<T>(
    what: &'static str,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        // The future is dropped after a panic and never polled again.
        std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)))
            .unwrap_or_else(|_text| std::task::Poll::Ready(Err(panicked(what))))
    })
    .await
}
