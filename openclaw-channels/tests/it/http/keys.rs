//! Idempotency keys: where they come from, and what a repeat is told.

use super::{builder, serve};

fn key(key: &str) -> String {
    format!("Idempotency-Key: {key}\r\n")
}

#[tokio::test]
async fn the_same_key_and_body_are_answered_as_the_first_time() {
    let served = serve(builder()).await;
    let body = br#"{"channel_id":"web","payload":"refund"}"#;
    let first = served.request("POST", "/v1/messages", &key("k-1"), body).await;
    let again = served.request("POST", "/v1/messages", &key("k-1"), body).await;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!((first.status, served.desk.admitted().len()), (202, 1));
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let served = serve(builder()).await;
    let first = br#"{"channel_id":"web","payload":"refund 1"}"#;
    served.request("POST", "/v1/messages", &key("k-1"), first).await;
    let other = br#"{"channel_id":"web","payload":"refund 2"}"#;
    served.request("POST", "/v1/messages", &key("k-1"), other).await.refuses(422, "CONFLICT");
    assert_eq!(served.desk.admitted().len(), 1);
}

#[tokio::test]
async fn header_and_field_may_both_tell_the_key_when_they_agree() {
    let served = serve(builder()).await;
    let body = br#"{"channel_id":"web","payload":"refund","idempotency_key":"k-1"}"#;
    let agree = served.request("POST", "/v1/messages", &key("k-1"), body).await;
    assert_eq!(agree.status, 202);
    let differ = served.request("POST", "/v1/messages", &key("k-2"), body).await;
    differ.refuses(400, "VALIDATION_ERROR");
    assert_eq!(differ.pointer(), Some("/idempotency_key"));
    let field = served.post(std::str::from_utf8(body).unwrap()).await;
    assert_eq!(field.body, agree.body, "a key is the same wherever it stands");
}

#[tokio::test]
async fn a_key_is_1_to_255_visible_characters() {
    let served = serve(builder()).await;
    let body = br#"{"channel_id":"web","payload":"refund"}"#;
    let longest = "k".repeat(255);
    for good in ["k", &longest, "!~\"{}"] {
        let answer = served.request("POST", "/v1/messages", &key(good), body).await;
        assert_eq!(answer.status, 202, "{good}");
    }
    let too_long = "k".repeat(256);
    for bad in ["", "a b", "é", &too_long, "a\tb"] {
        let answer = served.request("POST", "/v1/messages", &key(bad), body).await;
        answer.refuses(400, "VALIDATION_ERROR");
    }
    let twice = format!("{}{}", key("k-1"), key("k-1"));
    served.request("POST", "/v1/messages", &twice, body).await.refuses(400, "VALIDATION_ERROR");
}
