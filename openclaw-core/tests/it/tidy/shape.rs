//! The shape of files and folders: size, first line, doc tests that run, no empty rooms.

use std::collections::BTreeSet;

use super::{Finding, source};

const MAX_LINES: usize = 600;

/// Folders that hold programs side by side, so that they need no `mod.rs`.
const FLAT: &[&str] = &["src", "tests", "examples", "benches", "bin"];

pub(super) fn size(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    let todo = format!("{lines} lines, {MAX_LINES} allowed: split the file by noun");
    (lines > MAX_LINES)
        .then(|| Finding::new(path, MAX_LINES + 1, "size", &todo))
        .into_iter()
        .collect()
}

/// The first line says what the file is for; `#!` lines may stand before it.
pub(super) fn door(path: &str, text: &str) -> Vec<Finding> {
    let mut depth = 0_usize;
    for (number, line) in text.lines().enumerate() {
        if depth > 0 || line.starts_with("#!") {
            depth += line.matches('[').count();
            depth = depth.saturating_sub(line.matches(']').count());
            continue;
        }
        if line.strip_prefix("//!").is_some_and(|said| !said.trim().is_empty()) {
            return Vec::new();
        }
        if !line.trim().is_empty() || number == 0 {
            return vec![Finding::new(path, number + 1, "door", "say what it is for: `//! …`")];
        }
    }
    vec![Finding::new(path, 1, "door", "the file is empty: fill it or remove it")]
}

/// A library file with nothing but comments is a placeholder.
pub(super) fn empty(path: &str, text: &str) -> Vec<Finding> {
    let bare = super::in_library(path) && source::code(text).trim().is_empty();
    let todo = "no code: a room appears when its first tenant moves in";
    bare.then(|| Finding::new(path, 1, "empty", todo)).into_iter().collect()
}

/// Doc tests run: no fence is marked to be skipped.
pub(super) fn skipped_doc_test(path: &str, text: &str) -> Vec<Finding> {
    let skipped = |line: &str| {
        let said = line.trim_start_matches([' ', '/', '!', '*']);
        let mark = said.strip_prefix("```").unwrap_or_default();
        mark.split([',', ' ', '{', '}', '.']).any(|word| word.starts_with("ignore"))
    };
    let todo = "let the doc test run; `no_run` or `text` when it can't";
    let lines = text.lines().enumerate().filter(|(_, line)| skipped(line));
    lines.map(|(number, _)| Finding::new(path, number + 1, "skipped doc test", todo)).collect()
}

/// Every folder of modules has its `mod.rs`, or its own `main.rs`.
pub(super) fn folders(paths: &[&str]) -> Vec<Finding> {
    let rust = paths.iter().filter(|path| path.ends_with(".rs"));
    let folders: BTreeSet<&str> = rust.flat_map(|path| ancestors(path)).collect();
    let has_door = |folder: &str| {
        let door = |name| paths.contains(&format!("{folder}/{name}").as_str());
        door("mod.rs") || door("main.rs")
    };
    let flat = |folder: &str| folder.rsplit('/').next().is_some_and(|name| FLAT.contains(&name));
    let todo = "add a mod.rs with one sentence on what the folder is for";
    let bare = folders.into_iter().filter(|folder| !flat(folder) && !has_door(folder));
    bare.map(|folder| Finding::new(folder, 1, "folder", todo)).collect()
}

/// The folders of `path` below its package.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let slashes = path.match_indices('/').skip(1);
    slashes.filter_map(|(at, _)| path.get(..at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: fn(&str, &str) -> Vec<Finding>, text: &str, expected: &[usize]) {
        let found: Vec<usize> =
            rule("openclaw-core/src/a.rs", text).iter().map(|finding| finding.line).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_file_of_601_lines_is_found() {
        check(size, &"x\n".repeat(600), &[]);
        check(size, &"x\n".repeat(601), &[601]);
    }

    #[test]
    fn a_file_without_a_first_sentence_is_found() {
        check(door, "//! What.\nfn a() {}", &[]);
        check(door, "#!/bin/sh\n#![allow(\n  x,\n)]\n\n//! What.\n", &[]);
        check(door, "fn a() {}\n//! Late.", &[1]);
        check(door, "#![allow(x)]\nfn a() {}", &[2]);
        check(door, "// Plain.", &[1]);
        check(door, "//!\n//! Late.", &[1]);
        check(door, "\n//! Late.", &[1]);
        check(door, "", &[1]);
    }

    #[test]
    fn a_file_without_code_is_found() {
        check(empty, "//! What.\nmod a;", &[]);
        check(empty, "//! What.\n/* nothing */\n", &[1]);
        assert!(empty("examples/lib.rs", "//! What.").is_empty());
    }

    #[test]
    fn a_skipped_doc_test_is_found() {
        check(skipped_doc_test, "//! ```\n//! ```no_run\n/// please ignore", &[]);
        check(skipped_doc_test, concat!("/// a\n/// ``", "`ignore"), &[2]);
        check(skipped_doc_test, concat!("/// ``", "`rust,ignore"), &[1]);
        check(skipped_doc_test, concat!("    //! ``", "`ignore-windows"), &[1]);
        check(skipped_doc_test, concat!("/** a\n * ``", "`should_panic ignore"), &[2]);
    }

    #[test]
    fn a_folder_without_a_door_is_found() {
        let good = ["a/src/lib.rs", "a/src/b/mod.rs", "a/tests/it/main.rs", "examples/c.rs"];
        assert!(folders(&good).is_empty());
        let bad = ["a/src/lib.rs", "a/src/b/c.rs", "a/src/d/e/mod.rs"];
        let found: Vec<String> = folders(&bad).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["a/src/b", "a/src/d"]);
    }
}
