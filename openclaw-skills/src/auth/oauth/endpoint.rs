//! The end points for tokens and revocation: one request, and its answer's meaning.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
};
use openclaw_core::{
    Call, Context, Error, ErrorKind, Happened, Limits, Result, Secret, TenantId,
    http::{Body, Http},
    json,
};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::record::Granted;
use crate::{
    api::Credential,
    auth::{api_key::sensitive, base64},
    percent,
    secrets::{SecretRef, Secrets},
};

/// Bytes of the longest answer.
const MAX_ANSWER: usize = 64 << 10;

/// The words of RFC 6749 and its kin; errors quote no others.
const CODES: [&str; 11] = [
    "access_denied",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    UNSUPPORTED_TOKEN,
];

/// The server does not revoke tokens of this kind (RFC 7009).
const UNSUPPORTED_TOKEN: &str = "unsupported_token_type";

/// What a token without a stated life is taken to live.
const USUAL_LIFE: Duration = Duration::from_secs(3600);

/// The longest life that is believed.
const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// How the client proves who it is at the token end point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuth {
    /// `client_secret_basic`: in the header `Authorization`.
    #[default]
    Basic,
    /// `client_secret_post`: in the form.
    Post,
}

/// An end point of the server's, and its client.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) http: Arc<dyn Http>,
    pub(super) secrets: Secrets,
    pub(super) tenant: TenantId,
    pub(super) uri: Uri,
    pub(super) client_id: String,
    /// None for a public client.
    pub(super) client_secret: Option<SecretRef>,
    pub(super) client_auth: ClientAuth,
    pub(super) timeout: Duration,
}

/// Why there are no tokens.
#[derive(Debug)]
pub(super) struct Denied {
    /// The server's word for it, if it said one.
    code: Option<&'static str>,
    /// May the server have issued tokens all the same?
    pub(super) doubt: bool,
    pub(super) error: Error,
}

impl Denied {
    /// Is the grant itself over?
    pub(super) fn grant_is_over(&self) -> bool {
        self.code == Some("invalid_grant")
    }
}

/// What a refresh token is called where it is revoked.
pub(super) const REFRESH: &str = "refresh_token";

/// What an access token is called where it is revoked.
pub(super) const ACCESS: &str = "access_token";

/// Name and value of a field of the form; the value may be secret.
pub(super) type Field = (&'static str, Secret);

impl Endpoint {
    /// Asks for tokens.
    pub(super) async fn ask(&self, fields: &[Field], end: Instant) -> Result<Granted, Denied> {
        self.post(fields, end, granted).await
    }

    /// Has a token revoked (RFC 7009). One that the server does not know is revoked, too.
    ///
    /// An access token may be of a kind that can't be: then it is valid to its end.
    pub(super) async fn revoke(&self, kind: &'static str, token: &Secret) -> Result<()> {
        let fields = [("token", token.clone()), ("token_type_hint", Secret::new(kind))];
        let end = Instant::now() + self.timeout;
        match self.post(&fields, end, |_body| Ok(())).await {
            Err(denied) if kind == ACCESS && denied.code == Some(UNSUPPORTED_TOKEN) => Ok(()),
            outcome => outcome.map_err(|denied| denied.error),
        }
    }

    /// Sends a form, and once more when only the client's secret was old.
    async fn post<T>(
        &self,
        fields: &[Field],
        end: Instant,
        meaning: fn(&[u8]) -> Result<T>,
    ) -> Result<T, Denied> {
        let (first, used) = self.once(fields, end, meaning).await?;
        match (first, &self.client_secret) {
            (Answer::Granted(granted), _) => Ok(granted),
            (Answer::Refused { code }, Some(reference)) if code == "invalid_client" => {
                if let Some(used) = &used {
                    self.secrets.invalidate(reference, Credential::of(used));
                }
                if self.client_secret().await?.as_ref().map(Secret::expose)
                    == used.as_ref().map(Secret::expose)
                {
                    return Err(refused(code));
                }
                match self.once(fields, end, meaning).await?.0 {
                    Answer::Granted(granted) => Ok(granted),
                    Answer::Refused { code } => Err(refused(code)),
                }
            }
            (Answer::Refused { code }, _) => Err(refused(code)),
        }
    }

    async fn once<T>(
        &self,
        fields: &[Field],
        end: Instant,
        meaning: fn(&[u8]) -> Result<T>,
    ) -> Result<(Answer<T>, Option<Secret>), Denied> {
        let secret = self.client_secret().await?;
        let request = self.request(fields, secret.as_ref())?;
        let end = end.min(Instant::now() + self.timeout);
        let context = Context::new(self.tenant.clone()).with_deadline(end);
        let asked = async {
            let response = self.http.send(Call::http(context, request)).await?;
            read(response, meaning).await
        };
        let late = || Error::new(ErrorKind::Timeout, "the end point did not answer in time");
        match timeout_at(end, asked).await {
            Ok(Ok(answer)) => Ok((answer, secret)),
            Ok(Err(e)) => Err(unclear(e)),
            Err(_late) => Err(unclear(late())),
        }
    }

    async fn client_secret(&self) -> Result<Option<Secret>, Denied> {
        let Some(reference) = &self.client_secret else { return Ok(None) };
        self.secrets.get(reference).await.map(Some).map_err(unclear)
    }

    fn request(&self, fields: &[Field], secret: Option<&Secret>) -> Result<Request<Bytes>, Denied> {
        let id = Secret::new(self.client_id.as_str());
        let mut form: Vec<(&str, &Secret)> = fields.iter().map(|(name, v)| (*name, v)).collect();
        let mut headers = HeaderMap::new();
        match (secret, self.client_auth) {
            (Some(secret), ClientAuth::Basic) => {
                let pair = [&id, secret].map(|part| percent::encoded(part.expose()));
                let pair = Secret::new(pair.join(":"));
                let text = format!("Basic {}", base64::standard(pair.expose().as_bytes()));
                let value = sensitive(&Secret::new(text)).map_err(unclear)?;
                headers.insert(AUTHORIZATION, value);
            }
            (Some(secret), ClientAuth::Post) => {
                form.extend([("client_id", &id), ("client_secret", secret)]);
            }
            (None, _) => form.push(("client_id", &id)),
        }
        let pairs = form.iter().map(|(name, value)| (*name, value.expose()));
        let mut request = Request::new(Bytes::from(percent::form(pairs)));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// What the end point said in words of RFC 6749.
enum Answer<T> {
    Granted(T),
    Refused { code: &'static str },
}

async fn read<T>(response: Response<Body>, meaning: fn(&[u8]) -> Result<T>) -> Result<Answer<T>> {
    let status = response.status();
    let wait = retry_after(response.headers());
    let busy = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    if busy {
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => ErrorKind::Unavailable,
            _ => ErrorKind::ServerError,
        };
        let error = Error::new(kind, "the end point can't serve now");
        let error = error.with("status", status.as_u16());
        return Err(wait.into_iter().fold(error, Error::with_retry_after));
    }
    let body = Secret::new(text(response.into_body().collect(MAX_ANSWER).await?)?);
    let odd = |why| Error::new(ErrorKind::ServerError, why).with("status", status.as_u16());
    let body = body.expose().as_bytes();
    if status == StatusCode::OK {
        return meaning(body).map(Answer::Granted).map_err(|e| e.with("status", status.as_u16()));
    }
    let answer = parsed(body)?;
    let said = answer.get("error").and_then(Value::as_str);
    if let Some(said) = said.filter(|_| status.is_client_error()) {
        // A foreign word could be anything, also what was sent.
        let code = CODES.into_iter().find(|code| *code == said).unwrap_or("other");
        return Ok(Answer::Refused { code });
    }
    Err(odd("the end point answered with neither tokens nor an error of OAuth"))
}

/// The answer as JSON. No error quotes it.
fn parsed(body: &[u8]) -> Result<Value> {
    let odd = |_broken| Error::new(ErrorKind::ServerError, "the end point's answer is no JSON");
    json::parse(body, &Limits::default()).map_err(odd)
}

fn text(bytes: Bytes) -> Result<String> {
    let odd = |_quoting| Error::new(ErrorKind::ServerError, "the end point's answer is no text");
    String::from_utf8(bytes.into()).map_err(odd)
}

/// The tokens of an answer. No error quotes it.
fn granted(body: &[u8]) -> Result<Granted> {
    let answer = parsed(body)?;
    let odd = |why| Error::new(ErrorKind::ServerError, why);
    let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
    let kind = text("token_type").unwrap_or_default();
    if !kind.eq_ignore_ascii_case("bearer") {
        let message = "the token end point issues tokens that are not of the type Bearer";
        return Err(Error::new(ErrorKind::Unsupported, message).with_happened(Happened::Maybe));
    }
    let access =
        text("access_token").ok_or_else(|| odd("the token end point's answer has no token"))?;
    let lifetime = match answer.get("expires_in") {
        Some(Value::Number(seconds)) => seconds.as_f64(),
        Some(Value::String(seconds)) => seconds.parse().ok(),
        _ => None,
    };
    let lifetime = lifetime.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Ok(Granted {
        access: Secret::new(access),
        lifetime: lifetime.unwrap_or(USUAL_LIFE).min(LONGEST_LIFE),
        refresh: text("refresh_token").map(Secret::new),
    })
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// A request that brought nothing; whether the server issued tokens is in `happened`.
fn unclear(error: Error) -> Denied {
    let doubt = error.happened() != Happened::No;
    Denied { code: None, doubt, error }
}

fn refused(code: &'static str) -> Denied {
    let message = "the end point refused the request";
    let error = Error::new(ErrorKind::AuthenticationFailed, message).with("error", code);
    Denied { code: Some(code), doubt: false, error: error.with_happened(Happened::No) }
}
