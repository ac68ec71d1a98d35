//! A skill made of one async function, its contract made of the function's types.

use std::marker::PhantomData;

use openclaw_core::{Result, skill::SkillManifest};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Schemas, SkillCx, Typed, TypedSkill};

/// Makes a skill of an async function.
///
/// The function takes a [`SkillCx`] and any `In: DeserializeOwned + JsonSchema`; it gives any
/// `Out: Serialize + JsonSchema`. Their schemas (2020-12) become the manifest's `input` and
/// `output`, in place of what is there.
///
/// What has fields of its own is a [`TypedSkill`]; both are checked by [`Typed`].
///
/// # Errors
/// As [`Schemas::typed`].
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
pub fn skill_fn<In, Out, F, R>(manifest: SkillManifest, f: F) -> Result<Typed<SkillFn<In, Out, F>>>
where
    In: DeserializeOwned + JsonSchema + Send + 'static,
    Out: Serialize + JsonSchema + Send + 'static,
    F: Fn(SkillCx, In) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Out>> + Send + 'static,
{
    Schemas::new().skill_fn(manifest, f)
}

impl Schemas {
    /// As [`skill_fn`](fn@crate::skill_fn), with schemas that several skills share.
    ///
    /// # Errors
    /// As [`Schemas::typed`].
    pub fn skill_fn<In, Out, F, R>(
        &self,
        manifest: SkillManifest,
        f: F,
    ) -> Result<Typed<SkillFn<In, Out, F>>>
    where
        In: DeserializeOwned + JsonSchema + Send + 'static,
        Out: Serialize + JsonSchema + Send + 'static,
        F: Fn(SkillCx, In) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Out>> + Send + 'static,
    {
        self.typed(SkillFn { manifest, f, types: PhantomData })
    }
}

/// An async function as a [`TypedSkill`]; made by [`skill_fn`](fn@crate::skill_fn).
#[derive(Debug)]
pub struct SkillFn<In, Out, F> {
    manifest: SkillManifest,
    f: F,
    types: PhantomData<fn(In) -> Out>,
}

impl<In, Out, F, R> TypedSkill for SkillFn<In, Out, F>
where
    In: DeserializeOwned + JsonSchema + Send + 'static,
    Out: Serialize + JsonSchema + Send + 'static,
    F: Fn(SkillCx, In) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Out>> + Send + 'static,
{
    type Input = In;
    type Output = Out;

    fn manifest(&self) -> SkillManifest {
        self.manifest.clone()
    }

    fn run(&self, cx: SkillCx, input: In) -> impl Future<Output = Result<Out>> + Send {
        (self.f)(cx, input)
    }
}
