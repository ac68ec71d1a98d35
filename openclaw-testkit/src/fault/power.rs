//! The plug of one process: pulled, nothing of it reaches the outside any more.

use std::{future::pending, sync::Arc};

use tokio::sync::watch;

/// The power of one process. Clones are the same plug.
///
/// Cut, it never comes back: what passes its [`gate`](Self::gate) hangs for ever, as a dead
/// process would, and the test starts the next process on a new one.
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
pub struct Power(Arc<watch::Sender<bool>>);

impl Power {
    /// A plug that is in.
    #[must_use]
    pub fn on() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }

    /// Pulls the plug.
    pub fn cut(&self) {
        self.0.send_replace(false);
    }

    /// Is there power?
    #[must_use]
    pub fn is_on(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the cut.
    pub async fn lost(&self) {
        // It can't fail: the sender lives as long as this plug.
        drop(self.0.subscribe().wait_for(|on| !on).await);
    }

    /// Goes on while there is power, and never without.
    pub async fn gate(&self) {
        if !self.is_on() {
            pending::<()>().await;
        }
    }
}

impl Default for Power {
    fn default() -> Self {
        Self::on()
    }
}
