//! A moment of the database: a read-only transaction on a connection of its own.
//!
//! The snapshot of the server begins behind a time that was taken while no batch was under way
//! that had begun before it: whoever writes later has a later time. So no row that has expired in
//! it comes back.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    runtime::Handle,
    sync::Mutex,
    time::{Instant, timeout, timeout_at},
};
use tokio_postgres::{Error, Statement};

use super::{
    PostgresStore,
    fault::fault,
    link::Link,
    reader::Ask,
    rows::decode,
    shared::{Shared, signed, unsigned},
};
use crate::{
    Timestamp,
    store::{
        apply::Row,
        frozen::{Facts, Frozen, Moment},
    },
    traits::store::{Entry, Key, Page, ScanQuery, SharedStore, StoreError, Version},
};

/// How long the server keeps a snapshot that nobody reads.
const IDLE: Duration = Duration::from_secs(600);

/// The transaction, with its statements.
struct Session {
    link: Link,
    get: Statement,
    up: Statement,
    down: Statement,
}

/// The transaction, until something goes wrong with it.
struct Seen {
    session: Arc<Mutex<Option<Session>>>,
    runtime: Handle,
    shared: Arc<Shared>,
    /// The last to go: the connection lives on its thread.
    _store: PostgresStore,
}

/// Freezes what is stored now.
pub(super) async fn take(store: &PostgresStore) -> Result<SharedStore, StoreError> {
    let (runtime, shared) = store.0.home.place();
    let here = Arc::clone(&shared);
    let opening = runtime.spawn(async move {
        let limit = here.limits.connect.saturating_add(here.limits.request);
        timeout(limit, Session::open(&here)).await.unwrap_or_else(|_| Err(late(&here)))
    });
    let (session, facts) = opening.await.unwrap_or_else(|_| Err(gone(&shared)))?;
    shared.saw(facts.as_of);
    let session = Arc::new(Mutex::new(Some(session)));
    let limits = store.0.limits.clone();
    let seen = Seen { session, runtime, shared, _store: store.clone() };
    Ok(Frozen::shared(seen, facts, limits))
}

impl Session {
    async fn open(shared: &Shared) -> Result<(Self, Facts), StoreError> {
        let link = Link::connect(shared).await?;
        Self::begin(link, shared).await.map_err(|e| fault(&shared.place, &e))
    }

    async fn begin(mut link: Link, shared: &Shared) -> Result<(Self, Facts), Error> {
        let Statements { keep, now, wait, begin, meta, get, up, down } =
            Statements::on(&shared.place.quoted);
        let client = link.begin();
        client.query(&keep, &[&IDLE.as_millis().to_string()]).await?;
        let (floor, server) = (signed(shared.floor().as_millis()), shared.clock.is_none());
        let floor: i64 = client.query_one(&now, &[&floor, &server]).await?.try_get(0)?;
        let doubts = shared.doubts();
        client.execute(&wait, &[]).await?;
        if let Some(doubts) = doubts {
            shared.settle(doubts);
        }
        client.batch_execute(begin).await?;
        let row = client.query_one(&meta, &[&floor]).await?;
        let as_of = Timestamp::from_millis(unsigned(row.try_get(0)?));
        let version = Version::new(unsigned(row.try_get(1)?));
        let (get, up, down) =
            tokio::try_join!(client.prepare(&get), client.prepare(&up), client.prepare(&down),)?;
        link.settled();
        Ok((Self { link, get, up, down }, Facts { as_of, version }))
    }

    async fn ask(&mut self, ask: &Ask, now: Timestamp) -> Result<Vec<(Key, Row)>, Error> {
        let now = signed(now.as_millis());
        let client = self.link.begin();
        let answer = match ask {
            Ask::Get(keys) => {
                let keys: Vec<&[u8]> = keys.iter().map(Key::as_bytes).collect();
                client.query(&self.get, &[&now, &keys]).await?
            }
            Ask::Scan { low, high, reverse, limit } => {
                let statement = if *reverse { &self.down } else { &self.up };
                client.query(statement, &[&now, low, high, limit]).await?
            }
        };
        let mut rows = Vec::with_capacity(answer.len());
        for row in &answer {
            rows.extend(decode(row, 0)?);
        }
        self.link.settled();
        Ok(rows)
    }
}

impl Seen {
    /// Reads on the thread of the store; a transaction that fails once is over.
    async fn read(&self, ask: Ask, now: Timestamp) -> Result<Vec<(Key, Row)>, StoreError> {
        let (session, shared) = (Arc::clone(&self.session), Arc::clone(&self.shared));
        let reading = self.runtime.spawn(async move {
            let mut place = session.lock().await;
            let mut session = place.take().ok_or_else(|| gone(&shared))?;
            let end = Instant::now() + shared.limits.request;
            let answer = timeout_at(end, session.ask(&ask, now)).await;
            let rows = answer.map_err(|_elapsed| late(&shared))?.map_err(|e| cut(&shared, &e))?;
            *place = Some(session);
            Ok(rows)
        });
        reading.await.unwrap_or_else(|_| Err(gone(&self.shared)))
    }
}

#[async_trait]
impl Moment for Seen {
    async fn get_many(
        &self,
        keys: &[Key],
        now: Timestamp,
    ) -> Result<Vec<Option<Entry>>, StoreError> {
        let found = self.read(Ask::Get(keys.to_vec()), now).await?;
        let one = |key: &Key| found.iter().find(|(there, _)| there == key);
        Ok(keys.iter().map(|key| one(key).map(|(_, row)| row.clone().entry())).collect())
    }

    async fn page(&self, query: &ScanQuery, now: Timestamp) -> Result<Page, StoreError> {
        let limit = query.limit.get();
        let found = self.read(Ask::scan(query), now).await?;
        let more = found.len() > limit;
        let rows = found.into_iter().take(limit).map(|(key, row)| (key, row.entry()));
        Ok(Page::new(rows.collect(), more))
    }
}

/// What is asked of the server.
struct Statements {
    keep: String,
    now: String,
    wait: String,
    begin: &'static str,
    meta: String,
    get: String,
    up: String,
    down: String,
}

impl Statements {
    fn on(schema: &str) -> Self {
        let (meta, rows) = (format!("{schema}.openclaw_meta"), format!("{schema}.openclaw_rows"));
        let live = "(expires IS NULL OR expires > $1::bigint)";
        let read = format!("SELECT key, version, expires, value FROM {rows} WHERE {live} AND");
        let scan = |order: &str| {
            format!(
                "{read} key >= $2::bytea AND key < $3::bytea ORDER BY key {order} LIMIT $4::bigint"
            )
        };
        Self {
            keep: "SELECT set_config(name, $1::text, false) FROM pg_settings \
                   WHERE name = 'idle_in_transaction_session_timeout'"
                .to_owned(),
            now: format!(
                "SELECT greatest(time, $1::bigint, CASE WHEN $2::boolean THEN \
                 floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint END) FROM {meta}"
            ),
            wait: format!("SELECT 1 FROM {meta} FOR SHARE"),
            begin: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            meta: format!("SELECT greatest(time, $1::bigint), version FROM {meta}"),
            get: format!("{read} key = ANY($2::bytea[])"),
            up: scan("ASC"),
            down: scan("DESC"),
        }
    }
}

fn cut(shared: &Shared, e: &Error) -> StoreError {
    match fault(&shared.place, e) {
        StoreError::Unavailable(why) => {
            StoreError::Unavailable(format!("{why}; the snapshot is over: take another"))
        }
        other => other,
    }
}

fn late(shared: &Shared) -> StoreError {
    StoreError::Unavailable(format!(
        "postgres at {}: a snapshot had no answer in time and is over: look at the server's load, \
         then take another",
        shared.place
    ))
}

fn gone(shared: &Shared) -> StoreError {
    StoreError::Unavailable(format!(
        "postgres at {}: the snapshot is over: take another",
        shared.place
    ))
}
