//! The crash loop holds, and sees each protection that is taken away.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on has failed"
)]

use std::{path::PathBuf, process::Command};

use serde_json::Value;

#[allow(dead_code, reason = "the program uses the rest of it")]
#[path = "../crashloop/power_cuts.rs"]
mod power_cuts;

struct Ran {
    code: Option<i32>,
    line: Value,
    table: String,
    told: String,
}

impl Ran {
    fn count(&self, key: &str) -> u64 {
        self.line[key].as_u64().unwrap_or_else(|| panic!("no {key} in {}", self.line))
    }
}

/// The example, which `cargo test` has built beside this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program =
        profile.join("examples").join("crashloop").with_extension(std::env::consts::EXE_EXTENSION);
    assert!(program.exists(), "not built: run `cargo build -p openclaw-examples --examples`");
    program
}

fn crashloop(arguments: &str) -> Ran {
    let output = Command::new(program()).args(arguments.split(' ')).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let line = out.lines().last().map_or(Value::Null, |last| {
        serde_json::from_str(last).unwrap_or_else(|e| panic!("{last:?} is not JSON: {e}"))
    });
    let told = String::from_utf8(output.stderr).unwrap();
    Ran { code: output.status.code(), line, table: out, told }
}

#[test]
fn nothing_is_lost_or_done_twice_over_kills_at_every_point() {
    let ran = crashloop("--kills 18 --seed 7");
    assert_eq!(ran.code, Some(0), "{} {}", ran.line, ran.told);
    for key in ["lost", "duplicated", "order_violations"] {
        assert_eq!(ran.count(key), 0, "{}", ran.line);
    }
    assert!(ran.count("acknowledged") >= 18 * 40 && ran.count("kills_in_dispatching") >= 3);
    for point in ["C0", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C13"] {
        assert!(ran.line["kill_points"][point].as_u64() >= Some(1), "{point}: {}", ran.line);
    }
    assert!(ran.count("unknown_visible") + ran.count("parked") >= 1);
    assert_eq!(ran.line["audit_ok"], true);
}

#[test]
fn a_store_that_admits_a_message_twice_is_caught() {
    let ran = crashloop("--kills 4 --break dedupe");
    assert!(ran.code == Some(1) && ran.count("duplicated") > 0, "{}", ran.line);
}

#[test]
fn a_ledger_that_forgets_is_caught() {
    let ran = crashloop("--kills 4 --break ledger");
    assert!(ran.code == Some(1) && ran.count("duplicated") > 0, "{}", ran.line);
}

#[test]
fn an_acknowledgement_before_the_write_is_caught() {
    let ran = crashloop("--kills 4 --break ack_before_write");
    assert!(ran.code == Some(1) && ran.count("lost") > 0, "{}", ran.line);
}

#[test]
fn a_channel_that_loses_the_order_is_caught() {
    let ran = crashloop("--kills 2 --break order");
    assert!(ran.code == Some(1) && ran.count("order_violations") > 0, "{}", ran.line);
}

#[test]
fn a_gateway_that_writes_behind_its_successor_is_caught() {
    let ran = crashloop("--kills 4 --break fence");
    assert!(ran.code == Some(1) && ran.table.contains("did not stop"), "{}", ran.line);
}

#[test]
fn nothing_acknowledged_is_lost_at_a_power_cut() {
    let ran = crashloop("--power-cuts 20");
    assert_eq!(ran.code, Some(0), "{}", ran.line);
    assert_eq!((ran.count("acks_without_sync"), ran.count("lost")), (0, 0));
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_caught() {
    let ran = crashloop("--power-cuts 20 --break sync");
    assert!(ran.code == Some(1) && ran.count("lost") > 0, "{}", ran.line);
}

#[test]
fn wrong_flags_are_told_in_one_line() {
    for wrong in [
        "--kill 5",
        "--kills",
        "--kills five",
        "--kills 0",
        "--kills 1 --kills 2",
        "--kills 1 --power-cuts 1",
        "--kills 1 --engine mongodb",
        "--power-cuts 1 --engine redb",
        "--kills 1 --replicas 1 --engine sqlite",
        "--kills 1 --replicas 3 --engine redb",
        "--kills 1 --break sync",
        "--kills 1 --replicas 3 --engine sqlite --break fence",
        "--power-cuts 1 --break order",
        "--seed 1",
        "--kills 1 --port 80",
    ] {
        let ran = crashloop(wrong);
        assert_eq!((ran.code, ran.told.lines().count()), (Some(2), 1), "{wrong}: {}", ran.told);
        assert!(ran.told.contains("usage: crashloop"), "{wrong}: {}", ran.told);
    }
}
