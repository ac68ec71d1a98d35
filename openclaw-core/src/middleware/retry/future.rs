//! One call with its tries.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::{
    Shared,
    decide::{Decision, Tried, decide},
};
use crate::policy::{Assessment, Head, Policy};

pin_project! {
    /// The answer to come of a [`Retry`](super::Retry).
    pub struct RetryFuture<S, P, Req>
    where
        S: Service<Req>,
    {
        service: S,
        policy: P,
        shared: std::sync::Arc<Shared>,
        // The request for the next try; none behind the last one.
        spare: Option<Req>,
        head: Head,
        course: Course,
        #[pin]
        state: State<S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Trying { #[pin] future: F },
        Pausing { #[pin] sleep: Sleep },
        Readying,
    }
}

/// How far the call has come.
struct Course {
    tries: u32,
    attempts: u32,
    waits: u32,
    began: Option<Instant>,
    last: Duration,
    source: Option<Box<dyn FnMut() -> Option<Duration> + Send>>,
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
    pub(super) fn new(
        service: S,
        policy: P,
        shared: std::sync::Arc<Shared>,
        spare: Option<Req>,
        head: Head,
        first: S::Future,
    ) -> Self {
        let began = head.effect.is_keyed().then(Instant::now);
        let course = Course {
            tries: 1,
            attempts: shared.attempts(),
            waits: shared.waits(),
            began,
            last: Duration::ZERO,
            source: None,
        };
        Self {
            service,
            policy,
            shared,
            spare,
            head,
            course,
            state: State::Trying { future: first },
        }
    }
}

impl<S, P, Req> Future for RetryFuture<S, P, Req>
where
    S: Service<Req>,
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
                    match next(this.shared, this.course, this.head, &means, this.spare.is_some()) {
                        Next::Return => return Poll::Ready(outcome),
                        Next::Exhausted => return Poll::Ready(this.policy.exhausted(outcome)),
                        Next::PauseUntil(at) => {
                            this.state.set(State::Pausing { sleep: sleep_until(at) });
                        }
                    }
                }
                StateProjection::Pausing { sleep } => {
                    ready!(sleep.poll(cx));
                    this.state.set(State::Readying);
                }
                StateProjection::Readying => {
                    if let Err(e) = ready!(this.service.poll_ready(cx)) {
                        return Poll::Ready(Err(e));
                    }
                    let more =
                        this.course.tries + 1 < this.course.attempts || this.course.waits > 0;
                    let spare = if more { this.spare.clone() } else { this.spare.take() };
                    let Some(request) = spare else { return Poll::Pending };
                    this.course.tries += 1;
                    let attempt = this.head.attempt.saturating_add(this.course.tries - 1);
                    let request = this.policy.stamp(request, this.head.deadline, attempt);
                    let future = this.service.call(request);
                    this.state.set(State::Trying { future });
                }
            }
        }
    }
}

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
    let since = course.began.map_or(Duration::ZERO, |began| began.elapsed());
    let tried =
        Tried { tries: course.tries, attempts: course.attempts, since, waits: course.waits };
    match decide(head, means, tried) {
        Decision::Return => Next::Return,
        Decision::Spent => {
            shared.gave_up("the attempts are spent", means);
            Next::Exhausted
        }
        _ if !has_spare => Next::Return,
        Decision::Wait(after) => {
            let Some(at) = in_time(head, after) else { return Next::Return };
            course.waits -= 1;
            // The try did not leave this process.
            course.tries -= 1;
            Next::PauseUntil(at)
        }
        Decision::Again => again(shared, course, head, means),
    }
}

fn again(shared: &Shared, course: &mut Course, head: &Head, means: &Assessment) -> Next {
    let Some(own) = shared.pause(course.tries, course.last, &mut course.source) else {
        shared.gave_up("there are no more pauses", means);
        return Next::Exhausted;
    };
    let pause = own.max(means.retry_after.unwrap_or_default());
    let Some(at) = in_time(head, pause) else {
        // Who has more time may still come back: it is not exhausted.
        shared.gave_up("the next try would be too late", means);
        return Next::Return;
    };
    if !shared.withdraw(means.is_throttled()) {
        shared.gave_up("the retry budget is empty", means);
        return Next::Exhausted;
    }
    course.last = own;
    shared.tries_again(course.tries, pause, means);
    Next::PauseUntil(at)
}

/// The moment after this pause, if the call still has time then.
fn in_time(head: &Head, pause: Duration) -> Option<Instant> {
    let at = Instant::now().checked_add(pause)?;
    head.deadline.is_none_or(|deadline| at < deadline).then_some(at)
}

impl<S: Service<Req>, P, Req> fmt::Debug for RetryFuture<S, P, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture").field("tries", &self.course.tries).finish_non_exhaustive()
    }
}
