//! Looks after a limit from outside, whatever its types are.

use std::{fmt, sync::Arc, time::Duration};

use super::{Numbers, Quota, RateLimitSnapshot, Shared};
use crate::policy::Advice;

/// Looks after a limit, without the types of its layer.
///
/// It is cheap to clone, and waits for nothing.
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::middleware::{Quota, RateLimitLayer};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let layer = RateLimitLayer::new("crm", Quota::PER_KEY);
/// let handle = layer.handle();
/// handle.set_quota(Some(Quota::PER_IP));
/// handle.block(Duration::from_secs(5));
/// assert_eq!(layer.peek(&()), Duration::from_secs(5));
/// assert_eq!(handle.snapshot().refused, 0);
/// # }
/// ```
#[derive(Clone)]
pub struct RateLimitHandle(Arc<dyn Control>);

trait Control: Send + Sync {
    fn set_quota(&self, quota: Option<Quota>);
    fn set_max_wait(&self, max: Duration);
    fn set_learning(&self, learns: bool, longest: Duration);
    fn block(&self, span: Duration);
    fn snapshot(&self) -> RateLimitSnapshot;
}

impl<M: Numbers> Control for Shared<M> {
    fn set_quota(&self, quota: Option<Quota>) {
        self.set_quota(quota);
    }

    fn set_max_wait(&self, max: Duration) {
        self.set_max_wait(max);
    }

    fn set_learning(&self, learns: bool, longest: Duration) {
        self.set_learning(learns, longest);
    }

    fn block(&self, span: Duration) {
        self.tighten_all(Advice::new(0, span));
    }

    fn snapshot(&self) -> RateLimitSnapshot {
        self.snapshot()
    }
}

impl RateLimitHandle {
    pub(super) fn new<M: Numbers>(shared: Arc<Shared<M>>) -> Self {
        Self(shared)
    }

    /// Changes the quota from now on; `None` is no limit, and forgets what was used up.
    ///
    /// Calls that were made count under the next quota, too, and come back at its pace; no more
    /// are missing than it allows at once. Calls that wait keep their places, and silence that
    /// the other side has asked for ends when it would have.
    pub fn set_quota(&self, quota: Option<Quota>) {
        self.0.set_quota(quota);
    }

    /// Changes the longest wait of calls that come from now on.
    pub fn set_max_wait(&self, max: Duration) {
        self.0.set_max_wait(max);
    }

    /// Changes whether advice counts, and for how long at most.
    pub fn set_learning(&self, learns: bool, longest: Duration) {
        self.0.set_learning(learns, longest);
    }

    /// Lets nothing pass for this long, as far as the longest block goes.
    ///
    /// With keys: those that are on hand, and those that find no room.
    pub fn block(&self, span: Duration) {
        self.0.block(span);
    }

    /// How it is doing.
    #[must_use]
    pub fn snapshot(&self) -> RateLimitSnapshot {
        self.0.snapshot()
    }
}

impl fmt::Debug for RateLimitHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitHandle").field("snapshot", &self.snapshot()).finish()
    }
}
