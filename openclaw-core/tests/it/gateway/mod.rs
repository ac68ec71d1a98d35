//! The gateway from outside: a message in, an effect once, a reply out, whatever breaks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod agents;
mod approvals;
mod asked_again;
mod crash;
mod crash_send;
mod dedupe;
mod deliver;
mod doubt;
mod drain;
mod guarded;
mod lanes;
mod letters;
mod nested;
mod orders;
mod outage;
mod output;
mod oversized;
mod patience;
mod replicas;
mod restored;
mod retention;
mod schedules;
mod sends;
mod sought;
mod stacks;
mod suspended;
mod unheard;
mod versions;
mod way;
