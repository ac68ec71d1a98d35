//! SKILL.md: skills as folders with a text for the model, as users have them.

mod bundle;
mod catalog;
mod check;
mod diagnostic;
mod doc;
mod find;
mod front_matter;
mod gate;
mod installer;
mod json5;
mod load;
mod metadata;
mod open;
mod script_text;
mod yaml;

pub use bundle::{
    BundleFile, BundleRefused, MAX_BUNDLE_BYTES, MAX_BUNDLE_ENTRIES, MAX_BUNDLE_FILE_BYTES,
    MAX_BUNDLE_FILES, SkillBundle, is_portable_path,
};
pub use catalog::{MAX_PROMPT_CHARS, MAX_SKILLS_IN_PROMPT, SkillCatalog};
pub use diagnostic::{Diagnostic, Severity};
pub use doc::{Invocation, MAX_FILE_BYTES, SkillDoc};
pub use find::{FoundSkills, LeftOut, MAX_FOLDER_DEPTH, SkillFile, find_skills};
pub use gate::{Closed, SkillEntry, SkillHost, SkillRules, gate};
pub use installer::{Installer, InstallerKind};
pub use load::{LoadedSkill, MAX_SKILLS_PER_ROOT, NotLoaded, SkillRoot, SkillSet, SkillTier};
pub use metadata::{Requires, SkillMetadata};
