//! Dates: in milliseconds since 1970, the same for everybody.

use std::{sync::Arc, time::Duration};

use openclaw_core::Timestamp;

use super::Trial;
use crate::conformance::run::threads;

/// The date is one between 2000 and 9999, and can be written and read.
pub fn a_date_is_a_date(trial: &Trial<'_>) {
    let now = trial.clock.now();
    let text = now.to_rfc3339();
    assert_eq!(Timestamp::parse_rfc3339(&text), Some(now), "{text}");
    let year: u32 = text.split('-').next().and_then(|year| year.parse().ok()).expect("a year");
    assert!((2000..=9999).contains(&year), "{text} is not counted in milliseconds since 1970");
}

/// While nobody sets it, a clock doesn't run backwards.
pub fn dates_do_not_run_backwards(trial: &Trial<'_>) {
    let mut last = trial.clock.now();
    for _ in 0..10_000 {
        let now = trial.clock.now();
        assert!(now >= last, "{now} behind {last}");
        last = now;
    }
}

/// Every thread reads the same clock.
pub fn threads_read_one_clock(trial: &Trial<'_>) {
    let mut last = trial.clock.now();
    for _ in 0..20 {
        let clock = Arc::clone(&trial.clock);
        let there = threads([move || clock.now()])[0];
        assert!(there >= last, "{there} in another thread, behind {last}");
        assert!(there.since(last) < Duration::from_secs(60), "{there} there, {last} here");
        last = there;
    }
}

/// Time that goes by is counted, in milliseconds.
pub fn time_goes_on_in_milliseconds(trial: &Trial<'_>) {
    for ms in [1_u64, 999, 60_000, 86_400_000] {
        let before = trial.clock.now();
        trial.harness.pass(Duration::from_millis(ms));
        let counted = trial.clock.now().since(before);
        let real = Duration::from_millis(ms);
        let slack = Duration::from_millis(if trial.harness.real_time() { 1_000 } else { 0 });
        assert!(counted >= real && counted <= real + slack, "{counted:?} of {real:?}");
    }
}
