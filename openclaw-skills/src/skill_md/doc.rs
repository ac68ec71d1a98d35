//! One SKILL.md: its name, when it helps, what it needs, what it says.

use std::collections::BTreeMap;

use super::{
    check,
    diagnostic::Diagnostic,
    front_matter::{self, Fences, FrontMatter},
    metadata::{self, SkillMetadata},
    script_text::trim,
};

/// The largest file that is read.
pub const MAX_FILE_BYTES: usize = 256_000;

/// A skill's file, read as the Node product reads it.
///
/// Reading is lenient and never fails: what the product would load, loads. Everything that breaks the
/// specification of agentskills.io, was repaired or was left out is in the diagnostics.
///
/// ```
/// use openclaw_skills::skill_md::SkillDoc;
///
/// let file = b"---\nname: weather\ndescription: Forecasts: today and tomorrow.\n---\nAsk for a place.";
/// let (doc, found) = SkillDoc::parse(Some("weather"), file);
///
/// assert_eq!(doc.name(), Some("weather"));
/// assert_eq!(doc.description(), Some("Forecasts: today and tomorrow."));
/// assert_eq!(doc.body(), "Ask for a place.");
/// // YAML wants quotes around text with a colon.
/// assert_eq!(found.len(), 1);
/// assert_eq!((found[0].code, found[0].line), ("yaml-repaired", Some(3)));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SkillDoc {
    readable: bool,
    fields: BTreeMap<String, String>,
    metadata: Option<SkillMetadata>,
    invocation: Invocation,
    body: String,
}

/// Who may use a skill, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invocation {
    /// A person may ask for it by name. The default.
    pub by_user: bool,
    /// The model may choose it. The default.
    pub by_model: bool,
    /// The tool that gets the words behind the skill's name, without a model.
    pub tool: Option<String>,
}

impl Default for Invocation {
    fn default() -> Self {
        Self { by_user: true, by_model: true, tool: None }
    }
}

impl SkillDoc {
    /// Reads a file of any content. `folder` is the name of its folder, which its name must equal.
    #[must_use]
    pub fn parse(folder: Option<&str>, bytes: &[u8]) -> (Self, Vec<Diagnostic>) {
        let mut found = Vec::new();
        if bytes.len() > MAX_FILE_BYTES {
            let message =
                format!("the file has {} bytes, of at most {MAX_FILE_BYTES}", bytes.len());
            found.push(Diagnostic::error("too-large", message));
            return (Self::default(), found);
        }
        check::bytes(bytes, &mut found);
        let text = front_matter::normalized(&String::from_utf8_lossy(bytes));
        let (front, body) = match front_matter::fences(&text) {
            Fences::Closed { block, body } => (FrontMatter::read(block), body),
            Fences::Missing => {
                let message = "the file does not begin with a line `---`, so it has no name and no description";
                found.push(Diagnostic::error("front-matter-missing", message).at(Some(1)));
                (FrontMatter::default(), text.as_str())
            }
            Fences::Open => {
                let message = "no second line `---` ends the front matter";
                found.push(Diagnostic::error("front-matter-unterminated", message).at(Some(1)));
                return (Self { body: text, ..Self::default() }, found);
            }
        };
        let body = trim(body).to_owned();
        check::repairs(&front, &mut found);
        if front.refused.is_some() {
            return (Self { body, ..Self::default() }, found);
        }
        let had_front = found.iter().all(|diagnostic| diagnostic.code != "front-matter-missing");
        if had_front {
            check::fields(&front, folder, &mut found);
        }
        let metadata = front.fields.get("metadata");
        let metadata = metadata.and_then(|raw| metadata::read(raw, &mut found));
        let invocation = check::invocation(&front, &mut found);
        (Self { readable: true, fields: front.fields, metadata, invocation, body }, found)
    }

    /// Does the product read it without an error? A name or a description may still be missing.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// The name, as it stands there.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.field("name")
    }

    /// What it is for, and when.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.field("description")
    }

    /// Any field as text; a collection is JSON.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// All fields with their texts, in the order of their names.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// What it says to the gateway, if anything.
    #[must_use]
    pub fn metadata(&self) -> Option<&SkillMetadata> {
        self.metadata.as_ref()
    }

    /// Who may use it, and how.
    #[must_use]
    pub fn invocation(&self) -> &Invocation {
        &self.invocation
    }

    /// What the model reads, without blanks around it.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }
}
