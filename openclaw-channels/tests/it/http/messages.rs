//! `POST /v1/messages` and `GET /v1/messages/{id}`: what is accepted, and how it is answered.

use std::{num::NonZeroUsize, time::Duration};

use openclaw_core::{
    AgentId, ChannelId, Content, ErrorKind, Limits, MessageId, Principal, Secret, Subject,
    TenantId,
    channel::{Ack, Admitted, Channel as _},
};
use serde_json::json;

use super::{Served, builder, serve};

#[tokio::test]
async fn both_bodies_are_taken_once_they_are_durable() {
    let served = serve(builder()).await;
    let one = r#"{"channel_id":"web","payload":"hello","metadata":{"conversation_id":"c1","sender_id":"ann","lang":"en","n":1}}"#;
    let answer = served.post(one).await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("queued")));
    let two = r#"{"topic":"orders","payload":{"order":1042},"idempotency_key":"k-1"}"#;
    assert_eq!(served.post(two).await.status, 202);

    let admitted = served.desk.admitted();
    let [first, second] = admitted.as_slice() else { panic!("{admitted:?}") };
    assert_eq!(first.content, Content::text("hello"));
    assert_eq!((&*first.conversation.id, &*first.sender.id), ("c1", "ann"));
    assert_eq!((first.header("lang"), first.header("n")), (Some("en"), Some("1")));
    assert_eq!((first.tenant.as_str(), first.sender.verified), ("default", false));
    assert_eq!(second.content, Content::json(json!({"order": 1042})));
    assert_eq!((second.topic.as_deref(), second.id.as_deref()), (Some("orders"), Some("k-1")));
}

#[tokio::test]
async fn a_text_may_come_as_an_object() {
    let served = serve(builder()).await;
    served.post(r#"{"channel_id":"web","payload":{"text":"hello"}}"#).await;
    served.post(r#"{"channel_id":"web","payload":null}"#).await;
    let contents: Vec<_> = served.desk.admitted().into_iter().map(|e| e.content).collect();
    assert_eq!(contents, [Content::text("hello"), Content::json(json!(null))]);
}

#[tokio::test]
async fn messages_without_conversation_do_not_share_one() {
    let served = serve(builder()).await;
    for body in [
        r#"{"channel_id":"web","payload":"1"}"#,
        r#"{"channel_id":"web","payload":"2"}"#,
        r#"{"channel_id":"web","payload":"3","metadata":{"sender_id":"ann"}}"#,
        r#"{"channel_id":"web","payload":"4","metadata":{"sender_id":"ann"}}"#,
    ] {
        assert_eq!(served.post(body).await.status, 202);
    }
    let ids: Vec<_> = served.desk.admitted().into_iter().map(|e| e.conversation.id).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!((&*ids[2], &*ids[3]), ("sender:ann", "sender:ann"));
}

async fn refused(served: &Served, body: &str, status: u16, code: &str, pointer: Option<&str>) {
    let answer = served.post(body).await;
    answer.refuses(status, code);
    assert_eq!(answer.pointer(), pointer, "{body}");
}

#[tokio::test]
async fn what_is_wrong_is_pointed_at() {
    let mut limits = Limits::default();
    (limits.headers, limits.header) = (3, 16);
    let served = serve(builder().limits(limits)).await;
    let deep = format!(r#"{{"channel_id":"web","payload":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
    for (body, pointer) in [
        ("", ""),
        ("hello", ""),
        ("[]", ""),
        (r#"{"channel_id":"web","payload":1"#, ""),
        (r#"{"payload":1}"#, ""),
        (r#"{"channel_id":"web"}"#, "/payload"),
        (r#"{"channel_id":7,"payload":1}"#, "/channel_id"),
        (r#"{"channel_id":"","payload":1}"#, "/channel_id"),
        (r#"{"topic":[],"payload":1}"#, "/topic"),
        (r#"{"channel_id":"web","payload":1,"to~/a":1}"#, "/to~0~1a"),
        (r#"{"channel_id":"web","payload":1,"payload":2}"#, "/payload"),
        (r#"{"channel_id":"web","payload":{"a":[0,{"b":1,"b":2}]}}"#, "/payload/a/1/b"),
        (r#"{"channel_id":"web","payload":1,"metadata":[]}"#, "/metadata"),
        (r#"{"channel_id":"web","payload":1,"metadata":{"sender_id":1}}"#, "/metadata/sender_id"),
        (
            r#"{"channel_id":"web","payload":1,"metadata":{"conversation_id":"a\u0000"}}"#,
            "/metadata/conversation_id",
        ),
        (r#"{"channel_id":"web","payload":1,"metadata":{"":"x"}}"#, "/metadata/"),
        (r#"{"channel_id":"web","payload":1,"metadata":{"a":1,"b":1,"c":1,"d":1}}"#, "/metadata"),
        (r#"{"channel_id":"web","payload":1,"metadata":{"a":"0123456789abcdef"}}"#, "/metadata/a"),
        (r#"{"channel_id":"web","payload":1,"idempotency_key":""}"#, "/idempotency_key"),
        (r#"{"channel_id":"web","payload":1,"idempotency_key":"a b"}"#, "/idempotency_key"),
        (r#"{"channel_id":"web","payload":1,"idempotency_key":7}"#, "/idempotency_key"),
    ] {
        refused(&served, body, 400, "VALIDATION_ERROR", Some(pointer)).await;
    }
    let answer = served.post(&deep).await;
    answer.refuses(400, "VALIDATION_ERROR");
    assert_eq!(answer.pointer().unwrap().matches("/0").count(), 63);
    assert!(served.desk.admitted().is_empty());
}

#[tokio::test]
async fn only_known_names_are_taken() {
    let id = |name| ChannelId::new(name).unwrap();
    let agents = [AgentId::new("desk").unwrap()];
    let named = builder().accept(id("shop")).accept(id("web")).topic("orders").agents(agents);
    let served = serve(named).await;
    refused(&served, r#"{"channel_id":"x","payload":1}"#, 404, "NOT_FOUND", Some("/channel_id"))
        .await;
    refused(&served, r#"{"topic":"x","payload":1}"#, 404, "NOT_FOUND", Some("/topic")).await;
    let agent = r#"{"channel_id":"web","payload":1,"metadata":{"agent":"x"}}"#;
    refused(&served, agent, 404, "NOT_FOUND", Some("/metadata/agent")).await;
    let good = r#"{"channel_id":"shop","topic":"orders","payload":1,"metadata":{"agent":"desk"}}"#;
    assert_eq!(served.post(good).await.status, 202);
    let envelope = served.desk.admitted().remove(0);
    assert_eq!(
        (envelope.conversation.channel.as_str(), &*envelope.conversation.account),
        ("web", "shop")
    );
    assert_eq!(envelope.header("agent"), Some("desk"));
}

#[tokio::test]
async fn a_caller_that_waits_reads_the_reply() {
    let served = serve(builder()).await;
    served.desk.state().echo = true;
    let body = r#"{"channel_id":"web","payload":"hello"}"#.as_bytes();
    let answer = served.request("POST", "/v1/messages?wait=60000", "", body).await;
    assert_eq!(answer.status, 200);
    assert_eq!((&answer.body["status"], &answer.body["reply"]), (&json!("done"), &json!("hello")));
}

#[tokio::test]
async fn a_reply_that_is_late_is_read_later() {
    let served = serve(builder()).await;
    let body = r#"{"channel_id":"web","payload":"hello"}"#.as_bytes();
    let answer = served.request("POST", "/v1/messages?wait=20", "", body).await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("queued")));
    let path = format!("/v1/messages/{}", answer.id());
    let early = served.get(&path).await;
    assert_eq!((early.status, &early.body["reply"]), (200, &json!(null)));
    served.desk.reply(answer.id(), "late");
    let late = served.get(&path).await;
    assert_eq!((&late.body["status"], &late.body["reply"]), (&json!("done"), &json!("late")));
    assert_eq!(late.body["message_id"], json!(answer.id()));
}

#[tokio::test]
async fn a_bad_wait_is_refused_before_anything_is_taken() {
    let served = serve(builder()).await;
    for wait in ["", "x", "-1", "60001", "1&wait=2"] {
        let path = format!("/v1/messages?wait={wait}");
        let body = br#"{"channel_id":"web","payload":1}"#;
        served.request("POST", &path, "", body).await.refuses(400, "VALIDATION_ERROR");
    }
    assert!(served.desk.admitted().is_empty());
}

#[tokio::test]
async fn an_unknown_or_malformed_id_is_told_apart() {
    let served = serve(builder()).await;
    served.get("/v1/messages/00000000000000000000000009").await.refuses(404, "NOT_FOUND");
    for id in ["1", "0000000000000000000000000U", "%FF", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ"] {
        served.get(&format!("/v1/messages/{id}")).await.refuses(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn what_is_not_taken_now_says_when_to_come_again() {
    let served = serve(builder()).await;
    for (after, kind, status, code, seconds) in [
        (0, ErrorKind::Overloaded, 503, "OVERLOADED", "1"),
        (2500, ErrorKind::Overloaded, 503, "OVERLOADED", "3"),
        (1000, ErrorKind::Unavailable, 503, "UNAVAILABLE", "1"),
        (1000, ErrorKind::Unclassified, 503, "UNAVAILABLE", "1"),
        (9000, ErrorKind::RateLimited, 429, "RATE_LIMITED", "9"),
    ] {
        served.desk.state().refuse = Some((Duration::from_millis(after), kind));
        let answer = served.post(r#"{"channel_id":"web","payload":1}"#).await;
        answer.refuses(status, code);
        assert_eq!(answer.header("retry-after"), Some(seconds));
    }
}

#[tokio::test]
async fn without_a_source_nothing_is_taken() {
    let served = serve(builder()).await;
    served.gateway.abort();
    // The aborted task drops its source when it next runs.
    while !served.gateway.is_finished() {
        tokio::task::yield_now().await;
    }
    let answer = served.post(r#"{"channel_id":"web","payload":1}"#).await;
    answer.refuses(503, "UNAVAILABLE");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

/// A gateway opens its channels once it has started; a server that is up by then turns nobody away.
#[tokio::test]
async fn what_comes_before_the_source_waits_for_it() {
    let channel = builder().build().unwrap();
    let desk = std::sync::Arc::new(super::Desktop::default());
    let server = channel.serve(([127, 0, 0, 1], 0), std::sync::Arc::clone(&desk)).await.unwrap();
    let served = Served { server, desk, gateway: tokio::spawn(async {}) };
    let early = served.post(r#"{"channel_id":"web","payload":1}"#);
    let late = async {
        for _ in 0..20 {
            assert_eq!(served.get("/healthz").await.status, 200);
        }
        let mut source = channel.receive().await.unwrap().unwrap();
        for delivery in source.next(NonZeroUsize::MIN).await.unwrap() {
            let admitted = Admitted::new(MessageId::from_u128(7), false);
            delivery.settle(Ack::Accept(admitted)).await.unwrap();
        }
    };
    let (answer, ()) = tokio::join!(early, late);
    assert_eq!(answer.status, 202);
}

fn with_keys() -> openclaw_channels::http::HttpChannelBuilder {
    let principal = |tenant, subject| {
        let tenant = TenantId::new(tenant).unwrap();
        Principal::authenticated(tenant, Subject::new(subject).unwrap(), "bearer")
    };
    builder()
        .bearer(Secret::new("a-key-of-ann-8fK2mQz0sVb7LxT4"), principal("acme", "ann"))
        .bearer(Secret::new("a-key-of-bob-pYc1NwAAQz0sVb7L"), principal("other", "bob"))
        .bearer_for_others(
            Secret::new("a-key-of-the-shop-9cWq7LxT4mQz0"),
            principal("acme", "shop"),
        )
}

/// Whoever asks for a thing can't approve it: so nobody says who asks but a key that may.
#[tokio::test]
async fn a_key_speaks_for_itself_unless_it_may_speak_for_others() {
    let served = serve(with_keys()).await;
    let ann = "authorization: Bearer a-key-of-ann-8fK2mQz0sVb7LxT4\r\n";
    let shop = "authorization: Bearer a-key-of-the-shop-9cWq7LxT4mQz0\r\n";
    let from = |sender: &str| {
        let metadata = json!({ "sender_id": sender });
        json!({ "channel_id": "web", "payload": 1, "metadata": metadata }).to_string()
    };
    let send = async |key: &str, body: String| {
        served.request("POST", "/v1/messages", key, body.as_bytes()).await
    };
    let refused = send(ann, from("x")).await;
    refused.refuses(403, "PERMISSION_DENIED");
    assert_eq!(refused.pointer(), Some("/metadata/sender_id"));
    assert!(served.desk.admitted().is_empty());

    assert_eq!(send(ann, from("ann")).await.status, 202, "it may say who it is");
    assert_eq!(send(shop, from("customer-7")).await.status, 202);
    let unnamed = r#"{"channel_id":"web","payload":1}"#.to_owned();
    assert_eq!(send(shop, unnamed).await.status, 202);
    let senders: Vec<(String, bool)> = served
        .desk
        .admitted()
        .iter()
        .map(|envelope| (envelope.sender.id.to_string(), envelope.sender.verified))
        .collect();
    let expected = [("ann", true), ("customer-7", false), ("shop", true)];
    assert_eq!(senders, expected.map(|(id, verified)| (id.to_owned(), verified)));
}

#[tokio::test]
async fn with_api_keys_nobody_gets_in_without_one() {
    let served = serve(with_keys()).await;
    let body = br#"{"channel_id":"web","payload":1}"#;
    for header in [
        "",
        "authorization: Bearer\r\n",
        "authorization: Bearer \r\n",
        "authorization: Bearer a-key-of-ann-8fK2mQz0sVb7LxT5\r\n",
        "authorization: Basic a-key-of-ann-8fK2mQz0sVb7LxT4\r\n",
        "authorization: a-key-of-ann-8fK2mQz0sVb7LxT4\r\n",
    ] {
        let answer = served.request("POST", "/v1/messages", header, body).await;
        answer.refuses(401, "AUTHENTICATION_FAILED");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        served
            .request("GET", "/v1/messages/1", header, b"")
            .await
            .refuses(401, "AUTHENTICATION_FAILED");
    }
    let twice = "authorization: Bearer a-key-of-ann-8fK2mQz0sVb7LxT4\r\n".repeat(2);
    served.request("POST", "/v1/messages", &twice, body).await.refuses(400, "VALIDATION_ERROR");
    assert_eq!(served.get("/healthz").await.status, 200, "probes need no key");
    assert_eq!(served.get("/readyz").await.body, json!({"ok": true, "status": "ready"}));
    assert!(served.desk.admitted().is_empty());
}

#[tokio::test]
async fn a_key_decides_the_tenant_and_sees_only_its_own() {
    let served = serve(with_keys()).await;
    let ann = "authorization: Bearer a-key-of-ann-8fK2mQz0sVb7LxT4\r\n";
    let bob = "authorization: bearer a-key-of-bob-pYc1NwAAQz0sVb7L\r\n";
    let body = br#"{"channel_id":"web","payload":1,"metadata":{"tenant":"other"}}"#;
    let answer = served.request("POST", "/v1/messages", ann, body).await;
    assert_eq!(answer.status, 202);
    let envelope = served.desk.admitted().remove(0);
    assert_eq!((envelope.tenant.as_str(), &*envelope.sender.id), ("acme", "ann"));
    assert!(envelope.sender.verified);
    let path = format!("/v1/messages/{}", answer.id());
    assert_eq!(served.request("GET", &path, ann, b"").await.status, 200);
    served.request("GET", &path, bob, b"").await.refuses(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_page_in_a_browser_can_post_only_json() {
    let served = serve(builder()).await;
    let body = br#"{"channel_id":"web","payload":1}"#;
    let page = |kind: &str| format!("origin: http://evil.test\r\n{kind}");
    for kind in ["", "content-type: text/plain\r\n"] {
        let answer = served.request("POST", "/v1/messages", &page(kind), body).await;
        answer.refuses(415, "VALIDATION_ERROR");
    }
    let json = page("content-type: application/json; charset=utf-8\r\n");
    assert_eq!(served.request("POST", "/v1/messages", &json, body).await.status, 202);
}
