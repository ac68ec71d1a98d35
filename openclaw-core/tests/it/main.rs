//! Core's behaviour tests.

mod tidy;
mod words;
