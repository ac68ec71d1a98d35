//! Reads: each one statement, so one snapshot, on a connection from a small pool.
//!
//! A row that a reader saw expire must not come back by a touch of a batch that began a moment
//! earlier. So a read that meets a row which expired a short while ago waits until the batch
//! that is under way is done, then reads again as of the time it had at first: whoever writes
//! later has a later time, and finds the row expired too.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};
use tokio_postgres::{Error, Statement};

use super::{
    fault::{fault, is_answer},
    link::Link,
    rows::decode,
    schema,
    shared::{GRACE, Shared, signed, unsigned},
};
use crate::{
    Timestamp,
    store::apply::Row,
    traits::store::{Key, ScanQuery, StoreError, TxnId, Version},
};

/// Longer than any key: above all of them.
const ABOVE: [u8; 481] = [0xFF; 481];

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// These rows.
    Get(Vec<Key>),
    /// The rows of a range: from the first key on, before the second.
    Scan { low: Vec<u8>, high: Vec<u8>, reverse: bool, limit: i64 },
}

/// Live rows, and the time at which they are.
pub(super) struct Found {
    pub(super) rows: Vec<(Key, Row)>,
    pub(super) now: Timestamp,
}

/// A connection that reads, with its statements.
struct Reads {
    link: Link,
    get: Statement,
    up: Statement,
    down: Statement,
    wait: Statement,
}

/// The pool.
pub(super) struct Reader {
    shared: Arc<Shared>,
    permits: Semaphore,
    idle: Mutex<Vec<Reads>>,
}

/// From when a read is.
#[derive(Clone, Copy)]
struct When {
    floor: Timestamp,
    /// Is the server's time added?
    server: bool,
    /// Rows that expired less than this before the floor are shown too, in milliseconds.
    grace: i64,
}

impl Ask {
    /// The range of a query, and one row more than it wants.
    pub(super) fn scan(query: &ScanQuery) -> Self {
        let mut low = query.prefix.as_bytes().to_vec();
        let mut high = query.prefix.end().unwrap_or_else(|| ABOVE.to_vec());
        if let Some(after) = query.after.as_ref().map(Key::as_bytes) {
            if query.reverse {
                high = high.min(after.to_vec());
            } else {
                // The very next key.
                low = low.max([after, &[0]].concat());
            }
        }
        let limit = signed(query.limit.get() as u64).saturating_add(1);
        Self::Scan { low, high, reverse: query.reverse, limit }
    }
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, connections: usize) -> Self {
        let permits = Semaphore::new(connections.min(Semaphore::MAX_PERMITS));
        Self { shared, permits, idle: Mutex::default() }
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Answers from one snapshot.
    pub(super) async fn read(&self, ask: Ask) -> Result<Found, StoreError> {
        let end = Instant::now() + self.shared.limits.request;
        timeout_at(end, self.answer(&ask)).await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable(format!(
                "postgres at {}: no answer within {:?}: look at its load, or allow more readers",
                self.shared.place, self.shared.limits.request
            )))
        })
    }

    /// Raises the versions, on a connection of its own.
    pub(super) async fn raise(&self, least: Version) -> Result<(), StoreError> {
        let raise = async {
            let mut link = Link::connect(&self.shared).await?;
            let text = raising(&self.shared.place.quoted);
            let done = link.begin().execute(&text, &[&signed(least.get())]).await;
            link.settled();
            link.close().await;
            let unknown = StoreError::OutcomeUnknown(TxnId::default());
            let failed = |e| if is_answer(&e) { fault(&self.shared.place, &e) } else { unknown };
            match done.map_err(failed)? {
                0 => Err(schema::no_meta(&self.shared.place)),
                _ => Ok(()),
            }
        };
        let late = |_| StoreError::OutcomeUnknown(TxnId::default());
        timeout(self.shared.limits.request, raise).await.map_err(late)?
    }

    async fn answer(&self, ask: &Ask) -> Result<Found, StoreError> {
        let closed = |_| StoreError::Closed("its last handle was dropped".to_owned());
        let _permit = self.permits.acquire().await.map_err(closed)?;
        let mut pooled = self.lock().pop();
        loop {
            let (mut reads, fresh) = match pooled.take().filter(|reads| reads.link.is_usable()) {
                Some(reads) => (reads, false),
                None => (Reads::connect(&self.shared).await?, true),
            };
            match reads.ask(&self.shared, ask).await {
                Ok(found) => {
                    self.lock().push(reads);
                    let found = found.ok_or_else(|| schema::no_meta(&self.shared.place))?;
                    self.shared.saw(found.now);
                    return Ok(found);
                }
                Err(e) => {
                    let answered = is_answer(&e);
                    if answered || fresh {
                        return Err(fault(&self.shared.place, &e));
                    }
                    // The server has been away, and the others in the pool are lost too.
                    self.lock().clear();
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Reads>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connections in good order.
    pub(super) async fn close(&self) {
        let idle = std::mem::take(&mut *self.lock());
        for reads in idle {
            reads.link.close().await;
        }
    }
}

impl Reads {
    async fn connect(shared: &Shared) -> Result<Self, StoreError> {
        let mut link = Link::connect(shared).await?;
        let client = link.begin();
        let [get, up, down, wait] = statements(&shared.place.quoted);
        let prepared = tokio::try_join!(
            client.prepare(&get),
            client.prepare(&up),
            client.prepare(&down),
            client.prepare(&wait),
        );
        let (get, up, down, wait) = prepared.map_err(|e| fault(&shared.place, &e))?;
        link.settled();
        Ok(Self { link, get, up, down, wait })
    }

    /// What is asked; `None` when the row of `openclaw_meta` is gone.
    async fn ask(&mut self, shared: &Shared, ask: &Ask) -> Result<Option<Found>, Error> {
        self.link.begin();
        if let Some(doubts) = shared.doubts() {
            // Its lock is gone when the server is done with what nobody knows.
            self.link.client.execute(&self.wait, &[]).await?;
            shared.settle(doubts);
        }
        let grace = signed(u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX));
        let when = When { floor: shared.floor(), server: shared.clock.is_none(), grace };
        let mut found = self.query(ask, when).await?;
        let expired = |found: &Found| found.rows.iter().any(|(_, row)| !row.is_live(found.now));
        if let Some(now) = found.as_ref().filter(|found| expired(found)).map(|found| found.now) {
            self.link.client.execute(&self.wait, &[]).await?;
            let when = When { floor: now, server: false, grace: 0 };
            found = self.query(ask, when).await?;
            if let Some(found) = &mut found {
                found.rows.retain(|(_, row)| row.is_live(found.now));
            }
        }
        self.link.settled();
        Ok(found)
    }

    /// One statement: rows and time of one snapshot, expired rows of late included.
    ///
    /// The time comes with or without rows: where nothing comes, `openclaw_meta` is empty.
    async fn query(&self, ask: &Ask, when: When) -> Result<Option<Found>, Error> {
        let client = &self.link.client;
        let When { server, grace, .. } = when;
        let floor = signed(when.floor.as_millis());
        let answer = match ask {
            Ask::Get(keys) => {
                let keys: Vec<&[u8]> = keys.iter().map(Key::as_bytes).collect();
                client.query(&self.get, &[&floor, &server, &grace, &keys]).await?
            }
            Ask::Scan { low, high, reverse, limit } => {
                let statement = if *reverse { &self.down } else { &self.up };
                client.query(statement, &[&floor, &server, &grace, low, high, limit]).await?
            }
        };
        let mut found = Found { rows: Vec::with_capacity(answer.len()), now: when.floor };
        for row in &answer {
            found.now = found.now.max(Timestamp::from_millis(unsigned(row.try_get(0)?)));
            found.rows.extend(decode(row, 1)?);
        }
        Ok((!answer.is_empty()).then_some(found))
    }
}

fn raising(schema: &str) -> String {
    format!("UPDATE {schema}.openclaw_meta SET version = greatest(version, $1::bigint)")
}

/// In this order: get, scan upwards, scan downwards, wait for the writer.
fn statements(schema: &str) -> [String; 4] {
    let (meta, rows) = (format!("{schema}.openclaw_meta"), format!("{schema}.openclaw_rows"));
    let now = "greatest(m.time, $1::bigint, CASE WHEN $2::boolean THEN \
               floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint END)";
    let recent = "(r.expires IS NULL OR r.expires > greatest(m.time, $1::bigint) - $3::bigint)";
    let columns = "r.key, r.version, r.expires, r.value";
    let scan = |order: &str| {
        format!(
            "SELECT {now}, {columns} FROM {meta} m LEFT JOIN LATERAL (SELECT {columns} \
             FROM {rows} r WHERE r.key >= $4::bytea AND r.key < $5::bytea AND {recent} \
             ORDER BY r.key {order} LIMIT $6::bigint) r ON true ORDER BY r.key {order}"
        )
    };
    [
        format!(
            "SELECT {now}, {columns} FROM {meta} m LEFT JOIN {rows} r \
             ON r.key = ANY($4::bytea[]) AND {recent}"
        ),
        scan("ASC"),
        scan("DESC"),
        format!("SELECT 1 FROM {meta} FOR SHARE"),
    ]
}
