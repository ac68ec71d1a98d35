//! Packages whose content is pinned: they run as approved, or not at all.

use std::sync::Arc;

use openclaw_core::{
    Digest, Error, ErrorKind, Result, SkillId,
    records::{Drift, Pins, Sheet, Standing},
    skill::SkillManifest,
};
use semver::Version;
use serde_json::json;

use super::{Registry, line::missing, release::Release};

/// Differences that an error names.
const SHOWN: usize = 8;

/// The digest of all that a manifest says.
///
/// ```
/// use openclaw_core::{Effect, SkillId, skill::SkillManifest};
/// use openclaw_skills::registry::manifest_digest;
///
/// let manifest = SkillManifest::new(SkillId::new("pay")?, "1.0.0");
/// let weaker = manifest.clone().effect(Effect::AtLeastOnce);
/// assert_ne!(manifest_digest(&manifest), manifest_digest(&weaker));
/// let wider = manifest.clone().permission("ledger:write");
/// assert_ne!(manifest_digest(&manifest), manifest_digest(&wider));
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[must_use]
pub fn manifest_digest(manifest: &SkillManifest) -> Digest {
    let limits = &manifest.limits;
    let said = json!({
        "id": manifest.id,
        "version": manifest.version,
        "description": manifest.description,
        "input": manifest.input,
        "output": manifest.output,
        "effect": manifest.effect,
        "touches": manifest.touches,
        "timeout": manifest.timeout,
        "limits": [limits.input_bytes, limits.output_bytes, limits.depth],
        "permissions": manifest.permissions,
        "owner": manifest.owner,
        "deprecated": manifest.deprecated.as_ref().map(|d| format!("{d:?}")),
        "api": manifest.api.as_ref().map(|api| [&api.system, &api.version]),
        "calls": manifest.calls,
    });
    Digest::of_json("openclaw.manifest", &said)
}

/// What the pins call a version of a skill. Each version is approved by itself.
fn package(skill: &SkillId, version: &str) -> String {
    format!("{skill}@{version}")
}

impl Registry {
    /// Adds a version whose content is pinned: disabled until somebody has approved it.
    ///
    /// What is not approved is held, in the store and here: whoever asks for it hears what changed.
    /// Behind [`Pins::approve`], [`Registry::vet`] lets it go.
    ///
    /// # Errors
    /// As [`Registry::publish`]; `VALIDATION_ERROR` when the sheet is of another manifest; the store
    /// does not answer: then nothing is added.
    pub async fn publish_pinned(
        &self,
        release: Release,
        sheet: &Sheet,
        pins: &Pins,
    ) -> Result<Standing> {
        let manifest = release.manifest();
        let (id, version) = (manifest.id.clone(), Arc::clone(&manifest.version));
        if sheet.manifest() != manifest_digest(manifest) {
            let why = "the sheet is of another manifest";
            return Err(Error::new(ErrorKind::ValidationError, why).with("skill", id));
        }
        let standing = pins.check(&package(&id, &version), sheet).await?;
        self.publish_held(release, why(&standing))?;
        Ok(standing)
    }

    /// Looks again whether a version is what was approved, and acts on it.
    ///
    /// # Errors
    /// `NOT_FOUND`: the version is not here. The store does not answer: then it is disabled.
    pub async fn vet(
        &self,
        skill: &SkillId,
        version: &str,
        sheet: &Sheet,
        pins: &Pins,
    ) -> Result<Standing> {
        let standing = pins.check(&package(skill, version), sheet).await;
        let held = match &standing {
            Ok(standing) => why(standing),
            Err(_) => Some("nobody can tell whether it is what was approved".into()),
        };
        self.hold(skill, version, held)?;
        standing
    }

    /// The name under which the pins know a version of a skill, for [`Pins::approve`].
    #[must_use]
    pub fn package(skill: &SkillId, version: &str) -> String {
        package(skill, version)
    }

    fn hold(&self, skill: &SkillId, version: &str, why: Option<Arc<str>>) -> Result<()> {
        let absent = || missing("this version of the skill is not here", skill);
        let number = Version::parse(version).map_err(|_no_version| absent())?;
        let mut table = self.0.table_mut();
        let line = table.get_mut(skill).ok_or_else(absent)?;
        line.slot_mut(&number).ok_or_else(absent)?.held = why;
        line.index();
        self.0.cast(line);
        Ok(())
    }
}

/// Why a package of this standing may not run.
fn why(standing: &Standing) -> Option<Arc<str>> {
    match standing {
        Standing::Approved => None,
        Standing::New => Some("nobody has approved it so far".into()),
        Standing::Changed(drift) => {
            let words: Vec<String> = drift.iter().take(SHOWN).map(Drift::to_string).collect();
            Some(format!("it is not what was approved: {}", words.join(", ")).into())
        }
    }
}
