//! Core's behaviour tests.

mod gateway;
#[cfg(test)]
mod middleware;
mod records;
mod rules;
mod sim;
mod support;
mod tidy;
mod words;
