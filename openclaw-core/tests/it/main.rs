//! Core's behaviour tests.

mod gateway;
#[cfg(test)]
mod middleware;
mod records;
mod sim;
mod support;
mod tidy;
mod words;
