//! Load, overload and soak runs: what they count, and that a stall can't hide.

mod gateway;
mod omission;
mod overload;
mod report;
mod schedule;
mod soak;

use std::time::Duration;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
