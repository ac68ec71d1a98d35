//! Secrets in the environment of the process.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use openclaw_core::{ErrorKind, Result, Secret};

use super::provider::{SecretProvider, refuse};

type Look = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Variables of the environment.
///
/// ```
/// use openclaw_skills::secrets::{EnvSecrets, SecretProvider};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> openclaw_core::Result<()> {
/// let env = EnvSecrets::of(|name| (name == "CRM_KEY").then(|| "s3cret".to_owned()));
/// assert_eq!(env.fetch("CRM_KEY").await?.expose(), "s3cret");
/// assert!(env.fetch("OTHER").await.is_err());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct EnvSecrets(Arc<Look>);

impl EnvSecrets {
    /// The variables of this process.
    #[must_use]
    pub fn system() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    /// Variables that a function knows.
    #[must_use]
    pub fn of(look: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }
}

impl fmt::Debug for EnvSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvSecrets")
    }
}

#[async_trait]
impl SecretProvider for EnvSecrets {
    async fn fetch(&self, id: &str) -> Result<Secret> {
        let found = (self.0)(id).filter(|value| !value.is_empty());
        let missing = "the variable is not set, is empty, or is not UTF-8";
        found.map(Secret::new).ok_or_else(|| refuse(ErrorKind::NotFound, missing))
    }
}
