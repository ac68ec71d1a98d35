//! The snapshot of laws: fewer is red, and so is a line that nobody runs any more.

use std::{fs, path::Path};

use openclaw_core::store::MemoryStore;
use openclaw_testkit::conformance::{
    Report, snapshot,
    store::{LAWS, on},
};

use crate::broken::holds;

/// Compares this report with these lines.
fn agrees(name: &str, lines: &str, report: &Report) -> bool {
    let folder = std::env::temp_dir().join(format!("laws-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("laws.snapshot"), lines).unwrap();
    let held = holds(|| snapshot(&folder, "Mine", "store", report));
    fs::remove_dir_all(&folder).unwrap();
    held
}

#[test]
fn fewer_laws_are_red_and_so_are_more() {
    if std::env::var_os("OPENCLAW_BLESS").is_some() {
        return;
    }
    let mut report = Report::default();
    report.held.extend(["one", "two"]);
    report.not_declared.push(("three", "durable"));
    let line = "Mine: store, 2 held, 1 not declared (durable)\n";
    assert!(agrees("same", line, &report));
    assert!(agrees("others", &format!("Alas: store, 9 held, 0 not declared\n{line}"), &report));
    assert!(!agrees("missing", "Others: store, 2 held, 1 not declared (durable)\n", &report));
    assert!(!agrees("family", "Mine: channel, 2 held, 1 not declared (durable)\n", &report));
    report.held.pop();
    assert!(!agrees("fewer", line, &report));
    report.held.extend(["two", "four"]);
    assert!(!agrees("more", line, &report));
}

#[test]
fn every_law_is_run_or_not_declared() {
    let report = openclaw_testkit::conformance::store::check_all(&on(MemoryStore::new));
    assert_eq!(report.held.len() + report.not_declared.len(), LAWS.len());
}

/// All that is written in a folder of tests.
fn written(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &written(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all += &fs::read_to_string(&path).unwrap();
        }
    }
    all
}

#[test]
fn every_line_of_a_snapshot_is_run_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut lines = 0;
    for name in ["openclaw-core", "openclaw-channels", "openclaw-skills", "openclaw-testkit"] {
        let tests = written(&root.join(name).join("tests"));
        let kept = fs::read_to_string(root.join(name).join("laws.snapshot")).unwrap();
        for line in kept.lines() {
            let implementation = line.split_once(": ").unwrap().0;
            let quoted = format!("\"{implementation}\"");
            assert!(tests.contains(&quoted), "{name}: no test runs the laws of {implementation}");
            lines += 1;
        }
    }
    assert!(lines >= 30, "{lines} implementations");
}
