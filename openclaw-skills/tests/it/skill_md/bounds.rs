//! Whatever a file holds, reading it ends, and soon.

use std::time::Duration;

use openclaw_skills::skill_md::{MAX_FILE_BYTES, SkillDoc};
use proptest::prelude::*;
use tokio::time::Instant;

/// Reads, and gives the texts a chance to be wrong too.
fn read(bytes: &[u8]) -> SkillDoc {
    let (doc, found) = SkillDoc::parse(Some("a"), bytes);
    assert!(doc.is_readable() || !found.is_empty());
    assert!(doc.is_readable() || (doc.name().is_none() && doc.metadata().is_none()));
    doc
}

fn front(lines: &str) -> Vec<u8> {
    format!("---\n{lines}\n---\n").into_bytes()
}

/// Pieces of YAML that mean something, and some that don't.
fn soup() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a",
        "name",
        "description",
        ": ",
        ":",
        " ",
        "  ",
        "\n",
        "\n  ",
        "\n- ",
        "- ",
        "? ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\"",
        "'",
        "#",
        " #",
        "&a ",
        "*a",
        "!t ",
        "!!str ",
        "|",
        ">",
        "|2-\n",
        "\t",
        "1",
        "~",
        "--- ",
        "...",
        "%TAG ! x",
        "\\",
        "\\u12",
        "ü",
        "\u{2028}",
        "\u{feff}",
        "\0",
        "@",
        "`",
        "\n\n",
        "<<: *a",
        "metadata",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&bytes);
    }

    #[test]
    fn any_bytes_between_fences_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&[b"---\n".as_slice(), &bytes, b"\n---\n"].concat());
    }

    #[test]
    fn any_yaml_is_read(lines in soup()) {
        read(&front(&lines));
    }

    #[test]
    fn any_metadata_is_read(json in "[{}\\[\\]a:,'\"\\\\0x1/*. \n-]{0,60}") {
        read(&front(&format!("description: b\nmetadata: |\n  {}", json.replace('\n', "\n  "))));
    }
}

#[test]
fn deep_nesting_is_refused() {
    for sign in ["[", "{a: ", "- ", "? ", "[[", "{{"] {
        let file = front(&format!("a: \n  {}", sign.repeat(50_000)));
        assert!(!read(&file).is_readable(), "{sign}");
    }
    let stairs: String = (0..300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(!read(&front(&stairs)).is_readable());
}

#[test]
fn some_nesting_is_fine() {
    let lines = format!("description: b\nx: {}1{}", "[".repeat(40), "]".repeat(40));
    assert!(read(&front(&lines)).is_readable());
}

#[test]
fn aliases_do_not_unfold_without_end() {
    let mut lines = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let uses = vec![format!("*a{}", level - 1); 10].join(", ");
        lines.push_str(&format!("a{level}: &a{level} [{uses}]\n"));
    }
    assert!(!read(&front(&lines)).is_readable());
    let chain: String = (1..9000).map(|at| format!("a{at}: &a{at} [*a{}]\n", at - 1)).collect();
    read(&front(&format!("a0: &a0 []\n{chain}")));
    let many = format!("a: &a x\nb: [{}]", vec!["*a"; 200].join(", "));
    assert!(!read(&front(&many)).is_readable());
}

/// A hundred times what a page has. A reader that looks at everything before it for each sign would
/// take minutes.
#[test]
fn a_file_of_the_largest_size_is_read() {
    let size = MAX_FILE_BYTES - 200;
    let fill = |piece: &str| piece.repeat(size / piece.len());
    let keys: String = (0..size / 16).map(|at| format!("key{at}: v\n")).collect();
    for lines in [
        fill("x "),
        format!("a: \"{}\"", fill("\\\"")),
        format!("a: [{}]", fill("b,")),
        fill("# c\n"),
        format!("a: |\n{}", fill(" \n")),
        fill("- \n"),
        keys,
        fill("&a "),
        format!("a: [b]{}", fill(" \"c\"")),
        format!("[a]{}", fill(" [b]")),
        format!("{{a: {}}}", fill(": ")),
        format!("a: {}", fill("'b' ")),
        format!("a: >\n{}", fill("  b\n\n")),
    ] {
        read(&front(&lines));
    }
}

/// How long the largest file may take, in any build and beside any load: a fraction of a second is
/// usual. What looks at half of the file for each of its signs takes minutes.
const SOON: Duration = Duration::from_secs(10);

fn is_read_soon(file: &[u8]) -> SkillDoc {
    assert!(file.len() <= MAX_FILE_BYTES, "{}", file.len());
    let began = Instant::now();
    let doc = read(file);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    doc
}

#[test]
fn comments_behind_blank_lines_are_read_soon() {
    let lines =
        |first: &str| format!("{first} #c\n{}#y\n{}", "\n".repeat(128_000), " #\n".repeat(42_000));
    is_read_soon(&front(&lines("- a")));
    is_read_soon(&front(&lines("a: b")));
}

#[test]
fn a_mapping_of_many_keys_on_one_line_is_read_soon() {
    let letter = |at: usize| char::from(b'a' + u8::try_from(at % 26).expect("a letter"));
    let key = |at: usize| [at / 676, at / 26, at].map(letter).iter().collect::<String>();
    let pairs: Vec<String> = (0..17_000).map(|at| format!("x{}: [], ", key(at))).collect();
    let doc = is_read_soon(&front(&format!("{{description: b, {}}}", pairs.concat())));
    assert!(doc.is_readable());
}

#[test]
fn a_collection_on_the_line_of_its_key_is_taken_as_it_was_written() {
    for (lines, expected) in [
        ("homepage: [a,  b: c]", "[a,  b: c]"),
        ("homepage: [a,  b]", "[\"a\",\"b\"]"),
        ("homepage:\n  - a: b", "[{\"a\":\"b\"}]"),
        ("homepage: [a: \u{2028} b]", "[{\"a\":\"\u{2028} b\"}]"),
        ("homepage: { a: {b: c} }\nname: x", "{ a: {b: c} }"),
    ] {
        let doc = read(&front(&format!("description: d\n{lines}")));
        assert_eq!(doc.field("homepage"), Some(expected), "{lines}");
    }
}
