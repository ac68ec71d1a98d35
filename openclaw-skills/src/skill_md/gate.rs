//! The gate: may a skill be offered here?

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    doc::SkillDoc,
    metadata::{Requires, SkillMetadata},
};

/// What a gate asks about the place it stands in. A host answers from its machine, a test from a list.
pub trait SkillHost: fmt::Debug {
    /// The operating system by Node's name: `darwin`, `linux`, `win32`.
    fn os(&self) -> &str;

    /// Can this program be started?
    fn has_program(&self, name: &str) -> bool;

    /// Does this variable of the environment hold more than blanks?
    fn has_variable(&self, name: &str) -> bool;

    /// Does this place of the configuration hold something: not `false`, zero, or blanks?
    fn has_config(&self, path: &str) -> bool;
}

/// What a configuration says about one skill: `skills.entries.<key>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkillEntry {
    /// `Some(false)` switches it off.
    pub enabled: Option<bool>,
    /// Variables it gets from the configuration. Their values stay there.
    pub variables: BTreeSet<String>,
    /// An API key is configured; it stands for the skill's primary variable.
    pub has_api_key: bool,
}

/// What a configuration says about skills.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkillRules {
    /// By key: the skill's `skillKey`, or else its name.
    pub entries: BTreeMap<String, SkillEntry>,
    /// Keys or names of the bundled skills that are allowed; empty for all.
    pub allow_bundled: BTreeSet<String>,
    /// Names or keys of the skills this agent has; `None` for all.
    pub agent_skills: Option<BTreeSet<String>>,
}

/// Why a skill is not offered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// The configuration switches it off.
    Disabled,
    /// It is bundled, and not among those allowed.
    NotAllowed,
    /// The agent does not have it.
    NotOfAgent,
    /// It is for other operating systems.
    WrongSystem(String),
    /// This program is missing.
    NoProgram(String),
    /// All of these programs are missing.
    NoneOf(Vec<String>),
    /// This variable is not set.
    NoVariable(String),
    /// The configuration holds nothing there.
    NoConfig(String),
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("the configuration switches it off"),
            Self::NotAllowed => f.write_str("it is not among the bundled skills that are allowed"),
            Self::NotOfAgent => f.write_str("the agent does not have it"),
            Self::WrongSystem(os) => write!(f, "it is not for {os}"),
            Self::NoProgram(name) => write!(f, "the program {name} is missing"),
            Self::NoneOf(names) => {
                write!(f, "one of these programs is needed: {}", names.join(", "))
            }
            Self::NoVariable(name) => write!(f, "the variable {name} is not set"),
            Self::NoConfig(path) => write!(f, "the configuration holds nothing at {path}"),
        }
    }
}

/// Is the skill offered? `name` is the one it goes by, `bundled` says that it came with the gateway.
///
/// `always` passes over programs, variables and configuration, never over the operating system.
///
/// # Errors
///
/// The first reason not to offer it.
pub fn gate(
    doc: &SkillDoc,
    name: &str,
    bundled: bool,
    rules: &SkillRules,
    host: &dyn SkillHost,
) -> Result<(), Closed> {
    let default = SkillMetadata::default();
    let metadata = doc.metadata().unwrap_or(&default);
    let key = metadata.skill_key.as_deref().unwrap_or(name);
    let entry = rules.entries.get(key);
    let listed = |names: &BTreeSet<String>| names.contains(key) || names.contains(name);
    if entry.is_some_and(|entry| entry.enabled == Some(false)) {
        return Err(Closed::Disabled);
    }
    if bundled && !rules.allow_bundled.is_empty() && !listed(&rules.allow_bundled) {
        return Err(Closed::NotAllowed);
    }
    if rules.agent_skills.as_ref().is_some_and(|skills| !listed(skills)) {
        return Err(Closed::NotOfAgent);
    }
    if !metadata.os.is_empty() && !metadata.os.iter().any(|os| os == host.os()) {
        return Err(Closed::WrongSystem(host.os().to_owned()));
    }
    match &metadata.requires {
        Some(requires) if metadata.always != Some(true) => {
            let primary = metadata.primary_env.as_deref();
            let has_variable = |name: &str| {
                let configured = entry.is_some_and(|entry| {
                    entry.variables.contains(name) || (entry.has_api_key && primary == Some(name))
                });
                configured || host.has_variable(name)
            };
            meets(requires, has_variable, host)
        }
        _ => Ok(()),
    }
}

fn meets(
    requires: &Requires,
    has_variable: impl Fn(&str) -> bool,
    host: &dyn SkillHost,
) -> Result<(), Closed> {
    if let Some(name) = requires.env.iter().find(|name| !has_variable(name)) {
        return Err(Closed::NoVariable(name.clone()));
    }
    if let Some(path) = requires.config.iter().find(|path| !host.has_config(path)) {
        return Err(Closed::NoConfig(path.clone()));
    }
    if let Some(name) = requires.bins.iter().find(|name| !host.has_program(name)) {
        return Err(Closed::NoProgram(name.clone()));
    }
    let any =
        requires.any_bins.is_empty() || requires.any_bins.iter().any(|name| host.has_program(name));
    if any { Ok(()) } else { Err(Closed::NoneOf(requires.any_bins.clone())) }
}
