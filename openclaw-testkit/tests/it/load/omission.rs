//! Coordinated omission: a stall shows in everything that was scheduled while it lasted.

use std::{convert::Infallible, time::Duration};

use openclaw_testkit::load::{Latencies, Load};
use tokio::time::{Instant, sleep, sleep_until};

use super::{ms, secs};

/// A service that takes 1 ms, but answers nothing between second 5 and second 6.
async fn stalls(start: Instant) {
    let (from, until) = (start + secs(5), start + secs(6));
    if (from..until).contains(&Instant::now()) {
        sleep_until(until).await;
    }
    sleep(ms(1)).await;
}

/// What people write first: ask, wait for the answer, wait for the next tick.
async fn naive(start: Instant, every: Duration, span: Duration) -> Latencies {
    let mut latencies = Latencies::default();
    while start.elapsed() < span {
        let asked = Instant::now();
        stalls(start).await;
        latencies.record(asked.elapsed());
        sleep_until(asked + every.max(asked.elapsed())).await;
    }
    latencies
}

#[tokio::test(start_paused = true)]
async fn a_closed_loop_hides_a_stall_in_one_slow_operation() {
    let naive = naive(Instant::now(), ms(10), secs(10)).await;
    assert_eq!(naive.len(), 901, "it asked nothing while the service stalled");
    assert_eq!(naive.p99(), ms(1));
    assert_eq!(naive.p999(), ms(1001), "one slow operation in 901");
    assert_eq!(naive.quantile(900.0 / 901.0), ms(1), "and only one");
}

#[tokio::test(start_paused = true)]
async fn an_open_loop_shows_a_stall_in_all_operations_of_that_second() {
    let start = Instant::now();
    let report = Load::open_loop(100.0)
        .for_(secs(10))
        .run(|_| async move {
            stalls(start).await;
            Ok::<(), Infallible>(())
        })
        .await;
    assert_eq!((report.offered(), report.ok()), (1000, 1000));
    let slow = report.latency();
    assert_eq!(slow.quantile(0.9), ms(1), "nine of ten seconds are fine");
    // The hundred of the bad second took 1.001, 0.991, … 0.011 s: ten are slower than 0.901 s.
    assert!((ms(901)..ms(902)).contains(&slow.p99()), "{:?}", slow.p99());
    assert!((ms(501)..ms(502)).contains(&slow.quantile(0.95)), "{:?}", slow.quantile(0.95));
    assert_eq!(slow.max(), ms(1001));
}

/// The same with one caller: nothing can be sent while the service stalls, and the latency still
/// counts from the schedule. The service time alone would hide it.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_sent_in_time_counts_from_when_it_was_meant_to_be() {
    let start = Instant::now();
    let report = Load::open_loop(100.0)
        .for_(secs(10))
        .in_flight(1)
        .run(|_| async move {
            stalls(start).await;
            Ok::<(), Infallible>(())
        })
        .await;
    assert_eq!((report.offered(), report.ok(), report.not_started()), (1000, 1000, 0));
    assert!(report.latency().p99() > ms(900), "{:?}", report.latency().p99());
    assert_eq!(report.service_time().p99(), ms(1), "one slow operation in a thousand");
    assert_eq!((report.queue_peak(), report.in_flight_peak()), (100, 1));
}
