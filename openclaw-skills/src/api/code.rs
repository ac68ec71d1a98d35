//! The code in the body of an error, where something looks like one.

use bytes::Bytes;
use http::{HeaderMap, header};
use openclaw_core::{Limits, json};
use serde_json::Value;

/// Bytes of a body that are looked at.
const MAX_BODY: usize = 64 << 10;
const MAX_CODE: usize = 48;
/// Digits in a code. More make it look like a number, a name of a thing, or a secret.
const MAX_DIGITS: usize = 3;

/// Where the code is, the surest first: RFC 9457, and what services do beside.
const PLACES: [&str; 13] = [
    "/code",
    "/error/code",
    "/error/status",
    "/error/type",
    "/error",
    "/errors/0/extensions/code",
    "/errors/0/code",
    "/errors/0/type",
    "/errorCode",
    "/0/errorCode",
    "/error_code",
    "/type",
    "/__type",
];

/// A word of the service that names the error. Never a sentence, a number or a secret.
pub(super) fn code(headers: &HeaderMap, body: &Bytes) -> Option<String> {
    if body.is_empty() || body.len() > MAX_BODY || !is_json(headers) {
        return None;
    }
    let body = json::parse(body, &Limits::default()).ok()?;
    PLACES.iter().filter_map(|place| body.pointer(place)).find_map(word)
}

/// Does the content type say JSON, or nothing?
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let Ok(text) = value.to_str() else { return false };
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (main, sub) = kind.split_once('/').unwrap_or_default();
    main == "application" && (sub == "json" || sub.ends_with("+json"))
}

/// The value as a code: a word of letters, or a small number.
pub(super) fn word(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Number(number) => {
            return number.as_u64().filter(|n| *n < 1_000_000).map(|n| n.to_string());
        }
        _ => return None,
    };
    if text == "about:blank" {
        return None;
    }
    // A problem's type is an address: its last part names it.
    let last = text.trim_end_matches('/').rsplit(['/', '#']).next().unwrap_or_default();
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_-.:".contains(&b);
    let digits = last.bytes().filter(u8::is_ascii_digit).count();
    let starts = last.starts_with(|c: char| c.is_ascii_alphabetic());
    let short = last.len() <= MAX_CODE && digits <= MAX_DIGITS;
    (starts && short && last.bytes().all(fits) && is_written(last)).then(|| last.to_owned())
}

/// Is it `snake_case`, `UPPER_CASE` or `CamelCase`, and not letters by chance?
fn is_written(text: &str) -> bool {
    let upper = text.bytes().any(|b| b.is_ascii_uppercase());
    let mut small = text.split(|c: char| !c.is_ascii_lowercase()).filter(|run| !run.is_empty());
    !upper || small.all(|run| run.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<String> {
        code(&HeaderMap::new(), &Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn the_common_shapes_are_read() {
        for (body, expected) in [
            (r#"{"type":"https://pay.test/probs/out-of-credit","title":"x"}"#, "out-of-credit"),
            (r#"{"error":"invalid_grant","error_description":"x"}"#, "invalid_grant"),
            (r#"{"error":{"type":"card_error","code":"card_declined"}}"#, "card_declined"),
            (r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}"#, "429"),
            (r#"{"errors":[{"message":"x","extensions":{"code":"FORBIDDEN"}}]}"#, "FORBIDDEN"),
            (r#"[{"errorCode":"INVALID_FIELD","message":"x"}]"#, "INVALID_FIELD"),
            (r#"{"__type":"com.amazon#ThrottlingException"}"#, "ThrottlingException"),
        ] {
            assert_eq!(read(body).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn sentences_numbers_and_secrets_are_no_codes() {
        for body in [
            r#"{"error":"the customer Ann Smith is unknown"}"#,
            r#"{"code":"sk_live_4eC39HqLyjWDarjtT1zdp7dc"}"#,
            r#"{"code":"zkXpQwErTyUiLmNbVcXzAsDf"}"#,
            r#"{"code":"9f86d081884c7d659a2feaa0c55ad015"}"#,
            r#"{"code":"a9f86d081884c7d659a2feaa0c55ad01"}"#,
            r#"{"code":"4111111111111111"}"#,
            r#"{"code":"+49 170 1234567"}"#,
            r#"{"code":"ann@crm.test"}"#,
            r#"{"type":"about:blank"}"#,
            r#"{"code":"a\nb"}"#,
            r#"{"code":null}"#,
            "<html>",
            "",
        ] {
            assert_eq!(read(body), None, "{body}");
        }
    }

    #[test]
    fn a_body_that_is_no_json_by_its_type_is_left_alone() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "text/html".parse().unwrap());
        assert_eq!(code(&headers, &Bytes::from_static(br#"{"code":"x"}"#)), None);
        headers.insert("content-type", "application/problem+json; charset=utf-8".parse().unwrap());
        assert!(code(&headers, &Bytes::from_static(br#"{"code":"x"}"#)).is_some());
    }
}
