//! Watching a breaker and steering it from outside.

use openclaw_core::{
    ErrorKind,
    middleware::breaker::{BreakerConfig, BreakerLayer, State, Window},
};
use tokio::time::{Instant, advance};

use super::leaf::{Rig, s};
use crate::middleware::telling::Telling;

fn rig(window: Option<Window>) -> Rig {
    let mut config = BreakerConfig::default();
    (config.window, config.open_jitter) = (window, 0.0);
    Rig::new(BreakerLayer::builder("crm").config(config).build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn forced_states_stay_until_somebody_changes_them() {
    let rig = rig(Some(Window::Count(10)));
    rig.handle.force_open();
    advance(s(100_000)).await;
    let e = rig.call().await.expect_err("it is forced open");
    assert_eq!((e.kind(), e.retry_after()), (ErrorKind::CircuitOpen, None));
    assert_eq!(rig.handle.would_refuse(Instant::now()), Some(std::time::Duration::MAX));
    assert_eq!(rig.handle.state(), State::ForcedOpen);

    rig.handle.disable();
    rig.fail(100).await;
    assert_eq!((rig.handle.state(), rig.handle.snapshot().calls), (State::Disabled, 0));

    rig.handle.metrics_only();
    rig.fail(100).await;
    rig.succeed(4).await;
    let seen = rig.handle.snapshot();
    assert_eq!((seen.state, seen.calls, seen.failures), (State::MetricsOnly, 10, 6));

    rig.handle.force_close();
    assert_eq!((rig.handle.state(), rig.handle.snapshot().calls), (State::Closed, 0));
    rig.fail(5).await;
    assert_eq!(rig.handle.state(), State::Open, "it opens again by itself");
    rig.handle.force_close();
    rig.call().await.expect_err("the leaf still fails");
    assert_eq!(rig.handle.state(), State::Closed, "it is let through");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_tells_what_happened_and_a_reset_forgets_it() {
    let rig = rig(Some(Window::Count(10)));
    rig.succeed(3).await;
    rig.fail(2).await;
    let began = rig.handle.snapshot().since;
    advance(s(3)).await;
    let seen = rig.handle.snapshot();
    assert_eq!((seen.calls, seen.failures, seen.consecutive_failures), (5, 2, 2));
    assert_eq!((seen.since, seen.refused, seen.generation), (began, 0, 0));
    rig.fail(10).await;
    let seen = rig.handle.snapshot();
    assert_eq!((seen.state, seen.refused, seen.generation), (State::Open, 7, 1));
    assert_eq!(seen.since, began + s(3));
    assert_eq!(seen.failures, 5, "what opened it is still there to be seen");
    rig.handle.reset();
    let seen = rig.handle.snapshot();
    assert_eq!((seen.state, seen.refused, seen.calls), (State::Closed, 0, 0));
    assert_eq!(seen.failure_rate(), None);
}

#[tokio::test(start_paused = true)]
async fn other_settings_keep_the_window_and_what_is_open() {
    let rig = rig(Some(Window::Count(10)));
    rig.fail(4).await;
    let mut config = BreakerConfig::default();
    (config.window, config.consecutive_failures) = (Some(Window::Count(20)), Some(6));
    (config.open_wait, config.open_jitter) = (s(10), 0.0);
    rig.handle.reload(&config).unwrap();
    assert_eq!(rig.handle.snapshot().failures, 4);
    rig.fail(1).await;
    assert_eq!(rig.handle.state(), State::Closed, "six in a row open it now");

    let broken = BreakerConfig::default();
    let e = rig.handle.reload(&broken_rate(broken)).expect_err("no rate");
    assert!(e.to_string().contains("failure_rate"), "{e}");
    rig.fail(1).await;
    assert_eq!(rig.handle.state(), State::Open, "what was refused changed nothing");
    assert_eq!(rig.handle.would_refuse(Instant::now()), Some(s(10)));

    config.open_wait = s(1);
    rig.handle.reload(&config).unwrap();
    assert_eq!(rig.handle.would_refuse(Instant::now()), Some(s(10)), "a wait that has begun");
    assert_eq!(rig.handle.state(), State::Open);
}

fn broken_rate(mut config: BreakerConfig) -> BreakerConfig {
    config.failure_rate = 0.0;
    config
}

#[tokio::test(start_paused = true)]
async fn a_window_of_time_is_kept_under_another_length() {
    let rig = rig(Some(Window::Time(s(100))));
    rig.succeed(7).await;
    advance(s(50)).await;
    rig.succeed(5).await;
    let mut config = BreakerConfig::default();
    config.window = Some(Window::Time(s(60)));
    rig.handle.reload(&config).unwrap();
    assert_eq!(rig.handle.snapshot().calls, 12);
    advance(s(20)).await;
    rig.succeed(1).await;
    assert_eq!(rig.handle.snapshot().calls, 6, "the first seven have slid out");
    config.window = Some(Window::Count(3));
    rig.handle.reload(&config).unwrap();
    assert_eq!(rig.handle.snapshot().calls, 0, "another kind of window starts empty");
    rig.succeed(5).await;
    assert_eq!(rig.handle.snapshot().calls, 3);
}

#[tokio::test(start_paused = true)]
async fn a_window_of_calls_is_kept_under_another_width() {
    let rig = rig(Some(Window::Count(10)));
    rig.fail(2).await;
    rig.succeed(4).await;
    let mut config = BreakerConfig::default();
    config.window = Some(Window::Count(5));
    rig.handle.reload(&config).unwrap();
    let seen = rig.handle.snapshot();
    assert_eq!((seen.calls, seen.failures), (5, 1), "the last five");
    config.window = Some(Window::Count(8));
    rig.handle.reload(&config).unwrap();
    rig.succeed(2).await;
    let seen = rig.handle.snapshot();
    assert_eq!((seen.calls, seen.failures), (7, 1), "and there is room again");
}

#[tokio::test(start_paused = true)]
async fn fewer_permits_end_a_trial_that_has_had_enough() {
    let rig = rig(None);
    rig.half_open().await;
    rig.succeed(2).await;
    assert_eq!(rig.handle.state(), State::HalfOpen);
    let mut config = BreakerConfig::default();
    config.half_open_permits = 2;
    rig.handle.reload(&config).unwrap();
    assert_eq!(rig.handle.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn who_watches_sees_every_transition_once_and_in_order() {
    let rig = rig(None);
    let mut early = rig.handle.subscribe();
    assert_eq!(early.try_next(), None);
    let waiting = tokio::spawn(async move {
        let first = early.next().await;
        (first.from, first.to, first.generation, early)
    });
    tokio::task::yield_now().await;
    rig.half_open().await;
    rig.succeed(3).await;
    let (from, to, generation, mut early) = waiting.await.unwrap();
    assert_eq!((from, to, generation), (State::Closed, State::Open, 1));
    let next = early.next().await;
    assert_eq!((next.from, next.to, next.generation), (State::Open, State::HalfOpen, 2));
    let next = early.next().await;
    assert_eq!((next.from, next.to, next.generation), (State::HalfOpen, State::Closed, 3));
    assert_eq!(early.try_next(), None);

    for _ in 0..50 {
        rig.handle.force_open();
    }
    let late = early.next().await;
    assert_eq!(late.generation, 22, "the last 32 are kept; the gap tells of the others");
    assert_eq!(rig.handle.subscribe().try_next(), None, "a new one sees what is to come");
}

#[tokio::test(start_paused = true)]
async fn it_tells_of_transitions_and_of_the_first_refusal_only() {
    let telling = Telling::of("breaker");
    let told = || telling.told();
    let rig = rig(None);
    rig.succeed(100).await;
    rig.fail(4).await;
    assert_eq!(told(), 0, "calls are no events");
    rig.fail(1).await;
    assert_eq!(told(), 1, "it opened");
    rig.fail(100).await;
    assert_eq!(told(), 2, "the first refusal");
    advance(s(60)).await;
    rig.succeed(100).await;
    assert_eq!(told(), 4, "a trial, and closed again");
}
