//! Opening the store of a life.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    Clock,
    store::{SharedStore, Store, StoreError},
};
use tokio::time::{Instant, sleep};

/// How long a process that was just killed may still hold its locks.
const RELEASE: Duration = Duration::from_secs(10);

/// Opens the store of a place, once nobody else has it.
pub(crate) async fn open(place: &str, clock: Arc<dyn Clock>) -> Result<SharedStore, StoreError> {
    let patience = Instant::now() + RELEASE;
    loop {
        match Store::open(place, Arc::clone(&clock)).await {
            Err(StoreError::Locked(_)) if Instant::now() < patience => {
                sleep(Duration::from_millis(5)).await;
            }
            opened => return opened,
        }
    }
}
