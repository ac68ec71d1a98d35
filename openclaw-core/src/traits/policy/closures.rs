//! A policy made of closures, for types that are nobody's here.

use tokio::time::Instant;

use super::{Assessment, Head, Policy, nearer};

/// A policy of two closures: what the request says, and what the outcome means.
///
/// It writes no deadline into the request: see [`Closures::with_stamp`].
///
/// ```
/// use openclaw_core::{Effect, ErrorKind, policy::{Assessment, Head, Policy, policy}};
///
/// // A service from a text to a number, where a negative number is a failure.
/// let by = policy(
///     |request: &String| Head::new(if request == "get" { Effect::Pure } else { Effect::AtMostOnce }),
///     |outcome: Result<&i32, &()>| match outcome {
///         Ok(0..) => Assessment::SUCCESS,
///         _ => Assessment::fault(ErrorKind::ServerError),
///     },
/// );
/// assert!(!by.assess(Ok(&-1)).is_success());
/// ```
pub const fn policy<H, A, Req, Res, Err>(head: H, assess: A) -> Closures<H, A>
where
    H: Fn(&Req) -> Head + Clone + Send + Sync + 'static,
    A: Fn(Result<&Res, &Err>) -> Assessment + Clone + Send + Sync + 'static,
{
    Closures { head, assess, stamp: () }
}

/// What [`policy`] makes.
#[derive(Clone, Copy)]
pub struct Closures<H, A, T = ()> {
    head: H,
    assess: A,
    stamp: T,
}

impl<H, A> Closures<H, A> {
    /// Writes deadline and attempt into the request by this closure; `head` has to read them.
    ///
    /// The deadline it gets is the nearer of the request's own and the new one. Without it a
    /// total timeout cuts a call off in the middle of a pause or a wait, for nobody inside knows
    /// the deadline. Where the request has no room for one, bound them by
    /// [`RetryLayer::within`](crate::middleware::RetryLayer::within) and
    /// [`RateLimitLayer::wait`](crate::middleware::RateLimitLayer::wait).
    ///
    /// ```
    /// use std::time::Duration;
    /// use openclaw_core::{Effect, ErrorKind, policy::{Assessment, Head, Policy, policy}};
    /// use tokio::time::Instant;
    ///
    /// struct Ask { until: Option<Instant>, attempt: u32 }
    ///
    /// let by = policy(
    ///     |ask: &Ask| {
    ///         let head = Head::new(Effect::Pure).at_attempt(ask.attempt);
    ///         ask.until.map_or(head, |until| head.with_deadline(until))
    ///     },
    ///     |outcome: Result<&i32, &()>| match outcome {
    ///         Ok(_) => Assessment::SUCCESS,
    ///         Err(()) => Assessment::fault(ErrorKind::Unavailable),
    ///     },
    /// )
    /// .with_stamp(|_: Ask, until, attempt| Ask { until, attempt });
    ///
    /// # fn head(by: &impl Policy<Ask, i32, ()>) {
    /// let (near, far) = (Instant::now(), Instant::now() + Duration::from_secs(60));
    /// let ask = by.stamp(Ask { until: Some(near), attempt: 1 }, Some(far), 2);
    /// let head = by.head(&ask);
    /// assert_eq!((head.deadline, head.attempt), (Some(near), 2));
    /// # }
    /// # head(&by);
    /// ```
    pub fn with_stamp<Req, T>(self, stamp: T) -> Closures<H, A, T>
    where
        T: Fn(Req, Option<Instant>, u32) -> Req + Clone + Send + Sync + 'static,
    {
        Closures { head: self.head, assess: self.assess, stamp }
    }
}

impl<H, A, T> std::fmt::Debug for Closures<H, A, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Closures")
    }
}

impl<H, A, Req, Res, Err> Policy<Req, Res, Err> for Closures<H, A>
where
    H: Fn(&Req) -> Head + Clone + Send + Sync + 'static,
    A: Fn(Result<&Res, &Err>) -> Assessment + Clone + Send + Sync + 'static,
{
    fn head(&self, request: &Req) -> Head {
        (self.head)(request)
    }

    fn assess(&self, outcome: Result<&Res, &Err>) -> Assessment {
        (self.assess)(outcome)
    }
}

impl<H, A, T, Req, Res, Err> Policy<Req, Res, Err> for Closures<H, A, T>
where
    H: Fn(&Req) -> Head + Clone + Send + Sync + 'static,
    A: Fn(Result<&Res, &Err>) -> Assessment + Clone + Send + Sync + 'static,
    T: Fn(Req, Option<Instant>, u32) -> Req + Clone + Send + Sync + 'static,
{
    fn head(&self, request: &Req) -> Head {
        (self.head)(request)
    }

    fn assess(&self, outcome: Result<&Res, &Err>) -> Assessment {
        (self.assess)(outcome)
    }

    fn stamp(&self, request: Req, deadline: Option<Instant>, attempt: u32) -> Req {
        let own = (self.head)(&request).deadline;
        (self.stamp)(request, nearer(own, deadline), attempt)
    }
}
