//! `SkillManifest`: what a skill promises, kept apart from what it does.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{Effect, SkillId, Timestamp, Touches};

/// What a skill is, takes, gives, and may do to the world.
///
/// ```
/// use openclaw_core::{Effect, Touches, skill::SkillManifest};
///
/// let manifest = SkillManifest::new("crm.note".parse()?, "1.2.0")
///     .describe("Writes a note to a customer's file")
///     .effect(Effect::AtLeastOnce)
///     .touches(Touches::WRITES)
///     .permission("crm:write")
///     .owner("crm-team")
///     .api("crm", "2026-07");
/// assert!(manifest.permissions.contains("crm:write"));
/// assert_eq!(manifest.limits.input_bytes, 256 << 10);
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SkillManifest {
    /// Its name.
    pub id: SkillId,
    /// Its version, `major.minor.patch`.
    pub version: Arc<str>,
    /// What it is for, in words a model understands.
    pub description: Arc<str>,
    /// JSON Schema (2020-12) of the input; anything goes when `None`.
    pub input: Option<Arc<Value>>,
    /// JSON Schema (2020-12) of the output; anything goes when `None`.
    pub output: Option<Arc<Value>>,
    /// What it may do to the world. `AtMostOnce` unless declared.
    pub effect: Effect,
    /// Which data it touches.
    pub touches: Touches,
    /// The longest one attempt may take. 30 s.
    pub timeout: Duration,
    /// What one call may weigh.
    pub limits: SkillLimits,
    /// The permissions that whoever calls it needs, by name. None.
    ///
    /// They are a demand, and [rules](crate::rules::When::permissions) answer it: a host writes down
    /// which tenants and agents may call what demands which. A call is not refused for them alone,
    /// and a [`Principal`](crate::Principal) has none.
    pub permissions: BTreeSet<Arc<str>>,
    /// Who answers for it.
    pub owner: Option<Arc<str>>,
    /// Since when it should not be used any more. `None` while it may.
    pub deprecated: Option<Deprecation>,
    /// The version of the remote's API that it was written for.
    pub api: Option<ApiVersion>,
    /// The skills that it has do its work. None, and then it does its own.
    pub calls: BTreeSet<SkillId>,
}

impl SkillManifest {
    /// A skill of this name and version; `AtMostOnce`, 30 s.
    #[must_use]
    pub fn new(id: SkillId, version: impl Into<Arc<str>>) -> Self {
        Self {
            id,
            version: version.into(),
            description: "".into(),
            input: None,
            output: None,
            effect: Effect::AtMostOnce,
            touches: Touches::NOTHING,
            timeout: Duration::from_secs(30),
            limits: SkillLimits::default(),
            permissions: BTreeSet::new(),
            owner: None,
            deprecated: None,
            api: None,
            calls: BTreeSet::new(),
        }
    }

    /// Says what it is for.
    #[must_use]
    pub fn describe(mut self, description: impl Into<Arc<str>>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets the JSON Schema of the input.
    #[must_use]
    pub fn input(mut self, schema: Value) -> Self {
        self.input = Some(Arc::new(schema));
        self
    }

    /// Sets the JSON Schema of the output.
    #[must_use]
    pub fn output(mut self, schema: Value) -> Self {
        self.output = Some(Arc::new(schema));
        self
    }

    /// Declares what it may do to the world.
    #[must_use]
    pub const fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Declares which data it touches.
    #[must_use]
    pub const fn touches(mut self, touches: Touches) -> Self {
        self.touches = touches;
        self
    }

    /// Sets the longest one attempt may take.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets what one call may weigh.
    #[must_use]
    pub const fn limits(mut self, limits: SkillLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds a permission that whoever calls it needs; [rules](crate::rules::When) say who has it.
    #[must_use]
    pub fn permission(mut self, name: impl Into<Arc<str>>) -> Self {
        self.permissions.insert(name.into());
        self
    }

    /// Names who answers for it.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<Arc<str>>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Says that it should not be used any more.
    #[must_use]
    pub fn deprecated(mut self, deprecation: Deprecation) -> Self {
        self.deprecated = Some(deprecation);
        self
    }

    /// Pins the version of the remote's API.
    #[must_use]
    pub fn api(mut self, system: impl Into<Arc<str>>, version: impl Into<Arc<str>>) -> Self {
        self.api = Some(ApiVersion::new(system, version));
        self
    }

    /// Names a skill that does some of its work, and makes this one `Pure`.
    ///
    /// Such a skill acts through the skills it calls and no other way: each of those calls is
    /// guarded and recorded for itself, and repeating this one finds their records.
    #[must_use]
    pub fn calls(mut self, skill: SkillId) -> Self {
        self.calls.insert(skill);
        self.effect = Effect::Pure;
        self
    }
}

/// What one call of a skill may weigh.
///
/// Each bound is inclusive. Typed skills and the wrappers of `openclaw-skills` enforce them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkillLimits {
    /// Bytes of the input, as compact JSON. 256 KiB.
    pub input_bytes: usize,
    /// Bytes of the output, as compact JSON. 1 MiB.
    pub output_bytes: usize,
    /// Levels of nested arrays and objects, in and out. 64.
    pub depth: usize,
}

impl Default for SkillLimits {
    fn default() -> Self {
        Self { input_bytes: 256 << 10, output_bytes: 1 << 20, depth: 64 }
    }
}

impl SkillLimits {
    /// At most this many bytes of input.
    #[must_use]
    pub const fn input_bytes(mut self, n: usize) -> Self {
        self.input_bytes = n;
        self
    }

    /// At most this many bytes of output.
    #[must_use]
    pub const fn output_bytes(mut self, n: usize) -> Self {
        self.output_bytes = n;
        self
    }

    /// At most this many levels.
    #[must_use]
    pub const fn depth(mut self, n: usize) -> Self {
        self.depth = n;
        self
    }
}

/// Since when a skill should not be used any more, and what to use instead.
///
/// It refuses nothing, also behind its end. A registry tells of it; retiring a version ends it.
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::{Timestamp, skill::Deprecation};
///
/// let since = Timestamp::from_millis(1_800_000_000_000);
/// let end = since.after(Duration::from_secs(90 * 24 * 60 * 60));
/// let old = Deprecation::since(since).sunset(end).replacement("crm.note ^2");
/// assert!(!old.is_over(since) && old.is_over(end));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deprecation {
    /// From when on.
    pub since: Timestamp,
    /// When it ends; not decided when `None`.
    pub sunset: Option<Timestamp>,
    /// What to use instead: a skill, with a range of versions or without.
    pub replacement: Option<Arc<str>>,
}

impl Deprecation {
    /// Deprecated from this date on; no end, no replacement.
    #[must_use]
    pub const fn since(since: Timestamp) -> Self {
        Self { since, sunset: None, replacement: None }
    }

    /// Says when it ends.
    #[must_use]
    pub const fn sunset(mut self, sunset: Timestamp) -> Self {
        self.sunset = Some(sunset);
        self
    }

    /// Says what to use instead.
    #[must_use]
    pub fn replacement(mut self, replacement: impl Into<Arc<str>>) -> Self {
        self.replacement = Some(replacement.into());
        self
    }

    /// Is it over at this date?
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.sunset.is_some_and(|sunset| sunset <= now)
    }
}

/// The version of a remote's API that a skill was written for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ApiVersion {
    /// The remote: `"crm"`, `"github"`.
    pub system: Arc<str>,
    /// The version as the remote writes it: `"2026-07"`, `"v62.0"`.
    pub version: Arc<str>,
}

impl ApiVersion {
    /// This version of this system's API.
    #[must_use]
    pub fn new(system: impl Into<Arc<str>>, version: impl Into<Arc<str>>) -> Self {
        Self { system: system.into(), version: version.into() }
    }
}
