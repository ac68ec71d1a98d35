//! The plug of one process: pulled, nothing of it reaches the store or the platform any more.

use std::{future::pending, sync::Arc};

use tokio::sync::watch;

/// The power of one run. Clones are the same plug.
#[derive(Clone, Debug)]
pub(crate) struct Power(Arc<watch::Sender<bool>>);

impl Power {
    pub(crate) fn on() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }

    pub(crate) fn cut(&self) {
        self.0.send_replace(false);
    }

    pub(crate) fn is_on(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the cut.
    pub(crate) async fn lost(&self) {
        self.0.subscribe().wait_for(|on| !on).await.unwrap();
    }

    /// Goes on while there is power, and never without.
    pub(crate) async fn gate(&self) {
        if !self.is_on() {
            pending::<()>().await;
        }
    }
}
