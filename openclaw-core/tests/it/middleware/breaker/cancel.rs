//! Calls that nobody waits for any more: what they count, and what they give back.

use std::{future::poll_fn, pin::pin, task::Poll};

use openclaw_core::middleware::breaker::{BreakerBuilder, BreakerLayer, OnCancel, State, Window};
use tokio::time::{Instant, advance, timeout};
use tower::{Layer, ServiceExt};

use super::leaf::{Rig, ms, request, s};

/// Polls a call so often, then drops it; true when it had answered by then.
async fn poll_times(rig: &Rig, times: u32) -> bool {
    let mut call = pin!(rig.layer.layer(rig.leaf.service()).oneshot(request()));
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        call.as_mut().poll(cx).map(|_| true)
    })
    .await
}

fn rig(edit: impl Fn(BreakerBuilder) -> BreakerBuilder) -> Rig {
    let builder = BreakerLayer::builder("crm").window(Window::Count(100)).open_jitter(0.0);
    Rig::new(edit(builder).build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn permits_come_back_whenever_a_trial_is_dropped() {
    for polls in 0..9 {
        let rig = rig(|builder| builder.on_cancel(OnCancel::Ignore));
        rig.half_open().await;
        {
            let mut told = rig.leaf.told();
            (told.pends, told.fails) = (4, None);
        }
        for _ in 0..20 {
            assert!(!poll_times(&rig, polls).await, "it answers at the ninth poll, not before");
            if polls > 0 {
                assert_eq!(rig.handle.state(), State::HalfOpen, "dropped behind {polls} polls");
            }
        }
        for _ in 0..3 {
            rig.call().await.expect("a permit");
        }
        assert_eq!(rig.handle.state(), State::Closed, "dropped behind {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_is_counted_once_wherever_it_is_dropped() {
    for polls in 0..12 {
        let rig = rig(|builder| builder.on_cancel(OnCancel::Failure).consecutive_failures(None));
        rig.leaf.told().pends = 4;
        for n in 1..=5 {
            let answered = poll_times(&rig, polls).await;
            assert_eq!(answered, polls >= 9);
            let called = rig.leaf.told().calls;
            assert_eq!(called, if polls >= 5 { n } else { 0 });
            let seen = rig.handle.snapshot();
            assert_eq!(seen.calls, called, "what was not called is not counted");
            assert_eq!(seen.failures, if answered { 0 } else { called });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_an_outer_timeout_drops_open_it() {
    let hang = |rig: &Rig| rig.leaf.told().answers_after = s(3_600);
    // Past the deadline of the request: by the default policy.
    let by_deadline = rig(|builder| builder);
    hang(&by_deadline);
    for _ in 0..5 {
        let deadline = Instant::now() + s(1);
        let call = request();
        let context = call.context().clone().with_deadline(deadline);
        let service = by_deadline.layer.layer(by_deadline.leaf.service());
        let call = service.oneshot(call.with_context(context));
        assert!(tokio::time::timeout_at(deadline, call).await.is_err());
    }
    assert_eq!(by_deadline.handle.state(), State::Open);
    assert_eq!(by_deadline.leaf.told().calls, 5);

    // Slower than a slow call: no deadline is needed.
    let by_slowness = rig(|builder| builder.slow_call_duration(ms(500)));
    hang(&by_slowness);
    for _ in 0..5 {
        assert!(timeout(ms(400), by_slowness.call()).await.is_err());
    }
    assert_eq!(by_slowness.handle.state(), State::Closed, "given up early: that tells nothing");
    assert_eq!(by_slowness.handle.snapshot().calls, 0);
    for _ in 0..5 {
        assert!(timeout(ms(500), by_slowness.call()).await.is_err());
    }
    assert_eq!(by_slowness.handle.state(), State::Open);
    assert_eq!(by_slowness.handle.snapshot().slow, 5);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_counts_as_the_settings_say() {
    let dropped = async |on_cancel: OnCancel| {
        let rig = rig(|builder| builder.on_cancel(on_cancel));
        rig.leaf.told().answers_after = s(3_600);
        for _ in 0..100 {
            assert!(timeout(s(1), rig.call()).await.is_err() || rig.handle.state() == State::Open);
        }
        (rig.handle.state(), rig.leaf.told().calls)
    };
    assert_eq!(dropped(OnCancel::Ignore).await, (State::Closed, 100));
    assert_eq!(dropped(OnCancel::FailureIfSlow).await, (State::Closed, 100));
    assert_eq!(dropped(OnCancel::Failure).await, (State::Open, 5));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_to_be_ready_is_not_the_services_fault() {
    let rig = rig(|builder| builder.on_cancel(OnCancel::Failure));
    rig.leaf.told().ready_after = s(3_600);
    for _ in 0..100 {
        assert!(timeout(s(1), rig.call()).await.is_err());
    }
    assert_eq!((rig.handle.state(), rig.handle.snapshot().calls), (State::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_trial_that_is_dropped_as_failed_opens_it_again() {
    let rig = rig(|builder| builder.on_cancel(OnCancel::Failure));
    rig.half_open().await;
    rig.leaf.told().answers_after = s(3_600);
    for _ in 0..3 {
        assert!(timeout(s(1), rig.call()).await.is_err());
    }
    assert_eq!(rig.handle.state(), State::Open);
    advance(s(120)).await;
    rig.leaf.told().answers_after = s(0);
    rig.succeed(3).await;
    assert_eq!(rig.handle.state(), State::Closed);
}
