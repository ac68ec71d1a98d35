//! What a skill tells the gateway: whom it is for, its needs, its installers.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    diagnostic::{Diagnostic, printable},
    installer::{self, Installer},
    json5,
    script_text::trim,
    yaml::number_text,
};

/// The names under which the product looks, in this order.
const NAMESPACES: [&str; 2] = ["openclaw", "clawdbot"];

/// Names that other programs use for the same fields.
const OTHER_NAMESPACES: [&str; 4] = ["clawdis", "clawd", "moltbot", "molt"];

const KNOWN: [&str; 8] =
    ["always", "emoji", "homepage", "skillKey", "primaryEnv", "os", "requires", "install"];

/// The gateway's part of the front matter: `metadata.openclaw`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SkillMetadata {
    /// Offered whatever [`requires`](Self::requires) says; the operating system still counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub always: Option<bool>,
    /// A sign for lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// Where to read about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// The name under which a configuration knows it, if not its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill_key: Option<String>,
    /// The variable that the configured API key stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_env: Option<String>,
    /// Operating systems by Node's names; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub os: Vec<String>,
    /// What must be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
    /// How to get what must be there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub install: Vec<Installer>,
}

/// What must be there before a skill is offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Requires {
    /// Programs, all of them.
    pub bins: Vec<String>,
    /// Programs, at least one of them.
    pub any_bins: Vec<String>,
    /// Variables of the environment.
    pub env: Vec<String>,
    /// Places in the configuration that hold something, such as `browser.enabled`.
    pub config: Vec<String>,
}

/// Reads the text of the field `metadata`, and reports what is left out.
pub(super) fn read(raw: &str, found: &mut Vec<Diagnostic>) -> Option<SkillMetadata> {
    if raw.is_empty() {
        return None;
    }
    let Ok(parsed) = json5::parse(raw) else {
        let message = "metadata is neither a YAML mapping nor JSON5; the gateway ignores it";
        found.push(Diagnostic::warning("metadata-unreadable", message).of("metadata"));
        return None;
    };
    let Value::Object(all) = &parsed else {
        let message = "metadata is not a mapping; the gateway ignores it";
        found.push(Diagnostic::warning("metadata-not-a-mapping", message).of("metadata"));
        return None;
    };
    let holds = |name: &&str| matches!(all.get(*name), Some(Value::Object(_) | Value::Array(_)));
    let taken = NAMESPACES.into_iter().find(holds);
    report_others(all, taken, found);
    let name = taken?;
    let empty = Map::new();
    let own = match all.get(name) {
        Some(Value::Object(own)) => own,
        _ => {
            let message = "the gateway wants a mapping here, and finds nothing in a list";
            let field = format!("metadata.{name}");
            found.push(Diagnostic::warning("metadata-field-ignored", message).of(field));
            &empty
        }
    };
    Some(Reader { path: format!("metadata.{name}"), own, found }.read())
}

fn report_others(all: &Map<String, Value>, taken: Option<&str>, found: &mut Vec<Diagnostic>) {
    for (name, value) in all {
        let field = format!("metadata.{}", printable(name));
        let ours = NAMESPACES.contains(&name.as_str());
        if Some(name.as_str()) == taken {
            continue;
        }
        if ours && !matches!(value, Value::Object(_) | Value::Array(_)) {
            let message = "the gateway's part of metadata is not a mapping, and is ignored";
            found.push(Diagnostic::warning("metadata-namespace-ignored", message).of(field));
        } else if ours || OTHER_NAMESPACES.contains(&name.as_str()) {
            let message =
                "the gateway reads metadata.openclaw, or else metadata.clawdbot; this is ignored";
            found.push(Diagnostic::warning("metadata-namespace-ignored", message).of(field));
        } else if !value.is_string() {
            let message = "the specification wants text here";
            found.push(Diagnostic::note("metadata-value-not-text", message).of(field));
        }
    }
}

struct Reader<'a> {
    path: String,
    own: &'a Map<String, Value>,
    found: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn read(mut self) -> SkillMetadata {
        for name in self.own.keys().filter(|name| !KNOWN.contains(&name.as_str())) {
            let message = "the gateway does not know this field";
            let field = format!("{}.{name}", self.path);
            self.found.push(Diagnostic::note("metadata-field-unknown", message).of(field));
        }
        SkillMetadata {
            always: self.field("always", "true or false", Value::as_bool),
            emoji: self.text("emoji"),
            homepage: self.text("homepage"),
            skill_key: self.text("skillKey").filter(|key| !key.is_empty()),
            primary_env: self.text("primaryEnv"),
            os: self.own.get("os").map(list).unwrap_or_default(),
            requires: self.requires(),
            install: self.install(),
        }
    }

    fn ignored(&mut self, name: &str, wanted: &str) {
        let message = format!("the gateway wants {wanted} here, and ignores it");
        let field = format!("{}.{name}", self.path);
        self.found.push(Diagnostic::warning("metadata-field-ignored", message).of(field));
    }

    fn field<T>(
        &mut self,
        name: &str,
        wanted: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.own.get(name)?;
        let field = read(value);
        if field.is_none() {
            self.ignored(name, wanted);
        }
        field
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.field(name, "text", |value| value.as_str().map(str::to_owned))
    }

    fn requires(&mut self) -> Option<Requires> {
        let empty = Map::new();
        let requires = match self.own.get("requires")? {
            Value::Object(requires) => requires,
            Value::Array(_) => {
                self.ignored("requires", "a mapping");
                &empty
            }
            _ => {
                self.ignored("requires", "a mapping");
                return None;
            }
        };
        for (name, value) in requires {
            let known = ["bins", "anyBins", "env", "config"].contains(&name.as_str());
            if !known || !matches!(value, Value::Array(_) | Value::String(_)) {
                let wanted = if known { "a list" } else { "bins, anyBins, env or config" };
                self.ignored(&format!("requires.{name}"), wanted);
            }
        }
        let of = |name| requires.get(name).map(list).unwrap_or_default();
        let (bins, any_bins, env, config) = (of("bins"), of("anyBins"), of("env"), of("config"));
        Some(Requires { bins, any_bins, env, config })
    }

    fn install(&mut self) -> Vec<Installer> {
        let entries = match self.own.get("install") {
            None => return Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(_) => {
                self.ignored("install", "a list");
                return Vec::new();
            }
        };
        let mut installers = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            let field = format!("{}.install[{at}]", self.path);
            match installer::read(entry) {
                Ok((installer, left_out)) => {
                    installers.push(installer);
                    for name in left_out {
                        let message = "the value is not safe or not of its kind, and is left out";
                        let field = format!("{field}.{name}");
                        self.found.push(
                            Diagnostic::warning("installer-field-left-out", message).of(field),
                        );
                    }
                }
                Err(why) => {
                    self.found.push(Diagnostic::warning("installer-left-out", why).of(field));
                }
            }
        }
        installers
    }
}

/// A list, or text with commas, as texts.
pub(super) fn list(value: &Value) -> Vec<String> {
    let texts: Vec<String> = match value {
        Value::Array(items) => items.iter().map(as_text).collect(),
        Value::String(text) => text.split(',').map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    texts.iter().map(|text| trim(text)).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

/// A value as JavaScript turns it into text.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map(number_text).unwrap_or_default(),
        Value::Array(items) => {
            let item = |item: &Value| if item.is_null() { String::new() } else { as_text(item) };
            items.iter().map(item).collect::<Vec<_>>().join(",")
        }
        Value::Object(_) => "[object Object]".to_owned(),
        other => other.to_string(),
    }
}
