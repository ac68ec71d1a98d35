//! Programs that measure, and what they share.
//!
//! * [`load`]: a gateway under load, every message accounted for.
//! * [`peers`]: what the machine does without us: a bare sync, a bare task hop.
//! * [`machine`]: processor time and load average of this machine.

pub mod load;
pub mod machine;
pub mod peers;

/// What the programs here return.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
