//! The quickstart's self-test, as a program of its own.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::{env, path::PathBuf, process::Command};

/// The program beside this test: `cargo test` builds the examples before it runs the tests.
fn program(name: &str) -> PathBuf {
    let here = env::current_exe().unwrap();
    let profile = here.ancestors().nth(2).unwrap();
    let program = profile.join("examples").join(name);
    assert!(program.exists(), "not built: run `cargo build --example {name}` first");
    program
}

#[test]
fn the_self_test_holds() {
    let output = Command::new(program("quickstart")).arg("--selftest").output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{words}");
    let last: serde_json::Value = serde_json::from_str(words.lines().last().unwrap()).unwrap();
    assert_eq!(last["ok"], true);
    assert!(last["checks"].as_u64().unwrap() >= 15, "{last}");
}
