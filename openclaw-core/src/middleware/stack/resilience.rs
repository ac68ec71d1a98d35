//! All stacks of a host: made on demand from one configuration, and changed while they run.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde_json::Value;

use super::{
    DEFAULT, Kind, ResilienceConfig,
    layer::{StackLayer, StackSnapshot},
};
use crate::{Digest, Envelope, Result, agent::TurnRequest, channel::Outbound};

/// Integrations with a stack of their own in one family; the rest shares one.
const NAMES: usize = 10_000;

/// All stacks of a host, by family and integration.
///
/// A stack is made when its name is first asked for; the same name is the same stack, with one
/// state, wherever it is layered. [`reload`](Self::reload) changes the settings of every stack
/// and keeps windows, tokens, permits and open breakers: calls that were made count under another
/// quota, and an adaptive limit keeps what it has found. A configuration that is refused changes
/// nothing. Cheap to clone.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{
///     Call, Context, Error, ErrorKind, TenantId,
///     middleware::stack::{Resilience, ResilienceConfig}, skill::{SkillAnswer, SkillManifest},
/// };
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let resilience = Resilience::new(ResilienceConfig::from_json(
///     r#"{ "skill": { "crm": { "breaker": { "consecutive_failures": 2 }, "retry": "off" } } }"#,
/// )?)?;
/// let service = ServiceBuilder::new().layer(resilience.skill("crm")).service(service_fn(
///     async |_: Call<Arc<serde_json::Value>>| {
///         Err::<SkillAnswer, _>(Error::new(ErrorKind::Unavailable, "down"))
///     },
/// ));
/// let call = || {
///     let manifest = SkillManifest::new("crm".parse().unwrap(), "1.0.0");
///     Call::skill(Context::new(TenantId::new("acme").unwrap()), &manifest, Arc::default())
/// };
/// for kind in [ErrorKind::Unavailable, ErrorKind::Unavailable, ErrorKind::CircuitOpen] {
///     assert_eq!(service.clone().oneshot(call()).await.unwrap_err().kind(), kind);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Resilience(Arc<Inner>);

struct Inner {
    config: Mutex<ResilienceConfig>,
    /// Where chance comes from; the machine without one.
    seed: Option<u64>,
    skill: Stacks<Arc<Value>>,
    send: Stacks<Outbound>,
    http: Stacks<http::Request<Bytes>>,
    admission: Stacks<Arc<Envelope>>,
    agent: Stacks<TurnRequest>,
}

/// The stacks of one family.
struct Stacks<P: 'static> {
    kind: Kind,
    made: Mutex<BTreeMap<Arc<str>, StackLayer<P>>>,
}

impl<P: 'static> Stacks<P> {
    const fn new(kind: Kind) -> Self {
        Self { kind, made: Mutex::new(BTreeMap::new()) }
    }

    fn get(&self, config: &ResilienceConfig, seed: Option<u64>, name: &str) -> StackLayer<P> {
        let mut made = lock(&self.made);
        let known = made.contains_key(name) || made.len() < NAMES;
        let name: Arc<str> = if known { name.into() } else { DEFAULT.into() };
        let seed = seed.map(|seed| of_its_own(seed, self.kind, &name));
        let new = || StackLayer::new(&name, &config.settings(self.kind, &name), seed);
        made.entry(Arc::clone(&name)).or_insert_with(new).clone()
    }

    fn apply(&self, config: &ResilienceConfig) {
        for (name, stack) in &*lock(&self.made) {
            stack.apply(&config.settings(self.kind, name));
        }
    }

    fn look(&self) -> Vec<(Kind, Arc<str>, StackSnapshot)> {
        let made = lock(&self.made);
        made.iter().map(|(name, stack)| (self.kind, Arc::clone(name), stack.snapshot())).collect()
    }
}

/// The seed of one stack.
fn of_its_own(seed: u64, kind: Kind, name: &str) -> u64 {
    let parts: [&[u8]; 3] = [&seed.to_be_bytes(), kind.name().as_bytes(), name.as_bytes()];
    let [a, b, c, d, e, f, g, h, ..] = Digest::of("openclaw.stack", parts).short();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Resilience {
    /// The stacks of this configuration.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` of [`ResilienceConfig::check`].
    pub fn new(config: ResilienceConfig) -> Result<Self> {
        config.check()?;
        Ok(Self::checked(config, None))
    }

    /// The stacks of this configuration, whose jitter a seed repeats: for tests and simulations.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` of [`ResilienceConfig::check`].
    pub fn seeded(config: ResilienceConfig, seed: u64) -> Result<Self> {
        config.check()?;
        Ok(Self::checked(config, Some(seed)))
    }

    fn checked(config: ResilienceConfig, seed: Option<u64>) -> Self {
        Self(Arc::new(Inner {
            config: Mutex::new(config),
            seed,
            skill: Stacks::new(Kind::Skill),
            send: Stacks::new(Kind::Send),
            http: Stacks::new(Kind::Http),
            admission: Stacks::new(Kind::Admission),
            agent: Stacks::new(Kind::Agent),
        }))
    }

    /// The stack of a skill.
    #[must_use]
    pub fn skill(&self, name: &str) -> StackLayer<Arc<Value>> {
        self.0.skill.get(&lock(&self.0.config), self.0.seed, name)
    }

    /// The stack of a channel's sends.
    #[must_use]
    pub fn send(&self, name: &str) -> StackLayer<Outbound> {
        self.0.send.get(&lock(&self.0.config), self.0.seed, name)
    }

    /// The stack of a host's HTTP requests.
    #[must_use]
    pub fn http(&self, name: &str) -> StackLayer<http::Request<Bytes>> {
        self.0.http.get(&lock(&self.0.config), self.0.seed, name)
    }

    /// The stack of what comes in by a channel.
    ///
    /// It counts by tenant, so that no tenant takes the room of another; a loud sender takes that
    /// of its own tenant. A host that limits senders, too, puts a limit of its own in front:
    ///
    /// ```
    /// use std::sync::Arc;
    /// use openclaw_core::{
    ///     Call, Envelope, TenantId, middleware::{Quota, RateLimitLayer, stack::Resilience},
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), openclaw_core::InvalidId> {
    /// let senders = RateLimitLayer::new("web senders", Quota::PER_IP).per_key(
    ///     |call: &Call<Arc<Envelope>>| {
    ///         (call.context().tenant().clone(), Arc::clone(&call.payload().sender.id))
    ///     },
    /// );
    /// let admission = (senders.clone(), Resilience::default().admission("web"));
    /// # drop(admission);
    /// let acme = TenantId::new("acme")?;
    /// for _ in 0..100 {
    ///     assert!(senders.check(&(acme.clone(), "ann".into())).is_ok());
    /// }
    /// assert!(senders.check(&(acme.clone(), "ann".into())).is_err());
    /// assert!(senders.check(&(acme, "bob".into())).is_ok());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn admission(&self, name: &str) -> StackLayer<Arc<Envelope>> {
        self.0.admission.get(&lock(&self.0.config), self.0.seed, name)
    }

    /// The stack of an agent's turns.
    #[must_use]
    pub fn agent(&self, name: &str) -> StackLayer<TurnRequest> {
        self.0.agent.get(&lock(&self.0.config), self.0.seed, name)
    }

    /// Takes another configuration, for all stacks at once.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with the path of what is wrong; everything stays as it was then.
    pub fn reload(&self, config: ResilienceConfig) -> Result<()> {
        config.check()?;
        let mut current = lock(&self.0.config);
        self.0.skill.apply(&config);
        self.0.send.apply(&config);
        self.0.http.apply(&config);
        self.0.admission.apply(&config);
        self.0.agent.apply(&config);
        *current = config;
        Ok(())
    }

    /// The configuration that counts now.
    #[must_use]
    pub fn config(&self) -> ResilienceConfig {
        lock(&self.0.config).clone()
    }

    /// How every stack is doing.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(Kind, Arc<str>, StackSnapshot)> {
        let Inner { skill, send, http, admission, agent, .. } = &*self.0;
        [skill.look(), send.look(), http.look(), admission.look(), agent.look()].concat()
    }
}

impl Default for Resilience {
    /// The built-in settings of every family.
    fn default() -> Self {
        Self::checked(ResilienceConfig::default(), None)
    }
}

impl fmt::Debug for Resilience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resilience").field("config", &*lock(&self.0.config)).finish_non_exhaustive()
    }
}
