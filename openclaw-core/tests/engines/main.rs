//! The engines of `StateStore`: the laws on each, and each on its own faults.

#[cfg(test)]
mod backup;
mod conformance;
#[cfg(any(feature = "redb", feature = "fjall"))]
#[cfg(test)]
mod empty;
#[cfg(feature = "fjall")]
#[cfg(test)]
mod fjall;
#[cfg(any(feature = "redb", feature = "fjall"))]
#[cfg(test)]
mod model;
#[cfg(feature = "postgres")]
#[cfg(test)]
mod postgres;
#[cfg(feature = "redb")]
#[cfg(test)]
mod redb;
#[cfg(feature = "redis")]
#[cfg(test)]
mod redis;
#[cfg(feature = "sqlite")]
#[cfg(test)]
mod sqlite;
#[cfg(any(feature = "redb", feature = "fjall"))]
#[cfg(test)]
mod steps;
#[cfg(test)]
mod wrappers;
