//! Foreign code whose panic is an error.

use std::{panic::AssertUnwindSafe, pin::pin};

use crate::{Error, ErrorKind, Result};

/// Runs foreign code that does not wait; its panic becomes an error.
pub(crate) fn caught_now<T>(what: &'static str, f: impl FnOnce() -> T) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(f)).map_err(|_text| panicked(what))
}

fn panicked(what: &str) -> Error {
    // The panic's own text may quote a payload: it stays with the panic hook.
    Error::new(ErrorKind::Unclassified, format!("{what} panicked"))
}

/// Runs foreign code; its panic becomes an error.
pub(crate) async fn caught<T>(
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
