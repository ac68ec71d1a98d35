//! The tables: how they are made, and what must hold before they are used.
//!
//! `openclaw_rows`: key → version, expiry, value. `openclaw_meta`: one row with the layout, the
//! last version and the time of the last commit; who holds its lock writes.

use tokio_postgres::{Client, Error};

use super::{fault::fault, place::Place, shared::Shared};
use crate::traits::store::StoreError;

/// The layout this code reads and writes.
const FORMAT: i64 = 1;

/// The lock of whoever makes the tables: two openers at once take turns.
const MAKING: &str = "SELECT pg_advisory_xact_lock(8028075836841092193)";

/// What decides whether a commit survives power loss. Engines without these settings have none.
const SYNCED: &str = "SELECT s.name, current_setting(s.name, true) \
     FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) s(name)";

/// Refuses a server that answers before a commit is safe.
pub(super) async fn check_synced(client: &Client, shared: &Shared) -> Result<(), StoreError> {
    let place = &shared.place;
    let settings = client.query(SYNCED, &[]).await.map_err(|e| fault(place, &e))?;
    for setting in settings {
        let (name, value): (String, Option<String>) =
            both(&setting).map_err(|e| fault(place, &e))?;
        if value.as_deref() == Some("off") && !shared.relaxed {
            return Err(StoreError::Unsupported(format!(
                "postgres at {place} with {name} = off: its commits may be lost with the power: \
                 switch {name} on, or open the store with `relaxed`"
            )));
        }
    }
    Ok(())
}

fn both<'r, A, B>(row: &'r tokio_postgres::Row) -> Result<(A, B), Error>
where
    A: tokio_postgres::types::FromSql<'r>,
    B: tokio_postgres::types::FromSql<'r>,
{
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Makes the tables when there are none, and judges their layout.
///
/// It waits for commits that are under way: what an earlier process left behind is settled when
/// this one begins.
pub(super) async fn found(client: &Client, place: &Place) -> Result<(), StoreError> {
    let failed = |e| fault(place, &e);
    if !exists(client, place).await.map_err(failed)? {
        make(client, place).await.map_err(failed)?;
    }
    judge(client, place).await
}

/// Judges the layout of the tables.
async fn judge(client: &Client, place: &Place) -> Result<(), StoreError> {
    let layout = format!("SELECT format FROM {}.openclaw_meta FOR SHARE", place.quoted);
    let read = async || -> Result<Option<i64>, Error> {
        let row = client.query_opt(&layout, &[]).await?;
        row.map(|row| row.try_get(0)).transpose()
    };
    let here = format!("postgres at {place}, schema {}", place.quoted);
    match read().await.map_err(|e| fault(place, &e))? {
        Some(FORMAT) => Ok(()),
        Some(n) => Err(StoreError::Corrupt(format!(
            "{here}: its layout is {n}, this program knows {FORMAT}: run the program that wrote it"
        ))),
        None => Err(no_meta(place)),
    }
}

/// The row that holds the last version is gone: no commit may guess it.
pub(super) fn no_meta(place: &Place) -> StoreError {
    StoreError::Corrupt(format!(
        "postgres at {place}, schema {}: the table openclaw_meta is empty: restore it from a \
         backup",
        place.quoted
    ))
}

async fn exists(client: &Client, place: &Place) -> Result<bool, Error> {
    const META: &str = "SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename = \
         'openclaw_meta'";
    let count: i64 = client.query_one(META, &[&place.schema]).await?.try_get(0)?;
    Ok(count > 0)
}

/// Makes the tables in one transaction, unless somebody was faster.
async fn make(client: &Client, place: &Place) -> Result<(), Error> {
    const SCHEMA: &str = "SELECT count(*) FROM pg_namespace WHERE nspname = $1";
    client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
    client.batch_execute(MAKING).await?;
    if !exists(client, place).await? {
        let there: i64 = client.query_one(SCHEMA, &[&place.schema]).await?.try_get(0)?;
        if there == 0 {
            client.batch_execute(&format!("CREATE SCHEMA {}", place.quoted)).await?;
        }
        client.batch_execute(&tables(&place.quoted)).await?;
    }
    client.batch_execute("COMMIT").await
}

fn tables(schema: &str) -> String {
    format!(
        "CREATE TABLE {schema}.openclaw_rows (
            key bytea PRIMARY KEY,
            version bigint NOT NULL,
            expires bigint,
            value bytea NOT NULL
        );
        CREATE INDEX openclaw_rows_expires ON {schema}.openclaw_rows (expires)
            WHERE expires IS NOT NULL;
        CREATE TABLE {schema}.openclaw_meta (
            one boolean PRIMARY KEY DEFAULT true CHECK (one),
            format bigint NOT NULL,
            version bigint NOT NULL,
            time bigint NOT NULL
        );
        INSERT INTO {schema}.openclaw_meta (format, version, time) VALUES ({FORMAT}, 0, 0);"
    )
}
