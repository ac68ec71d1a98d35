//! Which requests a rule is for, and why a request is not one of them.

use std::fmt;

use serde_json::Value;

use super::received::Received;

/// Which requests a rule is for: method, path, and all that is added.
///
/// It shows as it stands in reports, without the values of headers that carry secrets:
///
/// ```
/// use openclaw_testkit::stub::post;
/// use serde_json::json;
///
/// let pay = post("/v1/accounts/*/pay")
///     .header("authorization", "Bearer t")
///     .query("dry", "1")
///     .json_partial(json!({"cents": 500}));
/// let shown = r#"POST /v1/accounts/*/pay, authorization: (not shown), ?dry=1, JSON with {"cents":500}"#;
/// assert_eq!(pay.to_string(), shown);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a rule needs it: `stub.on(…)`"]
pub struct Pattern {
    method: Option<String>,
    path: Option<String>,
    checks: Vec<Check>,
}

#[derive(Clone, Debug)]
enum Check {
    Header(String, Option<String>),
    NoHeader(String),
    Query(String, String),
    Json(Value),
    JsonPartial(Value),
    BodyContains(String),
}

/// One thing that does not fit, and how far off it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Miss {
    pub(super) weight: u32,
    pub(super) why: String,
}

/// Headers whose values are not shown.
const SECRET: &[&str] =
    &["authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"];

/// A `GET` of this path.
pub fn get(path: impl Into<String>) -> Pattern {
    method("GET", path)
}

/// A `POST` to this path.
pub fn post(path: impl Into<String>) -> Pattern {
    method("POST", path)
}

/// A `PUT` to this path.
pub fn put(path: impl Into<String>) -> Pattern {
    method("PUT", path)
}

/// A `PATCH` of this path.
pub fn patch(path: impl Into<String>) -> Pattern {
    method("PATCH", path)
}

/// A `DELETE` of this path.
pub fn delete(path: impl Into<String>) -> Pattern {
    method("DELETE", path)
}

/// Any method on this path. A segment `*` stands for any one segment.
pub fn method(method: impl Into<String>, path: impl Into<String>) -> Pattern {
    Pattern { method: Some(method.into()), path: Some(path.into()), checks: Vec::new() }
}

/// Every request.
pub const fn any() -> Pattern {
    Pattern { method: None, path: None, checks: Vec::new() }
}

impl Pattern {
    /// A header of this name, in any case, has exactly this value.
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.check(Check::Header(name.into(), Some(value.into())))
    }

    /// There is a header of this name, in any case.
    pub fn has_header(self, name: impl Into<String>) -> Self {
        self.check(Check::Header(name.into(), None))
    }

    /// There is no header of this name.
    pub fn no_header(self, name: impl Into<String>) -> Self {
        self.check(Check::NoHeader(name.into()))
    }

    /// The query has this pair, written like this: nothing is decoded.
    pub fn query(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.check(Check::Query(name.into(), value.into()))
    }

    /// The body is this JSON, whatever its spacing and the order of its members.
    pub fn json(self, json: impl Into<Value>) -> Self {
        self.check(Check::Json(json.into()))
    }

    /// The body is JSON with at least these members, at every depth.
    pub fn json_partial(self, json: impl Into<Value>) -> Self {
        self.check(Check::JsonPartial(json.into()))
    }

    /// The body has this text in it.
    pub fn body_contains(self, text: impl Into<String>) -> Self {
        self.check(Check::BodyContains(text.into()))
    }

    fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// Everything that does not fit; nothing when the request is one of these.
    pub(super) fn misses(&self, request: &Received) -> Vec<Miss> {
        let mut misses = Vec::new();
        if let Some(method) = self.method.as_ref().filter(|m| *m != request.method()) {
            misses.push(miss(4, format!("method: expected {method}, was {}", request.method())));
        }
        if let Some(path) = self.path.as_ref().filter(|p| !path_fits(p, request.path())) {
            misses.push(miss(8, format!("path: expected {path}, was {}", request.path())));
        }
        misses.extend(self.checks.iter().filter_map(|c| Some(miss(1, c.why_not(request)?))));
        misses
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.method, &self.path) {
            (Some(method), Some(path)) => write!(f, "{method} {path}")?,
            _ => f.write_str("any request")?,
        }
        self.checks.iter().try_for_each(|check| match check {
            Check::Header(name, Some(value)) => write!(f, ", {name}: {}", shown(name, value)),
            Check::Header(name, None) => write!(f, ", with {name}"),
            Check::NoHeader(name) => write!(f, ", without {name}"),
            Check::Query(name, value) => write!(f, ", ?{name}={value}"),
            Check::Json(json) => write!(f, ", JSON {json}"),
            Check::JsonPartial(json) => write!(f, ", JSON with {json}"),
            Check::BodyContains(text) => write!(f, ", body with {text:?}"),
        })
    }
}

impl Check {
    fn why_not(&self, request: &Received) -> Option<String> {
        match self {
            Self::Header(name, value) => header_miss(name, value.as_deref(), request),
            Self::NoHeader(name) => {
                request.header(name).map(|_| format!("header {name}: expected none, was there"))
            }
            Self::Query(name, value) => {
                let wanted = format!("{name}={value}");
                let query = request.query().unwrap_or_default();
                let fits = query.split('&').any(|pair| pair == wanted);
                (!fits).then(|| format!("query: expected {wanted}, was {query:?}"))
            }
            Self::Json(json) => json_miss(json, request, false),
            Self::JsonPartial(json) => json_miss(json, request, true),
            Self::BodyContains(text) => {
                let body = String::from_utf8_lossy(request.body());
                (!body.contains(text)).then(|| format!("body: expected {text:?} in it"))
            }
        }
    }
}

const fn miss(weight: u32, why: String) -> Miss {
    Miss { weight, why }
}

fn path_fits(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.split('/'), path.split('/'));
    pattern.clone().count() == path.clone().count()
        && pattern.zip(path).all(|(wanted, found)| wanted == "*" || wanted == found)
}

fn header_miss(name: &str, value: Option<&str>, request: &Received) -> Option<String> {
    let found: Vec<&str> = request
        .headers()
        .iter()
        .filter(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect();
    let Some(value) = value else {
        return found.is_empty().then(|| format!("header {name}: expected, was absent"));
    };
    if found.contains(&value) {
        return None;
    }
    let was = if found.is_empty() { "absent".to_owned() } else { shown(name, &found.join(", ")) };
    Some(format!("header {name}: expected {}, was {was}", shown(name, value)))
}

/// A header's value in quotes, unless it is a secret.
fn shown(name: &str, value: &str) -> String {
    let secret = SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret));
    if secret { "(not shown)".to_owned() } else { format!("{value:?}") }
}

fn json_miss(wanted: &Value, request: &Received, partial: bool) -> Option<String> {
    match request.json() {
        Some(found) => differs(wanted, &found, partial, ""),
        None => Some("body: expected JSON, was none".to_owned()),
    }
}

/// The first place at which two values differ, as a JSON pointer.
fn differs(wanted: &Value, found: &Value, partial: bool, at: &str) -> Option<String> {
    match (wanted, found) {
        (Value::Object(members), Value::Object(others)) => {
            let missing = members.iter().find_map(|(name, wanted)| {
                let at = format!("{at}/{name}");
                match others.get(name) {
                    Some(found) => differs(wanted, found, partial, &at),
                    None => Some(format!("body {at}: expected {wanted}, was absent")),
                }
            });
            let surplus = || others.keys().find(|name| !partial && !members.contains_key(*name));
            missing.or_else(|| surplus().map(|name| format!("body {at}/{name}: expected none")))
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            let mut pairs = items.iter().zip(others).enumerate();
            pairs.find_map(|(i, (wanted, found))| {
                differs(wanted, found, partial, &format!("{at}/{i}"))
            })
        }
        _ if wanted == found => None,
        _ => Some(format!("body {at}: expected {wanted}, was {found}")),
    }
}
