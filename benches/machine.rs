//! Processor time and load average, as Linux tells them; zero elsewhere.

use std::{fs, time::Duration};

/// Clock ticks a second in `/proc`: 100 on every Linux, whatever the kernel's own rate.
const TICKS_PER_S: f64 = 100.0;

/// Processor time of this process, user and system, all threads.
#[must_use]
pub fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces: count behind it.
    let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 =
        behind.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
    Duration::from_secs_f64(ticks / TICKS_PER_S)
}

/// The load average over the last minute.
#[must_use]
pub fn load_average() -> f64 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or_default()
}
