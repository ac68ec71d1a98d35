//! Envelopes, as CloudEvents, as the seeds' forms, and in rows.

use openclaw_core::{
    ChannelId, Content, Conversation, Envelope, MessageId, SeedError, SeedMessage, Sender, TenantId,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::any;

fn hello() -> Envelope {
    let chat = Conversation::new(ChannelId::new("web").unwrap(), "c1");
    let tenant = TenantId::new("acme").unwrap();
    Envelope::new(tenant, chat, Sender::new("ann"), Content::text("hi")).with_id("m-1")
}

fn event() -> Value {
    hello().to_cloudevent(MessageId::from_u128(1))
}

fn hooks() -> (TenantId, ChannelId) {
    (TenantId::new("acme").unwrap(), ChannelId::new("hooks").unwrap())
}

proptest! {
    #![proptest_config(any::cases())]

    #[test]
    fn an_envelope_survives_being_a_cloudevent(envelope in any::envelope()) {
        let event = envelope.to_cloudevent(MessageId::from_u128(7));
        let text = event.to_string();
        let read: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(Envelope::from_cloudevent(read).unwrap(), envelope);
    }

    #[test]
    fn a_cloudevent_keeps_the_rules_of_its_format(envelope in any::envelope()) {
        let event = envelope.to_cloudevent(MessageId::from_u128(7));
        for required in ["id", "source", "specversion", "type"] {
            prop_assert!(event[required].as_str().is_some_and(|text| !text.is_empty()));
        }
        for (name, value) in event.as_object().unwrap() {
            if name == "data" {
                continue;
            }
            let lower = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            prop_assert!(lower || name == "data_base64", "{}", name);
            prop_assert!(value.is_string() || value.is_boolean(), "{} is {}", name, value);
        }
    }

    #[test]
    fn an_envelope_survives_a_binary_row(envelope in any::envelope()) {
        let row = postcard::to_allocvec(&envelope).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Envelope>(&row).unwrap(), envelope);
    }

    #[test]
    fn an_envelope_survives_json(envelope in any::envelope()) {
        let text = serde_json::to_string(&envelope).unwrap();
        prop_assert_eq!(serde_json::from_str::<Envelope>(&text).unwrap(), envelope);
    }

    #[test]
    fn the_channel_form_survives_being_an_envelope(
        id in proptest::option::of(any::text()),
        channel in "[ -~]{1,9}",
        words in any::text(),
        session in any::text(),
        headers in proptest::collection::btree_map("[a-z;]{0,6}", any::text(), 0..3),
        at in any::time(),
        rest in any::json(),
    ) {
        let mut payload = rest.as_object().cloned().unwrap_or_default();
        payload.insert("text".to_owned(), json!(words));
        let mut seed = json!({
            "channel": channel,
            "payload": payload,
            "metadata": {"timestamp": at.to_rfc3339(), "headers": headers},
            "session": session,
        });
        if let Some(id) = id {
            seed["id"] = json!(id);
        }
        let read: SeedMessage = serde_json::from_value(seed.clone()).unwrap();
        let (tenant, hooks) = hooks();
        let envelope = read.into_envelope(tenant, &hooks).unwrap();
        let back = SeedMessage::channel_form(&envelope).unwrap();
        prop_assert_eq!(serde_json::to_value(back).unwrap(), seed);
    }

    #[test]
    fn the_sender_form_survives_being_an_envelope(
        sender in any::text(),
        payload in any::json(),
        metadata in proptest::collection::btree_map("[a-z]{0,2}(;json){0,2}", any::json(), 0..4),
        at in any::time(),
    ) {
        let seed = json!({
            "timestamp": at.to_rfc3339(),
            "sender_id": sender,
            "payload": payload,
            "metadata": metadata,
        });
        let read: SeedMessage = serde_json::from_value(seed.clone()).unwrap();
        let (tenant, hooks) = hooks();
        let envelope = read.into_envelope(tenant, &hooks).unwrap();
        let back = SeedMessage::sender_form(&envelope).unwrap();
        prop_assert_eq!(serde_json::to_value(back).unwrap(), seed);
    }
}

#[test]
fn a_cloudevent_without_a_platform_id_has_ours() {
    let mut envelope = hello();
    envelope.id = None;
    let event = envelope.to_cloudevent(MessageId::from_u128(1));
    assert_eq!(event["id"], json!("00000000000000000000000001"));
    assert_eq!(event["idassigned"], json!(true));
    assert_eq!(Envelope::from_cloudevent(event).unwrap().id, None);
}

#[test]
fn a_bad_cloudevent_is_refused_with_its_place() {
    let cases = [
        ("/specversion", "specversion", json!("0.3")),
        ("/specversion", "specversion", json!(1.0)),
        ("/id", "id", json!("")),
        ("/id", "id", Value::Null),
        ("/type", "type", json!([])),
        ("/time", "time", json!("yesterday")),
        ("/tenant", "tenant", json!("a\nb")),
        ("/channel", "channel", json!("")),
        ("/conversationkind", "conversationkind", json!("tribunal")),
        ("/senderverified", "senderverified", json!("yes")),
        ("/traceparent", "traceparent", json!("00-0-0-00")),
        ("/headers", "headers", json!("{}")),
        ("/raw", "raw", json!("a")),
        ("/data_base64", "data_base64", json!("!")),
        ("/data", "data_base64", json!("aGk=")),
        ("/Own", "Own", json!("x")),
        ("/own", "own", json!({})),
        ("/a~1b", "a/b", json!("x")),
    ];
    for (pointer, name, value) in cases {
        let mut event = event();
        event[name] = value;
        let e = Envelope::from_cloudevent(event).unwrap_err();
        assert_eq!(e.pointer, pointer, "{e}");
    }
    assert_eq!(Envelope::from_cloudevent(json!([])).unwrap_err().pointer, "");
    let mut nested = event();
    nested["datacontenttype"] = json!("application/vnd.openclaw.parts+json");
    nested["data"] = json!([{"data": "x"}, {"data_base64": "?"}]);
    assert_eq!(Envelope::from_cloudevent(nested).unwrap_err().pointer, "/data/1/data_base64");
}

#[test]
fn what_strangers_write_into_a_cloudevent_is_kept() {
    let mut event = event();
    event["partner"] = json!("x");
    event["sequence"] = json!(7);
    let envelope = Envelope::from_cloudevent(event).unwrap();
    assert_eq!(
        (envelope.header("ce-partner"), envelope.header("ce-sequence")),
        (Some("x"), Some("7"))
    );
}

#[test]
fn data_is_read_as_its_media_type_says() {
    let read = |media_type: Option<&str>, data: Value| {
        let mut event = event();
        event["datacontenttype"] = json!(media_type);
        event["data"] = data;
        Envelope::from_cloudevent(event).unwrap().content
    };
    assert_eq!(read(Some("text/plain; charset=utf-8"), json!("x")), Content::text("x"));
    assert_eq!(read(Some("application/json"), json!("x")), Content::json(json!("x")));
    assert_eq!(read(None, json!({"a": 1})), Content::json(json!({"a": 1})));
    let html = Content::Bytes { media_type: "text/html".into(), data: "<p>".into() };
    assert_eq!(read(Some("text/html"), json!("<p>")), html);
    let mut empty = event();
    empty.as_object_mut().unwrap().remove("data");
    assert_eq!(Envelope::from_cloudevent(empty).unwrap().content, Content::text(""));
}

#[test]
fn a_seed_is_known_by_its_sender() {
    let read = |text: &str| serde_json::from_str::<SeedMessage>(text);
    let seed = read(r#"{"timestamp":1763625600,"sender_id":"ann","payload":"hi"}"#).unwrap();
    let (tenant, hooks) = hooks();
    let envelope = seed.into_envelope(tenant, &hooks).unwrap();
    assert_eq!(&*envelope.conversation.id, "ann");
    assert_eq!(envelope.time.unwrap().to_rfc3339(), "2025-11-20T08:00:00.000Z");
    for (text, reason) in [
        (r#"{"sender_id":7,"payload":1}"#, "expected a string"),
        (r#"{"sender_id":"a"}"#, "missing field `payload`"),
        (r#"{"payload":{"text":"x"},"session":"s"}"#, "missing field `channel`"),
        (r#"{"channel":"c","payload":{},"session":"s"}"#, "missing field `text`"),
        (r#"{"sender_id":"a","payload":1,"timestamp":"noon"}"#, "expected an RFC 3339 date"),
        (r#"{"sender_id":"a","payload":1,"colour":"red"}"#, "unknown field `colour`"),
        ("[]", "expected a map"),
    ] {
        let e = read(text).unwrap_err().to_string();
        assert!(e.contains(reason), "{e}");
    }
}

#[test]
fn what_does_not_fit_a_seed_is_said() {
    let (tenant, hooks) = hooks();
    let seed = r#"{"channel":"","payload":{"text":"x"},"session":"s"}"#;
    let seed: SeedMessage = serde_json::from_str(seed).unwrap();
    let SeedError::Invalid(e) = seed.into_envelope(tenant, &hooks).unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(e.pointer, "/channel");
    let mut bytes = hello();
    bytes.content = Content::Bytes { media_type: "image/png".into(), data: "x".into() };
    assert_eq!(SeedMessage::channel_form(&bytes).unwrap_err(), SeedError::NoPlace("bytes"));
    assert_eq!(SeedMessage::sender_form(&bytes).unwrap_err(), SeedError::NoPlace("bytes"));
    let twice = hello().with_header("a", "1").with_header("a", "2");
    assert!(SeedMessage::channel_form(&twice).is_err());
    assert!(SeedMessage::sender_form(&twice).is_err());
}

#[test]
fn a_conversation_has_a_name_that_no_other_has() {
    let place = |account: &str, id: &str, thread: Option<&str>| {
        let chat = Conversation::new(ChannelId::new("web").unwrap(), id).on_account(account);
        thread.into_iter().fold(chat, |chat, thread| chat.in_thread(thread))
    };
    let long = "x".repeat(130);
    let names: Vec<String> = [
        place("", "a", None),
        place("", "a", Some("b")),
        place("", "a/b", None),
        place("", "a%2Fb", None),
        place("a", "b", None),
        place("", "", Some("a")),
        place("", "a\nb", None),
        place("", &long, None),
        place("", &long, Some("b")),
    ]
    .iter()
    .map(|place| place.session().to_string())
    .collect();
    let plain = ["web//a", "web//a/b", "web//a%2Fb", "web//a%252Fb", "web/a/b", "web///a"];
    assert_eq!(names[..6], plain);
    assert!(names[6..].iter().all(|name| name.len() == 26), "{names:?}");
    let different: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(different.len(), names.len());
    let empty = place("", "a", Some(""));
    assert_eq!(empty.session(), place("", "a", None).session(), "as the lane is");
}
