//! Core's behaviour tests.

mod gateway;
mod laws;
#[cfg(feature = "redb")]
#[cfg(test)]
mod redb;
mod support;
mod tidy;
mod words;
