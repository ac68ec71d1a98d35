//! Ids, their order, and digests.

use std::{collections::BTreeSet, time::Duration};

use openclaw_core::{
    ChannelId, Digest, Env, InvalidId, MAX_ID_LEN, MessageId, TenantId, Timestamp,
};
use openclaw_testkit::env::{EPOCH, ManualClock, SeededRng};
use proptest::prelude::*;
use serde_json::json;

use super::any;

proptest! {
    #![proptest_config(any::cases())]

    #[test]
    fn message_ids_sort_as_text_bytes_and_numbers_alike(a: u128, b: u128) {
        let (x, y) = (MessageId::from_u128(a), MessageId::from_u128(b));
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        prop_assert_eq!(x.to_string().cmp(&y.to_string()), a.cmp(&b));
        prop_assert_eq!(x.to_bytes().cmp(&y.to_bytes()), a.cmp(&b));
    }

    #[test]
    fn a_message_id_survives_every_notation(n: u128) {
        let id = MessageId::from_u128(n);
        prop_assert_eq!(id.to_string().parse::<MessageId>().unwrap(), id);
        prop_assert_eq!(id.to_string().to_lowercase().parse::<MessageId>().unwrap(), id);
        prop_assert_eq!(MessageId::from_bytes(id.to_bytes()), id);
        prop_assert_eq!(serde_json::from_value::<MessageId>(json!(id)).unwrap(), id);
        let row = postcard::to_allocvec(&id).unwrap();
        prop_assert_eq!(row.len(), 16);
        prop_assert_eq!(postcard::from_bytes::<MessageId>(&row).unwrap(), id);
    }

    #[test]
    fn ids_grow_whatever_the_clock_does(
        seed: u64,
        steps in proptest::collection::vec(-5_000_i64..5_000, 1..60),
    ) {
        let clock = ManualClock::new(EPOCH);
        let env = Env::new(clock.clone(), SeededRng::new(seed));
        let mut last = env.next_id();
        for step in steps {
            let now = env.now().as_millis().saturating_add_signed(step);
            clock.set(Timestamp::from_millis(now));
            let next = env.next_id();
            prop_assert!(next > last);
            last = next;
        }
    }

    #[test]
    fn a_border_that_is_shifted_makes_another_digest(
        text in "[ -~]{0,12}",
        a in 0..13_usize,
        b in 0..13_usize,
    ) {
        let cut = |at: usize| text.split_at(at.min(text.len()));
        let (one, other) = (cut(a), cut(b));
        let digest = |(x, y): (&str, &str)| Digest::of("t", [x, y]);
        prop_assert_eq!(digest(one) == digest(other), one == other);
        prop_assert_ne!(Digest::of("t", [text.as_str()]), digest(one));
    }
}

#[test]
fn ids_of_one_millisecond_differ_and_grow() {
    let env = Env::new(ManualClock::new(EPOCH), SeededRng::new(1));
    let ids: Vec<MessageId> = (0..1_000).map(|_| env.next_id()).collect();
    assert!(ids.is_sorted());
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 1_000);
    assert!(ids.iter().all(|id| id.as_u128() >> 80 == u128::from(EPOCH.as_millis())));
}

#[test]
fn ids_go_on_behind_what_a_store_has_seen() {
    let env = Env::new(ManualClock::new(EPOCH), SeededRng::new(1));
    let later = Env::new(ManualClock::new(EPOCH.after(Duration::from_secs(60))), SeededRng::new(2));
    let seen = later.next_id();
    env.ids_after(seen);
    assert!(env.next_id() > seen);
    env.ids_after(MessageId::from_u128(1));
    assert!(env.next_id() > seen, "an older id takes nothing back");
}

#[test]
fn what_is_no_message_id_is_refused() {
    let good = MessageId::from_u128(u128::MAX).to_string();
    assert_eq!(good, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    let over = good.replacen('7', "8", 1);
    let odd = good.replacen("ZZ", "ZU", 1);
    for text in ["", "7", &good[1..], &format!("{good}0"), &over, &odd, &"é".repeat(13)] {
        assert_eq!(text.parse::<MessageId>(), Err(InvalidId::NotAMessageId), "{text}");
    }
}

#[test]
fn a_name_has_bounds() {
    assert_eq!(TenantId::new(""), Err(InvalidId::Empty));
    assert!(TenantId::new("x".repeat(MAX_ID_LEN)).is_ok());
    assert_eq!(TenantId::new("x".repeat(MAX_ID_LEN + 1)), Err(InvalidId::TooLong(MAX_ID_LEN + 1)));
    assert_eq!(ChannelId::new("a\u{7f}"), Err(InvalidId::Control(1)));
    assert!(serde_json::from_value::<ChannelId>(json!("a\nb")).is_err(), "not by serde either");
    assert_eq!(json!(ChannelId::new("ünï/code").unwrap()), json!("ünï/code"));
}

#[test]
fn a_digest_of_json_ignores_the_order_of_fields_only() {
    let of = |value| Digest::of_json("t", &value);
    let a: serde_json::Value =
        serde_json::from_str(r#"{"b":[1,2],"a":{"d":null,"c":"x"}}"#).unwrap();
    let b: serde_json::Value =
        serde_json::from_str(r#"{"a":{"c":"x","d":null},"b":[1,2]}"#).unwrap();
    assert_eq!(of(a.clone()), of(b));
    for other in [
        json!({"b": [2, 1], "a": {"d": null, "c": "x"}}),
        json!({"b": [1, 2], "a": {"c": "x"}}),
        json!({"b": ["1", 2], "a": {"d": null, "c": "x"}}),
    ] {
        assert_ne!(of(a.clone()), of(other));
    }
    assert_ne!(of(a.clone()), Digest::of_json("u", &a), "the domain separates uses");
    assert_ne!(of(json!(1)), of(json!(1.0)));
}
