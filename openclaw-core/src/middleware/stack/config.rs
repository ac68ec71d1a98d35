//! One configuration for all stacks: families, integrations, inheritance.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Kind, inherit::Inherit, settings::Settings};
use crate::{Error, ErrorKind, Limits, Result, words::json};

/// The configuration of all stacks.
///
/// Each family has a `default` and settings by integration. An integration inherits field by
/// field from its family's `default`, and that from the built-in settings of [`Kind`]; a breaker's
/// own window replaces the inherited one, counted in calls or in time. An unknown field is refused,
/// with its path.
///
/// ```
/// use openclaw_core::middleware::stack::ResilienceConfig;
///
/// let config = ResilienceConfig::from_json(r#"{
///     "skill": {
///         "default": { "breaker": { "open_wait": "30s" } },
///         "salesforce": { "rate_limit": { "calls": 100, "per": "1m" }, "retry": "off" }
///     }
/// }"#)?;
/// assert!(config.skill.contains_key("salesforce"));
///
/// let e = ResilienceConfig::from_json(r#"{ "skill": { "crm": { "breaker": { "opn_wait": "1s" }}}}"#);
/// assert!(e.unwrap_err().to_string().contains("skill.crm.breaker.opn_wait"));
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ResilienceConfig {
    /// Calls of skills, by skill.
    pub skill: Family,
    /// Sends of channels, by channel.
    pub send: Family,
    /// HTTP requests, by host.
    pub http: Family,
    /// Messages that come in, by channel.
    pub admission: Family,
    /// Turns, by agent.
    pub agent: Family,
}

/// Settings by integration; `default` is what the others inherit.
pub type Family = BTreeMap<Arc<str>, Settings>;

/// The name whose settings a family's others inherit.
pub const DEFAULT: &str = "default";

impl ResilienceConfig {
    /// Reads JSON.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with the path of what can't be read, or of a value out of bounds.
    pub fn from_json(text: &str) -> Result<Self> {
        let broken = |e: json::JsonError| unreadable(&e.pointer, &e.reason);
        let value = json::parse(text.as_bytes(), &Limits::default()).map_err(broken)?;
        objects(&value, &mut String::new(), 3)?;
        let config: Self = serde_path_to_error::deserialize(&value)
            .map_err(|e| unreadable(&e.path().to_string(), &e.inner().to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The JSON Schema (2020-12) of the configuration.
    ///
    /// ```
    /// use openclaw_core::middleware::stack::ResilienceConfig;
    ///
    /// let schema = ResilienceConfig::schema();
    /// assert!(schema["properties"]["skill"].is_object());
    /// ```
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema() -> Value {
        schemars::schema_for!(Self).to_value()
    }

    /// The settings of this integration, with everything it inherits.
    #[must_use]
    pub fn settings(&self, kind: Kind, name: &str) -> Settings {
        let family = self.family(kind);
        let find = |name: &str| family.get(name).cloned().unwrap_or_default();
        find(name).over(find(DEFAULT)).over(kind.settings())
    }

    pub(super) const fn family(&self, kind: Kind) -> &Family {
        match kind {
            Kind::Skill => &self.skill,
            Kind::Send => &self.send,
            Kind::Http => &self.http,
            Kind::Admission => &self.admission,
            Kind::Agent => &self.agent,
        }
    }

    /// Looks at every integration, with what it inherits.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with the path of the first value that is out of bounds.
    pub fn check(&self) -> Result<()> {
        for kind in Kind::ALL {
            // What all inherit comes first: it is blamed on nobody else.
            let family = self.family(kind);
            for name in std::iter::once(DEFAULT).chain(family.keys().map(AsRef::as_ref)) {
                let settings = self.settings(kind, name);
                let written = family.get(name).cloned().unwrap_or_default();
                super::check::check(&settings, &written).map_err(|(at, why)| {
                    let path = format!("{}.{name}.{at}", kind.name());
                    Error::new(ErrorKind::ValidationError, format!("{path}: {why}"))
                        .with("at", path)
                })?;
            }
        }
        Ok(())
    }
}

/// Families, integrations and their settings are objects: serde would take lists for them, too.
fn objects(value: &Value, path: &mut String, levels: usize) -> Result<()> {
    let Value::Object(fields) = value else {
        return Err(unreadable(path, "it is not an object"));
    };
    for (name, value) in fields.iter().filter(|_| levels > 1) {
        let parent = path.len();
        if parent > 0 {
            path.push('.');
        }
        path.push_str(name);
        objects(value, path, levels - 1)?;
        path.truncate(parent);
    }
    Ok(())
}

fn unreadable(path: &str, why: &str) -> Error {
    let message = format!("the configuration can't be read at {path}: {why}");
    Error::new(ErrorKind::ValidationError, message).with("at", path)
}
