//! A service with one seat, taken by whoever is ready.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use openclaw_core::{Call, Error};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tower::Service;

/// Takes the only seat when it is asked for readiness, as tower's concurrency limit does.
pub(super) struct Seat {
    pub(super) seats: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Seat {
    pub(super) fn new() -> Self {
        Self { seats: Arc::new(Semaphore::new(1)), held: None }
    }
}

impl Clone for Seat {
    fn clone(&self) -> Self {
        Self { seats: Arc::clone(&self.seats), held: None }
    }
}

impl Service<Call<u32>> for Seat {
    type Response = Instant;
    type Error = Error;
    type Future = std::future::Ready<Result<Instant, Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.held.is_none() {
            let waits = pin!(Arc::clone(&self.seats).acquire_owned());
            // The waiter is gone with its future: ask again soon.
            cx.waker().wake_by_ref();
            let Poll::Ready(seat) = waits.poll(cx) else { return Poll::Pending };
            self.held = seat.ok();
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call<u32>) -> Self::Future {
        assert!(self.held.take().is_some(), "called without its seat");
        std::future::ready(Ok(Instant::now()))
    }
}
