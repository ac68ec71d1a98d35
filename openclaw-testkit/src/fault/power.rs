//! The plug of one process: pulled it is dead, half pulled it sleeps.

use std::{
    future::pending,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

/// The power of one process. Clones are the same plug.
///
/// Cut, it never comes back: what passes its [`gate`](Self::gate) hangs for ever, as a dead
/// process would, and the test starts the next process on a new one. Paused, as by `SIGSTOP`,
/// what passes the gate waits until it goes on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use openclaw_testkit::fault::Power;
///
/// let power = Power::on();
/// power.gate().await;
/// power.cut();
/// let gate = tokio::time::timeout(Duration::from_secs(3600), power.gate()).await;
/// assert!(gate.is_err(), "nothing gets past a cut");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Power(Arc<Plug>);

#[derive(Debug)]
struct Plug {
    state: Mutex<State>,
    /// Wakes in the order of waiting, so that a seeded run repeats.
    changed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    On,
    Paused,
    Cut,
}

impl Power {
    /// A plug that is in.
    #[must_use]
    pub fn on() -> Self {
        Self(Arc::new(Plug { state: Mutex::new(State::On), changed: Notify::new() }))
    }

    /// Pulls the plug: `kill -9`.
    pub fn cut(&self) {
        self.change(|_any| State::Cut);
    }

    /// Stops the process for a while: `SIGSTOP`. Nothing happens to one that is dead.
    pub fn pause(&self) {
        self.change(|state| if state == State::On { State::Paused } else { state });
    }

    /// Lets a paused process go on: `SIGCONT`.
    pub fn resume(&self) {
        self.change(|state| if state == State::Paused { State::On } else { state });
    }

    /// Does the process run?
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.state() == State::On
    }

    /// Is the process dead?
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.state() == State::Cut
    }

    /// Waits for the cut.
    pub async fn lost(&self) {
        self.until(|state| state == State::Cut).await;
    }

    /// Goes on while the process runs: not while it is paused, and never once it is dead.
    pub async fn gate(&self) {
        self.until(|state| state != State::Paused).await;
        if self.is_cut() {
            pending::<()>().await;
        }
    }

    /// Pulls the plug from inside: the caller never goes on.
    pub async fn die<T>(&self) -> T {
        self.cut();
        pending().await
    }

    fn state(&self) -> State {
        *self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(State) -> State) {
        {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            *state = change(*state);
        }
        self.0.changed.notify_waiters();
    }

    async fn until(&self, fits: impl Fn(State) -> bool) {
        loop {
            let changed = self.0.changed.notified();
            if fits(self.state()) {
                return;
            }
            changed.await;
        }
    }
}

impl Default for Power {
    fn default() -> Self {
        Self::on()
    }
}
