//! The plug of one process: pulled it is dead, half pulled it sleeps.

use std::{future::pending, sync::Arc};

use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    On,
    Paused,
    Off,
}

/// The plug of one process. Clones are the same plug.
#[derive(Clone, Debug)]
pub(super) struct Plug(Arc<watch::Sender<State>>);

impl Plug {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::On)))
    }

    /// `kill -9`: nothing of the process is heard of again.
    pub(super) fn pull(&self) {
        self.0.send_replace(State::Off);
    }

    /// `SIGSTOP`.
    pub(super) fn pause(&self) {
        self.0.send_if_modified(|state| {
            let on = *state == State::On;
            if on {
                *state = State::Paused;
            }
            on
        });
    }

    /// `SIGCONT`.
    pub(super) fn resume(&self) {
        self.0.send_if_modified(|state| {
            let paused = *state == State::Paused;
            if paused {
                *state = State::On;
            }
            paused
        });
    }

    pub(super) fn is_pulled(&self) -> bool {
        *self.0.borrow() == State::Off
    }

    /// Waits for the end.
    pub(super) async fn pulled(&self) {
        // The sender lives as long as this plug does.
        let mut states = self.0.subscribe();
        let _state = states.wait_for(|state| *state == State::Off).await;
    }

    /// Goes on while the process runs: not while it is paused, and never once it is dead.
    pub(super) async fn gate(&self) {
        if *self.0.borrow() == State::On {
            return;
        }
        {
            let mut states = self.0.subscribe();
            let _state = states.wait_for(|state| *state != State::Paused).await;
        }
        if self.is_pulled() {
            pending::<()>().await;
        }
    }

    /// Pulls the plug from inside: the caller never goes on.
    pub(super) async fn die<T>(&self) -> T {
        self.pull();
        pending().await
    }
}
