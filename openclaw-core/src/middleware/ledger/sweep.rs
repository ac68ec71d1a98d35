//! What counts no more goes, in small commits that leave the writer room.

use tokio::time::{Instant, sleep};

use crate::{
    Result, TenantId,
    records::{
        claims::Claims,
        commit::{self, Known},
        retention::{Sweep, pause_behind},
    },
};

/// Removes a tenant's records that count no more; how many there were.
pub(super) async fn sweep(claims: &Claims, tenant: &TenantId) -> Result<u64> {
    let mut removed = 0;
    let mut sweep = Sweep::of_claims(claims.store(), tenant, claims.env().now());
    loop {
        let began = Instant::now();
        let Some(piece) = sweep.next().await? else { return Ok(removed) };
        let goes = piece.swept.claims;
        if let Some(txn) = piece.txn(None)
            && let Known::Applied(_) = commit::commit(&**claims.store(), txn).await?
        {
            removed += goes;
        }
        sleep(pause_behind(began.elapsed())).await;
    }
}
