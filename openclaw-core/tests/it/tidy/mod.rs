//! Holds the house in order: what a reviewer would otherwise have to look for by hand.
//!
//! Each rule is a function of a path and a text, and has a test that plants what it must find.

mod bans;
mod manifests;
mod order;
mod shape;
mod source;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// The library crates: a host links these, so the bans hold in their `src`.
const LIBRARIES: &[&str] =
    &["openclaw-core", "openclaw-channels", "openclaw-skills", "openclaw-testkit"];

/// What a rule found, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    rule: &'static str,
    todo: String,
}

impl Finding {
    fn new(path: &str, line: usize, rule: &'static str, todo: &str) -> Self {
        Self { path: path.to_owned(), line, rule, todo: todo.to_owned() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.todo)
    }
}

type Rule = fn(&str, &str) -> Vec<Finding>;

const RUST_RULES: &[Rule] = &[
    shape::size,
    shape::door,
    shape::empty,
    shape::skipped_doc_test,
    bans::paths,
    bans::mutable_static,
    bans::unbiased_select,
];

const MANIFEST_RULES: &[Rule] = &[manifests::arrows, manifests::bare_core];

/// Is `path` code that a host links?
fn in_library(path: &str) -> bool {
    path.split_once("/src/").is_some_and(|(package, _)| LIBRARIES.contains(&package))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads every `.rs` file and manifest below `folder`, with its path from the root.
fn read(folder: &Path, at: &str, files: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
        if entry.file_type()?.is_dir() {
            let built = name == "target" || entry.path().join("CACHEDIR.TAG").exists();
            if !built && !name.starts_with('.') {
                read(&entry.path(), &path, files)?;
            }
        } else if path.ends_with(".rs") || path.ends_with("/Cargo.toml") {
            files.push((path, fs::read_to_string(entry.path())?));
        }
    }
    Ok(())
}

fn workspace() -> io::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    read(&root(), "", &mut files)?;
    files.sort();
    Ok(files)
}

#[test]
fn the_whole_workspace_is_read() -> io::Result<()> {
    let files = workspace()?;
    for library in LIBRARIES {
        for file in ["Cargo.toml", "src/lib.rs"] {
            let path = format!("{library}/{file}");
            assert!(files.iter().any(|(read, _)| *read == path), "{path} was not read");
        }
    }
    assert!(files.iter().any(|(read, _)| *read == "openclaw-core/tests/it/tidy/mod.rs"));
    assert!(!files.iter().any(|(read, _)| read.starts_with("target/")));
    Ok(())
}

#[test]
fn the_house_is_tidy() -> io::Result<()> {
    let files = workspace()?;
    let mut found = Vec::new();
    for (path, text) in &files {
        let rules = if path.ends_with(".rs") { RUST_RULES } else { MANIFEST_RULES };
        found.extend(rules.iter().flat_map(|rule| rule(path, text)));
    }
    let texts: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    found.extend(shape::folders(&paths));
    found.extend(order::order(&texts));
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} to put right:\n{}", lines.len(), lines.join("\n"));
    Ok(())
}
