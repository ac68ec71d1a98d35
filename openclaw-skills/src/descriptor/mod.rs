//! A skill's contract as JSON: what a package, a catalogue and another program exchange.

mod inputs;
mod manifest;
mod note;
mod parts;
mod pin;

use std::{collections::BTreeSet, sync::Arc};

use openclaw_core::{Limits, Result, SkillId, json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    note::Note,
    parts::{
        CallLimits, Date, DeclaredEffects, Deprecated, EffectName, Integrity, PinnedApi,
        PinnedFile, Runtime, Sbom, Touch, Unknown,
    },
    pin::Pin,
};
use crate::problem::{Problem, refusal};

/// A skill's contract as JSON.
///
/// Reading is lenient: what nobody here knows is kept, comes back when it is written, and is
/// reported as a [`Note`]. A field that is known and has another form is an error with its place:
/// a limit or a permission must not get lost.
///
/// `inputs` and `outputs` are whole JSON Schemas, or bare maps of properties, of which all without
/// a default are required.
///
/// ```
/// use openclaw_skills::descriptor::Descriptor;
///
/// let (descriptor, notes) = Descriptor::parse(br#"{
///     "name": "crm-lookup",
///     "version": "1.2.0",
///     "description": "Finds a customer by e-mail",
///     "inputs": { "email": { "type": "string" }, "limit": { "type": "integer", "default": 1 } },
///     "outputs": { "customer": { "type": "string" } },
///     "runtime": { "language": "python", "entrypoint": "lookup.py" },
///     "effects": { "effect": "pure", "touches": ["reads_private"] },
///     "icon": "magnifier.svg"
/// }"#)?;
/// assert_eq!(notes[0].to_string(), "/icon: unknown field: kept, and not used");
///
/// let manifest = descriptor.manifest()?;
/// assert_eq!(manifest.input.as_deref().map(|i| i["required"].clone()), Some(serde_json::json!(["email"])));
/// assert_eq!(Descriptor::from_value(&descriptor.to_value())?.0, descriptor);
/// assert!(descriptor.digest().to_string().starts_with("sha256:"));
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Descriptor {
    /// The skill's name.
    #[serde(alias = "id")]
    pub name: SkillId,
    /// Its version, `major.minor.patch`.
    #[serde(deserialize_with = "version")]
    pub version: Arc<str>,
    /// What it is for, in words a model understands.
    #[serde(default)]
    pub description: Arc<str>,
    /// What it takes, as written: a schema, or a bare map of properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Value>,
    /// What it gives, as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Value>,
    /// What runs it, when it is a program of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// What it may do to the world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<DeclaredEffects>,
    /// What one call may weigh and take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<CallLimits>,
    /// The permissions that whoever calls it needs; a host's rules say who has them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub permissions: BTreeSet<Arc<str>>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Arc<str>>,
    /// Since when it should not be used any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Deprecated>,
    /// The version of the remote's API that it was written for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<PinnedApi>,
    /// The skills that it has do its work.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub calls: BTreeSet<SkillId>,
    /// What the package's files are pinned to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<Integrity>,
    /// Where the bill of materials is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom: Option<Sbom>,
    /// Fields that nobody here knows.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Descriptor {
    /// A descriptor of this name and version, and nothing else.
    #[must_use]
    pub fn new(name: SkillId, version: impl Into<Arc<str>>) -> Self {
        Self {
            name,
            version: version.into(),
            description: "".into(),
            inputs: None,
            outputs: None,
            runtime: None,
            effects: None,
            limits: None,
            permissions: BTreeSet::new(),
            owner: None,
            deprecated: None,
            api: None,
            calls: BTreeSet::new(),
            integrity: None,
            sbom: None,
            unknown: Unknown::new(),
        }
    }

    /// Reads one from JSON text, and tells what a strict reader would ask about.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: no JSON, a duplicate key, more than 1 MiB, or as
    /// [`Descriptor::from_value`].
    pub fn parse(text: &[u8]) -> Result<(Self, Vec<Note>)> {
        let limits = Limits::default();
        let wrong =
            |pointer: &str, text: &str| refusal("descriptor", &[Problem::new(pointer, "", text)]);
        if text.len() > limits.body {
            return Err(wrong("", &format!("longer than {} bytes", limits.body)));
        }
        let value = json::parse(text, &limits).map_err(|e| wrong(&e.pointer, &e.reason))?;
        Self::from_value(&value)
    }

    /// Reads one from JSON, and tells what a strict reader would ask.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, with the place: there is no name or version, or a known field has
    /// another form.
    pub fn from_value(value: &Value) -> Result<(Self, Vec<Note>)> {
        let read: Result<Self, _> = serde_path_to_error::deserialize(value);
        let descriptor = read.map_err(|e| {
            let mut problem = Problem::of_serde(value, e.path(), e.inner());
            let said = e.inner().to_string();
            if let Some(ours) = OURS.iter().find(|ours| said.starts_with(*ours)) {
                problem.text = (*ours).to_owned();
            }
            refusal("descriptor", &[problem])
        })?;
        let notes = note::notes(&descriptor);
        Ok((descriptor, notes))
    }

    /// The JSON of it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        // Names, texts and values that were JSON before: nothing in here can't be written.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The digest of it. It is of its canonical JSON, so that neither order nor white space counts.
    #[must_use]
    pub fn digest(&self) -> Pin {
        Pin::of_json(&self.to_value())
    }

    /// Compares the package's files with their pins, the bill of materials too.
    ///
    /// `read` gives the bytes of a file inside the package.
    pub fn check_files(&self, mut read: impl FnMut(&str) -> Option<Vec<u8>>) -> Vec<Note> {
        let files = self.integrity.iter().flat_map(|integrity| &integrity.files);
        let pinned = files.map(|(path, file)| (path, Some(file.digest), file.size));
        let sbom = self.sbom.iter().map(|sbom| (sbom.path(), sbom.digest(), None));
        let mut wrong = |path: &str, digest: Option<Pin>, size: Option<u64>| {
            let Some(bytes) = read(path) else { return Some("the file is missing") };
            let longer = size.is_some_and(|size| u64::try_from(bytes.len()) != Ok(size));
            let changed = digest.is_some_and(|digest| digest != Pin::of(&bytes));
            (longer || changed).then_some("the file is not what it is pinned to")
        };
        let note = |(path, digest, size): (&Arc<str>, _, _)| {
            wrong(path, digest, size).map(|text| Note::new(&format!("/{path}"), text))
        };
        pinned.chain(sbom).filter_map(note).collect()
    }
}

impl Integrity {
    /// The package's digest: of the lines `sha256sum` would print, sorted by path.
    ///
    /// ```
    /// use openclaw_skills::descriptor::Descriptor;
    /// use serde_json::json;
    ///
    /// let pin = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    /// let (package, _) = Descriptor::from_value(&json!({
    ///     "name": "crm", "version": "1.0.0", "integrity": { "files": { "a.py": { "digest": pin } } },
    /// }))?;
    /// let digest = package.integrity.map(|integrity| integrity.digest().to_string());
    /// let expected = "sha256:7a0b276f310a3e948e3e8836b443204b25862047a462944ac2a810f2b359725a";
    /// assert_eq!(digest.as_deref(), Some(expected));
    /// # Ok::<(), openclaw_core::Error>(())
    /// ```
    #[must_use]
    pub fn digest(&self) -> Pin {
        let line = |(path, file): (&Arc<str>, &PinnedFile)| {
            let digest = file.digest.to_string();
            format!("{}  {path}\n", digest.trim_start_matches("sha256:"))
        };
        Pin::of(self.files.iter().map(line).collect::<String>().as_bytes())
    }
}

/// What this room says of a field: no word is the descriptor's.
const OURS: [&str; 4] = [NO_VERSION, parts::NO_DATE, pin::NO_PIN, "an id must not be empty"];

const NO_VERSION: &str = "a version is major.minor.patch";

/// Three numbers, as SemVer has it.
fn version<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Arc<str>, D::Error> {
    let text = Arc::<str>::deserialize(d)?;
    match semver::Version::parse(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(serde::de::Error::custom(NO_VERSION)),
    }
}
