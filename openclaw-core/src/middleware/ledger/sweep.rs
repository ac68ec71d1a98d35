//! What counts no more goes, in small commits that leave the writer room.

use std::num::NonZeroUsize;

use tokio::time::{Instant, sleep};

use crate::{
    Result, TenantId,
    records::{
        claims::{Claims, lease_rows},
        commit::{self, Known},
        retention::{Sweep, pause_behind},
    },
    store::{ScanQuery, StateStore as _},
};

/// Removes a tenant's records that count no more, and approvals asked for them; how many there were.
pub(super) async fn sweep(claims: &Claims, tenant: &TenantId) -> Result<u64> {
    let mut removed = 0;
    // Their dates are the store's.
    let probe = ScanQuery::new(lease_rows(tenant)).limit(NonZeroUsize::MIN);
    let now = claims.store().scan(probe).await?.as_of;
    let mut sweep = Sweep::of_claims(claims.store(), tenant, now);
    loop {
        let began = Instant::now();
        let Some(piece) = sweep.next().await? else { return Ok(removed) };
        let goes = piece.swept.claims + piece.swept.approvals;
        if let Some(txn) = piece.txn(None)
            && let Known::Applied(_) = commit::commit(&**claims.store(), txn).await?
        {
            removed += goes;
        }
        sleep(pause_behind(began.elapsed())).await;
    }
}
