//! Making a registry: where decisions are kept, when it rolls back, who watches.

use std::{fmt, sync::Arc};

use openclaw_core::{
    Env, Result, TenantId,
    middleware::breaker::{BreakerConfig, Window},
    records::Rollouts,
    store::SharedStore,
};
use tokio::sync::Semaphore;

use super::{Registry, RegistryEvent, Shared, Watcher, tasks::Tasks};

/// Makes a [`Registry`]; what is not set has its default.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{Env, TenantId, store::MemoryStore};
/// use openclaw_skills::registry::Registry;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let env = Env::system();
/// let store = Arc::new(MemoryStore::new(env.clock()));
/// let registry = Registry::builder(env)
///     .kept_in(store, TenantId::new("operators")?)
///     .watched(|event| println!("{event:?}"))
///     .open()
///     .await?;
/// assert!(registry.search("", 10).is_empty());
/// # Ok(()) }
/// ```
#[must_use = "end it with `open`"]
pub struct RegistryBuilder {
    env: Env,
    kept: Option<(SharedStore, TenantId)>,
    roll_back: BreakerConfig,
    watcher: Option<Watcher>,
    shadows: usize,
}

impl fmt::Debug for RegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryBuilder")
            .field("roll_back", &self.roll_back)
            .finish_non_exhaustive()
    }
}

impl RegistryBuilder {
    pub(super) fn new(env: Env) -> Self {
        let mut roll_back = BreakerConfig::default();
        roll_back.window = Some(Window::Count(100));
        roll_back.failure_rate = 0.2;
        roll_back.minimum_calls = 20;
        roll_back.consecutive_failures = None;
        Self { env, kept: None, roll_back, watcher: None, shadows: 16 }
    }

    /// Keeps rollouts in this store, as rows and audit entries of this tenant. It is the
    /// operators'.
    ///
    /// Without it they last as long as the process.
    pub fn kept_in(mut self, store: SharedStore, tenant: TenantId) -> Self {
        self.kept = Some((store, tenant));
        self
    }

    /// When a canary is rolled back: its window, its rate, its minimum of calls.
    ///
    /// Waits and trials of a breaker do not matter here, as it refuses nothing. By default 20 %
    /// failures among the last 100 calls, from 20 calls on. A call that runs into the skill's time
    /// limit is a failure, too, and so is a `VALIDATION_ERROR` of the skill itself, as for an output
    /// that breaks its contract. That a service does not accept the arguments (400, 422) is none: a
    /// version all of whose requests are wrong is for [`Registry::withdraw`].
    pub fn roll_back(mut self, config: BreakerConfig) -> Self {
        self.roll_back = config;
        self
    }

    /// Tells this function what happens. It must not block.
    pub fn watched(mut self, watcher: impl Fn(&RegistryEvent) + Send + Sync + 'static) -> Self {
        self.watcher = Some(Box::new(watcher));
        self
    }

    /// How many shadows run at once, at most; more are skipped. 16.
    pub const fn shadows(mut self, most: usize) -> Self {
        self.shadows = most;
        self
    }

    /// The registry, with the rollouts that its store holds.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` of [`BreakerConfig::check`]; the store does not answer, or a row can't be
    /// read.
    pub async fn open(self) -> Result<Registry> {
        self.roll_back.check()?;
        let registry = self.in_memory();
        registry.refresh().await?;
        Ok(registry)
    }

    /// The registry, before it has read anything.
    pub(super) fn in_memory(self) -> Registry {
        let Self { env, kept, roll_back, watcher, shadows } = self;
        let kept = kept.map(|(store, tenant)| Rollouts::new(env.clone(), store, tenant));
        Registry(Arc::new(Shared {
            env,
            table: Default::default(),
            publishing: Default::default(),
            kept,
            roll_back,
            watcher,
            shadows: Arc::new(Semaphore::new(shadows.min(Semaphore::MAX_PERMITS))),
            tasks: Tasks::default(),
        }))
    }
}
