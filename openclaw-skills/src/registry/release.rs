//! A version of a skill on its way into a registry, and there.

use std::{collections::BTreeSet, fmt, sync::Arc};

use openclaw_core::{
    Effect, Error, ErrorKind, Result, SkillId,
    records::Stage,
    skill::{Skill, SkillManifest},
};
use semver::Version;

/// Tags of one release at most.
const MAX_TAGS: usize = 32;

/// A version of a skill, to be published.
///
/// ```
/// use openclaw_core::{Effect, skill::SkillManifest};
/// use openclaw_skills::registry::Release;
/// use openclaw_testkit::remote::{CountingRemote, RemoteKind, RemoteSkill};
///
/// let crm = RemoteSkill::named("crm.find", Effect::Pure, CountingRemote::new(RemoteKind::Keyed))?;
/// let release = Release::of(crm).tag("customers").draft();
/// assert_eq!(release.manifest().id.as_str(), "crm.find");
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[must_use = "publish it in a registry"]
pub struct Release {
    skill: Arc<dyn Skill>,
    stage: Stage,
    tags: BTreeSet<Arc<str>>,
}

impl Release {
    /// A release that everybody meets who asks for its range.
    ///
    /// It is deprecated when its manifest says so. A stage that an operator has set counts instead.
    pub fn of(skill: impl Skill) -> Self {
        let stage = stage_of(skill.manifest());
        Self { skill: Arc::new(skill), stage, tags: BTreeSet::new() }
    }

    /// Met by its exact number and by the canary only, until it is promoted.
    pub fn draft(mut self) -> Self {
        self.stage = Stage::Draft;
        self
    }

    /// A word that a search finds it by; 32 at most count.
    pub fn tag(mut self, tag: impl Into<Arc<str>>) -> Self {
        if self.tags.len() < MAX_TAGS {
            self.tags.insert(tag.into());
        }
        self
    }

    /// What the skill says of itself.
    #[must_use]
    pub fn manifest(&self) -> &SkillManifest {
        self.skill.manifest()
    }

    /// Checks what can be checked without looking at other versions.
    pub(super) fn check(self) -> Result<Published> {
        let Self { skill, stage, tags } = self;
        let manifest = skill.manifest();
        let wrong = |why: &'static str| {
            let wrong = Error::new(ErrorKind::ValidationError, why).with("skill", &manifest.id);
            wrong.with("version", &manifest.version)
        };
        let version = Version::parse(&manifest.version)
            .map_err(|_no_version| wrong("a skill's version is major.minor.patch"))?;
        if manifest.effect == Effect::Reconcilable && skill.reconcile().is_none() {
            return Err(wrong("a reconcilable skill needs a reconcile hook"));
        }
        let said: Vec<&str> = tags.iter().map(|tag| &**tag).collect();
        let words = [manifest.id.as_str(), &said.join(" "), &manifest.description].map(words_of);
        Ok(Published { version, skill, stage, tags, words })
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SkillManifest { id, version, .. } = self.manifest();
        write!(f, "Release({id} {version}, {})", self.stage.name())
    }
}

/// Where a manifest says that its version stands.
fn stage_of(manifest: &SkillManifest) -> Stage {
    manifest.deprecated.as_ref().map_or(Stage::Active, |said| Stage::Deprecated {
        since: said.since,
        sunset: said.sunset,
        replacement: said.replacement.clone(),
    })
}

/// A release that was checked.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) version: Version,
    pub(super) skill: Arc<dyn Skill>,
    /// Where it stands unless somebody has set another stage.
    pub(super) stage: Stage,
    pub(super) tags: BTreeSet<Arc<str>>,
    /// The words of its id, its tags and its description.
    pub(super) words: [BTreeSet<String>; 3],
}

impl Published {
    pub(super) fn id(&self) -> &SkillId {
        &self.skill.manifest().id
    }
}

/// The words of a text, in lower case.
pub(super) fn words_of(text: &str) -> BTreeSet<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    parts.map(str::to_lowercase).collect()
}
