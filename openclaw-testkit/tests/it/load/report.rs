//! What a report counts.

use std::{convert::Infallible, future::pending, time::Duration};

use openclaw_core::{Error, ErrorKind};
use openclaw_testkit::load::{Latencies, Load, Named, OTHER, Report};
use tokio::time::sleep;

use super::{ms, secs};

fn balanced(report: &Report) {
    let sum = report.ok() + report.failed() + report.unfinished() + report.not_started();
    assert_eq!(report.offered(), sum, "{report:?}");
}

#[test]
fn percentiles_of_known_durations_are_exact() {
    let mut latencies = Latencies::default();
    assert_eq!((latencies.p99(), latencies.max(), latencies.mean()), (ms(0), ms(0), ms(0)));
    assert!(latencies.is_empty());
    for us in (1..=2000).rev() {
        latencies.record(Duration::from_micros(us));
    }
    let us = |span: Duration| span.as_micros();
    let found = [latencies.p50(), latencies.p90(), latencies.p99(), latencies.p999()].map(us);
    assert_eq!(found, [1000, 1800, 1980, 1998]);
    assert_eq!((us(latencies.max()), latencies.mean().as_nanos()), (2000, 1_000_500));
    let (mut both, mut more) = (Latencies::default(), Latencies::default());
    more.record(secs(100_000));
    both.merge(&latencies);
    both.merge(&more);
    assert_eq!(both.len(), 2001);
    assert_eq!((both.max(), both.p999()), (secs(100_000), Duration::from_micros(1999)));
}

#[tokio::test(start_paused = true)]
async fn a_service_slower_than_the_rate_shows_growing_latency_and_what_was_not_started() {
    // 100 a second are asked, 50 a second are served, 100 may wait.
    let run = |span| {
        Load::open_loop(100.0).for_(secs(span)).in_flight(1).queue(100).run(|_| async {
            sleep(ms(20)).await;
            Ok::<(), Infallible>(())
        })
    };
    let (short, long) = (run(1).await, run(10).await);
    for report in [&short, &long] {
        balanced(report);
    }
    assert_eq!((short.offered(), short.not_started()), (100, 0));
    assert!(short.latency().max() > ms(900), "the last one waits behind 50: {short}");
    assert_eq!((long.offered(), long.queue_peak()), (1000, 100));
    assert!((390..410).contains(&long.not_started()), "{long}");
    assert!(long.latency().p50() > secs(1), "{long}");
    assert!(long.latency().max() < ms(2100), "a bounded queue bounds the latency: {long}");
    assert_eq!(long.service_time().max(), ms(20));
    assert!((long.goodput_per_s() - 50.0).abs() < 1.0, "{long}");
}

#[tokio::test(start_paused = true)]
async fn errors_are_counted_by_name_and_are_in_no_percentile() {
    let report = Load::open_loop(100.0)
        .for_(secs(1))
        .run(|n| async move {
            match n % 4 {
                0 => Err(Error::new(ErrorKind::RateLimited, format!("for {n}"))),
                1 => {
                    sleep(secs(5)).await;
                    Err(Error::new(ErrorKind::Timeout, "late"))
                }
                2 if n == 2 => panic!("planted"),
                _ => Ok(()),
            }
        })
        .await;
    balanced(&report);
    let errors: Vec<(&str, u64)> = report.errors().collect();
    assert_eq!(errors, [("RATE_LIMITED", 25), ("TIMEOUT", 25), ("panicked", 1)]);
    assert_eq!((report.ok(), report.latency().len()), (49, 49));
    assert_eq!(report.latency().max(), ms(0));
}

#[tokio::test(start_paused = true)]
async fn the_names_of_errors_are_bounded() {
    let report =
        Load::open_loop(1000.0).for_(secs(1)).run(|n| async move { Err(format!("no. {n}")) }).await;
    assert_eq!((report.errors().count(), report.errors_of(OTHER)), (65, 1000 - 64));
    assert_eq!("x".name(), "x");
}

#[tokio::test(start_paused = true)]
async fn what_never_answers_is_unfinished_when_the_patience_ends() {
    let report = Load::open_loop(10.0)
        .for_(secs(1))
        .patience(secs(3))
        .in_flight(4)
        .run(|n| async move {
            if n > 0 {
                pending::<()>().await;
            }
            Ok::<(), Infallible>(())
        })
        .await;
    balanced(&report);
    assert_eq!((report.ok(), report.unfinished(), report.not_started()), (1, 4, 5));
}

#[tokio::test(start_paused = true)]
async fn without_patience_what_waits_at_the_end_is_not_started() {
    let report = Load::open_loop(100.0)
        .for_(secs(1))
        .patience(secs(0))
        .in_flight(1)
        .run(|_| async {
            sleep(ms(19)).await;
            Ok::<(), Infallible>(())
        })
        .await;
    balanced(&report);
    assert_eq!((report.offered(), report.ok(), report.unfinished()), (100, 52, 1));
    assert_eq!(report.elapsed(), secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_table_and_the_json_say_the_same() {
    let report = Load::open_loop(100.0)
        .named("calm")
        .for_(secs(1))
        .then("peak", 200.0)
        .for_(secs(1))
        .run(|n| async move {
            sleep(ms(2)).await;
            if n == 7 { Err("broken") } else { Ok(()) }
        })
        .await;
    let json = report.to_json();
    assert_eq!((&json["offered"], &json["errors"]["broken"]), (&300.into(), &1.into()));
    assert_eq!(json["phases"][1]["name"], "peak");
    assert_eq!(json["latency"]["p99_ms"], 2.0);
    let table = report.to_string();
    for word in ["calm", "peak", "all", "error broken: 1", "svc p99"] {
        assert!(table.contains(word), "{word}: {table}");
    }
}
