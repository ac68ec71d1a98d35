//! The laws of [`StateStore`]: one function for each sentence of its contract.

mod add;
mod append;
mod atomic;
mod effects;
mod expiry;
mod guards;
mod histories;
mod hygiene;
mod leases;
mod limits;
mod list;
mod model;
mod reopen;
mod scans;
mod snapshot;
mod steps;
mod versions;

use std::{fmt, pin::Pin, sync::Arc};

use async_trait::async_trait;
use openclaw_core::{
    Clock,
    store::{StateStore, StoreError, Version},
};

use super::{Report, Verdict, run};
use crate::env::ManualClock;

/// Makes the stores that the laws try.
///
/// ```
/// use openclaw_core::store::{MemoryStore, StateStore};
/// use openclaw_testkit::conformance::store::{LAWS, StoreHarness, check_all};
/// use openclaw_testkit::env::ManualClock;
/// use std::sync::Arc;
///
/// #[derive(Default)]
/// struct Memory(ManualClock);
///
/// #[async_trait::async_trait]
/// impl StoreHarness for Memory {
///     async fn fresh(&self) -> Box<dyn StateStore> {
///         Box::new(MemoryStore::new(Arc::new(self.0.clone())))
///     }
///     fn clock(&self) -> Option<&ManualClock> {
///         Some(&self.0)
///     }
/// }
///
/// let report = check_all(&Memory::default());
/// assert_eq!(report.held.len() + report.not_declared.len(), LAWS.len());
/// ```
#[async_trait]
pub trait StoreHarness: Send + Sync {
    /// An empty store.
    async fn fresh(&self) -> Box<dyn StateStore>;

    /// The clock that the stores are on; without one the laws of expiry are not run.
    fn clock(&self) -> Option<&ManualClock> {
        None
    }

    /// Closes a store, and opens what it had kept; `None` when nothing is kept.
    async fn reopen(&self, store: Box<dyn StateStore>) -> Option<Box<dyn StateStore>> {
        drop(store);
        None
    }

    /// Has the store threads or sockets of its own, so that time must not be paused?
    fn real_time(&self) -> bool {
        false
    }
}

/// A harness for a store that takes a clock and keeps nothing.
#[must_use]
pub fn on<S: StateStore>(make: impl Fn(Arc<dyn Clock>) -> S + Send + Sync) -> impl StoreHarness {
    On { make, clock: ManualClock::default() }
}

struct On<F> {
    make: F,
    clock: ManualClock,
}

#[async_trait]
impl<S: StateStore, F: Fn(Arc<dyn Clock>) -> S + Send + Sync> StoreHarness for On<F> {
    async fn fresh(&self) -> Box<dyn StateStore> {
        Box::new((self.make)(Arc::new(self.clock.clone())))
    }

    fn clock(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }
}

/// A law of stores: its name, and how it is run.
#[derive(Clone, Copy)]
pub struct Law {
    name: &'static str,
    run: Run,
}

type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What a law needs.
#[derive(Clone, Copy)]
enum Run {
    Plain(for<'a> fn(&'a dyn StateStore) -> Running<'a>),
    Timed(for<'a> fn(&'a dyn StateStore, &'a ManualClock) -> Running<'a>),
    Shared(fn(Arc<dyn StateStore>) -> Running<'static>),
    Durable(for<'a> fn(&'a dyn StoreHarness) -> Running<'a>),
    Clocked(for<'a> fn(&'a dyn StoreHarness, &'a ManualClock) -> Running<'a>),
    Acting(for<'a> fn(Arc<dyn StateStore>, &'a ManualClock) -> Running<'a>),
    Raising(for<'a> fn(&'a dyn StateStore) -> Running<'a>),
    Outliving(for<'a> fn(&'a dyn StoreHarness) -> Running<'a>),
    Freezing(for<'a> fn(&'a dyn StateStore) -> Running<'a>),
    FreezingShared(fn(Arc<dyn StateStore>) -> Running<'static>),
    FreezingTimed(for<'a> fn(&'a dyn StateStore, &'a ManualClock) -> Running<'a>),
}

const NO_CLOCK: Verdict = Verdict::NotDeclared("a clock that the test can move");
const NOT_DURABLE: Verdict = Verdict::NotDeclared("durable");
const NOT_RAISED: Verdict = Verdict::NotDeclared("raising");
const NOT_FROZEN: Verdict = Verdict::NotDeclared("snapshots");

impl Law {
    /// Its name: that of its function.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Tries it on a fresh store of this harness; panics when it is broken.
    pub async fn run(&self, harness: &dyn StoreHarness) -> Verdict {
        let store = harness.fresh().await;
        let durable = store.capabilities().durable;
        match (self.run, harness.clock()) {
            (Run::Plain(law), _) => law(&*store).await,
            (Run::Raising(_) | Run::Outliving(_), _) if !raises(&*store).await => {
                return NOT_RAISED;
            }
            (Run::Freezing(_) | Run::FreezingShared(_) | Run::FreezingTimed(_), _)
                if !freezes(&*store).await =>
            {
                return NOT_FROZEN;
            }
            (Run::Raising(law) | Run::Freezing(law), _) => law(&*store).await,
            (Run::Shared(law) | Run::FreezingShared(law), _) => law(store.into()).await,
            (Run::Timed(law) | Run::FreezingTimed(law), Some(clock)) => law(&*store, clock).await,
            (Run::Acting(law), Some(clock)) => law(store.into(), clock).await,
            (Run::Durable(_) | Run::Clocked(_) | Run::Outliving(_), _) if !durable => {
                return NOT_DURABLE;
            }
            (Run::Durable(law) | Run::Outliving(law), _) => law(harness).await,
            (Run::Clocked(law), Some(clock)) => law(harness, clock).await,
            (Run::Timed(_) | Run::FreezingTimed(_) | Run::Clocked(_) | Run::Acting(_), None) => {
                return NO_CLOCK;
            }
        }
        Verdict::Held
    }
}

/// Does this store raise its versions?
async fn raises(store: &dyn StateStore) -> bool {
    !matches!(store.raise(Version::default()).await, Err(StoreError::Unsupported(_)))
}

/// Does this store have snapshots?
async fn freezes(store: &dyn StateStore) -> bool {
    !matches!(store.snapshot().await, Err(StoreError::Unsupported(_)))
}

impl fmt::Debug for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Law({})", self.name)
    }
}

/// Runs the law of this name to its end; panics when it is broken.
///
/// Not from inside a runtime: the law gets one of its own. There, use [`Law::run`].
pub fn check(law: &str, harness: &dyn StoreHarness) -> Verdict {
    let found = LAWS.iter().find(|found| found.name == law);
    let found = found.unwrap_or_else(|| panic!("there is no law of the name {law}"));
    run::block_on(law, harness.real_time(), found.run(harness))
}

/// Runs every law in turn, and tells which were run; panics at the first that is broken.
pub fn check_all(harness: &dyn StoreHarness) -> Report {
    let mut report = Report::default();
    for law in LAWS {
        report.add(law.name, check(law.name, harness));
    }
    report
}

macro_rules! shape {
    (plain, $law:ident) => {
        Run::Plain(|store| Box::pin($law(store)))
    };
    (timed, $law:ident) => {
        Run::Timed(|store, clock| Box::pin($law(store, clock)))
    };
    (shared, $law:ident) => {
        Run::Shared(|store| Box::pin($law(store)))
    };
    (durable, $law:ident) => {
        Run::Durable(|harness| Box::pin($law(harness)))
    };
    (raising, $law:ident) => {
        Run::Raising(|store| Box::pin($law(store)))
    };
    (outliving, $law:ident) => {
        Run::Outliving(|harness| Box::pin($law(harness)))
    };
    (acting, $law:ident) => {
        Run::Acting(|store, clock| Box::pin($law(store, clock)))
    };
    (freezing, $law:ident) => {
        Run::Freezing(|store| Box::pin($law(store)))
    };
    (freezing_shared, $law:ident) => {
        Run::FreezingShared(|store| Box::pin($law(store)))
    };
    (freezing_timed, $law:ident) => {
        Run::FreezingTimed(|store, clock| Box::pin($law(store, clock)))
    };
    (clocked, $law:ident) => {
        Run::Clocked(|harness, clock| Box::pin($law(harness, clock)))
    };
}

crate::__store_laws! { __store_table {} }
