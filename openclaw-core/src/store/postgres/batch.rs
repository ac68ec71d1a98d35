//! A batch of transactions as one transaction of the server, in two round trips.
//!
//! The first takes the lock of the one row of `openclaw_meta` and reads what the batch touches;
//! the second writes it back and commits. The lock puts all writers in a row: versions grow and
//! appended rows become visible in one order, whoever writes.

use tokio_postgres::{Error, Statement, types::ToSql};

use super::{
    fault::{fault, is_answer, is_passing, is_refusal},
    link::Link,
    rows::{Changes, Rows, decode, keys},
    schema,
    shared::{Shared, signed, unsigned},
};
use crate::{
    Timestamp,
    store::apply::apply,
    traits::store::{Commit, StoreError, Txn, Version},
};

/// What a caller is told.
pub(super) type Outcome = Result<Commit, StoreError>;

/// Expired rows that a batch clears away at least, when there are so many.
const SWEEP: usize = 32;

type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How a batch ended without a commit.
#[derive(Debug)]
pub(super) enum Failed {
    /// Nothing of it is stored, and the next try may be better.
    Passing(StoreError),
    /// Nothing of it is stored.
    Before(StoreError),
    /// It may be stored or not.
    Unknown,
}

/// A connection that writes, with its statements.
pub(super) struct Writes {
    link: Link,
    lock: Statement,
    read: Statement,
    sweep: Statement,
    remove: Statement,
    touch: Statement,
    put: Statement,
    save: Statement,
    keep: Statement,
    /// The commit of a batch may be on its way.
    committing: bool,
}

/// What the first round trip brings.
struct Read {
    rows: Rows,
    /// The last version; `None` when the row of `openclaw_meta` is gone.
    version: Option<u64>,
    now: Timestamp,
}

/// The second round trip.
struct Write<'a> {
    changes: &'a Changes<'a>,
    version: i64,
    now: i64,
    sweep: Option<i64>,
}

impl Writes {
    /// Connects, and refuses a server that does not keep what it commits.
    pub(super) async fn connect(shared: &Shared, make: bool) -> Result<Self, StoreError> {
        let mut link = Link::connect(shared).await?;
        let client = link.begin();
        schema::check_synced(client, shared).await?;
        if make {
            schema::found(client, &shared.place).await?;
        }
        let [lock, read, sweep, remove, touch, put, save, keep] = statements(&shared.place.quoted);
        let prepared = tokio::try_join!(
            client.prepare(&lock),
            client.prepare(&read),
            client.prepare(&sweep),
            client.prepare(&remove),
            client.prepare(&touch),
            client.prepare(&put),
            client.prepare(&save),
            client.prepare(&keep),
        );
        let prepared = prepared.map_err(|e| fault(&shared.place, &e))?;
        let (lock, read, sweep, remove, touch, put, save, keep) = prepared;
        link.settled();
        Ok(Self { link, lock, read, sweep, remove, touch, put, save, keep, committing: false })
    }

    pub(super) fn is_usable(&self) -> bool {
        self.link.is_usable()
    }

    /// May the commit of the last batch have reached the server, unanswered?
    pub(super) const fn is_committing(&self) -> bool {
        self.committing
    }

    pub(super) async fn close(self) {
        self.link.close().await;
    }

    /// Runs a batch: one outcome for each transaction. Tells whether more is left to sweep.
    pub(super) async fn run(
        &mut self,
        shared: &Shared,
        txns: &[Txn],
        sweep: bool,
    ) -> Result<(Vec<Outcome>, bool), Failed> {
        let passing = |e: &Error| Failed::Passing(fault(&shared.place, e));
        let doubts = shared.doubts();
        let read = self.read(shared, txns).await.map_err(|e| match is_answer(&e) {
            true if !is_passing(&e) => Failed::Before(fault(&shared.place, &e)),
            _ => passing(&e),
        })?;
        if let Some(doubts) = doubts {
            shared.settle(doubts);
        }
        let Read { mut rows, version: last, now } = read;
        let Some(last) = last else {
            return Err(Failed::Before(schema::no_meta(&shared.place)));
        };
        let mut version = last;
        let mut outcomes = Vec::with_capacity(txns.len());
        for txn in txns {
            let outcome = apply(&mut rows, txn.clone(), Version::new(version + 1), now)
                .map_err(Failed::Before)?;
            if let Commit::Applied(_) = outcome {
                version += 1;
            }
            outcomes.push(Ok(outcome));
        }
        if version == last {
            let rolled_back = self.link.client.batch_execute("ROLLBACK").await;
            rolled_back.map_err(|e| passing(&e))?;
            self.link.settled();
            shared.saw(now);
            return Ok((outcomes, false));
        }
        let changes = rows.changes();
        let limit = sweep.then(|| signed((SWEEP + 2 * changes.put.keys.len()) as u64));
        let write = Write {
            changes: &changes,
            version: signed(version),
            now: signed(now.as_millis()),
            sweep: limit,
        };
        let swept = self.write(shared, write).await?;
        shared.saw(now);
        Ok((outcomes, limit.is_some_and(|limit| swept >= unsigned(limit))))
    }

    /// Takes the lock, then reads the rows and the time.
    ///
    /// All of it is sent at once; each statement sees what was committed before it began, so
    /// that the rows are read behind the lock.
    async fn read(&mut self, shared: &Shared, txns: &[Txn]) -> Result<Read, Error> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
        let keys = keys(txns);
        let read: Values<'_> = &[&keys];
        let client = self.link.begin();
        let (begun, locked, found) = tokio::join!(
            biased;
            client.batch_execute(BEGIN),
            client.execute(&self.lock, &[]),
            client.query(&self.read, read),
        );
        begun?;
        locked?;
        let mut read = Read { rows: Rows::default(), version: None, now: shared.floor() };
        for row in &found? {
            read.version = Some(unsigned(row.try_get(0)?));
            read.now = read.now.max(Timestamp::from_millis(unsigned(row.try_get(1)?)));
            if shared.clock.is_none() {
                read.now = read.now.max(Timestamp::from_millis(unsigned(row.try_get(2)?)));
            }
            if let Some((key, row)) = decode(row, 3)? {
                read.rows.read(key, row);
            }
        }
        Ok(read)
    }

    /// Writes back and commits, all sent at once; tells how many expired rows went.
    ///
    /// When a statement fails, the server undoes everything, and the COMMIT behind it is a
    /// ROLLBACK.
    async fn write(&mut self, shared: &Shared, write: Write<'_>) -> Result<u64, Failed> {
        let Write { changes, version, now, sweep } = write;
        let (put, touched) = (&changes.put, &changes.touched);
        if self.link.client.is_closed() {
            let place = &shared.place;
            let why = format!("postgres at {place}: the connection was lost: try again");
            return Err(Failed::Passing(StoreError::Unavailable(why)));
        }
        let client = self.link.begin();
        let run = async |statement, values: Values<'_>, wanted: bool| {
            if wanted { client.execute(statement, values).await } else { Ok(0) }
        };
        let (gone, touches): (Values<'_>, Values<'_>) =
            (&[&changes.removed], &[&touched.0, &touched.1]);
        let puts: Values<'_> = &[&put.keys, &put.versions, &put.expires, &put.values];
        let (old, meta): (Values<'_>, Values<'_>) = (&[&now, &sweep], &[&version, &now]);
        self.committing = true;
        let (swept, removed, touched, put, saved, committed) = tokio::join!(
            biased;
            run(&self.sweep, old, sweep.is_some()),
            run(&self.remove, gone, !changes.removed.is_empty()),
            run(&self.touch, touches, !touched.0.is_empty()),
            run(&self.put, puts, !put.keys.is_empty()),
            run(&self.save, meta, true),
            client.batch_execute("COMMIT"),
        );
        let statements = swept
            .and_then(|swept| removed.and(touched).and(put).and(saved).map(|saved| (swept, saved)));
        let (swept, failed) = match (statements, committed) {
            (Ok((swept, _)), Ok(())) => (swept, None),
            // What the server refuses before the COMMIT can't be committed any more.
            (Err(e), _) if e.as_db_error().is_some() => (0, Some(e)),
            (Ok(_), Err(e)) if is_refusal(&e) => (0, Some(e)),
            _ => return Err(Failed::Unknown),
        };
        self.committing = false;
        let Some(e) = failed else {
            self.link.settled();
            return Ok(swept);
        };
        if is_answer(&e) {
            self.link.settled();
        }
        let said = fault(&shared.place, &e);
        Err(if is_passing(&e) { Failed::Passing(said) } else { Failed::Before(said) })
    }

    /// Keeps a time that only reads have seen.
    pub(super) async fn keep(&mut self, now: Timestamp) -> Result<(), Error> {
        self.link.begin().execute(&self.keep, &[&signed(now.as_millis())]).await?;
        self.link.settled();
        Ok(())
    }
}

/// In this order: lock, read, sweep, remove, touch, put, save, keep.
fn statements(schema: &str) -> [String; 8] {
    let (meta, rows) = (format!("{schema}.openclaw_meta"), format!("{schema}.openclaw_rows"));
    [
        format!("SELECT 1 FROM {meta} FOR UPDATE"),
        format!(
            "SELECT m.version, m.time, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, \
             r.key, r.version, r.expires, r.value \
             FROM {meta} m LEFT JOIN {rows} r ON r.key = ANY($1::bytea[])"
        ),
        format!(
            "DELETE FROM {rows} WHERE key IN (SELECT key FROM {rows} WHERE expires <= $1::bigint \
             ORDER BY expires LIMIT $2::bigint)"
        ),
        format!("DELETE FROM {rows} WHERE key = ANY($1::bytea[])"),
        format!(
            "UPDATE {rows} r SET expires = u.expires \
             FROM unnest($1::bytea[], $2::bigint[]) u(key, expires) WHERE r.key = u.key"
        ),
        format!(
            "INSERT INTO {rows} (key, version, expires, value) \
             SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[]) \
             ON CONFLICT (key) DO UPDATE SET version = excluded.version, \
             expires = excluded.expires, value = excluded.value"
        ),
        format!("UPDATE {meta} SET version = $1::bigint, time = $2::bigint"),
        format!("UPDATE {meta} SET time = greatest(time, $1::bigint)"),
    ]
}
