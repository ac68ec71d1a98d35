//! Skills that have other skills do their work.

use std::sync::atomic::Ordering;

use openclaw_core::{
    Effect, Error, ErrorKind, Happened, Result, SkillId,
    skill::{SkillAnswer, SkillRequest},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{SkillCx, cx::Others, problem::printable};

/// What a skill that calls others may ask for.
///
/// Its manifest names them ([`SkillManifest::calls`](openclaw_core::skill::SkillManifest::calls)),
/// and the gateway gives it the way to them: each sub-call is validated, claimed and recorded as
/// a call of the agent would be, under a name of its own. The skill itself acts on nothing, so
/// it is `Pure`. Run again, it finds what its sub-calls did in their records. It must ask again for
/// the same, as an agent must.
///
/// A gateway does not start with a skill that calls one that is not there, one that touches more
/// than the caller declares, or with circles or more than four levels. It refuses what the
/// manifest does not name, and more than 64 sub-calls of one call. Give the skill the time that its
/// sub-calls need together: its own timeout ends them.
///
/// ```
/// use openclaw_core::{Result, Touches, skill::SkillManifest};
/// use openclaw_skills::{SkillCx, schemars, skill_fn};
/// use serde_json::{Value, json};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Move {
///     email: String,
///     street: String,
/// }
///
/// async fn relocate(cx: SkillCx, to: Move) -> Result<Value> {
///     let customer: String = cx.ask("crm.find", "find", &json!({ "email": to.email })).await?;
///     cx.ask("crm.address", "address", &json!({ "customer": customer, "street": to.street })).await
/// }
///
/// let manifest = SkillManifest::new("crm.relocate".parse()?, "1.0.0")
///     .touches(Touches::READS_PRIVATE | Touches::WRITES)
///     .calls("crm.find".parse()?)
///     .calls("crm.address".parse()?);
/// assert!(skill_fn(manifest, relocate).is_ok());
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
impl SkillCx {
    /// Has another skill do something, once under this operation name.
    ///
    /// The name is the caller's own: 1 to 31 characters of `A-Z a-z 0-9 _ -`.
    ///
    /// # Errors
    /// As [`SkillPort::call`](openclaw_core::skill::SkillPort::call); `UNSUPPORTED` when the call
    /// brings no way to other skills, `PERMISSION_DENIED` when the manifest does not name it.
    pub async fn call(&self, request: SkillRequest) -> Result<SkillAnswer> {
        let others = self.others().ok_or_else(alone)?;
        let acts = request.version.is_some() || acts(others, &request.skill);
        let outcome = others.port.call(self.context(), request).await;
        let happened = match &outcome {
            Ok(_) => Happened::Yes,
            Err(e) => e.happened(),
        };
        if acts && happened != Happened::No {
            others.acted.store(true, Ordering::Relaxed);
        }
        outcome
    }

    /// As [`SkillCx::call`], with types: asks this skill, and reads its output.
    ///
    /// # Errors
    /// As [`SkillCx::call`]; `VALIDATION_ERROR` when the input can't be written, or the output is
    /// not what is asked for; `UNSUPPORTED` when the skill answered with a job.
    pub async fn ask<Out: DeserializeOwned>(
        &self,
        skill: &str,
        operation: &str,
        input: &(impl Serialize + Sync + ?Sized),
    ) -> Result<Out> {
        let id = SkillId::new(skill).map_err(|e| invalid(format!("skill name: {e}"), skill))?;
        let input = serde_json::to_value(input)
            .map_err(|_quotes| invalid("the input can't be written as JSON".to_owned(), skill))?;
        let answer = self.call(SkillRequest::new(id, operation, input)).await?;
        let SkillAnswer::Done(output) = answer else {
            let why = "the skill has started a job: ask with `call` to learn its ticket";
            let error = Error::new(ErrorKind::Unsupported, why).with("skill", skill);
            return Err(error.with_happened(Happened::Maybe));
        };
        // The text of serde's error may quote the output.
        Out::deserialize(&*output).map_err(|_quotes| {
            invalid("the output is not what the caller expects".to_owned(), skill)
                .with_happened(Happened::Maybe)
        })
    }
}

/// May a call of this skill act on the world, itself or through others?
fn acts(others: &Others, skill: &SkillId) -> bool {
    let manifests = others.port.manifests();
    let manifest = manifests.iter().find(|manifest| manifest.id == *skill);
    manifest.is_none_or(|m| m.effect != Effect::Pure || !m.calls.is_empty())
}

fn alone() -> Error {
    let why = "this call brings no way to other skills: name them in the manifest";
    Error::new(ErrorKind::Unsupported, why)
}

fn invalid(why: String, skill: &str) -> Error {
    Error::new(ErrorKind::ValidationError, why).with("skill", printable(skill, 128))
}
