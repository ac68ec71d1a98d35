//! What embedded engines share: the queue, the one thread that writes, time, rows, words.

mod fault;
#[cfg(any(feature = "redb", feature = "fjall"))]
mod kept;
mod queue;
mod row;
mod thread;
#[cfg_attr(not(feature = "redb"), allow(dead_code, reason = "only redb is put down and up"))]
mod view;

#[cfg(any(feature = "redb", feature = "fjall"))]
pub(super) use self::kept::{Meta, SWEEP};
pub(super) use self::{
    fault::{cannot_use, guarded, in_place, is_full},
    row::{Found, due, due_key, encode, head, live, range, row},
    thread::{Batches, Engine, Failed, Outcome, Writing},
    view::View,
};
pub(super) use super::disk::sync_directory;
