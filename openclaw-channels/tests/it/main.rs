//! The behaviour of every channel, from outside.

mod memory;
