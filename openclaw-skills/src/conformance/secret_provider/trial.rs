//! A provider and its place, and the steps that laws are made of.

use std::{fmt, sync::Arc, time::Duration};

use openclaw_core::{Error, Result, Secret};
use openclaw_testkit::conformance::__quotes as quotes;
use tokio::time::timeout;

use super::{SecretPlace, SecretProviderHarness};
use crate::secrets::{SecretProvider, SecretRef, Secrets};

/// What providers are called in the references of these laws.
const NAME: &str = "law";

/// A provider of secrets under trial, with the place where they lie.
pub struct Trial<'a> {
    harness: &'a dyn SecretProviderHarness,
    provider: Arc<dyn SecretProvider>,
    place: Box<dyn SecretPlace>,
    /// How long something may take that must come.
    soon: Duration,
    /// How long `Secrets` keep what they have read.
    keep: Duration,
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trial({:?})", self.provider)
    }
}

/// What a law needs.
#[derive(Clone, Copy)]
pub(super) enum Need {
    Nothing,
    Breaks,
    TooLong,
}

impl<'a> Trial<'a> {
    /// Puts a new provider of this harness on trial.
    pub async fn new(harness: &'a dyn SecretProviderHarness) -> Self {
        let (provider, place) = harness.fresh().await;
        let (soon, keep) = match harness.real_time() {
            true => (Duration::from_secs(20), Duration::from_millis(300)),
            false => (Duration::from_secs(3_600), Duration::from_secs(60)),
        };
        Self { harness, provider: provider.into(), place, soon, keep }
    }

    pub(super) fn missing(&self, need: Need) -> Option<&'static str> {
        let (met, what) = match need {
            Need::Nothing => (true, ""),
            Need::Breaks => (self.place.breaks(), "a place that breaks"),
            Need::TooLong => (self.harness.too_long().is_some(), "a longest secret"),
        };
        (!met).then_some(what)
    }

    pub(super) fn provider(&self) -> &dyn SecretProvider {
        &*self.provider
    }

    pub(super) fn place(&self) -> &dyn SecretPlace {
        &*self.place
    }

    pub(super) fn id(&self, n: u64) -> String {
        self.harness.id(n)
    }

    pub(super) fn too_long(&self) -> usize {
        self.harness.too_long().expect("a longest secret")
    }

    pub(super) const fn soon(&self) -> Duration {
        self.soon
    }

    /// Keeps a secret under the id of this number.
    pub(super) async fn put(&self, n: u64, text: &str) {
        self.place.put(&self.id(n), text).await;
    }

    pub(super) async fn remove(&self, n: u64) {
        self.place.remove(&self.id(n)).await;
    }

    /// What the provider gives for the id of this number.
    pub(super) async fn fetch(&self, n: u64) -> Result<Secret> {
        self.fetch_id(&self.id(n)).await
    }

    pub(super) async fn fetch_id(&self, id: &str) -> Result<Secret> {
        timeout(self.soon, self.provider.fetch(id)).await.expect("`fetch` does not answer")
    }

    /// The secret of this number, which is there.
    pub(super) async fn text(&self, n: u64) -> String {
        self.fetch(n).await.expect("a secret").expose().to_owned()
    }

    /// The provider, as a host asks it.
    pub(super) fn secrets(&self) -> Secrets {
        let builder = Secrets::builder().keep(self.keep).timeout(self.soon);
        let provider = Arc::clone(&self.provider);
        builder.provider(self.harness.source(), NAME, provider).build().expect("a name")
    }

    pub(super) fn reference(&self, n: u64) -> SecretRef {
        let reference = SecretRef::new(self.harness.source(), NAME, &self.id(n));
        reference.expect("the harness gives ids that a reference can have")
    }

    /// Lets pass what `Secrets` keep a secret for.
    pub(super) async fn behind_its_time(&self) {
        tokio::time::sleep(self.keep).await;
    }
}

/// No error shows a secret, in whatever way it is looked at.
pub(super) fn shows_none(e: &Error, secrets: &[&str]) {
    for secret in secrets {
        assert!(!quotes(e, secret), "an error of kind {} quotes a secret", e.kind());
        let context = e.context().any(|(_, value)| value.contains(secret));
        assert!(!context, "the context of an error of kind {} quotes a secret", e.kind());
        let mut cause = std::error::Error::source(e);
        while let Some(inner) = cause {
            let shown = format!("{inner} {inner:?}");
            assert!(!shown.contains(secret), "a cause of an error quotes a secret");
            cause = inner.source();
        }
    }
}
