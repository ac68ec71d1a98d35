//! The engines of `StateStore`: the laws on each, and each on its own faults.

mod conformance;
#[cfg(feature = "postgres")]
#[cfg(test)]
mod postgres;
#[cfg(feature = "redb")]
#[cfg(test)]
mod redb;
