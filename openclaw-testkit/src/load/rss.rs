//! How much memory the process has.

use std::fs;

/// Bytes of this process that are in memory, as Linux tells them; `None` elsewhere.
///
/// ```
/// let bytes = openclaw_testkit::load::resident_bytes();
/// assert_eq!(bytes.is_some(), cfg!(target_os = "linux"));
/// ```
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
