//! The laws of [`Authorizer`]: one function for each sentence of its contract.

mod alike;
mod answer;
mod call;
mod list;
mod odd;
mod strictest;
mod trial;

use openclaw_core::rules::{Authorizer, Then};

use self::trial::Need;
pub use self::{call::AskedCall, trial::Trial};
use super::{Law, Report, Verdict};

/// Makes the authorizers that the laws try.
///
/// ```
/// use openclaw_core::rules::{Authorizer, Rules};
/// use openclaw_testkit::conformance::authorizer::{AuthorizerHarness, check_all};
///
/// struct Mine;
///
/// impl AuthorizerHarness for Mine {
///     fn fresh(&self) -> Box<dyn Authorizer> {
///         let rules = r#"{ "rules": [
///             { "name": "look", "when": { "effects": ["pure"] }, "then": "allow" },
///             { "name": "pay", "when": { "touches": ["money"] },
///               "then": { "require_approval": { "reason": "it moves money" } } } ] }"#;
///         Box::new(Rules::from_json(rules).expect("they are rules"))
///     }
/// }
///
/// let report = check_all(&Mine);
/// assert!(report.held.contains(&"an_argument_does_not_approve_its_call"));
/// assert!(report.not_declared.contains(&("a_rule_that_denies_overrides", "rules of its own")));
/// ```
pub trait AuthorizerHarness: Send + Sync {
    /// A new authorizer. All of a harness are made alike.
    fn fresh(&self) -> Box<dyn Authorizer>;

    /// The calls that it is asked about: some of each kind that it tells apart.
    fn calls(&self) -> Vec<AskedCall> {
        AskedCall::usual()
    }

    /// A new one with one more rule, which is about every call. `None`: it is not made of rules.
    fn with(&self, then: Then) -> Option<Box<dyn Authorizer>> {
        drop(then);
        None
    }

    /// Must time not be paused? (It waits for nothing, so that does not matter as a rule.)
    fn real_time(&self) -> bool {
        false
    }
}

crate::__authorizer_laws! { __law_table {
    /// Every law of an authorizer.
    AuthorizerHarness, at_once
} }
