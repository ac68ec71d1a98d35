//! What a host may rely on: typed skills, their errors, their schemas.
#![expect(clippy::expect_used, reason = "a test that can't go on fails")]

mod laws;
mod offline;
mod schema;
mod skill_fn;
mod support;
