//! The Node product's own parser made something of each of these files; so do we.

use std::{collections::BTreeMap, env, fs, path::Path};

use openclaw_skills::skill_md::{SkillDoc, find_skills};
use serde_json::{Value, json};

/// What both parsers are compared by.
fn read(bytes: &[u8]) -> Value {
    let (doc, _) = SkillDoc::parse(None, bytes);
    json!({
        "ok": doc.is_readable(),
        "name": doc.name(),
        "description": doc.description(),
        "metadata": doc.metadata(),
    })
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[test]
fn every_case_is_read_as_the_product_reads_it() {
    let cases = lines(include_str!("../../skill_md/cases.jsonl"));
    assert!(cases.len() >= 70);
    for case in cases {
        let got = read(case["file"].as_str().expect("a text").as_bytes());
        for field in ["ok", "name", "description", "metadata"] {
            assert_eq!(got[field], case[field], "{}: {field}", case["what"]);
        }
    }
}

#[test]
fn flags_are_read_as_the_product_reads_them() {
    for case in lines(include_str!("../../skill_md/cases.jsonl")) {
        let Some(policy) = case.get("policy") else { continue };
        let (doc, _) = SkillDoc::parse(None, case["file"].as_str().expect("a text").as_bytes());
        let invocation = doc.invocation();
        assert_eq!(policy["userInvocable"], invocation.by_user, "{}", case["what"]);
        assert_eq!(policy["disableModelInvocation"], !invocation.by_model, "{}", case["what"]);
    }
}

/// The files and the answers in `OPENCLAW_GOLDEN_DIR`, when it is set.
#[test]
fn the_golden_files_are_read_as_the_product_reads_them() {
    let Some(dir) = env::var_os("OPENCLAW_GOLDEN_DIR") else { return };
    let dir = Path::new(&dir);
    let oracle =
        fs::read_to_string(dir.join("skills.oracle.jsonl")).expect("the answers are there");
    let mut answers: BTreeMap<String, Value> = lines(&oracle)
        .into_iter()
        .map(|answer| (answer["path"].as_str().expect("a path").to_owned(), answer))
        .collect();
    let found = find_skills(&dir.join("skills")).expect("the files are there");
    assert_eq!(found.left_out, []);
    for file in found.files {
        let answer = answers.remove(&file.path).expect("an answer for the file");
        let got = read(&file.read().expect("it can be read"));
        let front = &answer["frontmatter"];
        assert_eq!(got["ok"], answer["ok"], "{}", file.path);
        assert_eq!(got["name"], front["name"], "{}", file.path);
        assert_eq!(got["description"], front["description"], "{}", file.path);
        assert_eq!(got["metadata"], answer["metadata"], "{}", file.path);
    }
    assert!(answers.is_empty(), "not found: {:?}", answers.keys());
}
