//! What is in a store, counted: the report of a backup, of a restored store, of any store.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{
    approvals::Approval,
    audit::{AuditEntry, AuditLog, AuditReport},
    budgets::{NoteRow, sum},
    dead_letters::LetterRow,
    jobs::JobRow,
    ledger::EffectRecord,
    live::{DoneRow, Live},
    row::Row as _,
};
use crate::{
    MessageId, Result, TenantId, Timestamp,
    store::{Entry, Key, Pages, ScanQuery, SharedStore, StateStore as _, StoreError, everything},
};

/// Tenants that a report lists, and tables that nobody knows.
const LISTED: usize = 100;

/// What is in a store.
///
/// It is counted over a [`snapshot`](crate::store::StateStore::snapshot), so a gateway may work on
/// the store meanwhile. One pass over all rows; the audit trails are read once more, to verify
/// their seals.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{Env, TenantId, records::{Approval, Approvals, Inventory}, store::{MemoryStore, SharedStore}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> openclaw_core::Result<()> {
/// let env = Env::system();
/// let store: SharedStore = Arc::new(MemoryStore::new(env.clock()));
/// let acme = TenantId::new("acme").expect("a name");
/// let digest = Approval::digest_of(&acme, "shop.refund", "1", &serde_json::json!({"order": 1042}));
/// let approvals = Approvals::new(Arc::clone(&store), acme.clone());
/// approvals.grant("a-1", &Approval::granted(digest, "alice", env.now())).await?;
///
/// let inventory = Inventory::of(&store).await?;
/// assert_eq!((inventory.total.approvals, inventory.total.rows), (1, 2), "an audit entry, too");
/// assert_eq!(inventory.tenants[&acme].rows, 2);
/// println!("{inventory}");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inventory {
    /// From when it is, by the store's clock.
    pub as_of: Timestamp,
    /// Everything together.
    pub total: Counts,
    /// The first hundred tenants, in the order of their names.
    pub tenants: BTreeMap<TenantId, Counts>,
    /// Tenants that are not listed; they are in the total.
    pub unlisted: u64,
    /// The audit trails of the tenants that are listed: do their seals verify?
    pub trails: BTreeMap<TenantId, AuditReport>,
    /// Rows of tables that this program does not know, at most a hundred tables by name.
    pub unknown: BTreeMap<String, u64>,
}

/// How many of what there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Rows of every kind.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Messages that an agent has to answer.
    pub turns: u64,
    /// Turns that wait for a person or a job.
    pub suspended: u64,
    /// Replies that have to go out.
    pub replies: u64,
    /// Messages that are finished.
    pub finished: u64,
    /// Letters that a person has to look at.
    pub parked: u64,
    /// Dead letters.
    pub dead: u64,
    /// Conversations that are remembered.
    pub sessions: u64,
    /// Effects by the names of their states, those outside a gateway included.
    pub effects: BTreeMap<&'static str, u64>,
    /// Jobs of request queues by the names of their states.
    pub jobs: BTreeMap<&'static str, u64>,
    /// Approvals.
    pub approvals: u64,
    /// Entries of the audit trails.
    pub audit: u64,
    /// Messages that wait for another replica to take them in.
    pub relayed: u64,
    /// Rows that this program can't read: damaged ones, and formats of a newer program.
    pub unreadable: u64,
    /// The oldest message, finished or not.
    pub oldest: Option<MessageId>,
    /// The newest message, finished or not.
    pub newest: Option<MessageId>,
}

impl Inventory {
    /// Counts what is in a store.
    ///
    /// A store without snapshots is counted page by page; what is written meanwhile may show.
    ///
    /// # Errors
    /// The store does not answer. Rows that can't be read are counted, and no error.
    pub async fn of(store: &SharedStore) -> Result<Self> {
        let frozen = match store.snapshot().await {
            Err(StoreError::Unsupported(_)) => Arc::clone(store),
            frozen => frozen?,
        };
        let mut inventory = Self::empty();
        let (mut pages, mut after) = (Pages::usual(), None);
        loop {
            let query = ScanQuery::new(everything()).after(after.take()).limit(pages.limit());
            let found = frozen.scan(query).await?;
            inventory.as_of = found.as_of;
            pages.learn(&found.value);
            for (key, entry) in &found.value.rows {
                inventory.count(key, entry);
            }
            after = found.value.rows.into_iter().next_back().map(|(key, _)| key);
            if !found.value.more || after.is_none() {
                break;
            }
        }
        for tenant in inventory.tenants.keys() {
            let log = AuditLog::new(Arc::clone(&frozen), tenant.clone());
            inventory.trails.insert(tenant.clone(), log.verify(None).await?);
        }
        Ok(inventory)
    }

    fn empty() -> Self {
        Self {
            as_of: Timestamp::default(),
            total: Counts::default(),
            tenants: BTreeMap::new(),
            unlisted: 0,
            trails: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// Do all seals verify, and can every row be read?
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.total.unreadable == 0 && self.trails.values().all(AuditReport::is_ok)
    }

    fn count(&mut self, key: &Key, entry: &Entry) {
        let Some((tenant, table, rest)) = key.parts() else {
            self.total.weigh(key, entry);
            return self.strange("(no table)");
        };
        let seen = Seen::of(table, rest, &entry.value);
        if seen == Seen::Unknown {
            self.strange(table);
        }
        self.total.weigh(key, entry);
        self.total.add(&seen);
        // The system's rows have no tenant; but each tenant has one that marks it.
        let mark = (tenant.is_empty() && table == "tn")
            .then(|| rest.get(2..).and_then(|name| std::str::from_utf8(name).ok()))
            .flatten();
        let Ok(tenant) = TenantId::new(mark.unwrap_or(tenant)) else { return };
        if !self.tenants.contains_key(&tenant) && self.tenants.len() >= LISTED {
            self.unlisted += u64::from(mark.is_some());
            return;
        }
        let counts = self.tenants.entry(tenant).or_default();
        if mark.is_none() {
            counts.weigh(key, entry);
            counts.add(&seen);
        }
    }

    fn strange(&mut self, table: &str) {
        if self.unknown.len() < LISTED || self.unknown.contains_key(table) {
            *self.unknown.entry(table.to_owned()).or_default() += 1;
        }
    }
}

/// What a row is.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Turn(Option<MessageId>),
    Suspended(Option<MessageId>),
    Reply(Option<MessageId>),
    Finished(Option<MessageId>),
    Parked(Option<MessageId>),
    Dead(Option<MessageId>),
    Session,
    Effect(&'static str),
    Job(&'static str),
    Approval,
    Audit,
    Relayed,
    /// Nothing that is counted by itself.
    Other,
    Unreadable,
    Unknown,
}

/// The tables of rows that are not counted by themselves.
const OTHERS: &[&str] = &[
    "dd", "nc", "as", "ac", "il", "jq", "jd", "jk", "pt", "tn", "rp", "ho", "ha", "ro", "pn",
    "copy",
];

impl Seen {
    fn of(table: &str, rest: &[u8], value: &[u8]) -> Self {
        let id = rest.try_into().ok().map(MessageId::from_bytes);
        let read = match table {
            "lv" => Live::decode(value).map(|live| match live {
                Live::Turn(turn) if turn.waiting.is_some() => Self::Suspended(id),
                Live::Turn(_) => Self::Turn(id),
                Live::Reply(_) => Self::Reply(id),
            }),
            "dn" => DoneRow::decode(value).map(|_| Self::Finished(id)),
            "pk" => LetterRow::decode(value).map(|_| Self::Parked(id)),
            "dl" => LetterRow::decode(value).map(|_| Self::Dead(id)),
            "fx" | "ik" => {
                EffectRecord::decode(value).map(|record| Self::Effect(record.state.name()))
            }
            "jb" => JobRow::decode(value).map(|job| Self::Job(job.call.state.name())),
            "ap" => Approval::decode(value).map(|_| Self::Approval),
            "au" => AuditEntry::decode(value).map(|_| Self::Audit),
            "bg" => sum(value).map(|_| Self::Other),
            "bn" => NoteRow::decode(value).map(|_| Self::Other),
            "se" => Ok(Self::Session),
            "fw" => Ok(Self::Relayed),
            other if OTHERS.contains(&other) => Ok(Self::Other),
            _ => Ok(Self::Unknown),
        };
        read.unwrap_or(Self::Unreadable)
    }

    const fn message(&self) -> Option<MessageId> {
        match self {
            Self::Turn(id)
            | Self::Suspended(id)
            | Self::Reply(id)
            | Self::Finished(id)
            | Self::Parked(id)
            | Self::Dead(id) => *id,
            _ => None,
        }
    }
}

impl Counts {
    /// Messages that are not finished.
    #[must_use]
    pub const fn unfinished(&self) -> u64 {
        self.turns + self.suspended + self.replies
    }

    fn weigh(&mut self, key: &Key, entry: &Entry) {
        self.rows += 1;
        self.bytes += (key.as_bytes().len() + entry.value.len()) as u64;
    }

    fn add(&mut self, seen: &Seen) {
        if let Some(id) = seen.message() {
            self.oldest = Some(self.oldest.map_or(id, |oldest| oldest.min(id)));
            self.newest = self.newest.max(Some(id));
        }
        *match seen {
            Seen::Turn(_) => &mut self.turns,
            Seen::Suspended(_) => &mut self.suspended,
            Seen::Reply(_) => &mut self.replies,
            Seen::Finished(_) => &mut self.finished,
            Seen::Parked(_) => &mut self.parked,
            Seen::Dead(_) => &mut self.dead,
            Seen::Session => &mut self.sessions,
            Seen::Effect(state) => self.effects.entry(state).or_default(),
            Seen::Job(state) => self.jobs.entry(state).or_default(),
            Seen::Approval => &mut self.approvals,
            Seen::Audit => &mut self.audit,
            Seen::Relayed => &mut self.relayed,
            Seen::Unreadable => &mut self.unreadable,
            Seen::Other | Seen::Unknown => return,
        } += 1;
    }
}

impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "as of {}: {}", self.as_of, self.total)?;
        for (tenant, counts) in &self.tenants {
            writeln!(f, "  tenant {tenant}: {counts}")?;
            if let Some(trail) = self.trails.get(tenant) {
                let AuditReport { sealed, open, problems, .. } = trail;
                writeln!(f, "    audit: {sealed} sealed, {open} open")?;
                problems.iter().try_for_each(|problem| writeln!(f, "    AUDIT: {problem}"))?;
            }
        }
        if self.unlisted > 0 {
            writeln!(f, "  {} more tenants", self.unlisted)?;
        }
        self.unknown.iter().try_for_each(|(table, rows)| {
            writeln!(f, "  {rows} rows of a table that is not known here: {table:?}")
        })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, {} bytes", self.rows, self.bytes)?;
        let named = [
            (self.finished, "finished"),
            (self.turns, "to be answered"),
            (self.suspended, "suspended"),
            (self.replies, "replies to be sent"),
            (self.parked, "parked"),
            (self.dead, "dead letters"),
            (self.sessions, "sessions"),
            (self.approvals, "approvals"),
            (self.audit, "audit entries"),
            (self.relayed, "for another replica"),
            (self.unreadable, "UNREADABLE"),
        ];
        let effects = self.effects.iter().map(|(state, n)| (*n, format!("effects {state}")));
        let jobs = self.jobs.iter().map(|(state, n)| (*n, format!("jobs {state}")));
        let named = named.into_iter().map(|(n, name)| (n, name.to_owned()));
        for (n, name) in named.chain(effects).chain(jobs).filter(|(n, _)| *n > 0) {
            write!(f, ", {n} {name}")?;
        }
        match (self.oldest, self.newest) {
            (Some(oldest), Some(newest)) => {
                write!(f, "; messages from {} to {}", admitted(oldest), admitted(newest))
            }
            _ => Ok(()),
        }
    }
}

/// When a message with this id was admitted: ids begin with it.
fn admitted(id: MessageId) -> Timestamp {
    Timestamp::from_millis(u64::try_from(id.as_u128() >> 80).unwrap_or_default())
}
