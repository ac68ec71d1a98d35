//! Who this client says it is, as of now.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use openclaw_core::{Result, Secret};

/// A certificate of a client, and its key, both in PEM.
///
/// The chain begins with the client's own certificate; the key is its PKCS #8, PKCS #1 or SEC1
/// key, without a password.
#[derive(Clone)]
pub struct Identity {
    chain: Arc<str>,
    key: Secret,
}

impl Identity {
    /// Takes both over. They are read when a connection needs them.
    #[must_use]
    pub fn from_pem(chain: impl Into<Arc<str>>, key: Secret) -> Self {
        Self { chain: chain.into(), key }
    }

    pub(super) fn chain(&self) -> &str {
        &self.chain
    }

    pub(super) const fn key(&self) -> &Secret {
        &self.key
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key.expose() == other.key.expose()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Brings a client's identity as of now: a file, a secret store, a constant.
///
/// It is asked before each request that may need it, so it should remember what it read for a
/// while. When it brings another one, connections that were made with the old one are not used
/// again.
///
/// ```
/// use openclaw_channels::guarded_http::{ClientIdentity, GuardedHttp, Identity, Tls};
/// use openclaw_core::{Result, Secret};
///
/// #[derive(Debug)]
/// struct Files;
///
/// #[async_trait::async_trait]
/// impl ClientIdentity for Files {
///     async fn current(&self) -> Result<Identity> {
///         let (chain, key) = ("-----BEGIN CERTIFICATE-----…", "-----BEGIN PRIVATE KEY-----…");
///         Ok(Identity::from_pem(chain, Secret::new(key)))
///     }
/// }
///
/// let tls = Tls::system().identity("api.bank.test".parse()?, Files);
/// assert!(GuardedHttp::builder().tls(tls).build().is_ok());
/// # Ok::<_, openclaw_core::Error>(())
/// ```
#[async_trait]
pub trait ClientIdentity: Send + Sync + fmt::Debug + 'static {
    /// The identity to show from now on.
    ///
    /// # Errors
    /// There is none now. Whatever it says, nothing was sent.
    async fn current(&self) -> Result<Identity>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: ClientIdentity + ?Sized> ClientIdentity for Arc<I> {
    async fn current(&self) -> Result<Identity> {
        I::current(self).await
    }
}

/// An identity that never changes.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ClientIdentity for Identity {
    async fn current(&self) -> Result<Self> {
        Ok(self.clone())
    }
}
