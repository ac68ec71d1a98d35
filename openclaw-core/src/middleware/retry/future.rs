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
        terms: Terms,
        // Behind the first fault: most calls have none.
        course: Option<Course>,
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

/// What a call begins with.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    attempts: u32,
    waits: u32,
    within: Option<Duration>,
    /// When the first try began; known where something depends on it.
    began: Option<Instant>,
}

impl Terms {
    #[inline]
    pub(super) fn new(shared: &Shared, head: &Head) -> Self {
        let within = shared.within();
        let began = (head.effect.is_keyed() || within.is_some()).then(Instant::now);
        Self { attempts: shared.attempts(), waits: shared.waits(), within, began }
    }

    /// May there be a try behind the first?
    #[inline]
    pub(super) const fn may_go_on(&self) -> bool {
        self.attempts > 1 || self.waits > 0
    }
}

/// How far a call has come that met a fault.
struct Course {
    head: Head,
    tried: Tried,
    began: Option<Instant>,
    /// No try begins behind this.
    until: Option<Instant>,
    pauses: Pauses,
}

impl Course {
    fn new(terms: Terms, head: Head) -> Self {
        let Terms { attempts, waits, within, began } = terms;
        let own = began.zip(within).and_then(|(began, within)| began.checked_add(within));
        let until = match (own, head.deadline) {
            (Some(own), Some(deadline)) => Some(own.min(deadline)),
            (own, deadline) => own.or(deadline),
        };
        let tried = Tried { tries: 1, attempts, waits, since: Duration::ZERO, doubt: false };
        Self { head, tried, began, until, pauses: Pauses::default() }
    }

    /// May there be a try behind the present one?
    const fn may_go_on(&self) -> bool {
        self.tried.tries < self.tried.attempts || self.tried.waits > 0
    }

    /// The answer, which may have to tell of an earlier try's doubt.
    fn ended<Req, Res, E>(
        &self,
        policy: &impl Policy<Req, Res, E>,
        outcome: Result<Res, E>,
    ) -> Result<Res, E> {
        if self.tried.doubt { policy.in_doubt(outcome) } else { outcome }
    }

    /// The moment of the next try, behind this pause; `None` when that is too late.
    fn next_at(&self, means: &Assessment, now: Instant, pause: Duration) -> Option<Instant> {
        let at = now.checked_add(pause)?;
        let in_time = self.until.is_none_or(|until| at < until);
        let since = self.began.map_or(Duration::ZERO, |began| at - began);
        (in_time && is_safe(&self.head, means, Tried { since, ..self.tried })).then_some(at)
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
        terms: Terms,
        first: S::Future,
    ) -> Self {
        let state = State::Trying { future: first };
        Self { of, policy, spare, terms, course: None, state }
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
                    if means.is_success() {
                        this.of.shared.went_well();
                        // A redirect behind a try that may have happened tells nothing of it.
                        return Poll::Ready(match this.course {
                            Some(course) => course.ended(this.policy, outcome),
                            None => outcome,
                        });
                    }
                    if this.course.is_none() {
                        let head = this.spare.as_ref().map(|request| this.policy.head(request));
                        *this.course = head.map(|head| Course::new(*this.terms, head));
                    }
                    // A call that is to be tried once keeps no request for another try.
                    let Some(course) = this.course else { return Poll::Ready(outcome) };
                    let outcome = match next(&this.of.shared, course, &means, this.spare.is_some())
                    {
                        Next::PauseUntil(at) => {
                            this.state.set(State::Pausing { sleep: sleep_until(at) });
                            continue;
                        }
                        Next::Return => outcome,
                        Next::Exhausted => this.policy.exhausted(outcome),
                    };
                    return Poll::Ready(course.ended(this.policy, outcome));
                }
                StateProjection::Pausing { sleep } => {
                    ready!(sleep.poll(cx));
                    let service = this.of.service.clone();
                    this.state.set(State::Readying { service });
                }
                StateProjection::Readying { service } => {
                    // A pause is begun only on a course, and with a request in hand: see `next`.
                    let Some(course) = this.course else { return Poll::Pending };
                    if let Err(e) = ready!(service.poll_ready(cx)) {
                        return Poll::Ready(course.ended(this.policy, Err(e)));
                    }
                    course.tried.tries += 1;
                    let more = course.may_go_on();
                    let spare = if more { this.spare.clone() } else { this.spare.take() };
                    let Some(request) = spare else { return Poll::Pending };
                    let attempt = course.head.attempt.saturating_add(course.tried.tries - 1);
                    let request = this.policy.stamp(request, course.head.deadline, attempt);
                    let future = service.call(request);
                    this.state.set(State::Trying { future });
                }
            }
        }
    }
}

#[cold]
fn next(shared: &Shared, course: &mut Course, means: &Assessment, has_spare: bool) -> Next {
    if !means.is_transient() {
        return Next::Return;
    }
    let now = Instant::now();
    course.tried.since = course.began.map_or(Duration::ZERO, |began| now - began);
    match decide(&course.head, means, course.tried) {
        Decision::Return => Next::Return,
        Decision::Spent => {
            shared.gave_up(Why::Attempts, course.tried.tries, means);
            Next::Exhausted
        }
        _ if !has_spare => Next::Return,
        Decision::Wait(after) => {
            let at = course.next_at(means, now, after).filter(|_| !shared.is_too_long(after));
            let Some(at) = at else {
                shared.gave_up(Why::Time, course.tried.tries, means);
                return Next::Return;
            };
            course.tried.waits -= 1;
            // The try did not leave this process.
            course.tried.tries -= 1;
            shared.waits_for(after, means);
            Next::PauseUntil(at)
        }
        Decision::Again => again(shared, course, means, now),
    }
}

fn again(shared: &Shared, course: &mut Course, means: &Assessment, now: Instant) -> Next {
    let tries = course.tried.tries;
    let Some(own) = shared.pause(&mut course.pauses, tries) else {
        shared.gave_up(Why::Pauses, tries, means);
        return Next::Exhausted;
    };
    let told = means.retry_after.unwrap_or_default();
    let pause = own.max(told);
    let at = course.next_at(means, now, pause).filter(|_| !shared.is_too_long(told));
    let Some(at) = at else {
        // Who has more time may still come back: it is not exhausted.
        shared.gave_up(Why::Time, tries, means);
        return Next::Return;
    };
    if !shared.withdraw(means.is_throttled()) {
        shared.gave_up(Why::Budget, tries, means);
        return Next::Exhausted;
    }
    course.tried.doubt |= means.happened != Happened::No && course.head.effect != Effect::Pure;
    shared.tries_again(tries, pause, means);
    Next::PauseUntil(at)
}

impl<S: Service<Req>, P, Req> fmt::Debug for RetryFuture<S, P, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture")
            .field("tries", &self.course.as_ref().map_or(1, |course| course.tried.tries))
            .finish_non_exhaustive()
    }
}
