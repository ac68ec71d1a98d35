//! The parts of the quickstart, tested by themselves.
//!
//! Nothing here starts a process: between fork and exec a child holds every file lock of its
//! parent, and the shop would find its file taken.
#![allow(dead_code, reason = "the program uses the rest of each part")]

#[path = "../quickstart/args.rs"]
mod args;
#[path = "../quickstart/desk.rs"]
mod desk;
#[path = "../quickstart/shop.rs"]
mod shop;
#[path = "../quickstart/skills.rs"]
mod skills;
