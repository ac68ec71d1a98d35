//! Foreign code whose panic is an error.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{Error, ErrorKind, Result};

/// Runs foreign code that does not wait; its panic becomes an error.
pub(crate) fn caught_now<T>(what: &'static str, f: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|_text| panicked(what))
}

fn panicked(what: &str) -> Error {
    // The panic's own text may quote a payload: it stays with the panic hook.
    Error::new(ErrorKind::Unclassified, format!("{what} panicked"))
}

/// Runs foreign code; its panic becomes an error, also one of its destructors.
pub(crate) fn caught<T, F: Future<Output = Result<T>>>(what: &'static str, future: F) -> Caught<F> {
    Caught { what, future: Some(future) }
}

pin_project! {
    /// Foreign code that runs; dropped before its end, it panics as little.
    pub(crate) struct Caught<F> {
        what: &'static str,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Caught<F> {
        fn drop(this: Pin<&mut Self>) {
            // Given up in the middle, at a time limit for one: nobody asks for its outcome.
            let this = this.project();
            drop(dropped(this.what, this.future));
        }
    }
}

/// Drops what ran.
fn dropped<F>(what: &'static str, mut future: Pin<&mut Option<F>>) -> Result<()> {
    caught_now(what, || future.set(None))
}

impl<T, F: Future<Output = Result<T>>> Future for Caught<F> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let outcome = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => outcome,
            Err(_text) => Err(panicked(this.what)),
        };
        // An outcome that is there counts, whatever its code leaves behind.
        drop(dropped(this.what, this.future));
        Poll::Ready(outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use super::*;

    struct Breaks;

    impl Drop for Breaks {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("a destructor panics");
            }
        }
    }

    /// Leaves something behind that panics.
    struct Leaves(Breaks);

    impl Future for Leaves {
        type Output = Result<u32>;

        fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<u32>> {
            Poll::Ready(Ok(7))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_destructor_that_panics_breaks_nothing() {
        let slow = async {
            let _held = Breaks;
            pending::<Result<()>>().await
        };
        let ended = tokio::time::timeout(Duration::from_secs(1), caught("the code", slow)).await;
        assert!(ended.is_err(), "its time is over");

        assert_eq!(caught("the code", Leaves(Breaks)).await.unwrap(), 7);
    }
}
