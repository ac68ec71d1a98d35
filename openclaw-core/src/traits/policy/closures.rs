//! A policy made of two closures, for types that are nobody's here.

use super::{Assessment, Head, Policy};

/// A policy of two closures: what the request says, and what the outcome means.
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
    Closures { head, assess }
}

/// What [`policy`] makes.
#[derive(Clone, Copy)]
pub struct Closures<H, A> {
    head: H,
    assess: A,
}

impl<H, A> std::fmt::Debug for Closures<H, A> {
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
