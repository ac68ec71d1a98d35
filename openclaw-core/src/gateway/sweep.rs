//! The sweep: what is finished and old enough goes, in small commits that leave the writer room.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Gateway, Inner};
use crate::{
    Env, Error, Result, TenantId, Timestamp,
    records::{
        commit::{self, Known},
        inbox::tenant_marks,
        retention::{Sweep, Swept, pause_behind},
    },
    store::{ScanQuery, StateStore as _, Txn},
};

/// A clock that is this far ahead of the time that passed is told of.
const LEAP: Duration = Duration::from_secs(86_400);

/// A date and a moment that belong together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Began {
    date: Timestamp,
    moment: Instant,
}

impl Began {
    pub(super) fn now(env: &Env) -> Self {
        Self { date: env.now(), moment: Instant::now() }
    }

    /// The latest date that the time since then accounts for.
    fn latest(&self) -> Timestamp {
        self.date.after(self.moment.elapsed())
    }
}

impl Gateway {
    /// Removes what is older than the retention says, for every tenant.
    ///
    /// The gateway does so now and then by itself. Each step is small, and a pause of three times
    /// its length follows. Where replicas share a store, the one that owns the first partition
    /// sweeps for all: elsewhere nothing is removed. A sweep that is dropped halfway has removed
    /// whole messages, and the next one goes on.
    ///
    /// # Errors
    /// The store does not answer, another gateway has taken over, or the gateway is stopping.
    pub async fn sweep(&self) -> Result<Swept> {
        self.inner.open_for_orders()?;
        sweep(&self.inner).await
    }
}

/// Sweeps from time to time.
pub(super) async fn sweeper(inner: Arc<Inner>) {
    while !inner.pause(inner.config.retention.every).await {
        match sweep(&inner).await {
            Ok(swept) if swept.is_empty() => {}
            Ok(swept) => removed(&swept),
            Err(error) => left(&error),
        }
    }
}

fn removed(swept: &Swept) {
    tracing::info!(?swept, "what was old enough was removed");
}

fn left(error: &Error) {
    tracing::warn!(%error, "a sweep was left for the next time");
}

async fn sweep(inner: &Inner) -> Result<Swept> {
    let mut swept = Swept::default();
    // Where partitions are spread over replicas, one of them sweeps.
    if inner.is_fenced() || !inner.fences.holds(0) {
        return Ok(swept);
    }
    let now = date(inner).await?;
    for tenant in inner.all_tenants().await? {
        if !sweep_one(inner, &tenant, now, &mut swept).await? {
            break;
        }
    }
    Ok(swept)
}

/// Sweeps the rows of a tenant; false when the gateway stops before the end.
async fn sweep_one(
    inner: &Inner,
    tenant: &TenantId,
    now: Timestamp,
    swept: &mut Swept,
) -> Result<bool> {
    let mut sweep = Sweep::new(&inner.store, tenant, &inner.config.retention, now);
    loop {
        let began = Instant::now();
        let Some(piece) = sweep.next().await? else { return Ok(true) };
        let goes = piece.swept;
        if let Some(txn) = piece.txn(Some(inner.fences.guard(0)))
            && remove(inner, txn).await?
        {
            swept.add(goes);
        }
        if inner.pause(pause_behind(began.elapsed())).await {
            return Ok(false);
        }
    }
}

/// Commits a piece; false when a row of it has changed, and is left for the next time.
async fn remove(inner: &Inner, txn: Txn) -> Result<bool> {
    match commit::commit(&*inner.store, txn).await? {
        Known::Applied(_) => Ok(true),
        lost @ Known::Lost { guard: 0, .. } => Err(inner.fenced(lost)),
        Known::Lost { .. } => Ok(false),
    }
}

/// The date that ages are told by: the earliest that anybody believes in.
async fn date(inner: &Inner) -> Result<Timestamp> {
    let probe = ScanQuery::new(tenant_marks()).limit(NonZeroUsize::MIN);
    let store = inner.store.scan(probe).await?.as_of;
    let (clock, latest) = (inner.env.now(), inner.began.latest());
    if clock.since(latest) > LEAP {
        tracing::error!(%clock, %latest, "the clock leapt ahead: what it makes old is kept until the next start");
    }
    Ok(clock.min(store).min(latest))
}
