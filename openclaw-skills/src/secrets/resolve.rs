//! `Secrets`: what a reference stands for, at each use.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use openclaw_core::{Error, ErrorKind, Happened, Result, Secret};
use tokio::time::{Instant, timeout};

use super::{
    provider::{SecretProvider, refuse},
    reference::{SecretRef, SecretSource, check_provider},
};
use crate::{
    api::Credential,
    flight::{Abandoned, Flight, Work},
};

/// How many references are remembered.
const MAX_KNOWN: usize = 1024;

/// Gives the secrets that references name. Cheap to clone; clones share what they know.
///
/// A secret is read at its use and kept for a short time, so that a new one is seen without a
/// restart. Callers that ask at once share one fetch, and a caller that goes away leaves it to
/// the others. Behind its time a secret is fetched anew or there is an error, never the old one.
/// Whoever is refused with a secret calls [`Secrets::invalidate`], and asks again.
///
/// Only providers that were added are asked. Programs ([`SecretSource::Exec`]) need the feature
/// `exec` besides.
///
/// ```
/// use openclaw_skills::secrets::{EnvSecrets, SecretRef, SecretSource, Secrets};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> openclaw_core::Result<()> {
/// let env = EnvSecrets::of(|name| (name == "CRM_KEY").then(|| "s3cret".to_owned()));
/// let secrets = Secrets::builder().provider(SecretSource::Env, "default", env).build()?;
/// assert_eq!(secrets.get(&SecretRef::env("CRM_KEY")?).await?.expose(), "s3cret");
///
/// let missing = secrets.get(&SecretRef::env("OTHER")?).await.unwrap_err();
/// assert!(missing.to_string().contains("env:default:OTHER"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Secrets(Arc<Inner>);

struct Inner {
    providers: BTreeMap<(SecretSource, String), Arc<dyn SecretProvider>>,
    keep: Duration,
    patience: Duration,
    known: Mutex<BTreeMap<SecretRef, Arc<Slot>>>,
}

/// What is known about one reference.
struct Slot {
    flight: Flight<Secret>,
    /// None while it is fetched.
    value: Mutex<Option<(Secret, Instant)>>,
}

/// Makes [`Secrets`].
#[must_use = "end it with `build`"]
pub struct SecretsBuilder {
    providers: Vec<(SecretSource, String, Arc<dyn SecretProvider>)>,
    keep: Duration,
    patience: Duration,
}

impl SecretsBuilder {
    /// Adds a provider under its source and its name.
    pub fn provider(
        mut self,
        source: SecretSource,
        name: impl Into<String>,
        provider: impl SecretProvider,
    ) -> Self {
        self.providers.push((source, name.into(), Arc::new(provider)));
        self
    }

    /// How long a secret is kept once read. 60 s; zero keeps none.
    pub const fn keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// The longest a provider may take. 10 s.
    pub const fn timeout(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The secrets.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when a provider's name breaks its rule, or two have the same.
    pub fn build(self) -> Result<Secrets> {
        let mut providers = BTreeMap::new();
        for (source, name, provider) in self.providers {
            check_provider(&name)?;
            if providers.insert((source, name.clone()), provider).is_some() {
                let message = "two providers of secrets have the same source and name";
                return Err(refuse(ErrorKind::ValidationError, message)
                    .with("source", source)
                    .with("provider", name));
            }
        }
        let (keep, patience, known) = (self.keep, self.patience, Mutex::default());
        Ok(Secrets(Arc::new(Inner { providers, keep, patience, known })))
    }
}

impl fmt::Debug for SecretsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.providers.iter().map(|(source, name, _)| format!("{source}:{name}"));
        f.debug_list().entries(names).finish()
    }
}

impl Secrets {
    /// Starts with no provider at all.
    pub const fn builder() -> SecretsBuilder {
        let (keep, patience) = (Duration::from_secs(60), Duration::from_secs(10));
        SecretsBuilder { providers: Vec::new(), keep, patience }
    }

    /// The secret that this reference names.
    ///
    /// # Errors
    /// Names the reference and the reason, never a value; `happened` is `No`. `NOT_FOUND` also
    /// when no such provider was added.
    pub async fn get(&self, reference: &SecretRef) -> Result<Secret> {
        let slot = self.slot(reference);
        if let Some(secret) = slot.fresh() {
            return Ok(secret);
        }
        slot.flight.join(|| self.fetch(reference.clone(), Arc::clone(&slot))).await
    }

    /// Forgets a secret that was refused, so that the next caller fetches it anew.
    ///
    /// Only that one: a later secret stays, and so does a fetch that is under way. Whoever gets
    /// the refused one from that fetch forgets it again, so that it is never kept, and a crowd that
    /// is refused does not keep anybody from reading.
    pub fn invalidate(&self, reference: &SecretRef, refused: Credential) {
        let slot = self.known().get(reference).cloned();
        if let Some(slot) = slot {
            slot.value().take_if(|(secret, _)| Credential::of(secret) == refused);
        }
    }

    fn fetch(&self, reference: SecretRef, slot: Arc<Slot>) -> Work<Secret> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            *slot.value() = None;
            let secret = inner.fetch(&reference).await;
            let secret = secret.map_err(|e| named(&e, &reference))?;
            *slot.value() = Some((secret.clone(), Instant::now() + inner.keep));
            Ok(secret)
        })
    }

    fn slot(&self, reference: &SecretRef) -> Arc<Slot> {
        let mut known = self.known();
        if let Some(slot) = known.get(reference) {
            return Arc::clone(slot);
        }
        if known.len() >= MAX_KNOWN {
            known.retain(|_, slot| slot.fresh().is_some() || Arc::strong_count(slot) > 1);
        }
        if known.len() >= MAX_KNOWN {
            known.pop_first();
        }
        let slot =
            Arc::new(Slot { flight: Flight::new(Abandoned::Dropped), value: Mutex::default() });
        known.insert(reference.clone(), Arc::clone(&slot));
        slot
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<SecretRef, Arc<Slot>>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.providers.keys().map(|(source, name)| format!("{source}:{name}"));
        f.write_str("Secrets")?;
        f.debug_list().entries(names).finish()
    }
}

impl Inner {
    async fn fetch(&self, reference: &SecretRef) -> Result<Secret> {
        let name = (reference.source(), reference.provider().to_owned());
        let provider = self.providers.get(&name).ok_or_else(|| {
            refuse(ErrorKind::NotFound, "no provider of this source and name was added")
        })?;
        let fetched = timeout(self.patience, provider.fetch(reference.id())).await;
        fetched
            .map_err(|_late| refuse(ErrorKind::Timeout, "the provider did not answer in time"))?
    }
}

impl Slot {
    fn fresh(&self) -> Option<Secret> {
        let value = self.value();
        let (secret, until) = value.as_ref()?;
        (Instant::now() < *until).then(|| secret.clone())
    }

    fn value(&self) -> MutexGuard<'_, Option<(Secret, Instant)>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The provider's error with the reference. Nothing was sent, whatever the provider thinks.
///
/// Its cause is left behind: a foreign provider's may quote what it read.
fn named(e: &Error, reference: &SecretRef) -> Error {
    let error = Error::new(e.kind(), e.message().to_owned()).with_happened(Happened::No);
    let error = error.with("secret", reference);
    let error = e.context().fold(error, |error, (key, value)| error.with(key, value));
    match e.retry_after() {
        Some(after) => error.with_retry_after(after),
        None => error,
    }
}
