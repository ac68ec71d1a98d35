//! An authorizer, and the calls that it is asked about.

use std::{fmt, future, sync::Arc};

use openclaw_core::rules::{Authorizer, Decision, Terms, Then};

use super::{AskedCall, AuthorizerHarness};

/// An authorizer under trial.
pub struct Trial<'a> {
    harness: &'a dyn AuthorizerHarness,
    authorizer: Arc<dyn Authorizer>,
    calls: Vec<AskedCall>,
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trial({:?})", self.authorizer)
    }
}

/// What a law needs.
#[derive(Clone, Copy)]
pub(super) enum Need {
    Nothing,
    Asks,
    Denies,
    Rules,
}

impl<'a> Trial<'a> {
    /// Puts a new authorizer of this harness on trial.
    pub fn new(harness: &'a dyn AuthorizerHarness) -> future::Ready<Self> {
        let calls = harness.calls();
        assert!(!calls.is_empty(), "the harness has no call to ask about");
        future::ready(Self { harness, authorizer: harness.fresh().into(), calls })
    }

    pub(super) fn missing(&self, need: Need) -> Option<&'static str> {
        // On another one: what a law tries was not asked before.
        let other = self.other();
        let some =
            |kind: fn(&Decision) -> bool| self.calls.iter().any(|call| kind(&call.decide(&*other)));
        let (met, what) = match need {
            Need::Nothing => (true, ""),
            Need::Asks => (some(|d| matches!(d, Decision::RequireApproval(_))), "approvals"),
            Need::Denies => (some(|d| matches!(d, Decision::Deny(_))), "refusals"),
            Need::Rules => (self.harness.with(Then::Allow).is_some(), "rules of its own"),
        };
        (!met).then_some(what)
    }

    pub(super) fn authorizer(&self) -> Arc<dyn Authorizer> {
        Arc::clone(&self.authorizer)
    }

    /// Another one of the same kind.
    pub(super) fn other(&self) -> Box<dyn Authorizer> {
        self.harness.fresh()
    }

    /// Another one, with one more rule.
    pub(super) fn with(&self, then: Then) -> Box<dyn Authorizer> {
        self.harness.with(then).expect("it is made of rules")
    }

    pub(super) fn calls(&self) -> &[AskedCall] {
        &self.calls
    }

    pub(super) fn decide(&self, call: &AskedCall) -> Decision {
        call.decide(&*self.authorizer)
    }

    pub(super) fn decide_all(&self) -> Vec<Decision> {
        self.calls.iter().map(|call| self.decide(call)).collect()
    }
}

/// The terms that a decision asks for.
pub(super) fn terms(decision: &Decision) -> &[Terms] {
    match decision {
        Decision::RequireApproval(terms) => terms,
        Decision::Allow | Decision::Deny(_) => &[],
    }
}

/// Is a decision at least as strict as another one?
pub(super) fn at_least(one: &Decision, other: &Decision) -> bool {
    let rank = |decision: &Decision| match decision {
        Decision::Allow => 0,
        Decision::RequireApproval(_) => 1,
        Decision::Deny(_) => 2,
    };
    let keeps = || terms(other).iter().all(|wanted| terms(one).contains(wanted));
    rank(one) > rank(other) || (rank(one) == rank(other) && (rank(one) != 1 || keeps()))
}
