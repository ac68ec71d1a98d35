//! Retention: how long what is finished is kept, and which rows go next.
//!
//! Here it is decided what goes, piece by piece; the gateway commits each piece behind its fence.

mod approvals;
mod budgets;
mod claims;
mod letters;
mod messages;

use std::{collections::BTreeSet, num::NonZeroUsize, time::Duration};

use serde::Serialize;

use super::{
    audit::AuditLog,
    commit::unchanged,
    dead_letters::Shelf,
    live::{Live, live_rows},
    row::Row,
    sessions::{session_key, session_rows, used_at},
};
use crate::{
    ChannelId, Error, ErrorKind, Result, TenantId, Timestamp,
    store::{
        Entry, Guard, Key, Op, Prefix, ScanQuery, SharedStore, StateStore as _, StateStoreExt as _,
        Txn,
    },
};

/// Operations in one commit of a sweep, at most.
const OPS: usize = 64;
/// Rows that one step looks at.
const PAGE: NonZeroUsize = NonZeroUsize::new(32).unwrap();
/// Entries and seals of an audit trail in one commit.
const RANGE: NonZeroUsize = NonZeroUsize::new(OPS).unwrap();

/// The shortest pause behind a step.
const BREATH: Duration = Duration::from_millis(1);
/// A pause is this many times as long as the step before it: the writer has the rest.
const SHARE: u32 = 3;
/// How long a window of a budget is kept behind its end, unless a host says otherwise.
const WINDOWS: Duration = Duration::from_secs(2 * 86_400);
/// How long what is finished is kept, unless a host says otherwise.
const FINISHED: Duration = Duration::from_secs(30 * 86_400);
/// What a sweep goes by that was asked for claims, what they have reserved, and what they consumed.
const CLAIMS: Retention =
    Retention { messages: Some(FINISHED), budgets: Some(WINDOWS), ..Retention::forever() };

/// The pause behind a step of a sweep that took so long.
pub(crate) fn pause_behind(took: Duration) -> Duration {
    BREATH.max(took * SHARE)
}

/// How long what is finished is kept; `None` keeps it for ever.
///
/// A sweep removes what is older, in small commits that leave the writer room. What is not
/// finished never goes, nor does an effect whose outcome nobody knows.
///
/// Ages are told by the earlier of the gateway's clock and the store's, and never grow faster than
/// the time that has passed since the gateway's start: a clock that jumps ahead removes nothing
/// while it runs. A gateway that is *started* with a wrong date believes it.
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::records::Retention;
///
/// let day = Duration::from_secs(86_400);
/// let mut retention = Retention::default();
/// assert_eq!(retention.messages, Some(30 * day));
/// assert_eq!(retention.parked, None, "a person has to see them");
/// retention.messages = Some(14 * day);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Finished messages, with their replies, dedupe rows, effects and approvals. 30 days.
    ///
    /// An approval that no turn asked for goes so long behind the end of its time.
    ///
    /// A message that comes again behind this time is a new one, and is answered again. Hence a
    /// gateway refuses to start with less than the longest
    /// [`redelivery_horizon`](crate::channel::Capabilities::redelivery_horizon) of its channels.
    /// The default is above that of every platform that states one.
    pub messages: Option<Duration>,
    /// Dead letters, since they were given up. 90 days.
    ///
    /// Each leaves an audit entry, and its id counts as a finished message's from then on.
    pub dead_letters: Option<Duration>,
    /// Parked letters, since they were parked. For ever: a person has to see them.
    ///
    /// One with an effect whose outcome is unknown stays in any case.
    pub parked: Option<Duration>,
    /// Sessions, since the last turn of their conversation. For ever: only the host knows what
    /// its agents must not forget.
    ///
    /// A conversation with an open message keeps its session.
    pub sessions: Option<Duration>,
    /// Sealed ranges of the audit trail. For ever: laws and contracts say how long.
    ///
    /// What is left still verifies; the newest seal and what is not sealed stays.
    pub audit: Option<Duration>,
    /// Windows of [budgets](super::Budgets), behind their end; of a run, behind its beginning. 2 days.
    ///
    /// One in which something is still reserved stays, and that of a run whose message is not
    /// finished: it is open, or a letter that may be replayed.
    pub budgets: Option<Duration>,
    /// The pause between two sweeps. 10 min.
    pub every: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self {
            messages: Some(FINISHED),
            dead_letters: Some(90 * day),
            parked: None,
            sessions: None,
            audit: None,
            budgets: Some(WINDOWS),
            every: Duration::from_secs(600),
        }
    }
}

impl Retention {
    /// Keeps everything for ever.
    #[must_use]
    pub const fn forever() -> Self {
        let every = Duration::from_secs(600);
        let (messages, dead_letters, parked, sessions) = (None, None, None, None);
        Self { messages, dead_letters, parked, sessions, audit: None, budgets: None, every }
    }

    /// Refuses to forget a message that this channel may still deliver again.
    pub(crate) fn check(&self, channel: &ChannelId, horizon: Duration) -> Result<()> {
        let Some(messages) = self.messages.filter(|keep| *keep < horizon) else { return Ok(()) };
        let why = "retention.messages is shorter than a channel may deliver a message again: \
                   such a message would be answered twice";
        Err(Error::new(ErrorKind::ValidationError, why)
            .with("channel", channel)
            .with("redelivery_horizon", format!("{horizon:?}"))
            .with("retention.messages", format!("{messages:?}")))
    }

    /// Refuses a sweep that never pauses.
    pub(crate) fn check_pause(&self) -> Result<()> {
        if self.every.is_zero() {
            let why = "retention.every needs a time between two sweeps";
            return Err(Error::new(ErrorKind::ValidationError, why));
        }
        Ok(())
    }

    const fn of_shelf(&self, shelf: Shelf) -> Option<Duration> {
        match shelf {
            Shelf::Dead => self.dead_letters,
            Shelf::Parked => self.parked,
        }
    }
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Swept {
    /// Finished messages, with their dedupe rows.
    pub messages: u64,
    /// Effects of finished messages.
    pub effects: u64,
    /// Dead and parked letters.
    pub letters: u64,
    /// Sessions.
    pub sessions: u64,
    /// Entries of the audit trail.
    pub audit: u64,
    /// Effects outside a gateway that count no more.
    pub claims: u64,
    /// Approvals that no turn asked for, and whose time is over.
    pub approvals: u64,
    /// Windows of budgets that are over.
    pub budgets: u64,
}

impl Swept {
    /// Was there nothing to remove?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) const fn add(&mut self, more: Self) {
        self.messages += more.messages;
        self.effects += more.effects;
        self.letters += more.letters;
        self.sessions += more.sessions;
        self.audit += more.audit;
        self.claims += more.claims;
        self.approvals += more.approvals;
        self.budgets += more.budgets;
    }
}

/// One commit of a sweep, without its fence.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    guards: Vec<Guard>,
    ops: Vec<Op>,
    /// What goes when it is applied.
    pub(crate) swept: Swept,
}

impl Piece {
    /// The commit behind this fence, which is its first guard; `None` when nothing goes.
    pub(crate) fn txn(self, fence: Option<Guard>) -> Option<Txn> {
        let txn = fence.into_iter().chain(self.guards).fold(Txn::new("sweep"), Txn::guard);
        (!self.ops.is_empty()).then(|| txn.ops(self.ops))
    }

    fn has_room(&self, ops: usize) -> bool {
        self.ops.len() + ops <= OPS
    }
}

/// What a sweep looks at, one after the other.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Shelf(Shelf),
    Messages,
    Sessions,
    Audit,
    Claims,
    Approvals,
    Budgets,
}

/// One sweep over the rows of a tenant.
#[derive(Debug)]
pub(crate) struct Sweep<'a> {
    store: &'a SharedStore,
    tenant: &'a TenantId,
    retention: &'a Retention,
    now: Timestamp,
    stage: Option<Stage>,
    /// The last row that was looked at in this stage.
    after: Option<Key>,
    /// The first effect of a message that goes in pieces.
    begun: Option<Key>,
    /// The sessions of conversations with an open message, once they are asked for.
    busy: Option<BTreeSet<Key>>,
}

impl<'a> Sweep<'a> {
    /// A sweep of what is too old now.
    pub(crate) const fn new(
        store: &'a SharedStore,
        tenant: &'a TenantId,
        retention: &'a Retention,
        now: Timestamp,
    ) -> Self {
        let stage = Some(Stage::Shelf(Shelf::Dead));
        Self { store, tenant, retention, now, stage, after: None, begun: None, busy: None }
    }

    /// A sweep of effects outside a gateway, and of windows that are over; of nothing else.
    pub(crate) const fn of_claims(
        store: &'a SharedStore,
        tenant: &'a TenantId,
        now: Timestamp,
    ) -> Self {
        let stage = Some(Stage::Claims);
        Self { store, tenant, retention: &CLAIMS, now, stage, after: None, begun: None, busy: None }
    }

    /// The next piece, from a page of rows; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Piece>> {
        let Some(stage) = self.stage else { return Ok(None) };
        let keep = match stage {
            Stage::Shelf(shelf) => self.retention.of_shelf(shelf),
            Stage::Messages | Stage::Approvals => self.retention.messages,
            Stage::Sessions => self.retention.sessions,
            Stage::Audit => self.retention.audit,
            // Each says itself how long it counts.
            Stage::Claims => Some(Duration::ZERO),
            Stage::Budgets => self.retention.budgets,
        };
        let Some(keep) = keep else { return Ok(Some(self.stage_done())) };
        match stage {
            Stage::Shelf(shelf) => self.letters(shelf, keep).await,
            Stage::Messages => self.messages(keep).await,
            Stage::Sessions => self.sessions(keep).await,
            Stage::Audit => self.audit(keep).await,
            Stage::Claims => self.claims().await,
            Stage::Approvals => self.unasked(keep).await,
            Stage::Budgets => self.budgets(keep).await,
        }
        .map(Some)
    }

    /// Goes on with the next stage; nothing more goes in this one.
    fn stage_done(&mut self) -> Piece {
        self.after = None;
        self.stage = match self.stage {
            Some(Stage::Shelf(Shelf::Dead)) => Some(Stage::Shelf(Shelf::Parked)),
            Some(Stage::Shelf(Shelf::Parked)) => Some(Stage::Messages),
            Some(Stage::Messages) => Some(Stage::Sessions),
            Some(Stage::Sessions) => Some(Stage::Audit),
            Some(Stage::Audit) => Some(Stage::Claims),
            Some(Stage::Claims) => Some(Stage::Approvals),
            Some(Stage::Approvals) => Some(Stage::Budgets),
            Some(Stage::Budgets) | None => None,
        };
        Piece::default()
    }

    /// The next rows under a prefix, and the last of them when more follow.
    async fn page(&self, prefix: Prefix) -> Result<(Vec<(Key, Entry)>, Option<Key>)> {
        let query = ScanQuery::new(prefix).after(self.after.clone()).limit(PAGE);
        let page = self.store.scan(query).await?.value;
        let end = page.rows.last().filter(|_| page.more).map(|(key, _)| key.clone());
        Ok((page.rows, end))
    }

    /// Goes on behind the last row of a page, or with the next stage when there was no more.
    fn turn_page(&mut self, end: Option<Key>) {
        match end {
            Some(end) => self.after = Some(end),
            None => drop(self.stage_done()),
        }
    }

    /// Is this old enough?
    fn is_over(&self, at: Timestamp, keep: Duration) -> bool {
        self.now >= at && self.now.since(at) >= keep
    }

    async fn sessions(&mut self, keep: Duration) -> Result<Piece> {
        let mut piece = Piece::default();
        let (rows, end) = self.page(session_rows(self.tenant)).await?;
        for (key, entry) in rows {
            let used = readable(used_at(&entry), &key).flatten();
            let over = used.is_some_and(|at| self.is_over(at, keep));
            if !over || self.busy().await?.contains(&key) {
                continue;
            }
            // A turn that has written it since then wins.
            piece.guards.push(unchanged(key.clone(), entry.version));
            piece.ops.push(Op::delete(key));
            piece.swept.sessions += 1;
        }
        self.turn_page(end);
        Ok(piece)
    }

    /// The sessions of conversations with an open message: a turn may wait for months.
    async fn busy(&mut self) -> Result<&BTreeSet<Key>> {
        if self.busy.is_none() {
            let mut busy = BTreeSet::new();
            for (_, entry) in self.store.scan_all(live_rows(self.tenant)).await? {
                busy.insert(session_key(self.tenant, Live::decode(&entry.value)?.place()));
            }
            self.busy = Some(busy);
        }
        Ok(self.busy.get_or_insert_default())
    }

    async fn audit(&mut self, keep: Duration) -> Result<Piece> {
        let log = AuditLog::new(SharedStore::clone(self.store), self.tenant.clone());
        let Some(trim) = log.trim(keep, self.now, RANGE).await? else {
            return Ok(self.stage_done());
        };
        let swept = Swept { audit: trim.entries, ..Swept::default() };
        Ok(Piece { guards: vec![trim.guard], ops: trim.ops, swept })
    }
}

/// What a row says; one that can't be read stays, and is told of.
fn readable<T>(read: Result<T>, key: &Key) -> Option<T> {
    read.inspect_err(
        |error| tracing::warn!(?key, %error, "a sweep leaves a row that it can't read"),
    )
    .ok()
}
