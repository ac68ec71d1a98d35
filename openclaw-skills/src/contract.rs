//! The checks that every call of a skill goes through, whatever runs it.

use std::sync::Arc;

use openclaw_core::{
    Call, Effect, Effects, Error, ErrorKind, Happened, Result,
    skill::{BrokenOutput, SkillAnswer, SkillManifest},
};
use serde_json::Value;

use crate::{
    Problem, Schema, Schemas,
    problem::refusal,
    weight::{deeper_than, heavier_than},
};

/// A manifest that was checked, with its schemas compiled.
#[derive(Clone, Debug)]
pub(crate) struct Contract {
    manifest: SkillManifest,
    input: Option<Schema>,
    output: Option<Schema>,
}

impl Contract {
    pub(crate) fn new(schemas: &Schemas, manifest: SkillManifest) -> Result<Self> {
        check(&manifest).map_err(|why| {
            Error::new(ErrorKind::ValidationError, why).with("skill", &manifest.id)
        })?;
        let compile = |side: &'static str, schema: Option<&Arc<Value>>| {
            let compiled = schema.map(|schema| schemas.compile(schema)).transpose();
            compiled.map_err(|e| e.with("skill", &manifest.id).with("side", side))
        };
        let input = compile("input", manifest.input.as_ref())?;
        let output = compile("output", manifest.output.as_ref())?;
        Ok(Self { manifest, input, output })
    }

    pub(crate) const fn manifest(&self) -> &SkillManifest {
        &self.manifest
    }

    /// Refuses a call that must not act, unless the skill is `Pure`.
    pub(crate) fn admit(&self, call: &Call<Arc<Value>>) -> Result<()> {
        let withheld = call.context().effects() == Effects::Withheld;
        if withheld && self.manifest.effect != Effect::Pure {
            let message = "effects are withheld: only pure skills run";
            return Err(self.named(Error::new(ErrorKind::Unsupported, message)));
        }
        Ok(())
    }

    /// Refuses input that is too big or breaks its schema.
    pub(crate) fn input(&self, input: &Value) -> Result<()> {
        let bytes = self.manifest.limits.input_bytes;
        self.side("input", bytes, self.input.as_ref(), input).map_err(|e| self.named(e))
    }

    /// Refuses output that is too big or breaks its schema.
    pub(crate) fn output(&self, output: &Value) -> Result<()> {
        let bytes = self.manifest.limits.output_bytes;
        self.side("output", bytes, self.output.as_ref(), output).map_err(|e| self.named(e))
    }

    /// An answer that keeps the contract. What does not goes along with the error: the skill has
    /// run, and whoever keeps records keeps it. A job's ticket is no output yet.
    pub(crate) fn answer(&self, answer: SkillAnswer) -> Result<SkillAnswer> {
        if let SkillAnswer::Done(output) = &answer
            && let Err(e) = self.output(output)
        {
            return Err(self.ran(e).with_source(BrokenOutput::new(Arc::clone(output))));
        }
        Ok(answer)
    }

    /// The error of an answer that breaks its promise. Repeating would repeat the effect.
    pub(crate) fn ran(&self, error: Error) -> Error {
        let happened = match self.manifest.effect {
            Effect::Pure => Happened::No,
            Effect::Keyed { .. }
            | Effect::Reconcilable
            | Effect::AtLeastOnce
            | Effect::AtMostOnce => Happened::Yes,
        };
        error.with_happened(happened)
    }

    pub(crate) fn named(&self, error: Error) -> Error {
        error.with("skill", &self.manifest.id)
    }

    fn side(&self, what: &str, bytes: usize, schema: Option<&Schema>, value: &Value) -> Result<()> {
        let depth = self.manifest.limits.depth;
        let too_big = |text: String| Err(refusal(what, &[Problem::new("", "", &text)]));
        if deeper_than(value, depth) {
            return too_big(format!("nested deeper than {depth} levels: flatten it"));
        }
        if heavier_than(value, bytes) {
            return too_big(format!("longer than {bytes} bytes as JSON: shorten it, or split it"));
        }
        schema.map_or(Ok(()), |schema| schema.check(what, value))
    }
}

/// What a manifest must hold, whatever its skill does.
fn check(manifest: &SkillManifest) -> Result<(), &'static str> {
    if semver::Version::parse(&manifest.version).is_err() {
        return Err("a skill's version is major.minor.patch");
    }
    if !manifest.calls.is_empty() && manifest.effect != Effect::Pure {
        return Err("a skill that calls others is Pure: their effects are theirs");
    }
    if manifest.calls.contains(&manifest.id) {
        return Err("a skill can't call itself");
    }
    if manifest.permissions.iter().any(|name| name.trim().is_empty()) {
        return Err("a permission's name must not be empty");
    }
    Ok(())
}
