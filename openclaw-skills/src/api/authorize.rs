//! `Authorize`: puts credentials on a request, right before it is sent.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use openclaw_core::{Context, Digest, Effects, Error, ErrorKind, Happened, Result, Secret};

/// Names the credential on a request, without holding it.
///
/// ```
/// use openclaw_core::Secret;
/// use openclaw_skills::api::Credential;
///
/// let old = Credential::of(&Secret::new("k-1"));
/// assert_eq!(old, Credential::of(&Secret::new("k-1")));
/// assert_ne!(old, Credential::of(&Secret::new("k-2")), "it was rotated");
/// assert!(!format!("{old:?}").contains("k-1"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Credential(Digest);

impl Credential {
    /// The name of this secret.
    #[must_use]
    pub fn of(secret: &Secret) -> Self {
        Self(Digest::of("openclaw.credential", [secret.expose()]))
    }

    pub(super) const fn digest(&self) -> &Digest {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?})", self.0)
    }
}

/// Refuses what would leave this process while the effects of a call are withheld.
pub(crate) fn check_live(context: &Context) -> Result<()> {
    match context.effects() {
        Effects::Live => Ok(()),
        Effects::Withheld => {
            let message = "effects are withheld: nothing is sent";
            Err(Error::new(ErrorKind::Unsupported, message).with_happened(Happened::No))
        }
    }
}

/// Puts credentials on a request, right before it is sent.
///
/// * It is asked for every request, so that a secret that was rotated counts at once.
/// * `refused` names the credential that the remote has just answered with 401. It is of no use
///   any more: the answer carries another one, which may be there already because somebody else
///   was refused before. Where there is no other, it names the same one, or is an error.
/// * It changes nothing but headers and query of the request, and logs none of them. What it adds
///   to the headers is marked as sensitive; where it fails, it has added nothing.
/// * It waits no longer than the call's deadline, and ends when the call is cancelled.
///
/// ```
/// use async_trait::async_trait;
/// use bytes::Bytes;
/// use openclaw_core::{Context, ErrorKind, OrFail, Result, Secret, TenantId};
/// use openclaw_skills::api::{Authorize, Credential};
///
/// /// A key that is read anew for every request.
/// #[derive(Debug)]
/// struct ApiKey(fn() -> Secret);
///
/// #[async_trait]
/// impl Authorize for ApiKey {
///     async fn authorize(
///         &self,
///         _: &Context,
///         request: &mut http::Request<Bytes>,
///         _refused: Option<Credential>,
///     ) -> Result<Credential> {
///         let key = (self.0)();
///         let value = http::HeaderValue::from_str(key.expose());
///         let mut value = value.before_send(ErrorKind::ValidationError)?;
///         value.set_sensitive(true);
///         request.headers_mut().insert("x-api-key", value);
///         Ok(Credential::of(&key))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut request = http::Request::get("https://crm.test/customers").body(Bytes::new())?;
/// let context = Context::new(TenantId::new("acme")?);
/// ApiKey(|| Secret::new("k-1")).authorize(&context, &mut request, None).await?;
/// assert_eq!(request.headers()["x-api-key"], "k-1");
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Authorize: Send + Sync + fmt::Debug + 'static {
    /// Puts the credentials on the request, and names them.
    ///
    /// # Errors
    /// There are none to be had: `AUTHENTICATION_FAILED`, or why nobody could be asked. Nothing
    /// was sent: `happened` is `No`.
    async fn authorize(
        &self,
        context: &Context,
        request: &mut http::Request<Bytes>,
        refused: Option<Credential>,
    ) -> Result<Credential>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Authorize + ?Sized> Authorize for Arc<T> {
    async fn authorize(
        &self,
        context: &Context,
        request: &mut http::Request<Bytes>,
        refused: Option<Credential>,
    ) -> Result<Credential> {
        (**self).authorize(context, request, refused).await
    }
}
