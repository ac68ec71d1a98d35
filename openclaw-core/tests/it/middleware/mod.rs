//! The layers, each tried as a host would use it.

mod lift;
mod policy;
