//! The engines of `StateStore`: the laws on each, and each on its own faults.

mod conformance;
#[cfg(feature = "fjall")]
#[cfg(test)]
mod fjall;
#[cfg(feature = "redb")]
#[cfg(test)]
mod redb;
