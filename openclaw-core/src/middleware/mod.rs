//! Tower layers that know whether a call may be repeated; one file a layer.
//!
//! Every layer reads requests and outcomes through one [`Policy`](crate::policy::Policy), and
//! answers by one [`Refusal`](crate::Refusal). State lives in the layer: all services that one
//! layer makes, and all their clones, share it. A layer is ready whenever it is asked; what it
//! refuses, it refuses as the answer to a call.
//!
//! The [`guide`] has the order of the layers, and what each does with each outcome. Ready-made
//! stacks are in [`stack`].

pub mod breaker;
mod by_hash;
#[cfg(test)]
mod checked;
mod concurrency;
mod fallback;
mod kit;
mod ledger;
mod lift;
mod queue;
mod rate_limit;
mod retry;
pub(crate) mod skill_stack;
pub mod stack;
mod ticks;
mod timeout;
mod trace;
mod validate;

pub(crate) use self::ledger::may_send;
pub use self::{
    concurrency::{Concurrency, ConcurrencyFuture, ConcurrencyLayer, ConcurrencySnapshot},
    fallback::{Fallback, FallbackFuture, FallbackLayer},
    ledger::{
        Approved, Json, Ledger, LedgerBuilder, LedgerFuture, LedgerLayer, LedgerSnapshot, Mark,
        MarkFuture, MarkLayer, Payload, Stored,
    },
    lift::{Judge, Lift, LiftFuture, LiftLayer, Unjudged},
    queue::{Job, JobId, RequestQueue, RequestQueueBuilder},
    rate_limit::{
        Direct, Meter, Numbers, PerKey, Quota, RateLimit, RateLimitFuture, RateLimitHandle,
        RateLimitLayer, RateLimitSnapshot,
    },
    retry::{
        Budget, DelaySource, Delays, GivenUp, Jitter, Retry, RetryFuture, RetryLayer, RetrySnapshot,
    },
    skill_stack::{SkillRun, SkillStack, SkillStackBuilder},
    ticks::Ticks,
    timeout::{Timeout, TimeoutFuture, TimeoutLayer},
    trace::{Trace, TraceFuture, TraceLayer},
    validate::{Validate, ValidateFuture, ValidateLayer},
};

#[doc = include_str!("guide.md")]
pub mod guide {}
