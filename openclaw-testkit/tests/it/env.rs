//! Clocks and random numbers.

use std::time::Duration;

use openclaw_core::{Clock, Rng, Timestamp};
use openclaw_testkit::env::{EPOCH, ManualClock, PausedClock, SeededRng, test_env};

#[test]
fn a_manual_clock_moves_only_by_hand() {
    let clock = ManualClock::default();
    let same = clock.clone();
    clock.advance(Duration::from_millis(1_500));
    assert_eq!(same.now().since(EPOCH), Duration::from_millis(1_500));
    clock.set(Timestamp::from_millis(5));
    assert_eq!(same.now().as_millis(), 5, "it may step back, as a machine's clock may");
    clock.advance(Duration::MAX);
    assert_eq!(same.now(), Timestamp::MAX);
}

#[test]
fn the_epoch_is_new_year() {
    assert_eq!(EPOCH.to_rfc3339(), "2026-01-01T00:00:00.000Z");
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_follows_tokio() {
    let clock = PausedClock::new(EPOCH);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(clock.now().since(EPOCH), Duration::from_secs(3_600));
}

#[tokio::test(start_paused = true)]
async fn one_seed_replays_dates_and_ids() {
    let run = |seed| {
        let env = test_env(seed);
        async move {
            tokio::time::sleep(Duration::from_millis(7)).await;
            (env.now(), env.next_id(), env.next_u64())
        }
    };
    let (a, b, c) = (run(1).await, run(1).await, run(2).await);
    assert_eq!(a, b);
    assert_ne!(a.1, c.1);
}

#[test]
fn random_numbers_keep_their_bounds() {
    let rng = SeededRng::new(42);
    assert!((0..1_000).all(|_| rng.below(6) < 6));
    assert_eq!(rng.below(0), 0);
    assert!((0..1_000).all(|_| !rng.chance(0.0) && rng.chance(1.0)));
    let hits = (0..10_000).filter(|_| rng.chance(0.25)).count();
    assert!((2_300..2_700).contains(&hits), "{hits}");
    assert!(rng.pick::<u8>(&[]).is_none());
    let mut seen = [0; 3];
    (0..300).for_each(|_| seen[*rng.pick(&[0_usize, 1, 2]).unwrap()] += 1);
    assert!(seen.iter().all(|n| *n > 60), "{seen:?}");
}

#[test]
fn a_split_stream_does_not_shift_the_first() {
    let (a, b) = (SeededRng::new(9), SeededRng::new(9));
    let (side, _other) = (a.split(), b.split());
    side.next_u64();
    assert_eq!(a.next_u64(), b.next_u64());
}

#[test]
fn the_stream_is_split_mix_64() {
    // The reference outputs of seed 1234567, as published with the algorithm.
    let rng = SeededRng::new(1_234_567);
    let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
    assert_eq!([rng.next_u64(), rng.next_u64()], expected);
}
