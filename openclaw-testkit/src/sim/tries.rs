//! Tries at a remote, as an outsider counts them.

use std::{sync::Arc, time::Duration};

use openclaw_core::{Digest, Effect, Happened, Timestamp};
use tokio::time::Instant;

/// What is known of one effect, or of one part of a reply, from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Tries {
    pub(super) count: u32,
    /// Tries since an operator had a look.
    pub(super) since: u32,
    pub(super) first: Option<Timestamp>,
    /// A try may have happened: its answer was lost, or heard and perhaps not recorded.
    pub(super) doubt: bool,
    /// Was there such a doubt before the try that runs?
    pub(super) before: bool,
    /// Not before this instant, said the remote to this process.
    pub(super) not_before: Option<(u32, Instant, Timestamp)>,
    pub(super) asked: Option<Digest>,
    /// The version of the skill that does it: it goes on with it while there is a doubt.
    pub(super) version: Arc<str>,
}

/// What a process is about to do at a remote.
#[derive(Debug)]
pub(super) struct Doing<'a> {
    pub(super) process: u32,
    pub(super) key: &'a str,
    pub(super) effect: Effect,
    pub(super) at: Timestamp,
    pub(super) asked: Digest,
    /// The version of the skill; none for a send.
    pub(super) version: Arc<str>,
    /// The most tries before somebody has to look.
    pub(super) most: Option<u32>,
}

/// What a process was told about a try.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) happened: Happened,
    /// How long to wait at least before the next one.
    pub(super) wait: Option<Duration>,
}
