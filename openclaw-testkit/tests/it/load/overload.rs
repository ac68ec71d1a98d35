//! Overload: a service that sheds keeps its goodput, one that queues without a bound does not.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use openclaw_testkit::load::{Overload, OverloadReport};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{ms, secs};

type Answer = Pin<Box<dyn Future<Output = Result<(), &'static str>> + Send>>;

/// Ten at a time, 10 ms each: a thousand a second. `doors` may be present at once.
fn service(doors: usize) -> impl Fn(u64) -> Answer + Send + Sync + 'static {
    let (places, doors) = (Arc::new(Semaphore::new(10)), Arc::new(Semaphore::new(doors)));
    move |_| {
        let (places, doors) = (Arc::clone(&places), Arc::clone(&doors));
        Box::pin(async move {
            let _door = doors.try_acquire().map_err(|_full| "OVERLOADED")?;
            let _place = places.acquire().await.map_err(|_closed| "closed")?;
            sleep(ms(10)).await;
            Ok(())
        })
    }
}

/// The same, asked by callers who give up after this long, while the work goes on.
fn wasteful(patience: Duration) -> impl Fn(u64) -> Answer + Send + Sync + 'static {
    let service = Arc::new(service(usize::MAX >> 4));
    move |n| {
        let work = tokio::spawn(service(n));
        Box::pin(async move {
            let done = timeout(patience, work).await.map_err(|_late| "TIMEOUT")?;
            done.map_err(|_panicked| "panicked")?
        })
    }
}

async fn twice<F>(callers: usize, service: F) -> OverloadReport
where
    F: Fn(u64) -> Answer + Send + Sync + 'static,
{
    Overload::times(2.0).for_(secs(5)).in_flight(callers).run(service).await
}

#[tokio::test(start_paused = true)]
async fn a_service_that_sheds_keeps_its_goodput() {
    let report = twice(20, service(20)).await;
    assert!((report.capacity_per_s() - 1000.0).abs() < 20.0, "{report}");
    // Those inside, and those on the way to hear that it is full.
    report.check(0.95, 24).unwrap();
    assert!((4800..5200).contains(&report.refused()), "{report}");
    assert_eq!(report.refused(), report.load().errors_of("OVERLOADED"));
    assert!(report.load().latency().max() <= ms(30), "the accepted are served soon: {report}");
    let tight = report.check(0.95, 19).unwrap_err();
    assert!(tight.contains("operations were present at once, more than 19"), "{tight}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_works_for_nobody_loses_its_goodput() {
    let report = twice(20, wasteful(ms(100))).await;
    assert!((report.capacity_per_s() - 1000.0).abs() < 20.0, "{report}");
    assert!(report.kept() < 0.2, "{report}");
    let lost = report.check(0.8, 10_000).unwrap_err();
    assert!(lost.contains("of the goodput is left, not 80 %"), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn a_known_capacity_is_not_measured() {
    let report = Overload::times(3.0)
        .capacity(100.0)
        .for_(secs(2))
        .bounds(1, 5)
        .run(|_n| async {
            sleep(ms(10)).await;
            Ok::<(), &'static str>(())
        })
        .await;
    assert_eq!(report.load().offered(), 600);
    assert_eq!((report.load().in_flight_peak(), report.load().queue_peak()), (1, 5));
    assert!((0.95..1.05).contains(&report.kept()), "{report}");
    assert_eq!(report.to_json()["refused"], report.refused());
    assert_eq!(report.refused(), report.load().not_started());
}
