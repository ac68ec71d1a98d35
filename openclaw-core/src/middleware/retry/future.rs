//! One call with its tries.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::{
    Shared, Spare,
    decide::{Decision, Tried, decide, is_safe},
    delays::Pauses,
    snapshot::Why,
};
use crate::{
    Effect, Happened,
    policy::{Assessment, Head, Policy},
};

pin_project! {
    /// The answer to come of a [`Retry`](super::Retry).
    pub struct RetryFuture<S, P, Req>
    where
        S: Service<Req>,
    {
        // Each later try is made on a clone of its own.
        of: Arc<Spare<S>>,
        policy: P,
        // The request for the next try; none behind the last one.
        spare: Option<Req>,
        head: Head,
        course: Course,
        #[pin]
        state: State<S, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        Trying { #[pin] future: F },
        Pausing { #[pin] sleep: Sleep },
        Readying { service: S },
    }
}

/// How far the call has come.
pub(super) struct Course {
    tried: Tried,
    /// When the first try began; known where something depends on it.
    began: Option<Instant>,
    /// No try begins behind this.
    until: Option<Instant>,
    pauses: Pauses,
}

impl Course {
    #[inline]
    pub(super) fn begin(shared: &Shared, head: &Head) -> Self {
        let within = shared.within();
        let began = (head.effect.is_keyed() || within.is_some()).then(Instant::now);
        let own = began.zip(within).and_then(|(began, within)| began.checked_add(within));
        let until = match (own, head.deadline) {
            (Some(own), Some(deadline)) => Some(own.min(deadline)),
            (own, deadline) => own.or(deadline),
        };
        let (attempts, waits) = (shared.attempts(), shared.waits());
        let tried = Tried { tries: 1, attempts, waits, since: Duration::ZERO, doubt: false };
        Self { tried, began, until, pauses: Pauses::default() }
    }

    /// May there be a try behind the present one?
    #[inline]
    pub(super) const fn may_go_on(&self) -> bool {
        self.tried.tries < self.tried.attempts || self.tried.waits > 0
    }

    /// The moment of the next try, behind this pause; `None` when that is too late.
    fn next_at(
        &self,
        head: &Head,
        means: &Assessment,
        now: Instant,
        pause: Duration,
    ) -> Option<Instant> {
        let at = now.checked_add(pause)?;
        let in_time = self.until.is_none_or(|until| at < until);
        let since = self.began.map_or(Duration::ZERO, |began| at - began);
        (in_time && is_safe(head, means, Tried { since, ..self.tried })).then_some(at)
    }
}

/// What comes behind an outcome.
enum Next {
    Return,
    Exhausted,
    PauseUntil(Instant),
}

impl<S, P, Req> RetryFuture<S, P, Req>
where
    S: Service<Req>,
{
    pub(super) const fn new(
        of: Arc<Spare<S>>,
        policy: P,
        spare: Option<Req>,
        head: Head,
        course: Course,
        first: S::Future,
    ) -> Self {
        let state = State::Trying { future: first };
        Self { of, policy, spare, head, course, state }
    }
}

impl<S, P, Req> Future for RetryFuture<S, P, Req>
where
    S: Service<Req> + Clone,
    P: Policy<Req, S::Response, S::Error>,
    Req: Clone,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Trying { future } => {
                    let outcome = ready!(future.poll(cx));
                    let means = this.policy.assess(outcome.as_ref());
                    let has_spare = this.spare.is_some();
                    let outcome =
                        match next(&this.of.shared, this.course, this.head, &means, has_spare) {
                            Next::Return => outcome,
                            Next::Exhausted => this.policy.exhausted(outcome),
                            Next::PauseUntil(at) => {
                                this.state.set(State::Pausing { sleep: sleep_until(at) });
                                continue;
                            }
                        };
                    let doubtful = this.course.tried.doubt && !means.is_success();
                    return Poll::Ready(if doubtful {
                        this.policy.in_doubt(outcome)
                    } else {
                        outcome
                    });
                }
                StateProjection::Pausing { sleep } => {
                    ready!(sleep.poll(cx));
                    let service = this.of.service.clone();
                    this.state.set(State::Readying { service });
                }
                StateProjection::Readying { service } => {
                    if let Err(e) = ready!(service.poll_ready(cx)) {
                        let outcome = Err(e);
                        return Poll::Ready(if this.course.tried.doubt {
                            this.policy.in_doubt(outcome)
                        } else {
                            outcome
                        });
                    }
                    this.course.tried.tries += 1;
                    let more = this.course.may_go_on();
                    let spare = if more { this.spare.clone() } else { this.spare.take() };
                    // A pause is begun only with a request in hand: see `next`.
                    let Some(request) = spare else { return Poll::Pending };
                    let attempt = this.head.attempt.saturating_add(this.course.tried.tries - 1);
                    let request = this.policy.stamp(request, this.head.deadline, attempt);
                    let future = service.call(request);
                    this.state.set(State::Trying { future });
                }
            }
        }
    }
}

#[inline]
fn next(
    shared: &Shared,
    course: &mut Course,
    head: &Head,
    means: &Assessment,
    has_spare: bool,
) -> Next {
    if means.is_success() {
        shared.went_well();
        return Next::Return;
    }
    if !means.is_transient() {
        return Next::Return;
    }
    let now = Instant::now();
    course.tried.since = course.began.map_or(Duration::ZERO, |began| now - began);
    match decide(head, means, course.tried) {
        Decision::Return => Next::Return,
        Decision::Spent => {
            shared.gave_up(Why::Attempts, course.tried.tries, means);
            Next::Exhausted
        }
        _ if !has_spare => Next::Return,
        Decision::Wait(after) => {
            let Some(at) = course.next_at(head, means, now, after) else {
                shared.gave_up(Why::Time, course.tried.tries, means);
                return Next::Return;
            };
            course.tried.waits -= 1;
            // The try did not leave this process.
            course.tried.tries -= 1;
            shared.waits_for(after, means);
            Next::PauseUntil(at)
        }
        Decision::Again => again(shared, course, head, means, now),
    }
}

fn again(
    shared: &Shared,
    course: &mut Course,
    head: &Head,
    means: &Assessment,
    now: Instant,
) -> Next {
    let tries = course.tried.tries;
    let Some(own) = shared.pause(&mut course.pauses, tries) else {
        shared.gave_up(Why::Pauses, tries, means);
        return Next::Exhausted;
    };
    let pause = own.max(means.retry_after.unwrap_or_default());
    let Some(at) = course.next_at(head, means, now, pause) else {
        // Who has more time may still come back: it is not exhausted.
        shared.gave_up(Why::Time, tries, means);
        return Next::Return;
    };
    if !shared.withdraw(means.is_throttled()) {
        shared.gave_up(Why::Budget, tries, means);
        return Next::Exhausted;
    }
    course.tried.doubt |= means.happened != Happened::No && head.effect != Effect::Pure;
    shared.tries_again(tries, pause, means);
    Next::PauseUntil(at)
}

impl<S: Service<Req>, P, Req> fmt::Debug for RetryFuture<S, P, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture")
            .field("tries", &self.course.tried.tries)
            .finish_non_exhaustive()
    }
}
