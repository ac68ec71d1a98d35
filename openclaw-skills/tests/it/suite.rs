//! The official JSON-Schema-Test-Suite, draft 2020-12, and what of it is not promised.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use openclaw_skills::Schemas;
use serde::Deserialize;
use serde_json::Value;

/// Cases of the suite that hold, and all there are: another number has to be looked at.
const HELD: usize = 1_361;
const CASES: usize = 1_415;

#[derive(Deserialize)]
struct Group {
    description: String,
    schema: Value,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    description: String,
    data: Value,
    valid: bool,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/json-schema-test-suite")
}

/// The suite's files by their names, those of `optional` too.
fn files() -> BTreeMap<String, Vec<Group>> {
    let root = folder().join("tests/draft2020-12");
    let mut files = BTreeMap::new();
    for part in ["", "optional"] {
        for entry in fs::read_dir(root.join(part)).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = fs::read_to_string(&path).expect("it can be read");
                let name = path.strip_prefix(&root).expect("it is below").with_extension("");
                let groups = serde_json::from_str(&text).expect("it is a file of groups");
                files.insert(name.to_string_lossy().replace('\\', "/"), groups);
            }
        }
    }
    files
}

/// What came of all cases.
#[derive(Default)]
struct Outcome {
    /// What does not hold, and why: `file: group` when the schema can't be used, else
    /// `file: group: case`.
    broken: BTreeMap<String, String>,
    held: usize,
    cases: usize,
}

fn run() -> Outcome {
    let mut all = Outcome::default();
    for (file, groups) in files() {
        for group in groups {
            all.cases += group.tests.len();
            let place = format!("{file}: {}", group.description);
            let mut breaks = |place, why: &str| {
                assert_eq!(all.broken.insert(place, why.to_owned()), None, "two cases of a name");
            };
            let schema = match Schemas::new().compile(&group.schema) {
                Ok(schema) => schema,
                Err(e) => {
                    breaks(place, e.message());
                    continue;
                }
            };
            for case in group.tests {
                if schema.problems(&case.data).is_empty() == case.valid {
                    all.held += 1;
                } else {
                    breaks(format!("{place}: {}", case.description), "another verdict");
                }
            }
        }
    }
    all
}

/// The list of what is not promised, each line below its reason.
fn not_promised() -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder().join("not-promised.txt")).expect("the list is there");
    let (mut listed, mut reason) = (BTreeMap::new(), None);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match line.strip_prefix("# ") {
            Some(why) => reason = Some(why.to_owned()),
            None => {
                let reason = reason.clone().expect("a reason above the first line");
                assert!(listed.insert(line.to_owned(), reason).is_none(), "twice: {line}");
            }
        }
    }
    listed
}

#[test]
fn the_official_suite_holds_but_for_what_is_listed_with_its_reason() {
    let Outcome { broken, held, cases } = run();
    let names: BTreeSet<String> = broken.keys().cloned().collect();
    let listed: BTreeSet<String> = not_promised().into_keys().collect();
    let new: Vec<_> = names.difference(&listed).collect();
    assert!(new.is_empty(), "no longer holds, or never did:\n{new:#?}");
    let mended: Vec<_> = listed.difference(&names).collect();
    assert!(mended.is_empty(), "holds now, take it off the list:\n{mended:#?}");
    assert_eq!((held, cases), (HELD, CASES), "the suite's counts have changed");
}

#[test]
fn what_is_listed_breaks_for_the_reason_that_is_given() {
    let broken = run().broken;
    for (case, reason) in not_promised() {
        let why = &broken[&case];
        let elsewhere =
            "the schema can't be used: it points to another document, and none is ever fetched";
        assert!(reason.ends_with("another document, and none is ever fetched"), "{case}: {reason}");
        assert_eq!(why, elsewhere, "{case}");
    }
}
