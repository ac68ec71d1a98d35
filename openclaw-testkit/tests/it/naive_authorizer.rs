//! Authorizers, with one flaw at a time planted into them.

use std::{
    cell::Cell,
    future::ready,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use openclaw_core::{
    Touches,
    rules::{Ask, Authorizer, Decision, Denial, Terms, Then},
};
use openclaw_testkit::conformance::authorizer::AuthorizerHarness;
use serde_json::Value;
use tokio::runtime::Handle;

/// Something that an authorizer does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    AllowsForgive,
    AsksOverDenials,
    AsksNobody,
    AttemptsLoosen,
    BelievesArguments,
    Blocks,
    CodesAreEmpty,
    CountsCalls,
    DeadlinesLoosen,
    DeniesBehindOthers,
    EachIsAnother,
    LastTermsCount,
    NamesAreWords,
    NobodyHasTime,
    ObjectsOnly,
    QuorumOfNobody,
    ReasonsAreEmpty,
    ThreadsDiffer,
    TooFewAreNamed,
}

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

static MADE: AtomicU64 = AtomicU64::new(0);

/// Whatever moves money needs two treasurers, and what destroys data is refused.
#[derive(Debug)]
struct Naive {
    flaw: Flaw,
    more: Option<Then>,
    number: u64,
    asked: AtomicU64,
}

impl Naive {
    fn new(flaw: Flaw, more: Option<Then>) -> Self {
        HERE.with(|here| here.set(true));
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        Self { flaw, more, number, asked: AtomicU64::new(0) }
    }

    fn terms(&self) -> Vec<Terms> {
        let mut terms = Terms::new("it moves money").role("treasurer").quorum(2);
        match self.flaw {
            Flaw::AsksNobody => return Vec::new(),
            Flaw::EachIsAnother => terms.reason = format!("it moves {}", self.number).into(),
            Flaw::NobodyHasTime => terms.ttl = Duration::ZERO.into(),
            Flaw::ReasonsAreEmpty => terms.reason = "".into(),
            Flaw::QuorumOfNobody => terms.quorum = 0,
            Flaw::TooFewAreNamed => {
                terms = Terms::new("it moves money").approver("ann").quorum(2);
            }
            _ => {}
        }
        vec![terms]
    }

    /// What its own rules say.
    fn own(&self, ask: &Ask<'_>) -> Decision {
        if ask.manifest.touches.contains(Touches::DESTRUCTIVE) {
            let code = if self.flaw == Flaw::CodesAreEmpty { "" } else { "NEVER" };
            return Decision::Deny(Denial::new(code, "it destroys data"));
        }
        if ask.manifest.touches.contains(Touches::MONEY) {
            return Decision::RequireApproval(self.terms());
        }
        Decision::Allow
    }

    /// Is the call let through, for a reason that is none?
    fn slips(&self, ask: &Ask<'_>) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        match self.flaw {
            Flaw::AttemptsLoosen => ask.context.attempt() > 2,
            Flaw::DeadlinesLoosen => ask.context.deadline().is_some(),
            Flaw::BelievesArguments => ask.input.get("approved") == Some(&Value::Bool(true)),
            Flaw::CountsCalls => asked > 300,
            Flaw::ThreadsDiffer => !HERE.with(Cell::get),
            _ => false,
        }
    }

    /// The stricter one of its own decision and that of the rule that was added.
    fn strictest(&self, own: Decision) -> Decision {
        let forgives = self.flaw == Flaw::AllowsForgive;
        match (own, self.more.clone()) {
            (_, Some(Then::Allow)) if forgives => Decision::Allow,
            (Decision::Allow, Some(Then::Deny(_))) if self.flaw == Flaw::DeniesBehindOthers => {
                Decision::Allow
            }
            (_, Some(Then::Deny(denial))) => Decision::Deny(denial),
            (own, Some(Then::RequireApproval(terms))) => self.asked_too(own, terms),
            (own, _) => own,
        }
    }

    /// Its own decision, and the terms of the rule that was added.
    fn asked_too(&self, own: Decision, terms: Terms) -> Decision {
        match own {
            Decision::Deny(_) if self.flaw == Flaw::AsksOverDenials => {
                Decision::RequireApproval(vec![terms])
            }
            Decision::RequireApproval(mut all) => {
                if self.flaw == Flaw::LastTermsCount {
                    all.clear();
                }
                all.push(terms);
                Decision::RequireApproval(all)
            }
            own => own.raised(|| terms),
        }
    }
}

impl Authorizer for Naive {
    fn decide(&self, ask: &Ask<'_>) -> Decision {
        match self.flaw {
            Flaw::Blocks => Handle::current().block_on(ready(())),
            Flaw::NamesAreWords => {
                assert!(ask.manifest.id.as_str().is_ascii(), "a name is a word");
            }
            Flaw::ObjectsOnly => {
                let odd = ask.input.as_array().is_some_and(|items| !items.is_empty());
                assert!(!odd, "arguments have names");
            }
            _ => {}
        }
        if self.slips(ask) {
            return Decision::Allow;
        }
        self.strictest(self.own(ask))
    }
}

impl AuthorizerHarness for Flaw {
    fn fresh(&self) -> Box<dyn Authorizer> {
        Box::new(Naive::new(*self, None))
    }

    fn with(&self, then: Then) -> Option<Box<dyn Authorizer>> {
        Some(Box::new(Naive::new(*self, Some(then))))
    }
}
