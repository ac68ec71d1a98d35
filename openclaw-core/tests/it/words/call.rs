//! Contexts and calls: what narrows, what is stamped, and by whom.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use openclaw_core::{
    Call, Cancel, ChannelId, Content, Context, Conversation, Effect, Effects, IdempotencyKey,
    MessageId, Principal, SkillId, Subject, TenantId, TraceParent, Trust,
    channel::{Capabilities, Channel, Outbound, Part},
    skill::SkillManifest,
};
use openclaw_testkit::{
    fault::Power,
    platform::{Platform, PlatformChannel},
    trace::Trace,
};
use proptest::prelude::*;
use serde_json::json;
use tokio::time::Instant;

use super::any;

fn web(capabilities: Capabilities) -> PlatformChannel {
    let platform = Platform::new(ChannelId::new("web").unwrap(), Trace::default());
    platform.channel(capabilities, Power::on())
}

fn context() -> Context {
    Context::new(TenantId::new("acme").unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_deadline_only_comes_nearer() {
    let now = Instant::now();
    let (near, far) = (now + Duration::from_secs(1), now + Duration::from_secs(9));
    assert_eq!(context().deadline(), None);
    assert_eq!(context().with_deadline(far).with_deadline(near).deadline(), Some(near));
    assert_eq!(context().with_deadline(near).with_deadline(far).deadline(), Some(near));
}

#[test]
fn attempts_are_counted_from_one() {
    let first = context();
    assert_eq!((first.attempt(), first.next_attempt().attempt()), (1, 2));
    assert_eq!(first.at_attempt(7).next_attempt().attempt(), 8);
    assert_eq!(first.at_attempt(u32::MAX).next_attempt().attempt(), u32::MAX);
}

#[test]
fn words_are_untrusted_until_somebody_vouches() {
    let plain = context();
    assert_eq!((plain.trust(), plain.effects()), (Trust::Untrusted, Effects::Live));
    assert!(plain.principal().is_none());
    let tenant = TenantId::new("acme").unwrap();
    let ann = Principal::authenticated(tenant, Subject::new("ann").unwrap(), "bearer");
    let known = plain.clone().with_principal(ann.clone());
    assert_eq!((known.trust(), known.principal()), (Trust::User, Some(&ann)));
    assert_eq!(plain.trust(), Trust::Untrusted, "a copy changes alone");
    assert!(Trust::System < Trust::Operator && Trust::User < Trust::Untrusted);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_is_heard() {
    let (canceller, cancel) = Cancel::pair();
    let context = context().with_cancel(cancel);
    let heard = context.cancel().unwrap();
    let soon = Duration::from_secs(1);
    assert!(tokio::time::timeout(soon, heard.cancelled()).await.is_err());
    canceller.cancel();
    tokio::time::timeout(soon, heard.cancelled()).await.unwrap();
    drop(canceller);
    assert!(heard.is_cancelled());
    let (gone, never) = Cancel::pair();
    drop(gone);
    assert!(tokio::time::timeout(soon, never.cancelled()).await.is_err(), "gone is not cancelled");
}

proptest! {
    #![proptest_config(any::cases())]

    #[test]
    fn any_well_formed_trace_is_read(text in "00-[1-9a-f]{32}-[1-9a-f]{16}-[0-9a-f]{2}") {
        let trace = TraceParent::parse(&text).unwrap();
        prop_assert_eq!(trace.trace_id(), &text[3..35]);
        prop_assert_eq!(trace.to_string(), text);
    }

    #[test]
    fn no_text_makes_a_trace_panic(text: String) {
        let _read = TraceParent::parse(&text);
    }
}

#[test]
fn a_malformed_trace_is_none() {
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (zero, upper) = ("0".repeat(32), good.to_uppercase());
    for text in [
        "",
        &good[..good.len() - 1],
        &format!("{good}-00"),
        &format!("01{}", &good[2..]),
        &format!("00-{zero}-b7ad6b7169203331-01"),
        &format!("{}-{}-01", &good[..35], &zero[..16]),
        &upper,
        &good.replace('-', "_"),
    ] {
        assert_eq!(TraceParent::parse(text), None, "{text}");
    }
}

#[test]
fn a_skill_call_has_the_effect_of_its_manifest() {
    let manifest = SkillManifest::new(SkillId::new("refund.create").unwrap(), "1.0.0");
    let input = Arc::new(json!({"effect": "pure"}));
    let call = Call::skill(context(), &manifest, Arc::clone(&input));
    assert_eq!((call.target(), call.effect()), ("refund.create", Effect::AtMostOnce));
    let keyed = Effect::Keyed { retention: Duration::from_secs(60) };
    let call = Call::skill(context(), &manifest.effect(keyed), input);
    let key = IdempotencyKey::of(MessageId::from_u128(1), "refund").unwrap();
    let call = call.with_key(key.clone()).with_context(context().next_attempt()).map(|_| 7);
    assert_eq!((call.effect(), call.key(), call.payload()), (keyed, Some(&key), &7));
    assert_eq!(call.context().attempt(), 2);
}

#[test]
fn an_outbound_call_has_the_effect_of_its_kind() {
    let mut capabilities = Capabilities::default();
    capabilities.post = Effect::Reconcilable;
    let web = web(capabilities);
    let to = Conversation::new(web.id().clone(), "c1");
    let part = Part::new(Content::text("hi"));
    let message: Arc<str> = "m".into();
    let post = Outbound::Post { to: to.clone(), part: part.clone(), reply_to: None };
    let edit = Outbound::Edit { to: to.clone(), message: Arc::clone(&message), part };
    let delete = Outbound::Delete { to: to.clone(), message: Arc::clone(&message) };
    let react = Outbound::React { to: to.clone(), message, emoji: "👍".into() };
    for (outbound, effect, declared) in [
        (post, Effect::Reconcilable, true),
        (edit, Effect::AtLeastOnce, false),
        (delete, Effect::AtLeastOnce, false),
        (react, Effect::AtLeastOnce, false),
        (Outbound::Typing { to: to.clone() }, Effect::Pure, false),
    ] {
        assert_eq!(web.capabilities().allows(&outbound), declared);
        assert_eq!(outbound.to(), &to);
        let call = Call::outbound(context(), &web, outbound);
        assert_eq!((call.effect(), call.target()), (effect, "web"));
    }
}

#[test]
fn a_request_has_the_effect_of_its_method_and_key() {
    let effect = |method: &str, key: bool| {
        let mut request = http::Request::builder().method(method).uri("https://shop.test/x");
        if key {
            request = request.header("Idempotency-Key", "k");
        }
        let call = Call::http(context(), request.body(Bytes::new()).unwrap());
        assert_eq!(call.target(), "shop.test");
        call.effect()
    };
    assert_eq!(effect("GET", true), Effect::Pure);
    assert_eq!(effect("HEAD", false), Effect::Pure);
    assert_eq!(effect("PUT", false), Effect::AtLeastOnce);
    assert_eq!(effect("DELETE", true), Effect::AtLeastOnce);
    assert_eq!(effect("POST", false), Effect::AtMostOnce);
    assert_eq!(effect("PATCH", false), Effect::AtMostOnce);
    assert!(matches!(effect("POST", true), Effect::Keyed { .. }));
}

#[test]
fn a_key_names_turn_and_operation_and_nothing_else() {
    let turn = MessageId::from_u128(7);
    let key = IdempotencyKey::of(turn, "refund.v2").unwrap();
    assert_eq!(key.as_str(), format!("{turn}.refund.v2"));
    assert_eq!(key.operation(), "refund.v2");
    assert!(IdempotencyKey::of(turn, &"x".repeat(64)).is_ok());
    for bad in ["", "a b", "a/b", "ä", "a\n", &"x".repeat(65)] {
        assert!(IdempotencyKey::of(turn, bad).is_err(), "{bad:?}");
    }
}
