//! A skill made of one async function, its contract made of the function's types.

use std::{fmt, marker::PhantomData, sync::Arc};

use async_trait::async_trait;
use openclaw_core::{
    Call, Context, Effect, Effects, Error, ErrorKind, Happened, IdempotencyKey, Result,
    channel::Reconcile,
    skill::{Skill, SkillAnswer, SkillManifest},
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Problem, Schema, Schemas, problem::refusal};

/// What a skill's function is told beside its input.
#[derive(Clone, Debug)]
pub struct SkillCx {
    context: Context,
    key: Option<IdempotencyKey>,
}

impl SkillCx {
    /// The head of this call, as a skill's function sees it.
    #[must_use]
    pub fn of<P>(call: &Call<P>) -> Self {
        Self { context: call.context().clone(), key: call.key().cloned() }
    }

    /// Who asks, until when, at which attempt.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// The key that names this effect, the same at every attempt.
    #[must_use]
    pub const fn key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    /// The key, for a remote that must not be called without one.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, and nothing happened: the call has no key.
    pub fn require_key(&self) -> Result<&IdempotencyKey> {
        let missing = || Error::new(ErrorKind::ValidationError, "the call has no idempotency key");
        self.key().ok_or_else(missing)
    }
}

/// Makes a skill of an async function.
///
/// The function takes a [`SkillCx`] and any `In: DeserializeOwned + JsonSchema`; it gives any
/// `Out: Serialize + JsonSchema`. Their schemas (2020-12) become the manifest's `input` and
/// `output`, in place of what is there.
///
/// # Errors
/// `VALIDATION_ERROR`: the version is not `major.minor.patch`, or a schema can't be used (see
/// [`Schemas::compile`]).
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use openclaw_core::{
///     Call, Context, Effect, ErrorKind, IdempotencyKey, MessageId, SkillId, TenantId, Touches,
///     skill::{Skill, SkillAnswer, SkillManifest},
/// };
/// use openclaw_skills::{SkillCx, schemars, skill_fn};
/// use serde_json::json;
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Refund {
///     /// The order's number.
///     order: String,
///     #[schemars(range(min = 1))]
///     amount_cents: u32,
/// }
///
/// #[derive(serde::Serialize, schemars::JsonSchema)]
/// struct Refunded {
///     receipt: String,
/// }
///
/// async fn refund(cx: SkillCx, input: Refund) -> openclaw_core::Result<Refunded> {
///     // A real one sends the key to the remote, which then refunds once.
///     let key = cx.require_key()?;
///     Ok(Refunded { receipt: format!("{} for {} by {key}", input.amount_cents, input.order) })
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manifest = SkillManifest::new(SkillId::new("refund.create")?, "1.0.0")
///     .describe("Refunds an order")
///     .effect(Effect::Keyed { retention: Duration::from_secs(24 * 60 * 60) })
///     .touches(Touches::WRITES | Touches::MONEY);
/// let skill = skill_fn(manifest, refund)?;
///
/// let wrong = skill.validate(&json!({ "order": "1042", "amount_cents": 0 })).unwrap_err();
/// assert_eq!(wrong.kind(), ErrorKind::ValidationError);
/// assert!(wrong.context().any(|pair| pair == ("pointer", "/amount_cents")));
///
/// let input = Arc::new(json!({ "order": "1042", "amount_cents": 4990 }));
/// let call = Call::skill(Context::new(TenantId::new("acme")?), skill.manifest(), input)
///     .with_key(IdempotencyKey::of(MessageId::from_u128(1), "refund")?);
/// let receipt = "4990 for 1042 by 00000000000000000000000001.refund";
/// assert_eq!(skill.run(call).await?, SkillAnswer::done(json!({ "receipt": receipt })));
/// # Ok(())
/// # }
/// ```
pub fn skill_fn<In, Out, F, R>(manifest: SkillManifest, f: F) -> Result<SkillFn<In, Out, F>>
where
    In: DeserializeOwned + JsonSchema + 'static,
    Out: Serialize + JsonSchema + 'static,
    F: Fn(SkillCx, In) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Out>> + Send + 'static,
{
    Schemas::new().skill_fn(manifest, f)
}

impl Schemas {
    /// As [`skill_fn`](fn@crate::skill_fn), with schemas that several skills share.
    ///
    /// # Errors
    /// As [`skill_fn`](fn@crate::skill_fn).
    pub fn skill_fn<In, Out, F, R>(
        &self,
        mut manifest: SkillManifest,
        f: F,
    ) -> Result<SkillFn<In, Out, F>>
    where
        In: DeserializeOwned + JsonSchema + 'static,
        Out: Serialize + JsonSchema + 'static,
        F: Fn(SkillCx, In) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Out>> + Send + 'static,
    {
        if !is_version(&manifest.version) {
            let message = "a skill's version is major.minor.patch";
            return Err(Error::new(ErrorKind::ValidationError, message).with("skill", &manifest.id));
        }
        let settings = SchemaSettings::draft2020_12();
        let takes = settings.clone().into_generator().into_root_schema_for::<In>().to_value();
        let gives = settings.for_serialize().into_generator().into_root_schema_for::<Out>();
        let gives = gives.to_value();
        let named = |side| {
            let id = manifest.id.clone();
            move |e: Error| e.with("skill", id).with("side", side)
        };
        let input = self.compile(&takes).map_err(named("input"))?;
        let output = self.compile(&gives).map_err(named("output"))?;
        manifest.input = Some(Arc::new(takes));
        manifest.output = Some(Arc::new(gives));
        Ok(SkillFn { manifest, input, output, f, reconcile: None, types: PhantomData })
    }
}

/// A typed skill, made by [`skill_fn`](fn@crate::skill_fn).
///
/// * `validate` checks the schema and that the input can be read as `In`.
/// * `run` does the same first, so that a skill called without its stack is safe too.
/// * Output that breaks its schema is a `VALIDATION_ERROR`; unless the skill is `Pure`, its
///   `happened` is `Yes`, because the function has run: repeating it would repeat the effect.
/// * A call whose effects are withheld is refused unless the skill is `Pure`.
pub struct SkillFn<In, Out, F> {
    manifest: SkillManifest,
    input: Schema,
    output: Schema,
    f: F,
    reconcile: Option<Box<dyn Reconcile>>,
    types: PhantomData<fn(In) -> Out>,
}

impl<In, Out, F> SkillFn<In, Out, F>
where
    In: DeserializeOwned,
    Out: Serialize,
{
    /// Attaches the hook that tells afterwards whether the effect happened.
    ///
    /// A skill declared `Reconcilable` refuses every call without one.
    #[must_use]
    pub fn reconcile_with(mut self, hook: impl Reconcile + 'static) -> Self {
        self.reconcile = Some(Box::new(hook));
        self
    }

    /// The input as the function takes it.
    fn read(&self, input: &Value) -> Result<In> {
        if self.manifest.effect == Effect::Reconcilable && self.reconcile.is_none() {
            let message = "declared Reconcilable, but there is no reconcile hook";
            return Err(self.named(Error::new(ErrorKind::Unsupported, message)));
        }
        self.input.check("input", input).map_err(|e| self.named(e))?;
        if let Ok(read) = In::deserialize(input) {
            return Ok(read);
        }
        // Read a second time, slowly, to learn the place.
        serde_path_to_error::deserialize(input).map_err(|e| {
            self.named(refusal("input", &[Problem::of_serde(input, e.path(), e.inner())]))
        })
    }

    /// The function's output as the caller takes it.
    fn write(&self, output: &Out) -> Result<SkillAnswer> {
        let unwritable = |_| refusal("output", &[Problem::new("", "", "can't be written as JSON")]);
        let checked = serde_json::to_value(output)
            .map_err(unwritable)
            .and_then(|output| self.output.check("output", &output).map(|()| output));
        let happened = match self.manifest.effect {
            Effect::Pure => Happened::No,
            Effect::Keyed { .. }
            | Effect::Reconcilable
            | Effect::AtLeastOnce
            | Effect::AtMostOnce => Happened::Yes,
        };
        checked.map(SkillAnswer::done).map_err(|e| self.named(e.with_happened(happened)))
    }

    fn named(&self, error: Error) -> Error {
        error.with("skill", &self.manifest.id)
    }
}

#[async_trait]
impl<In, Out, F, R> Skill for SkillFn<In, Out, F>
where
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
    F: Fn(SkillCx, In) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Out>> + Send + 'static,
{
    fn manifest(&self) -> &SkillManifest {
        &self.manifest
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        let withheld = call.context().effects() == Effects::Withheld;
        if withheld && self.manifest.effect != Effect::Pure {
            let message = "effects are withheld: only pure skills run";
            return Err(self.named(Error::new(ErrorKind::Unsupported, message)));
        }
        let input = self.read(call.payload())?;
        let output = (self.f)(SkillCx::of(&call), input).await?;
        self.write(&output)
    }

    fn validate(&self, input: &Value) -> Result<()> {
        self.read(input).map(drop)
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        self.reconcile.as_deref()
    }
}

impl<In, Out, F> fmt::Debug for SkillFn<In, Out, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skill_fn({} {})", self.manifest.id, self.manifest.version)
    }
}

/// Is it `major.minor.patch`, perhaps with a pre-release or build part?
fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits && (part.len() == 1 || !part.starts_with('0'))
    };
    core.split('.').count() == 3 && core.split('.').all(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_three_numbers() {
        for good in ["1.0.0", "0.10.2", "1.2.3-rc.1", "1.2.3+build"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["", "1", "1.0", "v1.0.0", "1.0.0.0", "1.00.0", "1..0", "-1.0.0"] {
            assert!(!is_version(bad), "{bad}");
        }
    }
}
