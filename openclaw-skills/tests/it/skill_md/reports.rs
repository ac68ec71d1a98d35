//! Every rule that a file breaks is reported, with its line and its field.

use openclaw_skills::skill_md::{MAX_FILE_BYTES, Severity, SkillDoc};

/// A file in the folder `a`: `ok`, and `severity code line field` of each diagnostic.
fn check(file: impl AsRef<[u8]>, ok: bool, expected: &[&str]) {
    let (doc, found) = SkillDoc::parse(Some("a"), file.as_ref());
    let shown: Vec<String> = found
        .iter()
        .map(|found| {
            let severity = match found.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                _ => "note",
            };
            let line = found.line.map_or("-".to_owned(), |line| line.to_string());
            let field = found.field.as_deref().unwrap_or("-");
            format!("{severity} {} {line} {field}", found.code)
        })
        .collect();
    assert_eq!(shown, expected, "{found:?}");
    assert_eq!(doc.is_readable(), ok);
}

fn front(lines: &str) -> String {
    format!("---\n{lines}\n---\nBody.\n")
}

#[test]
fn a_good_file_has_nothing_to_report() {
    let lines =
        "name: a\ndescription: b\nlicense: MIT\ncompatibility: any\nmetadata:\n  author: me";
    check(front(lines), true, &[]);
}

#[test]
fn missing_and_open_fences() {
    check("# Title\n", true, &["error front-matter-missing 1 -"]);
    check("", true, &["error front-matter-missing 1 -"]);
    check(" ---\nname: a\n---\n", true, &["error front-matter-missing 1 -"]);
    check("---\nname: a\n", false, &["error front-matter-unterminated 1 -"]);
    check("---\nname: a\n----\n", false, &["error front-matter-unterminated 1 -"]);
}

#[test]
fn bytes_that_are_no_plain_text() {
    let good = "---\nname: a\ndescription: b\n---\n";
    check(format!("\u{feff}{good}"), true, &["warning byte-order-mark 1 -"]);
    check(good.replace('\n', "\r\n"), true, &["note carriage-returns 1 -"]);
    check(b"---\nname: a\ndescription: \xff\n---\n", true, &["error not-utf8 3 -"]);
    check(b"---\nname: a\ndescription: b\0\n---\n", true, &["error binary 3 -"]);
    let elf = b"\x7fELF\x02\x01\x01\0\0\xfe";
    check(elf, true, &["error not-utf8 1 -", "error binary 1 -", "error front-matter-missing 1 -"]);
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let mut file = front("name: a\ndescription: b");
    file.push_str(&"x".repeat(MAX_FILE_BYTES - file.len()));
    check(&file, true, &[]);
    file.push('x');
    check(&file, false, &["error too-large - -"]);
}

#[test]
fn names() {
    let named = |name: &str| front(&format!("name: {name}\ndescription: b"));
    let elsewhere = "warning name-not-folder 2 name";
    let invalid = "warning name-invalid 2 name";
    check(named("b"), true, &[elsewhere]);
    for name in ["A", "a_b", "-a", "a-", "a--b", "über", &"a".repeat(65)] {
        check(named(name), true, &[invalid, elsewhere]);
    }
    check(named(&"a".repeat(64)), true, &[elsewhere]);
    check(front("description: b"), true, &["warning name-missing - name"]);
    check(front("name: ''\ndescription: b"), true, &["warning name-missing 2 name"]);
    check(named("7"), true, &[elsewhere, "note not-text 2 name"]);
}

#[test]
fn lengths() {
    let long = |field: &str, count| format!("name: a\n{field}: {}", "ü".repeat(count));
    check(front(&long("description", 1024)), true, &[]);
    check(front(&long("description", 1025)), true, &["warning too-long 3 description"]);
    let compatible = |count| front(&format!("{}\ndescription: b", long("compatibility", count)));
    check(compatible(500), true, &[]);
    check(compatible(501), true, &["warning too-long 3 compatibility"]);
    check(front("name: a"), true, &["error description-missing - description"]);
    check(front("name: a\ndescription: ''"), true, &["error description-missing 3 description"]);
}

#[test]
fn prose_that_only_a_repair_reads() {
    let repaired = ["warning yaml-repaired 3 description"];
    for prose in ["b: c", "\"b\" c", "[b] c", "*b* c", "@b", "`b` c", "> b", "\"\\d\"", "b: c: d"] {
        check(front(&format!("name: a\ndescription: {prose}")), true, &repaired);
    }
    let three = "description: b: c\nread_when: d: e\nsummary: f: g\nname: a";
    let expected = [
        "warning yaml-repaired 2 description",
        "warning yaml-repaired 3 read_when",
        "warning yaml-repaired 4 summary",
    ];
    check(front(three), true, &expected);
}

#[test]
fn yaml_that_no_repair_reads() {
    for (lines, line) in [
        ("name: a: b", 2),
        ("name: a\n\tdescription: b\nx: y", 3),
        ("name: a\nname: b", 3),
        ("name: a\ndescription: b\ntags: [c", 4),
        ("name: a\ndescription: b\nx: \"\\d\"", 4),
        ("name: a\ndescription: b\nx: @y", 4),
        ("name: a\ndescription:\n  b: c\n d: e", 5),
        ("name: a\n...\nname: b", 4),
    ] {
        check(front(lines), false, &[&format!("error yaml-invalid {line} -")]);
    }
    check(front("- a"), false, &["error yaml-invalid - -"]);
    check(front("a"), false, &["error yaml-invalid - -"]);
}

#[test]
fn fields_that_nobody_reads() {
    let lines = "name: a\ndescription: b\nversion: 1\nuser-invocable: maybe\nallowed-tools: [x]";
    let expected = [
        "note not-text 6 allowed-tools",
        "note field-unknown 4 version",
        "warning flag-unclear 5 user-invocable",
    ];
    check(front(lines), true, &expected);
    let lines = "name: a\ndescription: b\ncommand-dispatch: tool";
    check(front(lines), true, &["warning dispatch-unknown - command-dispatch"]);
}

#[test]
fn metadata_that_is_left_out() {
    let with = |lines: &str| front(&format!("name: a\ndescription: b\nmetadata:\n{lines}"));
    check(
        with("  clawdis: {emoji: x}\n  clawdbot: {emoji: y}\n  openclaw: {emoji: z}"),
        true,
        &[
            "warning metadata-namespace-ignored - metadata.clawdbot",
            "warning metadata-namespace-ignored - metadata.clawdis",
        ],
    );
    check(
        with("  version: 1\n  openclaw: {color: red, always: 1, requires: {bins: 1, tools: [x]}}"),
        true,
        &[
            "note metadata-value-not-text - metadata.version",
            "note metadata-field-unknown - metadata.openclaw.color",
            "warning metadata-field-ignored - metadata.openclaw.always",
            "warning metadata-field-ignored - metadata.openclaw.requires.bins",
            "warning metadata-field-ignored - metadata.openclaw.requires.tools",
        ],
    );
    check(
        front("name: a\ndescription: b\nmetadata: {openclaw: {emoji: x}}"),
        true,
        &["warning metadata-unreadable - metadata"],
    );
    check(
        front("name: a\ndescription: b\nmetadata: [x]"),
        true,
        &["note metadata-not-a-mapping 4 metadata", "warning metadata-not-a-mapping - metadata"],
    );
}

#[test]
fn installers_that_could_smuggle_in_a_command() {
    let with = |installer: &str| {
        let install = format!("  openclaw:\n    install:\n      - {installer}");
        front(&format!("name: a\ndescription: b\nmetadata:\n{install}"))
    };
    for installer in [
        "{kind: brew, formula: --force}",
        "{kind: brew, formula: 'a;b'}",
        "{kind: brew, formula: ../a}",
        "{kind: node, package: 'git+https://example.org/a'}",
        "{kind: node, package: 'a@^1.0.0'}",
        "{kind: node, package: 'file:../a'}",
        "{kind: go, module: 'a@v1 && b'}",
        "{kind: uv, package: 'a; b'}",
        "{kind: download, url: 'file:///etc/passwd'}",
        "{kind: download, url: 'https://example.org/a', sha256: abc}",
        "{kind: apt, package: a}",
        "{}",
        "text",
    ] {
        check(
            with(installer),
            true,
            &["warning installer-left-out - metadata.openclaw.install[0]"],
        );
    }
    check(
        with("{kind: brew, formula: a, url: 'ftp://example.org'}"),
        true,
        &["warning installer-field-left-out - metadata.openclaw.install[0].url"],
    );
}

/// A terminal obeys what it is shown.
#[test]
fn messages_show_no_control_characters() {
    let file = front("name: \"a\\e[31m\\u202eb\\r\\n\"\ndescription: b\n\"x\\e[2J\": y");
    let (_, found) = SkillDoc::parse(Some("\u{1b}]0;x\u{7}"), file.as_bytes());
    assert!(found.len() >= 3, "{found:?}");
    for found in found {
        let shown = format!("{}{}", found.message, found.field.unwrap_or_default());
        assert!(!shown.contains(|c: char| c.is_control() || c == '\u{202e}'), "{shown:?}");
    }
}
