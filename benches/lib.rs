//! Programs that measure, and what they share.
//!
//! * [`load`]: a gateway under load, every message accounted for.
//! * [`peers`]: what the machine does without us: a bare sync, a bare task hop.
//! * [`missing`]: what the peers' layers can't do, as programs that do not compile.
//! * [`machine`]: processor time and load average of this machine.

pub mod load;
pub mod machine;
pub mod missing;
pub mod peers;

/// What the programs here return.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
