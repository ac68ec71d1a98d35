//! A descriptor as a manifest, and back.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    Effect, Error, ErrorKind, Result, Touches,
    skill::{ApiVersion, Deprecation, SkillLimits, SkillManifest},
};

use super::{
    CallLimits, Date, DeclaredEffects, Deprecated, Descriptor, EffectName, PinnedApi, Touch,
    Unknown, inputs::schema,
};

impl Descriptor {
    /// What the descriptor promises, as the gateway reads it.
    ///
    /// What it doesn't say is taken for the worst: `AtMostOnce`, and touching everything.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: `keyed` without `retention_ms`, or calls that are not `pure`.
    pub fn manifest(&self) -> Result<SkillManifest> {
        let assumed = DeclaredEffects::default();
        let effects = self.effects.as_ref().unwrap_or(&assumed);
        let mut manifest = SkillManifest::new(self.name.clone(), Arc::clone(&self.version))
            .describe(Arc::clone(&self.description))
            .touches(touches(effects.touches.as_deref()));
        manifest.input = self.inputs.as_ref().map(|inputs| Arc::new(schema(inputs)));
        manifest.output = self.outputs.as_ref().map(|outputs| Arc::new(schema(outputs)));
        manifest.effect = effect(effects)?;
        manifest.permissions = self.permissions.clone();
        manifest.owner.clone_from(&self.owner);
        manifest.calls = self.calls.clone();
        if !manifest.calls.is_empty() && manifest.effect != Effect::Pure {
            return Err(refused("/effects/effect", "a skill that calls others is `pure`"));
        }
        if let Some(limits) = &self.limits {
            set(limits, &mut manifest);
        }
        manifest.deprecated = self.deprecated.as_ref().map(|old| {
            let mut deprecation = Deprecation::since(old.since.0);
            deprecation.sunset = old.sunset.map(|sunset| sunset.0);
            deprecation.replacement.clone_from(&old.replacement);
            deprecation
        });
        manifest.api = self
            .api
            .as_ref()
            .map(|api| ApiVersion::new(Arc::clone(&api.system), Arc::clone(&api.version)));
        Ok(manifest)
    }

    /// The descriptor of this manifest. Nothing is left to assumptions.
    #[must_use]
    pub fn of(manifest: &SkillManifest) -> Self {
        let mut descriptor = Self::new(manifest.id.clone(), Arc::clone(&manifest.version));
        descriptor.description = Arc::clone(&manifest.description);
        descriptor.inputs = manifest.input.as_deref().cloned();
        descriptor.outputs = manifest.output.as_deref().cloned();
        descriptor.effects = Some(effects_of(manifest));
        descriptor.limits = Some(limits_of(manifest));
        descriptor.permissions = manifest.permissions.clone();
        descriptor.owner.clone_from(&manifest.owner);
        descriptor.calls = manifest.calls.clone();
        descriptor.deprecated = manifest.deprecated.as_ref().map(|old| Deprecated {
            since: Date(old.since),
            sunset: old.sunset.map(Date),
            replacement: old.replacement.clone(),
            unknown: Unknown::new(),
        });
        descriptor.api = manifest.api.as_ref().map(|api| PinnedApi {
            system: Arc::clone(&api.system),
            version: Arc::clone(&api.version),
            unknown: Unknown::new(),
        });
        descriptor
    }
}

fn touches(named: Option<&[Touch]>) -> Touches {
    let named = named.unwrap_or(&Touch::ALL);
    named.iter().fold(Touches::NOTHING, |all, touch| all | touch.bit())
}

fn effect(effects: &DeclaredEffects) -> Result<Effect> {
    Ok(match (effects.effect, effects.retention_ms) {
        (EffectName::Pure, _) => Effect::Pure,
        (EffectName::Keyed, Some(ms)) => Effect::Keyed { retention: Duration::from_millis(ms) },
        (EffectName::Keyed, None) => {
            let why = "`keyed` needs to say how long the remote remembers a key";
            return Err(refused("/effects/retention_ms", why));
        }
        (EffectName::Reconcilable, _) => Effect::Reconcilable,
        (EffectName::AtLeastOnce, _) => Effect::AtLeastOnce,
        (EffectName::AtMostOnce, _) => Effect::AtMostOnce,
    })
}

fn set(limits: &CallLimits, manifest: &mut SkillManifest) {
    let usual = SkillLimits::default();
    manifest.limits = usual
        .input_bytes(limits.input_bytes.unwrap_or(usual.input_bytes))
        .output_bytes(limits.output_bytes.unwrap_or(usual.output_bytes))
        .depth(limits.depth.unwrap_or(usual.depth));
    if let Some(ms) = limits.timeout_ms {
        manifest.timeout = Duration::from_millis(ms);
    }
}

fn effects_of(manifest: &SkillManifest) -> DeclaredEffects {
    let (effect, retention) = match manifest.effect {
        Effect::Pure => (EffectName::Pure, None),
        Effect::Keyed { retention } => (EffectName::Keyed, Some(retention)),
        Effect::Reconcilable => (EffectName::Reconcilable, None),
        Effect::AtLeastOnce => (EffectName::AtLeastOnce, None),
        Effect::AtMostOnce => (EffectName::AtMostOnce, None),
    };
    let touched = |touch: &Touch| manifest.touches.contains(touch.bit());
    DeclaredEffects {
        effect,
        retention_ms: retention.map(millis),
        touches: Some(Touch::ALL.into_iter().filter(touched).collect()),
        ..DeclaredEffects::default()
    }
}

fn limits_of(manifest: &SkillManifest) -> CallLimits {
    CallLimits {
        input_bytes: Some(manifest.limits.input_bytes),
        output_bytes: Some(manifest.limits.output_bytes),
        depth: Some(manifest.limits.depth),
        timeout_ms: Some(millis(manifest.timeout)),
        ..CallLimits::default()
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn refused(pointer: &'static str, why: &'static str) -> Error {
    Error::new(ErrorKind::ValidationError, why).with("pointer", pointer)
}
