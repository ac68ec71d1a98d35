//! Names and their addresses. A port, so that a test can play the other side.

use std::{fmt, net::IpAddr, sync::Arc};

use async_trait::async_trait;
use openclaw_core::{ErrorKind, OrFail, Result};

/// Finds the addresses of a host name.
///
/// The client asks once for each connection it makes, judges the first 16 answers by its
/// [`EgressPolicy`](super::EgressPolicy), and connects to one of those that pass.
///
/// ```
/// use std::net::IpAddr;
///
/// use openclaw_channels::guarded_http::{GuardedHttp, Resolve};
/// use openclaw_core::{Call, Context, ErrorKind, TenantId, http::Http};
///
/// /// Somebody else's name server, which says that our machine is theirs.
/// #[derive(Debug)]
/// struct Rebinding;
///
/// #[async_trait::async_trait]
/// impl Resolve for Rebinding {
///     async fn resolve(&self, _host: &str) -> openclaw_core::Result<Vec<IpAddr>> {
///         Ok(vec![[127, 0, 0, 1].into()])
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use openclaw_channels::guarded_http::EgressPolicy;
/// # let policy = EgressPolicy::public().allow_http();
/// let client = GuardedHttp::builder().policy(policy).resolver(Rebinding).build()?;
/// let request = http::Request::get("http://evil.test/").body(bytes::Bytes::new())?;
/// let call = Call::http(Context::new(TenantId::new("acme")?), request);
/// assert_eq!(client.send(call).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Resolve: Send + Sync + fmt::Debug + 'static {
    /// All addresses of this name, the best first.
    ///
    /// # Errors
    /// `UNAVAILABLE` when they can't be found. Whatever it says, nothing was sent.
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<R: Resolve + ?Sized> Resolve for Arc<R> {
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>> {
        R::resolve(self, host).await
    }
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct System;

#[async_trait]
impl Resolve for System {
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await.before_send(ErrorKind::Unavailable)?;
        Ok(found.map(|at| at.ip()).collect())
    }
}
