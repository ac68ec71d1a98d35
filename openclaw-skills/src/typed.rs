//! A skill made of a type: serde in, serde out, the contract from both.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use openclaw_core::{
    Call, Effect, Error, ErrorKind, Result,
    channel::Reconcile,
    skill::{Skill, SkillAnswer, SkillManifest},
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Problem, Schemas, SkillCx, contract::Contract, problem::refusal};

/// A skill with types and fields of its own: a client, settings, a hook.
///
/// [`Typed`] makes a [`Skill`] of it, with the checks that [`skill_fn`](fn@crate::skill_fn) has.
///
/// ```
/// use std::sync::Arc;
///
/// use openclaw_core::{
///     Call, Context, Effect, SkillId, TenantId,
///     skill::{Skill, SkillAnswer, SkillManifest},
/// };
/// use openclaw_skills::{SkillCx, Typed, TypedSkill, schemars};
/// use serde_json::json;
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Gross {
///     net_cents: u64,
/// }
///
/// struct Vat {
///     percent: u64,
/// }
///
/// impl TypedSkill for Vat {
///     type Input = Gross;
///     type Output = u64;
///
///     fn manifest(&self) -> SkillManifest {
///         let id = SkillId::new("vat.add").unwrap_or_else(|_| unreachable!("it is an id"));
///         SkillManifest::new(id, "1.0.0").effect(Effect::Pure)
///     }
///
///     async fn run(&self, _: SkillCx, input: Gross) -> openclaw_core::Result<u64> {
///         Ok(input.net_cents + input.net_cents * self.percent / 100)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let skill = Typed::new(Vat { percent: 25 })?;
/// assert!(skill.validate(&json!({ "net_cents": -1 })).is_err());
///
/// let input = Arc::new(json!({ "net_cents": 100 }));
/// let call = Call::skill(Context::new(TenantId::new("acme")?), skill.manifest(), input);
/// assert_eq!(skill.run(call).await?, SkillAnswer::done(json!(125)));
/// # Ok(())
/// # }
/// ```
pub trait TypedSkill: Send + Sync + 'static {
    /// What it takes.
    type Input: DeserializeOwned + JsonSchema + Send + 'static;
    /// What it gives.
    type Output: Serialize + JsonSchema + Send + 'static;

    /// What it is and may do. Asked once; the schemas are made of the types.
    fn manifest(&self) -> SkillManifest;

    /// Does it once.
    ///
    /// # Errors
    /// As [`Skill::run`].
    fn run(
        &self,
        cx: SkillCx,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output>> + Send;

    /// Tells afterwards whether the effect happened.
    fn reconcile(&self) -> Option<&dyn Reconcile> {
        None
    }
}

/// A [`Skill`] made of a [`TypedSkill`].
///
/// * `validate` checks limits and schema, and that the input can be read as its type.
/// * `run` does the same first, so that a skill called without its stack is safe too.
/// * Output that breaks its contract is a `VALIDATION_ERROR`; unless the skill is `Pure`, its
///   `happened` is `Yes`, because the skill has run: repeating it would repeat the effect. The
///   output is behind the error as a [`BrokenOutput`](openclaw_core::skill::BrokenOutput), with
///   which a gateway records the effect as done.
/// * A call whose effects are withheld is refused unless the skill is `Pure`.
pub struct Typed<T> {
    contract: Contract,
    inner: T,
    reconcile: Option<Box<dyn Reconcile>>,
}

impl<T: TypedSkill> Typed<T> {
    /// Makes a skill of it, with schemas of its own.
    ///
    /// # Errors
    /// As [`Schemas::typed`].
    pub fn new(inner: T) -> Result<Self> {
        Schemas::new().typed(inner)
    }

    /// Attaches the hook that tells afterwards whether the effect happened.
    ///
    /// A skill declared `Reconcilable` refuses every call without one.
    #[must_use]
    pub fn reconcile_with(mut self, hook: impl Reconcile + 'static) -> Self {
        self.reconcile = Some(Box::new(hook));
        self
    }

    /// The typed skill inside.
    #[must_use]
    pub const fn get_ref(&self) -> &T {
        &self.inner
    }

    fn hook(&self) -> Option<&dyn Reconcile> {
        self.reconcile.as_deref().or_else(|| self.inner.reconcile())
    }

    /// The input as the skill takes it.
    fn read(&self, input: &Value) -> Result<T::Input> {
        if self.contract.manifest().effect == Effect::Reconcilable && self.hook().is_none() {
            let message = "declared Reconcilable, but there is no reconcile hook";
            return Err(self.contract.named(Error::new(ErrorKind::Unsupported, message)));
        }
        self.contract.input(input)?;
        if let Ok(read) = T::Input::deserialize(input) {
            return Ok(read);
        }
        // Read a second time, slowly, to learn the place.
        serde_path_to_error::deserialize(input).map_err(|e| {
            let problem = Problem::of_serde(input, e.path(), e.inner());
            self.contract.named(refusal("input", &[problem]))
        })
    }

    /// The output as the caller takes it.
    fn write(&self, output: &T::Output) -> Result<SkillAnswer> {
        let unwritable = |_| {
            let problem = Problem::new("", "", "can't be written as JSON");
            self.contract.ran(self.contract.named(refusal("output", &[problem])))
        };
        let output = serde_json::to_value(output).map_err(unwritable)?;
        self.contract.answer(SkillAnswer::done(output))
    }
}

impl Schemas {
    /// Makes a skill of a type, with schemas that several skills share.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: the version is not `major.minor.patch`, a schema can't be used (see
    /// [`Schemas::compile`]), or the manifest names skills to call and is not `Pure`.
    pub fn typed<T: TypedSkill>(&self, inner: T) -> Result<Typed<T>> {
        let settings = SchemaSettings::draft2020_12();
        let takes = settings.clone().into_generator().into_root_schema_for::<T::Input>();
        let gives = settings.for_serialize().into_generator().into_root_schema_for::<T::Output>();
        let manifest = inner.manifest().input(takes.to_value()).output(gives.to_value());
        Ok(Typed { contract: Contract::new(self, manifest)?, inner, reconcile: None })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: TypedSkill> Skill for Typed<T> {
    fn manifest(&self) -> &SkillManifest {
        self.contract.manifest()
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        self.contract.admit(&call)?;
        let input = self.read(call.payload())?;
        let cx = SkillCx::of(&call);
        let others = cx.others().cloned();
        let outcome = match self.inner.run(cx, input).await {
            Ok(output) => self.write(&output),
            Err(e) => Err(e),
        };
        // What the skills it called have done is not undone by its own failure.
        let acted = others.is_some_and(|others| others.has_acted());
        outcome.map_err(|e| if acted { e.in_doubt() } else { e })
    }

    fn validate(&self, input: &Value) -> Result<()> {
        self.read(input).map(drop)
    }

    fn validate_output(&self, output: &Value) -> Result<()> {
        self.contract.output(output)
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        self.hook()
    }
}

impl<T> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manifest = self.contract.manifest();
        write!(f, "Typed({} {})", manifest.id, manifest.version)
    }
}
