//! The routes: each checks in order, asks the gateway, and answers in JSON.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, Request, State, rejection::PathRejection},
    response::Response,
    routing::{get, post},
};
use http::{HeaderMap, HeaderName, StatusCode, header};
use openclaw_core::{
    ChannelId, Content, Conversation, ConversationKind, Envelope, ErrorKind, MessageId, Sender,
    SenderKind, TenantId,
    channel::{Ack, Nonce},
    json,
};
use serde_json::{Value, json};
use tokio::{sync::watch, time};

use super::{
    body::{self, Read},
    builder::api_key_digest,
    channel::{ApiKey, HttpChannel, Inner},
    desk::{Desk, Standing},
    message::{self, Draft},
    problem::{Problem, answer},
    signature::{Presented, WINDOW},
};

/// How long the gateway has for its verdict.
const VERDICT: Duration = Duration::from_secs(30);

/// What every request needs.
#[derive(Clone, Debug)]
pub(super) struct App {
    pub(super) channel: HttpChannel,
    desk: Arc<dyn Desk>,
    /// True once the server stops: nobody waits for a reply any more.
    pub(super) stopping: watch::Sender<bool>,
}

/// Who asks: the tenant, and the subject when a key said so.
struct Caller {
    tenant: TenantId,
    subject: Option<String>,
    /// It may name other senders.
    for_others: bool,
}

impl Caller {
    /// Who sent the message: whoever holds the key, or whom that key may name.
    fn sender(&self, named: Option<String>) -> Result<Sender, Problem> {
        let own = self.subject.as_deref();
        match named {
            Some(named) if self.for_others => Ok(Sender::new(named)),
            Some(named) if own != Some(&*named) => {
                let message = "this API key speaks for itself only: leave sender_id out";
                let status = StatusCode::FORBIDDEN;
                let problem = Problem::new(status, ErrorKind::PermissionDenied, message);
                Err(problem.at("/metadata/sender_id"))
            }
            _ => Ok(own.map_or_else(
                || Sender::new("anonymous"),
                |subject| Sender::new(subject).verified(),
            )),
        }
    }
}

impl App {
    pub(super) fn new(channel: HttpChannel, desk: Arc<dyn Desk>) -> Self {
        Self { channel, desk, stopping: watch::Sender::new(false) }
    }

    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/v1/messages", post(post_message))
            .route("/v1/messages/{id}", get(get_message))
            .route("/hooks/{source}", post(post_hook))
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .fallback(async || Problem::not_found("no such path"))
            .method_not_allowed_fallback(async || {
                let message = "this path does not take this method";
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, ErrorKind::Unsupported, message)
            })
            .with_state(self)
    }

    fn inner(&self) -> &Inner {
        &self.channel.0
    }

    /// Who asks. With API keys set, a request without a good one gets nowhere.
    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let inner = self.inner();
        if inner.keys.is_empty() {
            return Ok(Caller { tenant: inner.tenant.clone(), subject: None, for_others: true });
        }
        let presented = only(headers, &header::AUTHORIZATION)?.ok_or_else(Problem::no_key)?;
        let (scheme, key) = presented.split_once(' ').ok_or_else(Problem::no_key)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Problem::no_key());
        }
        let digest = api_key_digest(key.trim());
        let known = inner
            .keys
            .iter()
            .fold(None, |known, key| if same(&key.digest, &digest) { Some(key) } else { known });
        let ApiKey { principal, for_others, .. } = known.ok_or_else(Problem::no_key)?;
        let subject = Some(principal.subject.to_string());
        Ok(Caller { tenant: principal.tenant.clone(), subject, for_others: *for_others })
    }

    async fn read(&self, request: Request) -> Result<Read, Problem> {
        let inner = self.inner();
        let _place = inner.budget.enter()?;
        inner.budget.read(request, &inner.limits).await
    }

    /// Hands the message to the gateway, and waits for its verdict.
    async fn admit(&self, envelope: Envelope, nonce: Option<Nonce>) -> Result<MessageId, Problem> {
        let verdict = self.inner().intake.ask(envelope, nonce)?;
        let unknown = "no verdict yet: ask again, under the same key";
        let verdict = time::timeout(VERDICT, verdict).await;
        match verdict.map_err(|_late| Problem::unavailable(unknown))? {
            Ok(Ack::Accept(admitted)) => Ok(admitted.message),
            Ok(Ack::DeadLetter { reason }) => Err(Problem::refused(&reason)),
            Ok(Ack::Retry { after, error }) => Err(Problem::later(&error, after)),
            Err(_) => Err(Problem::unavailable("not taking messages")),
        }
    }

    fn envelope(
        &self,
        mut draft: Draft,
        caller: Caller,
        key: Option<String>,
    ) -> Result<Envelope, Problem> {
        let inner = self.inner();
        let conversation = match (&draft.conversation, &draft.sender, &key) {
            (Some(id), _, _) => id.clone(),
            (None, Some(sender), _) => format!("sender:{sender}"),
            // A repeat under the same key has to be in the same conversation.
            (None, None, Some(key)) => format!("key:{key}"),
            (None, None, None) => format!("message:{}", inner.env.next_id()),
        };
        let mut conversation = Conversation::new(inner.id.clone(), conversation);
        if let Some(channel) = draft.channel.filter(|name| name != inner.id.as_str()) {
            conversation = conversation.on_account(channel);
        }
        let sender = caller.sender(draft.sender)?;
        let content = draft.content.take().unwrap_or_else(|| Content::text(""));
        let mut envelope =
            Envelope::new(caller.tenant, conversation, sender, content).with_time(inner.env.now());
        envelope.id = key.map(Into::into);
        envelope.topic = draft.topic.map(Into::into);
        envelope.headers = draft.headers;
        Ok(envelope)
    }
}

/// Compares in constant time.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// The only value of a header; twice is as wrong as unreadable.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.map(Some)
        .ok_or_else(|| Problem::bad_request(format!("{name} must be there once, readable")))
}

fn header_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let name = HeaderName::from_static("idempotency-key");
    match only(headers, &name)? {
        Some(key) if !message::is_key(key) => {
            Err(Problem::bad_request("Idempotency-Key has 1 to 255 visible characters"))
        }
        key => Ok(key.map(str::to_owned)),
    }
}

/// A browser's page can post to a local server unasked, but not as JSON.
fn not_from_a_page(headers: &HeaderMap) -> Result<(), Problem> {
    let json = |value: &str| {
        let media = value.split(';').next().unwrap_or_default().trim();
        media.eq_ignore_ascii_case("application/json")
    };
    let content = only(headers, &header::CONTENT_TYPE)?;
    if headers.contains_key(header::ORIGIN) && !content.is_some_and(json) {
        let message = "a browser must send content-type application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, ErrorKind::ValidationError, message));
    }
    Ok(())
}

fn queued(id: MessageId) -> Response {
    answer(StatusCode::ACCEPTED, &json!({ "message_id": id, "status": "queued" }))
}

fn standing(id: MessageId, standing: &Standing) -> Response {
    let reply = standing.reply.as_ref().map_or(Value::Null, message::as_json);
    let body = json!({ "message_id": id, "status": standing.status, "reply": reply });
    answer(StatusCode::OK, &body)
}

async fn post_message(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let headers = request.headers();
    not_from_a_page(headers)?;
    let caller = app.caller(headers)?;
    let wait = message::wait(request.uri().query())?;
    let key = header_key(headers)?;
    let body = app.read(request).await?;
    let limits = &app.inner().limits;
    let mut draft = Draft::read(json::parse(&body.bytes, limits)?, limits)?;
    draft.names_known(&app.inner().names)?;
    let key = message::one_key(key, draft.key.take())?;

    let tenant = caller.tenant.clone();
    let id = app.admit(app.envelope(draft, caller, key)?, None).await?;
    drop(body);
    if wait.is_zero() {
        return Ok(queued(id));
    }
    let mut stopping = app.stopping.subscribe();
    // The message is durable: whatever happens to the wait, the answer is no error.
    tokio::select! {
        biased;
        Ok(settled) = app.desk.settled(&tenant, id) => Ok(standing(id, &settled)),
        () = time::sleep(wait) => Ok(queued(id)),
        _ = stopping.wait_for(|stopping| *stopping) => Ok(queued(id)),
        else => Ok(queued(id)),
    }
}

async fn get_message(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = app.caller(&headers)?;
    let malformed = || Problem::bad_request("not a message id");
    let id: MessageId = id.map_err(|_bad| malformed())?.parse().map_err(|_bad| malformed())?;
    match app.desk.status(&caller.tenant, id).await {
        Ok(Some(found)) => Ok(standing(id, &found)),
        Ok(None) => Err(Problem::not_found("no such message")),
        Err(e) => Err(Problem::later(&e, Duration::ZERO)),
    }
}

async fn post_hook(
    State(app): State<App>,
    source: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let inner = app.inner();
    let unknown = || Problem::not_found("unknown hook");
    let Path(source) = source.map_err(|_bad| unknown())?;
    let hook = inner.hooks.iter().find(|hook| *hook.source == *source).ok_or_else(unknown)?;

    // In this order: what costs nothing first, the signature over the bytes as they came,
    // and nothing looks into them before it fits.
    body::declared(request.headers(), inner.limits.body)?;
    let presented = Presented::read(request.headers())?;
    if !presented.is_fresh(inner.env.now()) {
        return Err(Problem::unauthorized("the timestamp is more than 300 seconds from now"));
    }
    let body = app.read(request).await?;
    hook.verify(&presented, &body.bytes)?;
    let value = json::parse(&body.bytes, &inner.limits)?;

    let place = Conversation::new(inner.id.clone(), Arc::clone(&hook.source));
    let sender = Sender::new(Arc::clone(&hook.source)).of_kind(SenderKind::Bot).verified();
    let event = hook.event_id_of(&value)?;
    let mut envelope = Envelope::new(
        inner.tenant.clone(),
        place.on_account(format!("hook:{}", hook.source)).of_kind(ConversationKind::Machine),
        sender,
        Content::json(value),
    );
    envelope.id = event.map(Into::into);
    let envelope = envelope.with_kind("webhook").with_time(inner.env.now());
    let envelope = envelope.with_raw(body.bytes.clone());
    // Twice the window: a request signed ahead of our clock must not outlive its nonce.
    let nonce = Nonce::new(nonce_scope(&inner.id, &hook.source), presented.nonce, WINDOW * 2);
    app.admit(envelope, Some(nonce)).await.map(queued)
}

fn nonce_scope(channel: &ChannelId, source: &str) -> String {
    // A source holds no slash: two scopes never read the same.
    format!("hook:{source}/{channel}")
}

async fn healthz(State(app): State<App>) -> Response {
    let condition = app.desk.condition().await;
    let (status, word) = if condition.live {
        (StatusCode::OK, "live")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "failing")
    };
    answer(status, &json!({ "ok": condition.live, "status": word }))
}

async fn readyz(State(app): State<App>, headers: HeaderMap) -> Response {
    let condition = app.desk.condition().await;
    let word = match (condition.ready, condition.draining) {
        (_, true) => "draining",
        (true, false) => "ready",
        (false, false) => "not_ready",
    };
    let ok = word == "ready";
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // The problems are in words for operators: with API keys set, only who has one reads them.
    let body = match app.caller(&headers) {
        Ok(_) => json!({ "ok": ok, "status": word, "problems": condition.problems }),
        Err(_) => json!({ "ok": ok, "status": word }),
    };
    answer(status, &body)
}
