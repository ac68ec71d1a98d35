//! Which skill uses which version of which API.

use std::{collections::BTreeMap, fmt, sync::Arc};

use openclaw_core::{SkillId, skill::SkillManifest};

/// One skill's use of one API, as its manifest pins it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ApiUse {
    /// The system behind the API.
    pub system: Arc<str>,
    /// The API's version.
    pub api_version: Arc<str>,
    /// The skill that uses it.
    pub skill: SkillId,
    /// The skill's version.
    pub version: Arc<str>,
}

impl ApiUse {
    /// This version of this skill uses this version of this system's API.
    #[must_use]
    pub fn new(
        skill: SkillId,
        version: impl Into<Arc<str>>,
        system: impl Into<Arc<str>>,
        api_version: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            system: system.into(),
            api_version: api_version.into(),
            skill,
            version: version.into(),
        }
    }

    /// What a manifest pins; `None` when it pins nothing.
    #[must_use]
    pub fn of(manifest: &SkillManifest) -> Option<Self> {
        let api = manifest.api.as_ref()?;
        let version = Arc::clone(&manifest.version);
        Some(Self::new(
            manifest.id.clone(),
            version,
            Arc::clone(&api.system),
            Arc::clone(&api.version),
        ))
    }
}

/// Which skill uses which version of which API: a table, by system.
///
/// ```
/// use openclaw_core::{SkillId, skill::SkillManifest};
/// use openclaw_skills::api::ApiUses;
///
/// let skill = |id, version| Ok::<_, openclaw_core::InvalidId>(SkillManifest::new(SkillId::new(id)?, version));
/// let manifests = [
///     skill("order.find", "1.4.0")?.api("shop", "2026-01"),
///     skill("customer.find", "2.0.1")?.api("crm", "v3"),
///     skill("customer.move", "1.0.0")?.api("crm", "v2"),
///     skill("text.sum", "1.0.0")?,
/// ];
/// let table = ApiUses::of(&manifests);
/// assert_eq!(
///     table.to_string(),
///     "\
/// | system | API version | skill | version |
/// |---|---|---|---|
/// | crm | v2 | customer.move | 1.0.0 |
/// | crm | v3 | customer.find | 2.0.1 |
/// | shop | 2026-01 | order.find | 1.4.0 |
/// "
/// );
/// assert_eq!(table.in_several_versions().collect::<Vec<_>>(), ["crm"]);
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiUses(Vec<ApiUse>);

impl ApiUses {
    /// What these manifests pin; those that pin nothing are left out.
    #[must_use]
    pub fn of<'a>(manifests: impl IntoIterator<Item = &'a SkillManifest>) -> Self {
        manifests.into_iter().filter_map(ApiUse::of).collect()
    }

    /// The rows: by system, API version, skill and version, each once.
    pub fn rows(&self) -> impl Iterator<Item = &ApiUse> {
        self.0.iter()
    }

    /// The skills that use this version of this API. Who has to move when it ends.
    pub fn users<'a>(
        &'a self,
        system: &'a str,
        api_version: &'a str,
    ) -> impl Iterator<Item = &'a ApiUse> {
        self.rows().filter(move |row| *row.system == *system && *row.api_version == *api_version)
    }

    /// The systems that are used in more than one version.
    pub fn in_several_versions(&self) -> impl Iterator<Item = &str> {
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for row in self.rows() {
            let versions = versions.entry(&row.system).or_default();
            if versions.last() != Some(&&*row.api_version) {
                versions.push(&row.api_version);
            }
        }
        versions.into_iter().filter(|(_, versions)| versions.len() > 1).map(|(system, _)| system)
    }
}

impl FromIterator<ApiUse> for ApiUses {
    fn from_iter<I: IntoIterator<Item = ApiUse>>(uses: I) -> Self {
        let mut rows: Vec<ApiUse> = uses.into_iter().collect();
        rows.sort();
        rows.dedup();
        Self(rows)
    }
}

impl fmt::Display for ApiUses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("| system | API version | skill | version |\n|---|---|---|---|\n")?;
        self.rows().try_for_each(|row| {
            let cell = |text: &str| text.replace('|', "\\|");
            let [system, api_version, skill, version] =
                [&row.system, &row.api_version, row.skill.as_str(), &row.version].map(cell);
            writeln!(f, "| {system} | {api_version} | {skill} | {version} |")
        })
    }
}
