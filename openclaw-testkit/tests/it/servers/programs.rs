//! Programs that are not here, and what a suite says then.

use std::{
    io::{Write, stdout},
    process::Output,
};

use openclaw_testkit::servers::{Nats, Postgres, Redis, ServerError};
use tempfile::tempdir;

use super::orphans::this_binary;

#[tokio::test]
async fn a_missing_program_names_its_package() {
    let nowhere = tempdir().unwrap();
    let missing = Redis::builder().binary(nowhere.path().join("redis")).start().await;
    let error = missing.unwrap_err();
    assert!(matches!(error, ServerError::Missing { package: "redis-server", .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("OPENCLAW_REDIS_BIN") && text.contains("`redis-server`"), "{text}");
}

#[tokio::test]
async fn postgres_without_initdb_is_missing() {
    let folder = tempdir().unwrap();
    let lonely = folder.path().join("postgres");
    std::fs::copy("/bin/sh", &lonely).unwrap();
    let error = Postgres::builder().binary(&lonely).start().await.unwrap_err();
    assert!(error.to_string().contains("initdb"), "{error}");
}

/// Not a test by itself: looks for a server in the environment its parent made.
#[tokio::test]
#[ignore = "the tests below run it in a process of its own"]
async fn look_for_nats() {
    let nats = Nats::builder().start_or_skip().await;
    writeln!(stdout(), "FOUND {}", nats.unwrap().is_some()).unwrap();
}

fn look(variables: &[(&str, &str)]) -> Output {
    let mut child = this_binary("servers::programs::look_for_nats");
    child.env_remove("CI").env_remove("OPENCLAW_REQUIRE_SERVERS");
    child.envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn a_suite_without_its_server_says_that_it_did_not_run() {
    let output = look(&[("OPENCLAW_NATS_BIN", "/nowhere")]);
    let (out, told) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{told}");
    assert!(out.contains("FOUND false"), "{out}{told}");
    assert!(told.lines().any(|line| line.starts_with("NOT RUN: /nowhere")), "{told}");
    let not_set = look(&[("OPENCLAW_NATS_BIN", "/nowhere"), ("OPENCLAW_REQUIRE_SERVERS", "0")]);
    assert!(not_set.status.success());
}

#[test]
fn a_suite_without_its_server_fails_where_servers_are_required() {
    for name in ["CI", "OPENCLAW_REQUIRE_SERVERS"] {
        let output = look(&[("OPENCLAW_NATS_BIN", "/nowhere"), (name, "1")]);
        assert!(!output.status.success(), "{name}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("nats-server"), "{name}: {told}");
    }
}
