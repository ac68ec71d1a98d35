//! Any skill, held to its own manifest.

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_core::{
    Call, Result,
    channel::Reconcile,
    skill::{Skill, SkillAnswer, SkillManifest},
};
use serde_json::Value;

use crate::{Schemas, contract::Contract};

/// Any [`Skill`], held to the limits and schemas of its manifest.
///
/// For skills whose schemas come as data: of a descriptor, of another program. Typed skills have
/// the same checks built in. What the skill inside checks by itself it checks as well.
///
/// ```
/// use openclaw_core::{Effect, skill::{Skill, SkillLimits, SkillManifest}};
/// use openclaw_skills::{Checked, Schemas};
/// use openclaw_testkit::remote::{CountingRemote, RemoteKind, RemoteSkill};
/// use serde_json::json;
///
/// let manifest = SkillManifest::new("crm.note".parse()?, "1.0.0")
///     .input(json!({ "type": "object", "required": ["text"] }))
///     .limits(SkillLimits::default().input_bytes(100));
/// let crm = RemoteSkill::new(manifest, CountingRemote::new(RemoteKind::Unkeyed));
/// assert!(crm.validate(&json!({})).is_ok(), "nobody looks");
///
/// let crm = Checked::new(crm, &Schemas::new())?;
/// assert!(crm.validate(&json!({})).is_err());
/// assert!(crm.validate(&json!({ "text": "x".repeat(100) })).is_err());
/// assert!(crm.validate(&json!({ "text": "called back" })).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checked<K> {
    contract: Contract,
    inner: K,
}

impl<K: Skill> Checked<K> {
    /// This skill, held to its manifest.
    ///
    /// # Errors
    /// As [`Schemas::typed`].
    pub fn new(inner: K, schemas: &Schemas) -> Result<Self> {
        let contract = Contract::new(schemas, inner.manifest().clone())?;
        Ok(Self { contract, inner })
    }

    /// The skill inside.
    #[must_use]
    pub const fn get_ref(&self) -> &K {
        &self.inner
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<K: Skill> Skill for Checked<K> {
    fn manifest(&self) -> &SkillManifest {
        self.contract.manifest()
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        self.contract.admit(&call)?;
        self.contract.input(call.payload())?;
        let answer = self.inner.run(call).await?;
        self.contract.answer(answer)
    }

    fn validate(&self, input: &Value) -> Result<()> {
        self.contract.input(input)?;
        self.inner.validate(input)
    }

    fn validate_output(&self, output: &Value) -> Result<()> {
        self.contract.output(output)?;
        self.inner.validate_output(output)
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        self.inner.reconcile()
    }
}
