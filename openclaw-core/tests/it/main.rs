//! Core's behaviour tests.

mod tidy;
