//! Any envelope: the cases and strategies that the round trips share.

use std::sync::Arc;

use bytes::Bytes;
use openclaw_core::{
    Attachment, ChannelId, Content, Conversation, ConversationKind, Envelope, Sender, SenderKind,
    TenantId, Timestamp, TraceParent,
};
use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::RngSeed};
use serde_json::{Map, Value};

/// The same cases in every run: a red test is red again.
pub(super) fn cases() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(0x0C1A),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Any text, control characters and all planes included.
pub(super) fn text() -> impl Strategy<Value = Arc<str>> {
    vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect::<String>().into())
}

/// Any text but the empty one.
pub(super) fn some_text() -> impl Strategy<Value = Arc<str>> {
    vec(any::<char>(), 1..12).prop_map(|chars| chars.into_iter().collect::<String>().into())
}

/// Any JSON without fractions.
pub(super) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(|text| Value::from(&*text)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(|fields| {
                let fields = fields.into_iter().map(|(name, value)| (name.to_string(), value));
                Value::Object(fields.collect::<Map<_, _>>())
            }),
        ]
    })
}

/// Any content.
pub(super) fn content() -> impl Strategy<Value = Content> {
    let leaf = prop_oneof![
        text().prop_map(Content::text),
        json().prop_map(Content::json),
        (some_text(), vec(any::<u8>(), 0..9))
            .prop_map(|(media_type, data)| Content::Bytes { media_type, data: Bytes::from(data) }),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        vec(inner, 0..3).prop_map(|parts| Content::Parts(parts.into()))
    })
}

/// Any date between 1970 and the year 9999.
pub(super) fn time() -> impl Strategy<Value = Timestamp> {
    (0..253_402_207_200_000_u64).prop_map(Timestamp::from_millis)
}

fn conversation() -> impl Strategy<Value = Conversation> {
    let kind = select(vec![
        ConversationKind::Dm,
        ConversationKind::Group,
        ConversationKind::Broadcast,
        ConversationKind::Machine,
    ]);
    let channel = "[ -~]{1,9}".prop_map(|id| ChannelId::new(id).unwrap());
    (channel, text(), text(), option::of(some_text()), kind).prop_map(
        |(channel, account, id, thread, kind)| {
            let place = Conversation::new(channel, id).on_account(account).of_kind(kind);
            thread.map_or(place.clone(), |thread| place.in_thread(thread))
        },
    )
}

fn sender() -> impl Strategy<Value = Sender> {
    let kinds = [SenderKind::Human, SenderKind::Bot, SenderKind::SelfBot, SenderKind::System];
    (text(), select(kinds.to_vec()), any::<bool>()).prop_map(|(id, kind, verified)| {
        let sender = Sender::new(id).of_kind(kind);
        if verified { sender.verified() } else { sender }
    })
}

fn attachment() -> impl Strategy<Value = Attachment> {
    (text(), text(), option::of(text()), any::<Option<u64>>()).prop_map(
        |(reference, media_type, name, size)| {
            let mut attachment = Attachment::new(reference, media_type);
            (attachment.name, attachment.size) = (name, size);
            attachment
        },
    )
}

/// Any envelope whose optional texts are absent or not empty.
pub(super) fn envelope() -> impl Strategy<Value = Envelope> {
    let who = ("[ -~]{1,9}", conversation(), sender(), content());
    let trace = option::of("00-[1-9a-f]{32}-[1-9a-f]{16}-0[01]");
    let what = (some_text(), some_text(), option::of(time()), trace, vec(any::<u8>(), 0..9));
    let names = vec(option::of(some_text()), 5);
    let lists = (vec((text(), text()), 0..3), vec(attachment(), 0..2));
    (who, what, names, lists).prop_map(|(who, what, names, lists)| {
        let (tenant, conversation, sender, content) = who;
        let tenant = TenantId::new(tenant).unwrap();
        let mut envelope = Envelope::new(tenant, conversation, sender, content);
        let (source, kind, time, trace, raw) = what;
        (envelope.source, envelope.kind, envelope.time) = (source, kind, time);
        envelope.traceparent = trace.map(|text| TraceParent::parse(&text).unwrap());
        envelope.raw = raw.into();
        (envelope.headers, envelope.attachments) = lists;
        envelope.id = names[0].clone();
        envelope.topic = names[1].clone();
        envelope.partitionkey = names[2].clone();
        envelope.correlationid = names[3].clone();
        envelope.causationid = names[4].clone();
        envelope
    })
}
