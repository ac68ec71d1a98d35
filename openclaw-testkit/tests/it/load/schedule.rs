//! The schedule: rates, random arrivals, phases, and that nothing stretches it.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use openclaw_testkit::{
    env::SeededRng,
    load::{Arrivals, Load},
};
use tokio::time::{Instant, sleep};

use super::{ms, secs};

#[test]
fn random_arrivals_have_the_mean_and_the_spread_of_a_poisson_process() {
    let moments: Vec<f64> = Arrivals::poisson(50.0, SeededRng::new(11))
        .take(20_000)
        .map(|at| at.as_secs_f64())
        .collect();
    let gaps: Vec<f64> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let n = gaps.len() as f64;
    let mean = gaps.iter().sum::<f64>() / n;
    let spread = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n).sqrt();
    assert!((mean * 50.0 - 1.0).abs() < 0.03, "mean {mean}");
    assert!((spread / mean - 1.0).abs() < 0.05, "exponential gaps spread as far as their mean");
    let short = gaps.iter().filter(|gap| **gap < mean).count() as f64 / n;
    assert!((short - 0.632).abs() < 0.02, "1 - 1/e of the gaps are under the mean: {short}");
}

#[test]
fn an_even_pace_does_not_drift() {
    let third = Arrivals::constant(3.0).nth(3_000_000).unwrap();
    assert_eq!(third, Duration::from_secs(1_000_000));
}

#[test]
fn a_rate_of_nothing_ends_the_schedule_and_not_the_program() {
    for per_s in [0.0, -1.0, f64::NAN] {
        let century = Duration::from_secs(3_000_000_000);
        assert!(Arrivals::constant(per_s).nth(1).unwrap() > century, "{per_s}");
        assert!(Arrivals::poisson(per_s, SeededRng::new(1)).nth(1).unwrap() > century, "{per_s}");
    }
}

/// The moments at which the operations were started, since the start of the run.
async fn started(load: Load, took: Duration) -> Vec<Duration> {
    let (start, moments) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&moments);
    load.run_at(move |_, intended| {
        seen.lock().unwrap().push(intended - start);
        async move {
            sleep(took).await;
            Ok::<(), Infallible>(())
        }
    })
    .await;
    moments.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_slow_service_does_not_move_the_schedule() {
    let load = || Load::open_loop(40.0).for_(secs(5)).poisson(SeededRng::new(3));
    let (fast, slow) = (started(load(), ms(1)).await, started(load(), secs(2)).await);
    assert_eq!(fast, slow);
    assert!((150..250).contains(&fast.len()), "{}", fast.len());
}

#[tokio::test(start_paused = true)]
async fn a_warm_up_is_offered_and_not_measured() {
    let start = Instant::now();
    let report = Load::open_loop(100.0)
        .for_(secs(2))
        .warm_up(secs(1))
        .run(|_| async move {
            // Cold for a second.
            sleep(if start.elapsed() < secs(1) { ms(500) } else { ms(1) }).await;
            Ok::<(), Infallible>(())
        })
        .await;
    assert_eq!((report.offered(), report.ok()), (200, 200));
    assert_eq!((report.latency().max(), report.elapsed()), (ms(1), ms(2000)));
}

#[tokio::test(start_paused = true)]
async fn each_phase_has_its_own_rate_and_figures() {
    let report = Load::open_loop(10.0)
        .named("calm")
        .for_(secs(10))
        .then("peak", 100.0)
        .for_(secs(2))
        .then("calm again", 10.0)
        .for_(secs(10))
        .in_flight(1)
        .run(|_| async move {
            sleep(ms(20)).await;
            Ok::<(), Infallible>(())
        })
        .await;
    let names: Vec<&str> = report.phases().iter().map(|phase| phase.name()).collect();
    assert_eq!(names, ["calm", "peak", "calm again"]);
    let counts: Vec<u64> = report.phases().iter().map(|phase| phase.offered()).collect();
    assert_eq!((counts, report.offered()), (vec![100, 200, 100], 400));
    let [calm, peak, again] = report.phases() else { panic!("three phases") };
    assert_eq!(calm.latency().max(), ms(20));
    assert!(peak.latency().p99() > ms(1800), "50 a second are served, 100 are asked");
    assert!(again.latency().max() > secs(1), "the peak's backlog is felt behind it");
    assert!(again.latency().p50() < ms(21), "and then it is over");
    assert_eq!(peak.elapsed(), secs(4), "until its last answer");
    assert_eq!(report.elapsed(), secs(22));
}
