//! Who may depend on whom: the packages of the workspace, and no HTTP in core's manifest.

use super::Finding;

/// The packages there are, and which of them each may need to build.
const PACKAGES: &[(&str, &[&str])] = &[
    ("openclaw-core", &[]),
    ("openclaw-channels", &["openclaw-core"]),
    ("openclaw-skills", &["openclaw-core", TESTKIT]),
    ("openclaw-testkit", &["openclaw-core"]),
    ("examples", LIBRARIES),
    ("benches", LIBRARIES),
];

/// Behind a feature, it brings the laws of a library's own ports.
const TESTKIT: &str = "openclaw-testkit";

const LIBRARIES: &[&str] =
    &["openclaw-core", "openclaw-channels", "openclaw-skills", "openclaw-testkit"];

/// Core never names these, whatever the feature.
const NEVER_IN_CORE: &[&str] = &["hyper", "hyper-util", "axum", "reqwest", "native-tls", "openssl"];

/// One dependency of a manifest.
#[derive(Debug, PartialEq, Eq)]
struct Dependency {
    line: usize,
    name: String,
    dev: bool,
    optional: bool,
    versioned: bool,
}

/// The arrows between our packages, and no package beside them.
pub(super) fn arrows(path: &str, text: &str) -> Vec<Finding> {
    let Some(package) = path.strip_suffix("/Cargo.toml") else { return Vec::new() };
    let Some((_, allowed)) = PACKAGES.iter().find(|(name, _)| *name == package) else {
        let names: Vec<&str> = PACKAGES.iter().map(|(name, _)| *name).collect();
        let todo = format!("no further package: use one of {}", names.join(", "));
        return vec![Finding::new(path, 1, "arrows", &todo)];
    };
    let ours = dependencies(text).into_iter().filter(|d| d.name.starts_with("openclaw-"));
    let program = !LIBRARIES.contains(&package);
    let wrong = ours.filter_map(|dependency| {
        let allowed = dependency.dev || allowed.contains(&dependency.name.as_str());
        let bare = dependency.name == TESTKIT && !dependency.optional && !dependency.dev;
        let todo = if !allowed {
            format!("{package} may not depend on {}", dependency.name)
        } else if bare && !program {
            format!("{package} takes {TESTKIT} behind a feature only: optional = true")
        } else if dependency.dev && dependency.versioned {
            format!("take {} by path, without a version", dependency.name)
        } else {
            return None;
        };
        Some(Finding::new(path, dependency.line, "arrows", &todo))
    });
    wrong.collect()
}

/// Core's manifest names no HTTP stack and no TLS but rustls, not even as an option.
pub(super) fn bare_core(path: &str, text: &str) -> Vec<Finding> {
    if path != "openclaw-core/Cargo.toml" {
        return Vec::new();
    }
    let banned = dependencies(text).into_iter().filter(|d| NEVER_IN_CORE.contains(&&*d.name));
    let found = banned.map(|dependency| {
        let todo = format!("{} belongs to openclaw-channels", dependency.name);
        Finding::new(path, dependency.line, "bare core", &todo)
    });
    found.collect()
}

/// The dependencies of a manifest, under the names they have in the registry.
fn dependencies(text: &str) -> Vec<Dependency> {
    let mut found: Vec<Dependency> = Vec::new();
    let mut section = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (table, entry) = match line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            Some(header) => {
                header.clone_into(&mut section);
                header.rsplit_once('.').unwrap_or_default()
            }
            None => (section.as_str(), line),
        };
        let renamed = entry.split_once("package = \"").and_then(|(_, rest)| rest.split('"').next());
        let name = entry.split(['=', '.', ' ']).next().unwrap_or_default().trim_matches('"');
        let name = renamed.unwrap_or(name);
        if table.ends_with("dependencies") && !name.is_empty() {
            let dev = table.ends_with("dev-dependencies");
            let optional = entry.contains("optional = true");
            let versioned = entry.contains("version = ") || entry.contains("= \"");
            found.push(Dependency {
                line: number + 1,
                name: name.to_owned(),
                dev,
                optional,
                versioned,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: fn(&str, &str) -> Vec<Finding>, path: &str, text: &str, expected: &[usize]) {
        let found: Vec<usize> = rule(path, text).iter().map(|finding| finding.line).collect();
        assert_eq!(found, expected, "{path}: {text}");
    }

    #[test]
    fn a_wrong_arrow_is_found() {
        let to_skills =
            "[dependencies]\nopenclaw-core.workspace = true\nopenclaw-skills = { path = \"x\" }";
        check(arrows, "openclaw-channels/Cargo.toml", to_skills, &[3]);
        check(arrows, "examples/Cargo.toml", to_skills, &[]);
        let table = "[dependencies.openclaw-testkit]\nworkspace = true";
        check(arrows, "openclaw-core/Cargo.toml", table, &[1]);
        let target = "[target.'cfg(unix)'.build-dependencies]\nopenclaw-testkit.workspace = true";
        check(arrows, "openclaw-core/Cargo.toml", target, &[2]);
        let renamed = "[dependencies]\nkit = { path = \"x\", package = \"openclaw-testkit\" }";
        check(arrows, "openclaw-skills/Cargo.toml", renamed, &[2]);
    }

    #[test]
    fn a_library_has_the_testkit_behind_a_feature_only() {
        let always = "[dependencies]\nopenclaw-testkit.workspace = true";
        let feature = "[dependencies]\nopenclaw-testkit = { workspace = true, optional = true }";
        check(arrows, "openclaw-skills/Cargo.toml", always, &[2]);
        check(arrows, "openclaw-skills/Cargo.toml", feature, &[]);
        check(arrows, "openclaw-channels/Cargo.toml", feature, &[2]);
        check(arrows, "examples/Cargo.toml", always, &[]);
    }

    #[test]
    fn tests_may_use_the_testkit_by_path() {
        let dev = "[dev-dependencies]\nopenclaw-testkit.workspace = true";
        check(arrows, "openclaw-core/Cargo.toml", dev, &[]);
        let versioned = "[dev-dependencies]\nopenclaw-testkit = { path = \"x\", version = \"1\" }";
        check(arrows, "openclaw-core/Cargo.toml", versioned, &[2]);
    }

    #[test]
    fn a_further_package_is_found() {
        check(arrows, "openclaw-extras/Cargo.toml", "[dependencies]", &[1]);
    }

    #[test]
    fn http_in_cores_manifest_is_found() {
        let core = "openclaw-core/Cargo.toml";
        check(bare_core, core, "[dependencies]\nhttp.workspace = true\n# hyper = \"1\"", &[]);
        check(bare_core, core, "[features]\nhyper = []", &[]);
        for name in NEVER_IN_CORE {
            check(bare_core, core, &format!("[dev-dependencies]\n{name} = \"1\""), &[2]);
            check(bare_core, core, &format!("[dependencies.{name}]\noptional = true"), &[1]);
            let renamed = format!("[dependencies]\nweb = {{ package = \"{name}\" }}");
            check(bare_core, core, &renamed, &[2]);
        }
        let everywhere = "[dependencies]\nhyper.workspace = true";
        check(bare_core, "openclaw-channels/Cargo.toml", everywhere, &[]);
    }
}
