//! Handing a grant back: its tokens are revoked (RFC 7009), then forgotten.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    Error, ErrorKind, Result, Timestamp,
    records::{AuditAction, AuditEntry},
};
use tokio::time::{Instant, sleep};

use super::{
    OAuth,
    decide::{LEASE, LOOK, is_ahead},
    endpoint::{ACCESS, Endpoint, REFRESH},
    record::{Phase, Record},
    renew::Source,
    rows::{Look, Written},
};

/// How long a grant is waited for that others keep renewing.
const PATIENCE: Duration = Duration::from_secs(120);

impl OAuth {
    /// Hands the grant back: the server revokes its tokens, then the store forgets them.
    ///
    /// As RFC 7009 has it. Whoever asks for tokens at the moment is waited for, 60 s at most, so
    /// that what they get is revoked, too. An access token of a kind that the server can't
    /// revoke is valid to its end.
    ///
    /// # Errors
    /// `UNSUPPORTED` when the grant was built without
    /// [`revocation`](super::OAuthBuilder::revocation); else what went wrong there or at the
    /// store. Then the tokens stay in the store: hand it back again, or [`forget`](Self::forget)
    /// it.
    pub async fn hand_back(&self) -> Result<()> {
        let source = &self.0.source;
        let Some(revocation) = &self.0.revocation else {
            let message = "this grant knows no place where tokens are revoked: build it with one";
            return Err(source.named(Error::new(ErrorKind::Unsupported, message)));
        };
        let mut revoked = false;
        let outcome = source.hand_back(revocation, &mut revoked).await;
        let doubt = |e: Error| if revoked { e.in_doubt() } else { e };
        outcome.map_err(|e| doubt(e.with("grant", &source.grant)))
    }
}

impl Source {
    async fn hand_back(&self, revocation: &Endpoint, revoked: &mut bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            self.save_unsaved().await?;
            let Look { row, as_of } = self.rows.look().await?;
            // Another client's tokens are none of this server's business.
            let ours = row.filter(|(record, _)| record.client == self.client);
            let Some((record, version)) = ours else { return Ok(()) };
            if is_being_renewed(&record, as_of) {
                sleep(LOOK).await;
                continue;
            }
            if let Some(refresh) = &record.refresh {
                revocation.revoke(REFRESH, &refresh.0).await?;
                *revoked = true;
            }
            if let Some(tokens) = &record.tokens {
                revocation.revoke(ACCESS, &tokens.access.0).await?;
                *revoked = true;
            }
            let (now, grant) = (self.rows.now(), Arc::clone(&self.grant));
            let entry = AuditEntry::apart(now, AuditAction::GrantEnded, grant);
            let entry = entry.because("handed back");
            let written = self.rows.decide(Some(version), &self.empty(&record), &entry).await?;
            if written != Written::Lost {
                self.forget();
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others change the grant all the time"))
    }
}

/// Does somebody ask for tokens, here or elsewhere?
fn is_being_renewed(record: &Record, now: Timestamp) -> bool {
    matches!(record.phase, Phase::Refreshing { until, .. } if is_ahead(until, now, LEASE))
}
