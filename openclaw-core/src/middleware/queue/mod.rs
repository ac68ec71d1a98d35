//! Calls that wait in the store for their turn.

mod book;
mod job;
mod next;
mod request;
mod run;

pub use self::{
    job::{Job, JobId},
    request::{RequestQueue, RequestQueueBuilder},
};
