//! `Policy`: how every layer reads a request and what became of it.
//!
//! One policy serves the retry, the breaker, the limits and the ledger alike. [`ByHead`] reads
//! our own calls, [`ByStatus`] any HTTP service, [`policy`] is made of two closures.

mod advice;
mod assessment;
mod by_head;
mod by_status;
mod closures;
mod dated;
mod failure;
mod validator;

use std::time::Duration;

use tokio::time::Instant;

pub use self::{
    advice::{Advice, retry_after},
    assessment::Assessment,
    by_head::ByHead,
    by_status::{ByStatus, Exhausted, InDoubt},
    closures::{Closures, policy},
    dated::Dated,
    failure::{Failure, Fault},
    validator::{Validator, Violation},
};
use crate::Effect;

/// How a layer reads a request and what became of it.
///
/// The types of a policy are the service's: request, response and error. It is asked on every
/// call, so it is cheap, takes no lock and reads no payload.
///
/// * `head` and `assess` are pure: the same request, the same answer.
/// * `stamp` never widens a deadline, and `head` reads what it wrote.
/// * What `exhausted` returns is assessed as exhausted, where the type can hold that.
pub trait Policy<Req, Res, Err>: Clone + Send + Sync + 'static {
    /// What the request says of itself.
    fn head(&self, request: &Req) -> Head;

    /// What an outcome means. An `Ok` may be a failure: a status of 503, for one.
    fn assess(&self, outcome: Result<&Res, &Err>) -> Assessment;

    /// What the other side says of its own rate limit.
    fn advice(&self, outcome: Result<&Res, &Err>) -> Option<Advice> {
        let _ = outcome;
        None
    }

    /// Writes deadline and attempt into the request, where it has room for them.
    ///
    /// Where it has none, a total timeout still cuts the call off, but no layer inside knows.
    fn stamp(&self, request: Req, deadline: Option<Instant>, attempt: u32) -> Req {
        let _ = (deadline, attempt);
        request
    }

    /// Marks the attempts as spent: an outer retry must not multiply them.
    ///
    /// # Errors
    /// The outcome's own, marked.
    fn exhausted(&self, outcome: Result<Res, Err>) -> Result<Res, Err> {
        outcome
    }

    /// Marks that an earlier try of the same call may have happened.
    ///
    /// A later try that was refused does not undo it: who releases a claim has to know.
    ///
    /// # Errors
    /// The outcome's own, marked.
    fn in_doubt(&self, outcome: Result<Res, Err>) -> Result<Res, Err> {
        outcome
    }
}

/// The one that comes first, of two deadlines that need not be there.
fn nearer(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    [a, b].into_iter().flatten().min()
}

/// What a request says of itself, without its payload.
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::{Effect, policy::Head};
///
/// let keyed = Effect::Keyed { retention: Duration::from_secs(60) };
/// let head = Head::new(keyed).with_key();
/// assert!(head.may_repeat(Duration::from_secs(59)), "the remote still knows the key");
/// assert!(!head.may_repeat(Duration::from_secs(60)));
/// assert!(!Head::new(keyed).may_repeat(Duration::ZERO), "no key was sent");
/// assert!(!Head::new(Effect::Reconcilable).may_repeat(Duration::ZERO), "its owner is asked first");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// What the call may do to the world.
    pub effect: Effect,
    /// Does it carry an idempotency key?
    pub keyed: bool,
    /// Until when an answer is of use.
    pub deadline: Option<Instant>,
    /// The number of this attempt; the first is 1.
    pub attempt: u32,
}

impl Head {
    /// A first attempt, without key and deadline.
    #[must_use]
    pub const fn new(effect: Effect) -> Self {
        Self { effect, keyed: false, deadline: None, attempt: 1 }
    }

    /// Says that the request carries an idempotency key.
    #[must_use]
    pub const fn with_key(mut self) -> Self {
        self.keyed = true;
        self
    }

    /// Sets the deadline.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the number of this attempt.
    #[must_use]
    pub const fn at_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// May the call be made again, when a try this long ago may have happened?
    ///
    /// `Pure` and `AtLeastOnce` calls always; `Keyed` ones with a key while the remote
    /// remembers it; `Reconcilable` and `AtMostOnce` ones never.
    #[must_use]
    pub fn may_repeat(&self, since: Duration) -> bool {
        match self.effect {
            Effect::Pure | Effect::AtLeastOnce => true,
            Effect::Keyed { retention } => self.keyed && since < retention,
            Effect::Reconcilable | Effect::AtMostOnce => false,
        }
    }
}
