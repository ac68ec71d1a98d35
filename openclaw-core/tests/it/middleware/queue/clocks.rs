//! Clocks that differ: leases, turns and deadlines go by the store's.

use openclaw_testkit::env::{EPOCH, PausedClock, SeededRng};

use super::*;

/// The store's clock is so far ahead of the process's, or so far behind it.
fn apart(ahead: Duration, behind: Duration) -> Bench {
    let env = Env::new(PausedClock::new(EPOCH.after(behind)), SeededRng::new(7));
    let store = Arc::new(MemoryStore::new(Arc::new(PausedClock::new(EPOCH.after(ahead)))));
    Bench { env, store, ..Bench::new() }
}

const CLOCKS: [(Duration, Duration); 2] =
    [(Duration::from_secs(40), Duration::ZERO), (Duration::ZERO, Duration::from_secs(40))];

#[tokio::test(start_paused = true)]
async fn a_job_keeps_its_lease_when_the_clocks_differ() {
    for (ahead, behind) in CLOCKS {
        for effect in [Effect::AtMostOnce, Effect::AtLeastOnce] {
            let bench = apart(ahead, behind);
            let leaf = bench.leaf(async |n, _| {
                sleep(15 * S).await;
                fine(n)
            });
            let queue = bench.builder(leaf).build();
            let job = submit(&queue, effect, 0..1).await[0];
            let running = start(&queue);
            let answer = queue.wait(&acme(), job).await;
            assert_eq!(answer.unwrap(), SkillAnswer::done(json!(0)), "{ahead:?} {effect:?}");
            sleep(60 * S).await;
            assert_eq!(bench.seen(), [0], "one call: {ahead:?} {effect:?}");
            running.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_as_long_as_it_should_be_when_the_clocks_differ() {
    for (ahead, behind) in CLOCKS {
        let bench = apart(ahead, behind);
        let leaf = bench.leaf(async |n, calls| match calls {
            1 => Err(Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(20 * S)),
            _ => fine(n),
        });
        let queue = bench.builder(leaf).build();
        let job = submit(&queue, Effect::AtMostOnce, 0..1).await[0];
        let running = start(&queue);
        queue.wait(&acme(), job).await.unwrap();
        let came = bench.seen.lock().unwrap()[1].2;
        assert!((20 * S..23 * S).contains(&came), "{ahead:?}: {came:?}");
        running.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_job_has_its_turn_and_its_deadline_by_the_stores_clock() {
    for (ahead, behind) in CLOCKS {
        let bench = apart(ahead, behind);
        let queue = bench.builder(bench.leaf(async |n, _| fine(n))).build();
        let call = call(Effect::AtMostOnce, 0);
        let soon = call.context().clone().with_deadline(Instant::now() + 30 * S);
        let job = queue.submit(call.with_context(soon)).await.unwrap();
        let running = start(&queue);
        queue.wait(&acme(), job).await.unwrap();
        let came = bench.seen.lock().unwrap()[0].2;
        assert!(came < 3 * S, "{ahead:?}: {came:?}");
        running.abort();
    }
}
