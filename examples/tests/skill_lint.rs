//! The linter as a program: its lines, its counts, its words.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The program beside this test: `cargo test` builds the examples before it runs the tests.
fn program() -> PathBuf {
    let here = env::current_exe().unwrap();
    let program = here.ancestors().nth(2).unwrap().join("examples").join("skill_lint");
    assert!(program.exists(), "not built: run `cargo build --example skill_lint` first");
    program
}

fn lint(words: &[&Path]) -> Output {
    Command::new(program()).args(words).output().unwrap()
}

fn put(dir: &Path, folder: &str, text: &str) {
    let folder = dir.join(folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("SKILL.md"), text).unwrap();
}

#[test]
fn each_file_is_a_line_and_the_end_is_good_whatever_they_hold() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "b", "---\nname: b: c\ndescription: d\n---\n");
    put(
        dir.path(),
        "a",
        "---\nname: a\ndescription: d: e\nmetadata:\n  openclaw: {always: true}\n---\n",
    );
    put(dir.path(), "a/inner", "no front matter");
    let output = lint(&[dir.path()]);
    assert_eq!(output.status.code(), Some(0));
    let words = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        words.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: Vec<&str> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["a/SKILL.md", "a/inner/SKILL.md", "b/SKILL.md"]);
    let good = serde_json::json!({
        "path": "a/SKILL.md",
        "ok": true,
        "name": "a",
        "description": "d: e",
        "metadata": {"always": true},
        "diagnostics": lines[0]["diagnostics"],
    });
    assert_eq!(lines[0], good);
    assert_eq!(lines[0]["diagnostics"][0]["code"], "yaml-repaired");
    assert_eq!(lines[1]["name"], serde_json::Value::Null);
    assert_eq!(lines[2]["ok"], false);
    let counts = String::from_utf8(output.stderr).unwrap();
    assert!(counts.starts_with("3 files: 2 read, 1 of them with a description"), "{counts}");
}

#[test]
fn wrong_words_are_one_line_and_two() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none");
    for words in [&[][..], &[dir.path(), dir.path()], &[none.as_path()]] {
        let output = lint(words);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1);
    }
}
