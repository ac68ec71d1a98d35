//! What embedded engines share: the queue, the one thread that writes, time, rows, words.

mod fault;
mod queue;
mod row;
mod thread;
mod view;

pub(super) use self::{
    fault::{cannot_use, guarded, in_place, is_full},
    row::{Found, due, due_key, encode, head, live, range, row},
    thread::{Batches, Engine, Failed, Outcome, Writing},
    view::View,
};
