//! The laws of [`Disk`].

mod laws;
mod list;

use std::{fmt, future, sync::Arc};

use openclaw_core::store::Disk;

use super::{Law, Report, Verdict};

/// Makes the block devices that the laws try.
///
/// ```
/// use openclaw_core::store::Disk;
/// use openclaw_testkit::{conformance::disk::{DiskHarness, check_all}, disk::FaultDisk};
///
/// struct Faulty;
///
/// impl DiskHarness for Faulty {
///     fn fresh(&self) -> Box<dyn Disk> {
///         Box::new(FaultDisk::new())
///     }
/// }
///
/// assert_eq!(check_all(&Faulty).held.len(), 7);
/// ```
pub trait DiskHarness: Send + Sync {
    /// A new, empty device.
    fn fresh(&self) -> Box<dyn Disk>;

    /// The last device as it is after a power loss, when the harness can make one. What was
    /// not synced may be there or not, by chance, at each call anew.
    fn after_power_loss(&self) -> Option<Box<dyn Disk>> {
        None
    }

    /// Must time not be paused?
    fn real_time(&self) -> bool {
        true
    }
}

/// A block device under trial.
pub struct Trial<'a> {
    harness: &'a dyn DiskHarness,
    disk: Arc<dyn Disk>,
}

impl<'a> Trial<'a> {
    /// Puts a new device of this harness on trial.
    pub fn new(harness: &'a dyn DiskHarness) -> future::Ready<Self> {
        future::ready(Self { harness, disk: harness.fresh().into() })
    }

    fn missing(&self, need: Need) -> Option<&'static str> {
        let never = matches!(need, Need::PowerLoss) && self.harness.after_power_loss().is_none();
        never.then_some("a power loss")
    }
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trial({:?})", self.disk)
    }
}

/// What a law needs.
#[derive(Clone, Copy)]
enum Need {
    Nothing,
    PowerLoss,
}

crate::__disk_laws! { __law_table {
    /// Every law of a block device.
    DiskHarness, at_once
} }
