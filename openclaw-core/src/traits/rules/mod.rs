//! `Authorizer`: which calls of skills are allowed, refused, or need a person's yes.
//!
//! An authorizer decides and does nothing else: the guarded call enforces what it decides, and
//! [`Approvals`](crate::records::Approvals) remember what people said. [`Rules`] is one made of data.

mod bound;
mod config;
mod decision;
mod index;
mod when;

use std::fmt;

use serde_json::Value;

pub use self::{
    bound::Bound,
    config::{Otherwise, Rule, RulesConfig, Then},
    decision::{Decision, Denial, Terms},
    index::Rules,
    when::{EffectClass, Touch, When},
};
use crate::{AgentId, Context, skill::SkillManifest};

/// A call of a skill that somebody asks for.
///
/// The input is what the skill will get, byte for byte: nothing is expanded or made up behind
/// the decision.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Ask<'a> {
    /// Whose data it is, who asks, and how far the words may be trusted.
    pub context: &'a Context,
    /// The agent that asks, when it is one.
    pub agent: Option<&'a AgentId>,
    /// What the skill declares.
    pub manifest: &'a SkillManifest,
    /// The arguments.
    pub input: &'a Value,
}

impl<'a> Ask<'a> {
    /// Somebody asks for this call.
    #[must_use]
    pub const fn new(context: &'a Context, manifest: &'a SkillManifest, input: &'a Value) -> Self {
        Self { context, agent: None, manifest, input }
    }

    /// Names the agent that asks.
    #[must_use]
    pub const fn by(mut self, agent: &'a AgentId) -> Self {
        self.agent = Some(agent);
        self
    }
}

/// Decides which calls of skills are allowed, refused, or need a person's yes.
///
/// * `decide` is pure and quick: the same ask, the same decision, without a lock or a wait.
/// * It is asked again at each attempt, in whichever process: an approval counts as long as its terms
///   are asked for. Neither the attempt's number nor its deadline or trace counts.
/// * People can meet the terms: there is one at least, with people enough, time and a reason. A
///   refusal has a code and a reason.
/// * What an argument says of its own approval is an argument like any other.
///
/// ```
/// use openclaw_core::{
///     Context, SkillId, TenantId, Touches,
///     rules::{Ask, Authorizer, Decision, Terms},
///     skill::SkillManifest,
/// };
/// use serde_json::json;
///
/// /// Whatever moves money needs two people.
/// #[derive(Debug)]
/// struct FourEyes;
///
/// impl Authorizer for FourEyes {
///     fn decide(&self, ask: &Ask<'_>) -> Decision {
///         if ask.manifest.touches.contains(Touches::MONEY) {
///             return Decision::RequireApproval(vec![Terms::new("it moves money").quorum(2)]);
///         }
///         Decision::Allow
///     }
/// }
///
/// let context = Context::new(TenantId::new("acme")?);
/// let refund = SkillManifest::new(SkillId::new("shop.refund")?, "1.0.0").touches(Touches::MONEY);
/// let input = json!({ "order": 1042, "approved": true });
/// let decision = FourEyes.decide(&Ask::new(&context, &refund, &input));
/// assert!(matches!(decision, Decision::RequireApproval(_)));
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
pub trait Authorizer: Send + Sync + fmt::Debug + 'static {
    /// What is to be done with this call.
    fn decide(&self, ask: &Ask<'_>) -> Decision;
}
