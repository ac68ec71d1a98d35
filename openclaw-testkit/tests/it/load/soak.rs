//! Soak runs: a leak is found, and noise is not a leak.

use openclaw_core::Rng as _;
use openclaw_testkit::{
    env::SeededRng,
    load::{Soak, Verdict},
};
use tokio::time::Instant;

use super::{ms, secs};

#[tokio::test(start_paused = true)]
async fn a_leak_is_told_from_noise() {
    let (start, rng) = (Instant::now(), SeededRng::new(5));
    let noise = move || (rng.next_u64() % 1000) as f64;
    let (noise_a, noise_b) = (noise.clone(), noise);
    let report = Soak::new(secs(3600), secs(10))
        .gauge("leak", 500.0, move || {
            Some(start.elapsed().as_secs_f64() / 3600.0 * 5000.0 + noise_a())
        })
        .gauge("noise", 500.0, move || Some(noise_b()))
        .gauge("shrinks", 0.0, move || Some(-start.elapsed().as_secs_f64()))
        .run()
        .await;
    assert_eq!(report.verdict("leak"), Verdict::Grows, "{report}");
    assert_eq!(report.verdict("noise"), Verdict::Holds, "{report}");
    assert_eq!(report.verdict("shrinks"), Verdict::Holds, "{report}");
    assert!(!report.holds());
    let leak = &report.gauges()[0];
    assert_eq!(leak.samples, 361);
    assert!((leak.per_hour.unwrap() - 5000.0).abs() < 200.0, "{report}");
    assert_eq!(report.to_json()[0]["holds"], false);
    assert!(report.to_string().contains("grows"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn what_fills_up_at_first_is_no_leak() {
    let start = Instant::now();
    let filling = move || Some(start.elapsed().as_secs_f64().min(60.0));
    let soak = || Soak::new(secs(600), secs(1)).gauge("pool", 1.0, filling);
    assert_eq!(soak().run().await.verdict("pool"), Verdict::Grows);
    let start = Instant::now();
    let filling = move || Some(start.elapsed().as_secs_f64().min(60.0));
    let settled = Soak::new(secs(600), secs(1)).settle(secs(60)).gauge("pool", 1.0, filling);
    let report = settled.run().await;
    assert_eq!(report.verdict("pool"), Verdict::Holds, "{report}");
    assert_eq!(report.gauges()[0].ends, Some((60.0, 60.0)));
}

#[tokio::test(start_paused = true)]
async fn a_gauge_without_samples_has_no_verdict() {
    let report =
        Soak::new(secs(1), ms(100)).gauge("elsewhere", 0.0, || None).memory(1e12).run().await;
    assert_eq!(report.verdict("elsewhere"), Verdict::Unknown);
    assert_eq!(report.verdict("no such gauge"), Verdict::Unknown);
    assert!(report.holds());
    let memory = if cfg!(target_os = "linux") { Verdict::Holds } else { Verdict::Unknown };
    assert_eq!(report.verdict("rss"), memory, "{report}");
}
