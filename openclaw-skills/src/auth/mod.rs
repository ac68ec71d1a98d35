//! Credentials for requests: API keys, Basic, Bearer, OAuth 2.0.
//!
//! An [`ApiKey`] and an [`OAuth`] grant are ways to [`Authorize`](crate::api::Authorize) a
//! request; [`Authorized`] is an HTTP client that does so for one origin. Secrets come from
//! [`Secrets`](crate::secrets::Secrets) at each use, HTTP goes through core's port, and no secret
//! is shown by any `Debug` or error.

mod api_key;
mod authorized;
mod base64;
mod oauth;

use openclaw_core::{Context, Error, ErrorKind, Happened, Result};
use tokio::time::timeout_at;

pub use self::{
    api_key::{ApiKey, Leaks},
    authorized::Authorized,
    oauth::{
        AccessToken, AuthEvent, Begun, ClientAuth, GrantState, GrantStatus, OAuth, OAuthBuilder,
        ReauthReason,
    },
};

/// Waits no longer than the caller does: until its deadline, and until it cancels.
async fn within<T>(context: &Context, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let gone = |kind, message| Error::new(kind, message).with_happened(Happened::No);
    let cancelled = async {
        match context.cancel() {
            Some(cancel) => cancel.cancelled().await,
            None => std::future::pending().await,
        }
    };
    let timed = async {
        let Some(deadline) = context.deadline() else { return work.await };
        let late =
            |_| gone(ErrorKind::Timeout, "the deadline passed before there were credentials");
        timeout_at(deadline, work).await.map_err(late)?
    };
    tokio::select! {
        biased;
        () = cancelled => Err(gone(ErrorKind::Cancelled, "the caller gave up")),
        outcome = timed => outcome,
    }
}
