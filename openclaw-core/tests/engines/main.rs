//! The engines of `StateStore`: the laws on each, and each on its own faults.

mod conformance;
#[cfg(feature = "redb")]
#[cfg(test)]
mod redb;
#[cfg(feature = "redis")]
#[cfg(test)]
mod redis;
