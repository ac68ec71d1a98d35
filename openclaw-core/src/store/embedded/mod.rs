//! What embedded engines share: the queue, the one thread that writes, time, rows, words.

mod directory;
mod fault;
mod queue;
mod row;
mod thread;
mod view;

pub(super) use self::{
    directory::sync_directory,
    fault::{cannot_use, guarded, in_place, is_full},
    row::{Found, due, due_key, encode, head, live, range, row},
    thread::{Batches, Engine, Failed, Outcome, Writing},
    view::View,
};
