//! A law must be able to fail: each flaw of a store is caught by the laws that name it.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use openclaw_core::store::StateStore;
use openclaw_testkit::{
    conformance::store::{LAWS, StoreHarness, check, check_all},
    env::ManualClock,
};

use crate::{
    flaws::{CAUGHT, Flaw},
    naive_store::{NaiveStore, State},
};

struct Naive {
    flaw: Flaw,
    clock: ManualClock,
    last: Mutex<Arc<Mutex<State>>>,
}

impl Naive {
    fn new(flaw: Flaw) -> Self {
        Self { flaw, clock: ManualClock::default(), last: Mutex::default() }
    }

    fn open(&self) -> Box<dyn StateStore> {
        let clock = Arc::new(self.clock.clone());
        Box::new(NaiveStore::open(self.flaw, clock, &self.last.lock().unwrap()))
    }
}

#[async_trait::async_trait]
impl StoreHarness for Naive {
    async fn fresh(&self) -> Box<dyn StateStore> {
        *self.last.lock().unwrap() = Arc::default();
        self.open()
    }

    fn clock(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }

    async fn reopen(&self, store: Box<dyn StateStore>) -> Option<Box<dyn StateStore>> {
        drop(store);
        NaiveStore::restart(self.flaw, &self.last.lock().unwrap());
        Some(self.open())
    }
}

fn holds(law: &str, flaw: Flaw) -> bool {
    catch_unwind(AssertUnwindSafe(|| check(law, &Naive::new(flaw)))).is_ok()
}

#[test]
fn a_store_without_a_flaw_holds_every_law() {
    let report = check_all(&Naive::new(Flaw::None));
    assert_eq!(report.held.len(), LAWS.len());
}

#[test]
fn every_flaw_is_caught_by_the_laws_that_name_it() {
    let missed: Vec<_> = CAUGHT
        .iter()
        .flat_map(|(flaw, laws)| laws.iter().map(move |law| (*flaw, *law)))
        .filter(|(flaw, law)| holds(law, *flaw))
        .collect();
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

#[test]
fn every_law_catches_a_flaw() {
    let named: BTreeSet<&str> = CAUGHT.iter().flat_map(|(_, laws)| laws.iter().copied()).collect();
    let laws: BTreeSet<&str> = LAWS.iter().map(|law| law.name()).collect();
    let idle: Vec<_> = laws.difference(&named).collect();
    assert!(idle.is_empty(), "no flaw is caught by {idle:?}");
    let unknown: Vec<_> = named.difference(&laws).collect();
    assert!(unknown.is_empty(), "no such laws: {unknown:?}");
}
