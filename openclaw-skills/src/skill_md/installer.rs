//! How a skill's programs are installed: only what can't smuggle in a command.

use serde::Serialize;
use serde_json::{Map, Number, Value};
use url::Url;

use super::{
    metadata::list,
    script_text::{is_blank, trim},
};

/// Who installs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum InstallerKind {
    /// Homebrew.
    Brew,
    /// A package manager of Node.
    Node,
    /// `go install`.
    Go,
    /// `uv tool install`.
    Uv,
    /// A file from the web.
    Download,
}

/// One way to install what a skill needs. Names and addresses are checked: no option, no other
/// protocol, no path.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Installer {
    /// Who installs.
    pub kind: InstallerKind,
    /// Its name among the installers of the skill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The programs it brings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bins: Vec<String>,
    /// Operating systems by Node's names; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub os: Vec<String>,
    /// A formula or cask of Homebrew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formula: Option<String>,
    /// A package of npm or of Python.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// A module of Go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The address of a download, `http` or `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The download's digest, 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The kind of archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Is the download unpacked?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extract: Option<bool>,
    /// Folders to leave out of the paths in the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip_components: Option<Number>,
    /// Where it goes; the installer must keep it inside its own folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_dir: Option<String>,
}

/// The installer and what it lost, or why it is left out.
pub(super) fn read(entry: &Value) -> Result<(Installer, Vec<&'static str>), &'static str> {
    let empty = Map::new();
    let raw = match entry {
        Value::Object(raw) => raw,
        Value::Array(_) => &empty,
        _ => return Err("an installer is a mapping; it is left out"),
    };
    let mut reader = Reader { raw, left_out: Vec::new() };
    let kind = reader
        .kind()
        .ok_or("the gateway installs by brew, node, go, uv and download only; it is left out")?;
    let installer = reader.installer(kind)?;
    let enough = match kind {
        InstallerKind::Brew => installer.formula.is_some(),
        InstallerKind::Node | InstallerKind::Uv => installer.package.is_some(),
        InstallerKind::Go => installer.module.is_some(),
        InstallerKind::Download => installer.url.is_some(),
    };
    if enough {
        Ok((installer, reader.left_out))
    } else {
        Err("what is to be installed is missing or not safe; the installer is left out")
    }
}

struct Reader<'a> {
    raw: &'a Map<String, Value>,
    left_out: Vec<&'static str>,
}

impl Reader<'_> {
    fn kind(&self) -> Option<InstallerKind> {
        let text = |name| self.raw.get(name).and_then(Value::as_str);
        let kind = text("kind").or_else(|| text("type"))?;
        match trim(kind).to_lowercase().as_str() {
            "brew" => Some(InstallerKind::Brew),
            "node" => Some(InstallerKind::Node),
            "go" => Some(InstallerKind::Go),
            "uv" => Some(InstallerKind::Uv),
            "download" => Some(InstallerKind::Download),
            _ => None,
        }
    }

    fn installer(&mut self, kind: InstallerKind) -> Result<Installer, &'static str> {
        let formula = self.safe("formula", brew_formula);
        let cask = self.safe("cask", brew_formula);
        let package = match kind {
            InstallerKind::Node => self.safe("package", npm_package),
            InstallerKind::Uv => self.safe("package", python_package),
            _ => None,
        };
        Ok(Installer {
            kind,
            id: self.text("id").filter(|id| !id.is_empty()),
            label: self.text("label").filter(|label| !label.is_empty()),
            bins: self.raw.get("bins").map(list).unwrap_or_default(),
            os: self.raw.get("os").map(list).unwrap_or_default(),
            formula: formula.or(cask),
            package,
            module: self.safe("module", go_module),
            url: self.safe("url", download_url),
            sha256: self.sha256(kind)?,
            archive: self.text("archive"),
            extract: self.of_kind("extract", Value::as_bool),
            strip_components: self.of_kind("stripComponents", |value| match value {
                Value::Number(number) => Some(number.clone()),
                _ => None,
            }),
            target_dir: self.text("targetDir"),
        })
    }

    fn of_kind<T>(&mut self, name: &'static str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.raw.get(name)?;
        let field = read(value);
        if field.is_none() {
            self.left_out.push(name);
        }
        field
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        self.of_kind(name, |value| value.as_str().map(str::to_owned))
    }

    fn safe(&mut self, name: &'static str, check: fn(&str) -> Option<String>) -> Option<String> {
        self.of_kind(name, |value| check(trim(value.as_str()?)))
    }

    fn sha256(&self, kind: InstallerKind) -> Result<Option<String>, &'static str> {
        let Some(value) = self.raw.get("sha256").filter(|_| kind == InstallerKind::Download) else {
            return Ok(None);
        };
        let digest = value.as_str().map(|text| trim(text).to_lowercase());
        let hex =
            |digest: &String| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
        let digest = digest.filter(hex);
        digest
            .map(Some)
            .ok_or("the download's sha256 is not 64 hexadecimal digits; the installer is left out")
    }
}

/// A letter or digit, then letters, digits and the given signs.
fn is_word(text: &str, signs: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(fits)
}

fn brew_formula(formula: &str) -> Option<String> {
    let safe = is_word(formula, "@+._/-") && !formula.contains("..");
    safe.then(|| formula.to_owned())
}

fn go_module(module: &str) -> Option<String> {
    const SIGNS: &str = "._~+-/";
    let safe = match module.split_once('@') {
        Some((path, version)) => is_word(path, SIGNS) && is_word(version, SIGNS),
        None => is_word(module, SIGNS),
    };
    safe.then(|| module.to_owned())
}

fn python_package(package: &str) -> Option<String> {
    is_word(package, "._-[]=<>!~+,").then(|| package.to_owned())
}

/// `name`, `@scope/name`, both with an exact version or a tag behind `@`.
fn npm_package(spec: &str) -> Option<String> {
    let at = spec.rfind('@').filter(|at| *at > 0).unwrap_or(spec.len());
    let (name, selector) = spec.split_at_checked(at)?;
    let part = |part: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._~".contains(c);
        part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && part.chars().all(fits)
    };
    let named = match name.strip_prefix('@') {
        Some(scoped) => {
            scoped.split_once('/').is_some_and(|(scope, name)| part(scope) && part(name))
        }
        None => part(name),
    };
    let selected = match selector.strip_prefix('@') {
        None => true,
        Some(selector) => is_word(selector, "._-") || is_version(selector),
    };
    (named && selected).then(|| spec.to_owned())
}

/// A version with three numbers, as npm reads it.
fn is_version(selector: &str) -> bool {
    let bare = selector.trim_start_matches(['v', '=']);
    let core = bare.split(['-', '+']).next().unwrap_or_default();
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() == 3 && core.split('.').all(number) && is_word(bare, ".-+")
}

fn download_url(text: &str) -> Option<String> {
    if text.contains(is_blank) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.to_string())
}
