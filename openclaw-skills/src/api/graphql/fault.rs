//! What the errors of a GraphQL answer mean.

use std::time::Duration;

use openclaw_core::{Error, ErrorKind, Happened, Result};
use serde_json::Value;

use super::super::code::word;
use crate::{pointer::below, problem::printable};

/// Errors of one answer that are looked at.
const MAX_ERRORS: usize = 16;
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// One error of a GraphQL answer: its meaning, code and place.
///
/// The service's message is left out: it may quote the variables.
///
/// | code | kind |
/// |---|---|
/// | `THROTTLED`, `RATE_LIMITED`, `TOO_MANY_REQUESTS` | `RATE_LIMITED` |
/// | `UNAUTHENTICATED` | `AUTHENTICATION_FAILED` |
/// | `FORBIDDEN`, `ACCESS_DENIED`, `UNAUTHORIZED` | `PERMISSION_DENIED` |
/// | `NOT_FOUND` | `NOT_FOUND` |
/// | `CONFLICT` | `CONFLICT` |
/// | `BAD_USER_INPUT`, `BAD_REQUEST`, `MAX_COST_EXCEEDED`, `GRAPHQL_PARSE_FAILED`, `GRAPHQL_VALIDATION_FAILED`, `OPERATION_RESOLUTION_FAILURE` | `VALIDATION_ERROR` |
/// | `TIMEOUT` | `TIMEOUT` |
/// | `SERVICE_UNAVAILABLE` | `UNAVAILABLE` |
/// | `INTERNAL_SERVER_ERROR` | `SERVER_ERROR` |
/// | another, or none | `UNCLASSIFIED` |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GraphqlFault {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The service's code, where it looks like one.
    pub code: Option<String>,
    /// RFC 6901 pointer to the field that failed; empty when the whole operation did.
    pub pointer: String,
}

impl GraphqlFault {
    fn of(error: &Value) -> Self {
        let code = ["/extensions/code", "/type", "/code"];
        let code = code.iter().filter_map(|place| error.pointer(place)).find_map(word);
        let path = error.get("path").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let step = |step: &Value| match step {
            Value::String(name) => Some(below("", name)),
            Value::Number(index) => Some(format!("/{index}")),
            _ => None,
        };
        let pointer: String = path.iter().take(32).filter_map(step).collect();
        let kind = kind(code.as_deref().unwrap_or_default());
        Self { kind, code, pointer: printable(&pointer, 256) }
    }
}

fn kind(code: &str) -> ErrorKind {
    match code.to_ascii_uppercase().as_str() {
        "THROTTLED" | "RATE_LIMITED" | "RATELIMITED" | "TOO_MANY_REQUESTS" => {
            ErrorKind::RateLimited
        }
        "UNAUTHENTICATED" => ErrorKind::AuthenticationFailed,
        "FORBIDDEN" | "ACCESS_DENIED" | "UNAUTHORIZED" => ErrorKind::PermissionDenied,
        "NOT_FOUND" => ErrorKind::NotFound,
        "CONFLICT" => ErrorKind::Conflict,
        "BAD_USER_INPUT"
        | "BAD_REQUEST"
        | "MAX_COST_EXCEEDED"
        | "GRAPHQL_PARSE_FAILED"
        | "GRAPHQL_VALIDATION_FAILED"
        | "OPERATION_RESOLUTION_FAILURE" => ErrorKind::ValidationError,
        "TIMEOUT" => ErrorKind::Timeout,
        "SERVICE_UNAVAILABLE" => ErrorKind::Unavailable,
        "INTERNAL_SERVER_ERROR" => ErrorKind::ServerError,
        _ => ErrorKind::Unclassified,
    }
}

/// The errors of an answer, if any, and the same as one error.
///
/// # Errors
/// There is nothing but errors, or neither data nor errors.
pub(in super::super) fn judged(
    answer: &Value,
    mutates: bool,
) -> Result<Option<(Vec<GraphqlFault>, Error)>> {
    let errors = listed(answer);
    let data = answer.get("data");
    if errors.is_empty() {
        return match data {
            Some(Value::Object(_)) => Ok(None),
            _ => Err(lost(
                "the service's answer is no GraphQL: it has neither data nor errors",
                mutates,
            )),
        };
    }
    let errors: Vec<_> = errors.iter().take(MAX_ERRORS).map(GraphqlFault::of).collect();
    let error = one(&errors, data, mutates);
    let error = pause(answer).into_iter().fold(error, Error::with_retry_after);
    if data.is_some_and(Value::is_object) { Ok(Some((errors, error))) } else { Err(error) }
}

/// Is it refused for its rate alone, and for how long? Nothing of it was run then.
pub(in super::super) fn throttled(answer: &Value) -> Option<Option<Duration>> {
    let errors = listed(answer);
    // An error with a path is that of a field: others may have run.
    let busy = |error: &Value| {
        error.get("path").is_none() && GraphqlFault::of(error).kind == ErrorKind::RateLimited
    };
    let refused = !errors.is_empty() && errors.iter().all(busy);
    let nothing = answer.get("data").is_none_or(Value::is_null);
    (refused && nothing).then(|| pause(answer))
}

fn listed(answer: &Value) -> &[Value] {
    answer.get("errors").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// All errors as one: its kind is that of the first.
fn one(errors: &[GraphqlFault], data: Option<&Value>, mutates: bool) -> Error {
    let kind = errors.first().map_or(ErrorKind::Unclassified, |error| error.kind);
    let message = match data {
        Some(Value::Object(_)) => "a part of the operation failed",
        _ => "the operation failed",
    };
    // Without `data` the operation was not run (GraphQL, 7.1): unless it broke on the way.
    let refused = data.is_none() && kind.usually_happened() == Happened::No;
    let happened = if mutates && !refused { Happened::Maybe } else { Happened::No };
    let error = Error::new(kind, message).with_happened(happened).with("errors", errors.len());
    errors.iter().take(4).fold(error, |error, fault| {
        let error = match &fault.code {
            Some(code) => error.with("code", code),
            None => error,
        };
        if fault.pointer.is_empty() { error } else { error.with("pointer", &fault.pointer) }
    })
}

fn lost(message: &'static str, mutates: bool) -> Error {
    let happened = if mutates { Happened::Maybe } else { Happened::No };
    Error::new(ErrorKind::ServerError, message).with_happened(happened)
}

/// How long to wait, by the service's errors or by what the operation costs.
fn pause(answer: &Value) -> Option<Duration> {
    let number = |at: &Value, place| at.pointer(place).and_then(Value::as_f64);
    let said = listed(answer).iter().take(MAX_ERRORS).find_map(|error| {
        number(error, "/extensions/retryAfter").or_else(|| number(error, "/extensions/retry_after"))
    });
    let cost = || {
        let cost = answer.pointer("/extensions/cost")?;
        let wanted = number(cost, "/requestedQueryCost")?;
        let there = number(cost, "/throttleStatus/currentlyAvailable")?;
        let rate = number(cost, "/throttleStatus/restoreRate")?;
        (rate > 0.0 && wanted > there).then(|| (wanted - there) / rate)
    };
    let seconds = said.or_else(cost)?;
    Duration::try_from_secs_f64(seconds).ok().map(|pause| pause.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(answer: &Value, mutates: bool) -> Option<(ErrorKind, Happened)> {
        let error = match judged(answer, mutates) {
            Ok(None) => return None,
            Ok(Some((_, error))) | Err(error) => error,
        };
        Some((error.kind(), error.happened()))
    }

    #[test]
    fn a_mutation_with_errors_may_have_happened() {
        let coded = |code: &str| json!([{ "message": "x", "extensions": { "code": code } }]);
        let (no, maybe) = (Happened::No, Happened::Maybe);
        for (answer, expected, mutation) in [
            (json!({ "data": { "a": 1 } }), None, maybe),
            (
                json!({ "data": { "a": null }, "errors": coded("FORBIDDEN") }),
                Some(ErrorKind::PermissionDenied),
                maybe,
            ),
            (
                json!({ "data": null, "errors": coded("NOT_FOUND") }),
                Some(ErrorKind::NotFound),
                maybe,
            ),
            (json!({ "errors": coded("BAD_USER_INPUT") }), Some(ErrorKind::ValidationError), no),
            (
                json!({ "errors": coded("UNAUTHENTICATED") }),
                Some(ErrorKind::AuthenticationFailed),
                no,
            ),
            (
                json!({ "errors": coded("INTERNAL_SERVER_ERROR") }),
                Some(ErrorKind::ServerError),
                maybe,
            ),
            (json!({ "errors": [{ "message": "x" }] }), Some(ErrorKind::Unclassified), maybe),
            (json!({ "errors": [] }), Some(ErrorKind::ServerError), maybe),
            (json!([]), Some(ErrorKind::ServerError), maybe),
            (json!({ "data": null }), Some(ErrorKind::ServerError), maybe),
        ] {
            assert_eq!(check(&answer, false), expected.map(|kind| (kind, no)), "query: {answer}");
            assert_eq!(
                check(&answer, true),
                expected.map(|kind| (kind, mutation)),
                "mutation: {answer}"
            );
        }
    }

    #[test]
    fn the_pause_is_said_or_reckoned_by_the_cost() {
        let status =
            json!({ "currentlyAvailable": 50, "restoreRate": 50.0, "maximumAvailable": 1000 });
        let errors = json!([{ "message": "Throttled", "extensions": { "code": "THROTTLED" } }]);
        let answer = json!({ "errors": errors, "extensions": { "cost": { "requestedQueryCost": 202, "throttleStatus": status } } });
        assert_eq!(throttled(&answer), Some(Some(Duration::from_millis(3_040))));
        let said = json!({ "data": null, "errors": [{ "extensions": { "code": "RATE_LIMITED", "retryAfter": 1.5 } }] });
        assert_eq!(throttled(&said), Some(Some(Duration::from_millis(1_500))));
        for (seconds, pause) in
            [(json!(-1), None), (json!(1e300), None), (json!(1e9), Some(LONGEST))]
        {
            let odd = json!({ "errors": [{ "extensions": { "code": "THROTTLED", "retryAfter": seconds } }] });
            assert_eq!(throttled(&odd), Some(pause));
        }
    }

    #[test]
    fn what_ran_in_part_is_not_taken_for_refused() {
        let busy = json!({ "extensions": { "code": "THROTTLED" } });
        assert_eq!(throttled(&json!({ "data": { "a": 1 }, "errors": [busy] })), None);
        assert_eq!(throttled(&json!({ "errors": [busy, { "message": "x" }] })), None);
        let field = json!({ "path": ["b"], "extensions": { "code": "THROTTLED" } });
        assert_eq!(throttled(&json!({ "data": null, "errors": [field] })), None);
        assert_eq!(throttled(&json!({ "data": { "a": 1 } })), None);
    }
}
