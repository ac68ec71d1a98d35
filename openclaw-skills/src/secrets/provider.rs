//! `SecretProvider`: a place where secrets lie, as a port.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use openclaw_core::{Error, ErrorKind, Happened, Result, Secret};

/// A place where secrets lie.
///
/// A provider is asked each time a secret is needed anew, so it keeps nothing itself. It gives a
/// secret letter by letter, and refuses one that is too long. Its errors say what is wrong with
/// the place, and never what lies there. A caller may be dropped at any await.
///
/// ```
/// use async_trait::async_trait;
/// use openclaw_core::{Error, ErrorKind, Result, Secret};
/// use openclaw_skills::secrets::{SecretProvider, SecretRef, Secrets, SecretSource};
///
/// /// A vault that one process talks to.
/// #[derive(Debug)]
/// struct Vault;
///
/// #[async_trait]
/// impl SecretProvider for Vault {
///     async fn fetch(&self, id: &str) -> Result<Secret> {
///         match id {
///             "crm/api-key" => Ok(Secret::new("s3cret")),
///             _ => Err(Error::new(ErrorKind::NotFound, "the vault has no such secret")),
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let secrets = Secrets::builder().provider(SecretSource::Exec, "vault", Vault).build()?;
/// let key = SecretRef::new(SecretSource::Exec, "vault", "crm/api-key")?;
/// assert_eq!(secrets.get(&key).await?.expose(), "s3cret");
/// # Ok(()) }
/// ```
#[async_trait]
pub trait SecretProvider: Send + Sync + fmt::Debug + 'static {
    /// The secret with this id, as it is now.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is none, `PERMISSION_DENIED` when the place is not safe, else why
    /// it can't be read.
    async fn fetch(&self, id: &str) -> Result<Secret>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: SecretProvider + ?Sized> SecretProvider for Arc<P> {
    async fn fetch(&self, id: &str) -> Result<Secret> {
        (**self).fetch(id).await
    }
}

/// A refusal to read a secret: nothing was sent anywhere.
pub(super) fn refuse(kind: ErrorKind, message: &'static str) -> Error {
    Error::new(kind, message).with_happened(Happened::No)
}
