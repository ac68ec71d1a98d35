//! The strict JSON reader: every refusal names its place.

use openclaw_core::{Limits, json::parse};
use proptest::prelude::*;
use serde_json::Value;

use super::any;

fn refuse(text: &str, limits: &Limits, pointer: &str, reason: &str) {
    let e = parse(text.as_bytes(), limits).unwrap_err();
    assert_eq!(e.pointer, pointer, "{e}");
    assert!(e.reason.contains(reason), "{e}");
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

proptest! {
    #![proptest_config(any::cases())]

    #[test]
    fn what_is_fine_reads_as_serde_reads_it(value in any::json()) {
        let text = value.to_string();
        prop_assert_eq!(parse(text.as_bytes(), &Limits::default()).unwrap(), value);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let serde: Option<Value> = serde_json::from_slice(&bytes).ok();
        if let Ok(value) = parse(&bytes, &Limits::default()) {
            prop_assert_eq!(Some(value), serde);
        }
    }
}

#[test]
fn a_duplicate_key_is_found_at_its_place() {
    let limits = Limits::default();
    refuse(r#"{"a":1,"a":1}"#, &limits, "/a", "duplicate key");
    refuse(r#"[0,{"x":{"a/b~c":1,"a/b~c":2}}]"#, &limits, "/1/x/a~1b~0c", "duplicate key");
    refuse(r#"{"a":1,"\u0061":2}"#, &limits, "/a", "duplicate key");
    refuse(r#"{"":1,"":2}"#, &limits, "/", "duplicate key");
    assert!(parse(br#"{"a":{"a":1},"b":{"a":1}}"#, &limits).is_ok(), "equal keys in two objects");
}

#[test]
fn level_64_is_fine_and_65_is_not() {
    let limits = Limits::default();
    assert!(parse(nested(64).as_bytes(), &limits).is_ok());
    refuse(&nested(65), &limits, &"/0".repeat(64), "nested deeper than 64");
    let objects = |n: usize| format!("{}1{}", r#"{"a":"#.repeat(n), "}".repeat(n));
    assert!(parse(objects(64).as_bytes(), &limits).is_ok());
    refuse(&objects(65), &limits, &"/a".repeat(64), "nested deeper than 64");
    refuse(&nested(100_000), &limits, &"/0".repeat(64), "nested deeper than 64");
}

#[test]
fn values_are_counted_with_their_containers() {
    let mut limits = Limits::default();
    limits.json_nodes = 4;
    assert!(parse(b"[1,2,3]", &limits).is_ok());
    refuse("[1,2,3,4]", &limits, "/3", "more than 4 values");
    refuse(r#"{"a":[1,2],"b":3}"#, &limits, "/b", "more than 4 values");
}

#[test]
fn long_strings_are_refused_as_values_and_as_keys() {
    let mut limits = Limits::default();
    limits.string = 3;
    assert!(parse(r#"{"abc":"abc"}"#.as_bytes(), &limits).is_ok());
    refuse(r#"{"abc":["x","abcd"]}"#, &limits, "/abc/1", "a string of more than 3 bytes");
    refuse(r#"{"a":{"abcd":1}}"#, &limits, "/a", "a string of more than 3 bytes");
    refuse(r#"["é\u00e9"]"#, &limits, "/0", "a string of more than 3 bytes");
}

#[test]
fn broken_syntax_is_found_at_its_place() {
    let limits = Limits::default();
    refuse("", &limits, "", "ends too early");
    refuse(r#"{"a":[1,"#, &limits, "/a/1", "ends too early");
    refuse(r#"{"a":[1,nul]}"#, &limits, "/a/1", "broken at line 1");
    refuse("[1]\n]", &limits, "", "broken at line 2");
    refuse("1e999", &limits, "", "broken");
}

#[test]
fn a_refusal_quotes_nothing_of_the_document() {
    for text in [r#"{"a":"canary" "b"}"#, r#"["canary", canary]"#, "canary", r#"{"a":"canary"#] {
        let e = parse(text.as_bytes(), &Limits::default()).unwrap_err();
        assert!(!e.to_string().contains("canary"), "{e}");
    }
}
