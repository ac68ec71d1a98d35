//! A certificate and its key, by reference: who a client says it is.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use openclaw_core::{ErrorKind, Result, Secret};

use super::{provider::refuse, reference::SecretRef, resolve::Secrets};
use crate::api::Credential;

/// What blocks of certificates in PEM are called.
const CERTIFICATE: &str = "CERTIFICATE";

/// A client's certificate and its private key in PEM, read at each use.
///
/// It is what a client shows under mutual TLS: an HTTP client asks for it before it connects, and
/// so takes a new one up without a restart. Best, both are one secret ([`KeyPair::bundle`]):
/// nothing can come between them. Of two secrets, both are read anew as soon as one has changed.
///
/// `GuardedHttp` of openclaw-channels asks a `ClientIdentity`, which this crate can't name: the
/// host writes what stands between them. A pair that the other side turns down is shown until
/// [`Secrets`] reads it anew; who knows of it earlier calls [`KeyPair::refused`].
///
/// ```
/// use async_trait::async_trait;
/// use openclaw_channels::guarded_http::{ClientIdentity, GuardedHttp, Identity, Tls};
/// use openclaw_core::Result;
/// use openclaw_skills::secrets::{KeyPair, SecretRef, Secrets};
///
/// #[derive(Debug)]
/// struct Stored(KeyPair);
///
/// #[async_trait]
/// impl ClientIdentity for Stored {
///     async fn current(&self) -> Result<Identity> {
///         let (chain, key) = self.0.read().await?;
///         Ok(Identity::from_pem(chain, key))
///     }
/// }
///
/// let pair = KeyPair::bundle(Secrets::builder().build()?, SecretRef::store("CLIENT_PEM")?);
/// let tls = Tls::system().identity("api.bank.test".parse()?, Stored(pair.clone()));
/// assert!(GuardedHttp::builder().tls(tls).build().is_ok());
/// // As soon as the host hears that the bank has revoked the certificate:
/// pair.refused();
/// # Ok::<_, openclaw_core::Error>(())
/// ```
///
/// ```
/// use openclaw_skills::secrets::{EnvSecrets, KeyPair, SecretRef, SecretSource, Secrets};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> openclaw_core::Result<()> {
/// const BOTH: &str = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n\
///                     -----BEGIN PRIVATE KEY-----\nczNjcmV0\n-----END PRIVATE KEY-----\n";
/// let env = EnvSecrets::of(|_name| Some(BOTH.to_owned()));
/// let secrets = Secrets::builder().provider(SecretSource::Env, "default", env).build()?;
/// let pair = KeyPair::bundle(secrets, SecretRef::env("CLIENT_PEM")?);
///
/// let (chain, key) = pair.read().await?;
/// assert!(chain.starts_with("-----BEGIN CERTIFICATE-----") && !chain.contains("KEY"));
/// assert!(key.expose().starts_with("-----BEGIN PRIVATE KEY-----"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KeyPair {
    secrets: Secrets,
    chain: SecretRef,
    key: SecretRef,
    /// What was read last, by name: the chain, and the key.
    last: Arc<Mutex<Option<(Credential, Credential)>>>,
}

impl KeyPair {
    /// A chain of certificates, the client's own first, and its key: two secrets.
    #[must_use]
    pub fn new(secrets: Secrets, chain: SecretRef, key: SecretRef) -> Self {
        Self { secrets, chain, key, last: Arc::default() }
    }

    /// Both in one secret, one after the other.
    #[must_use]
    pub fn bundle(secrets: Secrets, both: SecretRef) -> Self {
        Self::new(secrets, both.clone(), both)
    }

    /// The chain and the key, as they are now.
    ///
    /// # Errors
    /// As [`Secrets::get`]; `VALIDATION_ERROR` when there is no certificate, or not one key.
    pub async fn read(&self) -> Result<(Arc<str>, Secret)> {
        let (mut chain, mut key) = self.both().await?;
        let now = (Credential::of(&chain), Credential::of(&key));
        let before = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        let half = before.is_some_and(|last| (last.0 == now.0) != (last.1 == now.1));
        if half && self.chain != self.key {
            self.refused();
            (chain, key) = self.both().await?;
            let now = (Credential::of(&chain), Credential::of(&key));
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
        Ok((self.chain_of(&chain)?, self.key_of(&key)?))
    }

    /// The other side did not accept what was read last: both are read anew.
    pub fn refused(&self) {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((chain, key)) = last {
            self.secrets.invalidate(&self.chain, chain);
            self.secrets.invalidate(&self.key, key);
        }
    }

    async fn both(&self) -> Result<(Secret, Secret)> {
        let chain = self.secrets.get(&self.chain).await?;
        let key = self.secrets.get(&self.key).await?;
        Ok((chain, key))
    }

    fn chain_of(&self, text: &Secret) -> Result<Arc<str>> {
        let certificates = blocks(text.expose(), |label| label == CERTIFICATE);
        if certificates.is_empty() {
            let error =
                refuse(ErrorKind::ValidationError, "the secret holds no certificate in PEM");
            return Err(error.with("secret", &self.chain));
        }
        Ok(certificates.concat().into())
    }

    fn key_of(&self, text: &Secret) -> Result<Secret> {
        let keys = blocks(text.expose(), |label| label.ends_with("PRIVATE KEY"));
        match keys.as_slice() {
            [only] => Ok(Secret::new(*only)),
            _ => {
                let message = "the secret does not hold exactly one private key in PEM";
                Err(refuse(ErrorKind::ValidationError, message).with("secret", &self.key))
            }
        }
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("chain", &self.chain)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// The whole blocks of PEM with a wanted label, line ends behind them included.
fn blocks(text: &str, wanted: impl Fn(&str) -> bool) -> Vec<&str> {
    const BEGIN: &str = "-----BEGIN ";
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        rest = rest.get(at..).unwrap_or_default();
        let label = rest.get(BEGIN.len()..).and_then(|behind| behind.split("-----").next());
        let Some(label) = label else { break };
        let end = format!("-----END {label}-----");
        let Some(length) = rest.find(&end).map(|at| at + end.len()) else { break };
        let (block, behind) = rest.split_at_checked(length).unwrap_or_default();
        let line_end = usize::from(behind.starts_with('\n'));
        if wanted(label) {
            found.push(rest.get(..block.len() + line_end).unwrap_or(block));
        }
        rest = behind;
    }
    found
}
