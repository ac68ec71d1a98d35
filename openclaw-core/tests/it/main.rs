//! Core's behaviour tests.

mod gateway;
mod laws;
#[cfg(test)]
mod middleware;
mod records;
#[cfg(feature = "redb")]
#[cfg(test)]
mod redb;
mod sim;
mod support;
mod tidy;
mod words;
