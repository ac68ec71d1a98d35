//! The systems of other people: a CRM behind OAuth, with REST and GraphQL, and finance's webhook.
//!
//! They count what is done to them, and misbehave when the self-test says so. The CRM honours
//! `Idempotency-Key`; a token lasts until it is revoked.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use hyper::body::Frame;
use openclaw_channels::http::sign;
use openclaw_core::Secret;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// What the desk is known by at the token end point.
pub(crate) const CLIENT_ID: &str = "support-desk";
/// How many customers one page of a search has.
const PAGE: usize = 2;

/// How a remote misbehaves, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misdeed {
    /// 503, before anything is done.
    Down,
    /// 429, and when to come again.
    Throttle,
    /// The token is revoked: 401.
    Revoke,
    /// It is done, and the connection breaks in the middle of the answer.
    LoseAnswer,
}

/// What was done to the remotes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    /// Changes of billing addresses that were applied.
    pub(crate) updates: usize,
    /// Requests for a change, with the key of each.
    pub(crate) update_keys: Vec<String>,
    /// Notes that were written: customer and text.
    pub(crate) notes: Vec<(String, String)>,
    /// What finance was told, with a good signature.
    pub(crate) notices: Vec<Value>,
    /// Notices whose signature was wrong or missing.
    pub(crate) unsigned: usize,
    /// Tokens that were given.
    pub(crate) tokens: usize,
    /// Searches that were asked for, those that failed too.
    pub(crate) searches: usize,
    /// Requests without a token that counts.
    pub(crate) refused: usize,
}

#[derive(Debug)]
struct Customer {
    id: &'static str,
    email: &'static str,
    name: &'static str,
    address: Value,
}

#[derive(Debug)]
struct World {
    customers: Vec<Customer>,
    token: Option<String>,
    /// What was answered under a key, and to which body.
    answered: BTreeMap<String, (Bytes, Value)>,
    misdeeds: BTreeMap<&'static str, VecDeque<Misdeed>>,
    done: Done,
}

/// CRM and finance, on one free port of this machine. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Remote {
    world: Arc<Mutex<World>>,
    at: SocketAddr,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct Door {
    world: Arc<Mutex<World>>,
    client: Arc<str>,
    hook: Secret,
}

impl Remote {
    /// Serves; the desk knows itself by `client`, and signs what it tells finance by `hook`.
    pub(crate) async fn start(client: &str, hook: Secret) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let at = listener.local_addr()?;
        let world = Arc::new(Mutex::new(World::new()));
        let door = Door { world: Arc::clone(&world), client: client.into(), hook };
        let routes = Router::new()
            .route("/oauth/token", post(token))
            .route("/api/v3/customers", get(search))
            .route("/api/v3/customers/{id}/notes", post(note))
            .route("/api/v3/graphql", post(graphql))
            .route("/finance/hooks", post(notice))
            .with_state(door);
        let serve = axum::serve(listener, routes);
        let task = tokio::spawn(async move { serve.await.unwrap_or_default() });
        Ok(Self { world, at, task })
    }

    /// Where both of them are.
    pub(crate) const fn at(&self) -> SocketAddr {
        self.at
    }

    /// Has the next requests to this place end so, one after another.
    pub(crate) fn misbehave(&self, place: &'static str, misdeeds: &[Misdeed]) {
        lock(&self.world).misdeeds.entry(place).or_default().extend(misdeeds);
    }

    /// What was done so far.
    pub(crate) fn done(&self) -> Done {
        lock(&self.world).done.clone()
    }

    /// The billing address of a customer.
    pub(crate) fn address(&self, id: &str) -> Value {
        let world = lock(&self.world);
        let found = world.customers.iter().find(|customer| customer.id == id);
        found.map(|customer| customer.address.clone()).unwrap_or_default()
    }

    /// The token that counts now.
    pub(crate) fn token(&self) -> Option<String> {
        lock(&self.world).token.clone()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn new() -> Self {
        let customer = |id, email, name| Customer {
            id,
            email,
            name,
            address: json!({ "street": "1 Old Road", "city": "Oslo", "postcode": "0150", "country": "NO" }),
        };
        Self {
            customers: vec![
                customer("c-1", "mariann@crm.test", "Mariann Berg"),
                customer("c-2", "joann@crm.test", "Joann Lie"),
                customer("c-3", "susann@crm.test", "Susann Moe"),
                customer("c-4", "ann@crm.test", "Ann Dahl"),
                customer("c-5", "lisann@crm.test", "Lisann Vik"),
            ],
            token: None,
            answered: BTreeMap::new(),
            misdeeds: BTreeMap::new(),
            done: Done::default(),
        }
    }

    fn misdeed(&mut self, place: &str) -> Option<Misdeed> {
        self.misdeeds.get_mut(place)?.pop_front()
    }

    /// Who comes without a token that counts, or to a remote that is not well, is told so.
    fn turned_away(
        &mut self,
        place: &str,
        headers: &HeaderMap,
    ) -> Result<Option<Misdeed>, Box<Response>> {
        let misdeed = self.misdeed(place);
        if misdeed == Some(Misdeed::Revoke) {
            self.token = None;
        }
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        if token.is_none() || token != self.token.as_deref() {
            self.done.refused += 1;
            return Err(Box::new(problem(StatusCode::UNAUTHORIZED, "the token does not count")));
        }
        match misdeed {
            Some(Misdeed::Down) => {
                Err(Box::new(problem(StatusCode::SERVICE_UNAVAILABLE, "back soon")))
            }
            Some(Misdeed::Throttle) => {
                let wait = [(header::RETRY_AFTER, "1")];
                let busy = problem(StatusCode::TOO_MANY_REQUESTS, "slow down");
                Err(Box::new((wait, busy).into_response()))
            }
            misdeed => Ok(misdeed),
        }
    }

    /// The answer under this key, when there is one.
    fn known(&self, key: &str, body: &Bytes) -> Option<Response> {
        let (asked, answer) = self.answered.get(key)?;
        let other = || problem(StatusCode::UNPROCESSABLE_ENTITY, "the key had another body");
        Some(if asked == body { answer_of(answer) } else { other() })
    }
}

/// Gives a token for the client's secret, which stands in the form.
async fn token(State(door): State<Door>, body: String) -> Response {
    let mut world = lock(&door.world);
    let secret = format!("client_secret={}", door.client);
    let client = format!("client_id={CLIENT_ID}");
    let wanted = ["grant_type=client_credentials", &client, &secret];
    if !wanted.iter().all(|field| body.split('&').any(|sent| sent == *field)) {
        let error = json!({ "error": "invalid_client" });
        return (StatusCode::UNAUTHORIZED, answer_of(&error)).into_response();
    }
    world.done.tokens += 1;
    let token = format!("token-{}-of-the-crm", world.done.tokens);
    world.token = Some(token.clone());
    answer_of(&json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }))
}

/// Customers whose e-mail has this text in it, in pages.
async fn search(
    State(door): State<Door>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let mut world = lock(&door.world);
    world.done.searches += 1;
    if let Err(away) = world.turned_away("search", &headers) {
        return *away;
    }
    let text = query.get("email").map_or("", String::as_str);
    let from: usize = query.get("cursor").and_then(|at| at.parse().ok()).unwrap_or_default();
    let found: Vec<Value> = world
        .customers
        .iter()
        .filter(|customer| customer.email.contains(text))
        .map(
            |customer| json!({ "id": customer.id, "email": customer.email, "name": customer.name }),
        )
        .collect();
    let page: Vec<&Value> = found.iter().skip(from).take(PAGE).collect();
    let next = (from + PAGE < found.len()).then(|| (from + PAGE).to_string());
    answer_of(&json!({ "data": page, "next_cursor": next }))
}

/// Changes a billing address, once for a key.
async fn graphql(State(door): State<Door>, headers: HeaderMap, body: Bytes) -> Response {
    let mut world = lock(&door.world);
    let misdeed = match world.turned_away("graphql", &headers) {
        Ok(misdeed) => misdeed,
        Err(away) => return *away,
    };
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(key) = key_of(&headers) else {
        return problem(StatusCode::BAD_REQUEST, "a change needs an Idempotency-Key");
    };
    world.done.update_keys.push(key.clone());
    if let Some(known) = world.known(&key, &body) {
        return known;
    }
    let variable = |name: &str| asked.pointer(&format!("/variables/{name}"));
    let (id, address) = (variable("customer").and_then(Value::as_str), variable("address"));
    let customer = world.customers.iter_mut().find(|customer| Some(customer.id) == id);
    let (Some(customer), Some(address)) = (customer, address) else {
        let error = json!({ "message": "no such customer", "extensions": { "code": "NOT_FOUND" } });
        return answer_of(&json!({ "data": null, "errors": [error] }));
    };
    customer.address = address.clone();
    let answer =
        json!({ "data": { "changeBillingAddress": { "id": customer.id, "address": address } } });
    world.done.updates += 1;
    world.answered.insert(key, (body, answer.clone()));
    if misdeed == Some(Misdeed::LoseAnswer) { broken_off(&answer) } else { answer_of(&answer) }
}

/// Writes a note into a customer's file.
async fn note(
    State(door): State<Door>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut world = lock(&door.world);
    let misdeed = match world.turned_away("note", &headers) {
        Ok(misdeed) => misdeed,
        Err(away) => return *away,
    };
    let Some(key) = key_of(&headers) else {
        return problem(StatusCode::BAD_REQUEST, "a note needs an Idempotency-Key");
    };
    if let Some(known) = world.known(&key, &body) {
        return known;
    }
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = asked.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
    world.done.notes.push((id, text));
    let answer = json!({ "note": format!("n-{}", world.done.notes.len()) });
    world.answered.insert(key, (body, answer.clone()));
    if misdeed == Some(Misdeed::LoseAnswer) { broken_off(&answer) } else { answer_of(&answer) }
}

/// Finance hears of it; it knows the sender by the signature, and a repetition by its key.
async fn notice(State(door): State<Door>, headers: HeaderMap, body: Bytes) -> Response {
    let mut world = lock(&door.world);
    if world.misdeed("notice").is_some() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "back soon");
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let time = header("x-openclaw-timestamp").and_then(|text| text.parse().ok());
    let nonce = header("x-openclaw-nonce").unwrap_or_default();
    let good = time.map(|time| format!("v1={}", sign(&door.hook, time, nonce, &body)));
    if good.is_none() || header("x-openclaw-signature") != good.as_deref() {
        world.done.unsigned += 1;
        return problem(StatusCode::UNAUTHORIZED, "the signature is wrong");
    }
    let Some(key) = key_of(&headers) else {
        return problem(StatusCode::BAD_REQUEST, "a notice needs an Idempotency-Key");
    };
    if let Some(known) = world.known(&key, &body) {
        return known;
    }
    world.done.notices.push(serde_json::from_slice(&body).unwrap_or_default());
    let answer = json!({ "received": true });
    world.answered.insert(key, (body, answer.clone()));
    answer_of(&answer)
}

fn key_of(headers: &HeaderMap) -> Option<String> {
    headers.get("idempotency-key")?.to_str().ok().map(str::to_owned)
}

fn answer_of(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({ "title": status.canonical_reason(), "detail": detail }).to_string();
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

/// An answer that breaks off in the middle, with its connection.
fn broken_off(body: &Value) -> Response {
    let mut half = body.to_string().into_bytes();
    half.truncate(half.len() / 2);
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, Body::new(Half(Some(half.into())))).into_response()
}

/// A body that gives what it has, and then fails.
struct Half(Option<Bytes>);

impl HttpBody for Half {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let broken = || io::Error::other("broken off, as the self-test asked for");
        Poll::Ready(Some(self.0.take().map(Frame::data).ok_or_else(broken)))
    }
}
