//! What the programs that check themselves share.

mod checks;
mod client;

pub use checks::Checks;
pub use client::{Answer, ask};
