//! The laws of [`SecretProvider`]: one function for each sentence of its contract.

mod fetch;
mod kept;
mod list;
mod shown;
mod trial;

use async_trait::async_trait;
use openclaw_testkit::conformance::{Law, Report, Verdict};

use self::trial::Need;
pub use self::trial::Trial;
use crate::secrets::{SecretProvider, SecretSource};

/// Makes the providers that the laws try, each with the place where its secrets lie.
///
/// ```
/// use std::{collections::BTreeMap, sync::{Arc, Mutex}};
///
/// use openclaw_skills::{
///     conformance::secret_provider::{SecretPlace, SecretProviderHarness, check_all},
///     secrets::{EnvSecrets, SecretProvider, SecretSource},
/// };
///
/// #[derive(Clone, Default)]
/// struct Variables(Arc<Mutex<BTreeMap<String, String>>>);
///
/// #[async_trait::async_trait]
/// impl SecretPlace for Variables {
///     async fn put(&self, id: &str, text: &str) {
///         self.0.lock().expect("no panic").insert(id.to_owned(), text.to_owned());
///     }
///     async fn remove(&self, id: &str) {
///         self.0.lock().expect("no panic").remove(id);
///     }
/// }
///
/// struct Environment;
///
/// #[async_trait::async_trait]
/// impl SecretProviderHarness for Environment {
///     async fn fresh(&self) -> (Box<dyn SecretProvider>, Box<dyn SecretPlace>) {
///         let place = Variables::default();
///         let known = place.clone();
///         let env = EnvSecrets::of(move |name| known.0.lock().ok()?.get(name).cloned());
///         (Box::new(env), Box::new(place))
///     }
///     fn source(&self) -> SecretSource {
///         SecretSource::Env
///     }
///     fn id(&self, n: u64) -> String {
///         format!("LAW_{n}")
///     }
/// }
///
/// let report = check_all(&Environment);
/// assert!(report.held.contains(&"a_rotated_secret_is_seen_behind_its_time"));
/// assert!(report.not_declared.contains(&("a_broken_place_shows_no_secret", "a place that breaks")));
/// ```
#[async_trait]
pub trait SecretProviderHarness: Send + Sync {
    /// A new place without secrets, and its provider.
    async fn fresh(&self) -> (Box<dyn SecretProvider>, Box<dyn SecretPlace>);

    /// The source under which references name it.
    fn source(&self) -> SecretSource;

    /// An id that a reference of this source can have; another number gives another id.
    fn id(&self, n: u64) -> String;

    /// Bytes of a secret that is too long for this place; `None` when none is.
    fn too_long(&self) -> Option<usize> {
        None
    }

    /// Has the provider processes, threads or sockets of its own, so that time must not be paused?
    fn real_time(&self) -> bool {
        false
    }
}

/// The place where a provider's secrets lie, as a test sees it.
#[async_trait]
pub trait SecretPlace: Send + Sync {
    /// Keeps this secret under this id; an earlier one is replaced.
    async fn put(&self, id: &str, text: &str);

    /// Removes the secret with this id, if there is one.
    async fn remove(&self, id: &str);

    /// Can it be broken?
    fn breaks(&self) -> bool {
        false
    }

    /// Breaks it: this text lies where the secrets were, and none of them can be read.
    async fn break_with(&self, text: &str) {
        let _ = text;
    }
}

crate::__secret_provider_laws! { [openclaw_testkit::__law_table] {
    /// Every law of a provider of secrets.
    SecretProviderHarness, awaited
} }
