//! The laws of [`Authorize`]: one function for each sentence of its contract.

mod list;
mod refuse;
mod shown;
mod sign;
mod time;
mod trial;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use openclaw_core::TenantId;
use openclaw_testkit::conformance::{Law, Report, Verdict};

use self::trial::Need;
pub use self::trial::Trial;
use crate::api::Authorize;

/// Makes the ways to sign that the laws try, each with the remote that reads the signatures.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use bytes::Bytes;
/// use http::Request;
/// use openclaw_skills::{
///     api::Authorize,
///     auth::ApiKey,
///     conformance::authorize::{AuthorizeHarness, AuthorizePeer, check_all},
///     secrets::{EnvSecrets, SecretRef, SecretSource, Secrets},
/// };
///
/// /// A shop that takes the newest key, and the operator who changes it.
/// #[derive(Clone)]
/// struct Shop(Arc<Mutex<Vec<String>>>);
///
/// #[async_trait::async_trait]
/// impl AuthorizePeer for Shop {
///     fn secrets(&self) -> Vec<String> {
///         self.0.lock().expect("no panic").clone()
///     }
///     fn accepts(&self, request: &Request<Bytes>) -> bool {
///         let newest = self.secrets().pop();
///         request.headers().get("x-api-key").map(|key| key.as_bytes())
///             == newest.as_ref().map(|key| key.as_bytes())
///     }
///     async fn rotate(&self) {
///         let mut keys = self.0.lock().expect("no panic");
///         let next = format!("s3cret-{}", keys.len());
///         keys.push(next);
///     }
/// }
///
/// struct Keys;
///
/// #[async_trait::async_trait]
/// impl AuthorizeHarness for Keys {
///     async fn fresh(&self) -> (Box<dyn Authorize>, Box<dyn AuthorizePeer>) {
///         let shop = Shop(Arc::new(Mutex::new(vec!["s3cret-0".to_owned()])));
///         let keys = shop.clone();
///         let env = EnvSecrets::of(move |_name| keys.secrets().pop());
///         let secrets = Secrets::builder().provider(SecretSource::Env, "default", env);
///         let secrets = secrets.build().expect("a name");
///         let key = SecretRef::env("KEY").expect("a name");
///         let auth = ApiKey::header(secrets, key, "x-api-key").expect("a header");
///         (Box::new(auth), Box::new(shop))
///     }
/// }
///
/// let report = check_all(&Keys);
/// assert!(report.held.contains(&"what_is_added_is_not_shown"));
/// assert!(report.not_declared.contains(&("it_waits_no_longer_than_its_call", "silence")));
/// ```
#[async_trait]
pub trait AuthorizeHarness: Send + Sync {
    /// A new way to sign, with credentials that are valid, and the remote that reads them.
    async fn fresh(&self) -> (Box<dyn Authorize>, Box<dyn AuthorizePeer>);

    /// The tenant whose calls it signs.
    fn tenant(&self) -> TenantId {
        TenantId::new("acme").expect("an id")
    }

    /// A tenant whose calls it does not sign; `None` when it signs everybody's.
    fn stranger(&self) -> Option<TenantId> {
        None
    }

    /// Does it put the credentials into the query, where they are sure to be shown?
    fn in_the_query(&self) -> bool {
        false
    }

    /// Has it threads or sockets of its own, so that time must not be paused?
    fn real_time(&self) -> bool {
        false
    }
}

/// The remote, and whoever gives out its credentials, as a test sees them.
#[async_trait]
pub trait AuthorizePeer: Send + Sync {
    /// All texts that must not be shown, old and new, as they are kept and as they are sent.
    fn secrets(&self) -> Vec<String>;

    /// Is a request with these headers and this query let in, now?
    fn accepts(&self, request: &Request<Bytes>) -> bool;

    /// Replaces the credentials: those that were given out before are refused from now on.
    async fn rotate(&self);

    /// How often credentials were asked for; `None` when nobody counts.
    fn asked(&self) -> Option<u64> {
        None
    }

    /// Can it have no credentials to give?
    fn can_be_empty(&self) -> bool {
        false
    }

    /// Takes all credentials away: there are none to be had.
    async fn take_away(&self) {}

    /// Can it be made not to answer who asks for credentials?
    fn can_be_silent(&self) -> bool {
        false
    }

    /// From now on nobody who asks for credentials gets an answer.
    async fn fall_silent(&self) {}
}

crate::__authorize_laws! { [openclaw_testkit::__law_table] {
    /// Every law of a way to sign requests.
    AuthorizeHarness, awaited
} }
