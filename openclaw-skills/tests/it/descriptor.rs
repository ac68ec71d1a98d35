//! Descriptors: lenient to read, strict to report, and nothing gets lost on the way.

use std::time::Duration;

use openclaw_core::{
    Effect, Error, ErrorKind, SkillId, Timestamp, Touches,
    skill::{Deprecation, SkillLimits, SkillManifest},
};
use openclaw_skills::{
    Checked, Schemas,
    descriptor::{Descriptor, Note, Pin},
};
use openclaw_testkit::remote::{CountingRemote, RemoteKind, RemoteSkill};
use serde_json::{Value, json};

use crate::support::pairs;

fn seed() -> Value {
    json!({
        "name": "crm-lookup",
        "version": "1.2.0",
        "description": "Finds a customer by e-mail",
        "inputs": {
            "email": { "type": "string" },
            "limit": { "type": "integer", "default": 10 },
        },
        "outputs": { "customer": { "type": "string" } },
        "runtime": { "language": "python", "entrypoint": "lookup.py" },
    })
}

fn full() -> Value {
    json!({
        "name": "crm-note",
        "version": "2.0.1",
        "description": "Writes a note",
        "inputs": { "type": "object", "properties": { "text": { "type": "string" } } },
        "outputs": { "type": "null" },
        "runtime": { "language": "node", "entrypoint": "note.js", "memory_mb": 64 },
        "effects": {
            "effect": "keyed", "retention_ms": 86_400_000, "touches": ["writes"], "why": "a note",
        },
        "limits": { "input_bytes": 1000, "timeout_ms": 5000, "rows": 3 },
        "permissions": ["crm:write"],
        "owner": "crm-team",
        "deprecated": {
            "since": "2026-11-01T00:00:00.000Z",
            "sunset": "2027-02-01T00:00:00.000Z",
            "replacement": "crm-note ^3",
            "ticket": 17,
        },
        "api": { "system": "crm", "version": "2026-07", "region": "eu" },
        "integrity": {
            "files": { "lib/note.js": { "digest": Pin::of(b"note").to_string(), "size": 4, "mode": "644" } },
            "signed": false,
        },
        "sbom": { "path": "bom.cdx.json", "digest": Pin::of(b"{}").to_string(), "format": "cdx" },
        "x/icon": "note.svg",
    })
}

fn read(value: &Value) -> (Descriptor, Vec<String>) {
    let (descriptor, notes) = Descriptor::from_value(value).expect("it can be read");
    (descriptor, notes.iter().map(Note::to_string).collect())
}

fn refused(value: &Value) -> Error {
    let text = value.to_string();
    let read = Descriptor::parse(text.as_bytes());
    let error = read.and_then(|(d, _)| d.manifest()).expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::ValidationError);
    error
}

/// The full descriptor with another value at this place is refused there.
fn check(place: &str, wrong: Value) {
    let mut value = full();
    *value.pointer_mut(place).expect("it is there") = wrong;
    let error = refused(&value);
    let said: Vec<_> = pairs(&error);
    assert!(said.contains(&("pointer", place)), "{place}: {error}");
    assert!(!format!("{error:?}{}", error.public()).contains("s3cret"), "{error:?}");
}

#[test]
fn a_seeds_descriptor_is_accepted_as_it_stands() {
    let (descriptor, notes) = read(&seed());
    assert_eq!(notes, ["/effects: missing: the worst is assumed"]);
    assert_eq!(descriptor.to_value(), seed());
    let manifest = descriptor.manifest().expect("a manifest");
    assert_eq!(manifest.effect, Effect::AtMostOnce);
    assert!(manifest.touches.contains(Touches::DESTRUCTIVE | Touches::EGRESS | Touches::MONEY));

    let lookup = RemoteSkill::new(manifest, CountingRemote::new(RemoteKind::Unkeyed));
    let lookup = Checked::new(lookup, &Schemas::new()).expect("its schemas compile");
    let valid = |input: &Value| openclaw_core::skill::Skill::validate(&lookup, input).is_ok();
    assert!(valid(&json!({ "email": "ann@example.com" })));
    assert!(!valid(&json!({ "limit": 1 })), "what has no default is required");
    assert!(!valid(&json!({ "email": "ann@example.com", "limit": "many" })));
}

#[test]
fn what_nobody_knows_is_kept_and_reported_with_its_place() {
    let (descriptor, notes) = read(&full());
    assert_eq!(descriptor.to_value(), full());
    let unknown: Vec<&str> = notes
        .iter()
        .filter_map(|note| note.strip_suffix(": unknown field: kept, and not used"))
        .collect();
    assert_eq!(
        unknown,
        [
            "/x~1icon",
            "/runtime/memory_mb",
            "/effects/why",
            "/limits/rows",
            "/deprecated/ticket",
            "/api/region",
            "/integrity/signed",
            "/sbom/format",
            "/integrity/files/lib~1note.js/mode",
        ]
    );
}

#[test]
fn a_known_field_of_another_form_is_refused_at_its_place() {
    check("/name", json!(""));
    check("/version", json!("1.0"));
    check("/version", json!("s3cret"));
    check("/effects/effect", json!("s3cret"));
    check("/effects/touches/0", json!("s3cret"));
    check("/limits/input_bytes", json!("s3cret"));
    check("/limits/timeout_ms", json!(-1));
    check("/permissions", json!("crm:write"));
    check("/deprecated/since", json!("s3cret"));
    check("/integrity/files/lib~1note.js/digest", json!("md5:s3cret"));
}

#[test]
fn keyed_without_a_retention_is_refused() {
    let mut value = full();
    value["effects"].as_object_mut().expect("an object").remove("retention_ms");
    assert_eq!(pairs(&refused(&value)), [("pointer", "/effects/retention_ms")]);
}

#[test]
fn name_and_version_are_required() {
    for field in ["name", "version"] {
        let mut value = seed();
        value.as_object_mut().expect("an object").remove(field);
        let text = refused(&value).public().to_owned();
        assert!(text.contains(&format!("missing field `{field}`")), "{text}");
    }
}

#[test]
fn text_with_a_duplicate_key_or_too_much_of_it_is_refused() {
    for text in [r#"{"name":"a","version":"1.0.0","name":"b"}"#, "{", &" ".repeat((1 << 20) + 1)] {
        let error = Descriptor::parse(text.as_bytes()).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::ValidationError);
    }
}

#[test]
fn a_date_without_a_time_is_its_midnight() {
    let mut value = full();
    value["deprecated"]["since"] = json!("2026-11-01");
    assert_eq!(read(&value).0.to_value(), full());
}

#[test]
fn a_manifest_goes_there_and_back() {
    let since = Timestamp::from_millis(1_790_000_000_000);
    let leaf = SkillManifest::new(SkillId::new("crm.note").expect("an id"), "1.2.0-rc.1")
        .describe("Writes a note")
        .input(json!({ "type": "object" }))
        .output(json!(true))
        .effect(Effect::Keyed { retention: Duration::from_secs(3_600) })
        .touches(Touches::WRITES | Touches::EGRESS)
        .timeout(Duration::from_millis(1_500))
        .limits(SkillLimits::default().input_bytes(1).output_bytes(2).depth(3))
        .permission("crm:write")
        .permission("crm:read")
        .owner("crm-team")
        .deprecated(Deprecation::since(since).sunset(since).replacement("crm.note ^2"))
        .api("crm", "2026-07");
    let composed = SkillManifest::new(SkillId::new("crm.move").expect("an id"), "1.0.0")
        .calls(SkillId::new("crm.note").expect("an id"));
    for manifest in [leaf, composed] {
        let (read, notes) =
            Descriptor::from_value(&Descriptor::of(&manifest).to_value()).expect("it can be read");
        assert!(notes.iter().all(|note| !note.text.contains("unknown")), "{notes:?}");
        let again = read.manifest().expect("a manifest");
        assert_eq!(format!("{again:?}"), format!("{manifest:?}"));
    }
}

#[test]
fn the_digest_is_of_the_content_not_of_its_order() {
    let text = full().to_string();
    let pin = |text: &str| Descriptor::parse(text.as_bytes()).expect("it can be read").0.digest();
    let spread = text.replace(',', " ,\n ");
    assert_eq!(pin(&text), pin(&spread));
    assert_ne!(pin(&text), pin(&text.replace("crm-team", "crm-teem")));
    assert_ne!(pin(&text), pin(&text.replace("note.svg", "no.svg")), "unknown fields count");
    let written = pin(&text).to_string();
    assert_eq!(written.strip_prefix("sha256:").map(str::len), Some(64));
    assert_eq!(written.parse::<Pin>().ok(), Some(pin(&text)));
}

#[test]
fn what_is_no_digest_is_refused() {
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert!(format!("sha256:{hex}").parse::<Pin>().is_ok());
    for wrong in [
        hex.to_owned(),
        format!("sha1:{hex}"),
        format!("sha256:{hex}00"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:{}", "é".repeat(32)),
    ] {
        assert!(wrong.parse::<Pin>().is_err(), "{wrong}");
    }
}

#[test]
fn files_are_compared_with_their_pins() {
    let (descriptor, _) = read(&full());
    let files = |note: &'static [u8], bom: Option<&'static [u8]>| {
        let notes = descriptor.check_files(|path| match path {
            "lib/note.js" => Some(note.to_vec()),
            _ => bom.map(<[u8]>::to_vec),
        });
        notes.iter().map(Note::to_string).collect::<Vec<_>>()
    };
    assert_eq!(files(b"note", Some(b"{}")), Vec::<String>::new());
    let changed = "/lib/note.js: the file is not what it is pinned to";
    assert_eq!(files(b"n0te", None), [changed, "/bom.cdx.json: the file is missing"]);
    assert_eq!(
        files(b"note", Some(b"[]")),
        ["/bom.cdx.json: the file is not what it is pinned to"]
    );
}

#[test]
fn the_size_of_a_file_is_pinned_too() {
    let mut longer = full();
    longer["integrity"]["files"]["lib/note.js"]["size"] = json!(5);
    let bytes = |path: &str| if path == "lib/note.js" { b"note".to_vec() } else { b"{}".to_vec() };
    assert_eq!(read(&full()).0.check_files(|path| Some(bytes(path))), []);
    assert_eq!(read(&longer).0.check_files(|path| Some(bytes(path))).len(), 1);
}
