//! Every flow against a real OAuth 2.0 server: oidc-provider, run by node on loopback.
//!
//! `scripts/test` installs it below the target folder. Where it is missing the tests say so, and
//! with `CI` or `OPENCLAW_REQUIRE_SERVERS` set they fail.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use openclaw_channels::guarded_http::GuardedHttp;
use openclaw_core::{
    Call, Env, ErrorKind, Result, Secret, TenantId,
    http::Http,
    store::{MemoryStore, SharedStore},
};
use openclaw_skills::{
    auth::{AuthEvent, Authorized, ClientAuth, OAuth, OAuthBuilder, ReauthReason},
    secrets::{EnvSecrets, SecretRef, SecretSource, Secrets},
};
use openclaw_testkit::env::{ManualClock, SeededRng};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    task::JoinSet,
    time::timeout,
};

use crate::support::{client, context};

const SECRET: &str = "a client's secret: 0123456789";
const BACK: &str = "http://127.0.0.1/back";

/// What the browser of a person who agrees brings back.
struct Returned {
    code: Secret,
    state: String,
    issuer: String,
}

/// A running server. Its standard input is held: with it the server ends.
struct Server {
    base: String,
    _stdin: ChildStdin,
    _child: Child,
    http: GuardedHttp,
}

/// The folder with the packages, when they are installed.
fn packages() -> Option<PathBuf> {
    let named = std::env::var_os("OPENCLAW_OAUTH_SERVER").map(PathBuf::from);
    let usual = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("oauth-server");
    let folder = named.unwrap_or_else(usual);
    folder.join("node_modules/oidc-provider").is_dir().then_some(folder)
}

/// Runs the server; `None` without node.
fn run(folder: &Path) -> Option<Child> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oauth/server.js");
    let spawned = Command::new("node")
        .arg(script)
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    match spawned {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        spawned => Some(spawned.expect("node runs")),
    }
}

fn must_run() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    set("CI") || set("OPENCLAW_REQUIRE_SERVERS")
}

impl Server {
    /// Starts one, or says that there is none to start.
    async fn start_or_skip() -> Option<Self> {
        let Some(mut child) = packages().and_then(|folder| run(&folder)) else {
            let missing = "oidc-provider or node is not here: `scripts/test` installs the first \
                           by npm, or name its folder in OPENCLAW_OAUTH_SERVER";
            assert!(!must_run(), "{missing}");
            let _closed = writeln!(std::io::stderr(), "NOT RUN: {missing}");
            return None;
        };
        let mut stdin = child.stdin.take().expect("a pipe");
        let line = format!("{}\n", json!({ "clients": clients() }));
        stdin.write_all(line.as_bytes()).await.expect("it listens");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let ready = timeout(Duration::from_secs(60), lines.next_line()).await;
        let ready = ready.expect("it starts in time").expect("a line").expect("a line");
        let ready: Value = serde_json::from_str(&ready).expect("JSON");
        let base = format!("http://127.0.0.1:{}", ready["port"]);
        Some(Self { base, _stdin: stdin, _child: child, http: client() })
    }

    async fn ask(&self, method: &str, path: &str, token: Option<&str>) -> (u16, Value) {
        let mut request =
            http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let call = Call::http(context(), request.body(Bytes::new()).expect("a request"));
        let answer = self.http.send(call).await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect(1 << 20).await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn tell(&self, path: &str) {
        assert_eq!(self.ask("POST", path, None).await.0, 204, "{path}");
    }

    async fn count(&self, kind: &str) -> u64 {
        self.ask("GET", "/test/counts", None).await.1[kind].as_u64().unwrap_or_default()
    }

    /// Does the resource serve this token?
    async fn serves(&self, token: &str) -> bool {
        self.ask("GET", "/resource", Some(token)).await.0 == 204
    }

    /// What a person who agrees brings back.
    async fn consent(&self, url: &str) -> Returned {
        let plain = |b: u8| b.is_ascii_alphanumeric();
        let to: String = url
            .bytes()
            .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect();
        let (status, said) = self.ask("GET", &format!("/test/consent?to={to}"), None).await;
        assert_eq!((status, said["error"].as_str()), (200, None), "{said}");
        let text = |name: &str| said[name].as_str().expect("text").to_owned();
        Returned { code: Secret::new(text("code")), state: text("state"), issuer: text("iss") }
    }
}

fn clients() -> Value {
    let client = |id: &str, auth: &str| {
        let mut client = json!({
            "client_id": id,
            "token_endpoint_auth_method": auth,
            "grant_types": if auth == "none" {
                json!(["authorization_code", "refresh_token"])
            } else {
                json!(["client_credentials", "authorization_code", "refresh_token"])
            },
            "response_types": ["code"],
            "redirect_uris": [BACK],
            "scope": "openid offline_access contacts",
        });
        if auth != "none" {
            client["client_secret"] = json!(SECRET);
        }
        client
    };
    json!([
        client("basic", "client_secret_basic"),
        client("post", "client_secret_post"),
        client("public", "none"),
    ])
}

/// What the processes of one test share: a store, a clock, a client's secret.
struct World {
    server: Server,
    store: SharedStore,
    clock: ManualClock,
    secret: Arc<Mutex<String>>,
    events: Arc<Mutex<Vec<AuthEvent>>>,
}

impl World {
    async fn start_or_skip() -> Option<Self> {
        let server = Server::start_or_skip().await?;
        let clock = ManualClock::default();
        Some(Self {
            server,
            store: Arc::new(MemoryStore::new(Arc::new(clock.clone()))),
            clock,
            secret: Arc::new(Mutex::new(SECRET.to_owned())),
            events: Arc::default(),
        })
    }

    fn build(&self, builder: OAuthBuilder) -> OAuth {
        let known = Arc::clone(&self.secret);
        let env = EnvSecrets::of(move |_name| known.lock().ok().map(|text| text.clone()));
        let secrets = Secrets::builder().provider(SecretSource::Env, "default", env);
        let events = Arc::clone(&self.events);
        let builder =
            builder.on_event(move |event| events.lock().expect("not poisoned").push(event.clone()));
        let seed = u64::try_from(self.events.lock().expect("not poisoned").len()).unwrap_or(0);
        let env = Env::new(self.clock.clone(), SeededRng::new(seed + Env::system().next_u64()));
        let (http, store) = (self.server.http.clone(), Arc::clone(&self.store));
        let acme = TenantId::new("acme").expect("a name");
        builder.build(http, secrets.build().expect("names"), store, acme, env).expect("a grant")
    }

    fn client(&self, id: &str, auth: ClientAuth) -> OAuth {
        let uri = format!("{}/token", self.server.base);
        let secret = SecretRef::env("CLIENT_SECRET").expect("a name");
        let builder = OAuth::client_credentials(format!("crm-{id}"), uri, id)
            .client_auth(auth)
            .revocation(format!("{}/token/revocation", self.server.base));
        self.build(builder.client_secret(secret).scope("contacts"))
    }

    fn person(&self, id: &str) -> OAuth {
        let uri = format!("{}/token", self.server.base);
        let builder = OAuth::authorization_code(format!("crm-{id}"), uri, id)
            .consent(format!("{}/auth", self.server.base), BACK)
            .issuer(self.server.base.as_str())
            .revocation(format!("{}/token/revocation", self.server.base))
            .scope("openid")
            .scope("contacts");
        self.build(match id {
            "public" => builder,
            _ => builder.client_secret(SecretRef::env("CLIENT_SECRET").expect("a name")),
        })
    }

    async fn authorise(&self, grant: &OAuth) {
        let begun = grant.begin().await.expect("a consent");
        let back = self.server.consent(begun.url()).await;
        assert_eq!(back.state, begun.state());
        let ended = grant.finish(&back.code, &back.state, Some(&back.issuer)).await;
        ended.expect("it ends well");
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

async fn text(grant: &OAuth) -> String {
    grant.token().await.expect("a token").expose().to_owned()
}

async fn refusal(grant: &OAuth) -> ErrorKind {
    grant.token().await.expect_err("no token").kind()
}

async fn crowd(grants: &[OAuth], size: usize) -> Vec<Result<String, ErrorKind>> {
    let mut callers = JoinSet::new();
    for n in 0..size {
        let grant = grants[n % grants.len()].clone();
        callers.spawn(async move {
            let token = grant.token().await;
            token.map(|token| token.expose().to_owned()).map_err(|e| e.kind())
        });
    }
    callers.join_all().await
}

#[tokio::test]
async fn client_credentials_work_by_header_and_by_form() {
    let Some(world) = World::start_or_skip().await else { return };
    for (id, auth) in [("basic", ClientAuth::Basic), ("post", ClientAuth::Post)] {
        let grant = world.client(id, auth);
        let first = text(&grant).await;
        assert!(world.server.serves(&first).await);
        world.pass(3300);
        assert_ne!(text(&grant).await, first, "300 s ahead of its end");
    }
    assert_eq!(world.server.count("client_credentials").await, 4);
}

#[tokio::test]
async fn a_consent_with_pkce_brings_tokens_that_rotate() {
    let Some(world) = World::start_or_skip().await else { return };
    for id in ["basic", "public"] {
        let grant = world.person(id);
        assert_eq!(refusal(&grant).await, ErrorKind::AuthenticationFailed);
        world.authorise(&grant).await;
        let mut last = text(&grant).await;
        assert!(world.server.serves(&last).await);
        for _ in 0..3 {
            world.pass(3300);
            // Another process each time: what rotated lies in the store.
            let next = text(&world.person(id)).await;
            assert!(next != last && world.server.serves(&next).await);
            last = next;
        }
    }
    assert_eq!(world.server.count("refresh_token").await, 6);
}

#[tokio::test]
async fn a_code_with_another_verifier_is_refused() {
    let Some(world) = World::start_or_skip().await else { return };
    let grant = world.person("public");
    let (mine, theirs) = (grant.begin().await.expect("one"), grant.begin().await.expect("two"));
    let back = world.server.consent(theirs.url()).await;
    let ended = grant.finish(&back.code, mine.state(), Some(&back.issuer)).await;
    let error = ended.expect_err("not its verifier");
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    assert!(error.to_string().contains("error=invalid_grant"), "{error}");
}

#[tokio::test]
async fn a_consent_comes_back_with_the_servers_own_name() {
    let Some(world) = World::start_or_skip().await else { return };
    let grant = world.person("basic");
    let begun = grant.begin().await.expect("a consent");
    let back = world.server.consent(begun.url()).await;
    for other in [None, Some("http://127.0.0.1:1")] {
        let mixed_up = grant.finish(&back.code, &back.state, other).await;
        assert_eq!(mixed_up.expect_err("not ours").kind(), ErrorKind::PermissionDenied);
    }
    assert_eq!(world.server.count("authorization_code").await, 0, "the code went nowhere");
    let ended = grant.finish(&back.code, &back.state, Some(&back.issuer)).await;
    ended.expect("it ends well");
    assert!(world.server.serves(&text(&grant).await).await);
}

#[tokio::test]
async fn what_is_handed_back_is_revoked() {
    let Some(world) = World::start_or_skip().await else { return };
    for id in ["basic", "public"] {
        let grant = world.person(id);
        world.authorise(&grant).await;
        let token = text(&grant).await;
        assert!(world.server.serves(&token).await);
        grant.hand_back().await.expect("it is taken back");
        assert!(!world.server.serves(&token).await, "{id}");
        assert_eq!(refusal(&grant).await, ErrorKind::AuthenticationFailed);
    }
}

#[tokio::test]
async fn what_needs_no_person_is_revoked_and_asked_for_anew() {
    let Some(world) = World::start_or_skip().await else { return };
    for (id, auth) in [("basic", ClientAuth::Basic), ("post", ClientAuth::Post)] {
        let grant = world.client(id, auth);
        let token = text(&grant).await;
        grant.hand_back().await.expect("it is taken back");
        assert!(!world.server.serves(&token).await, "{id}");
        assert!(world.server.serves(&text(&grant).await).await, "{id}");
    }
}

#[tokio::test]
async fn a_crowd_of_replicas_uses_each_refresh_token_once() {
    let Some(world) = World::start_or_skip().await else { return };
    world.authorise(&world.person("basic")).await;
    let replicas: Vec<OAuth> = (0..4).map(|_| world.person("basic")).collect();
    world.server.tell("/test/hold?ms=100").await;
    for round in 1..=3 {
        world.pass(3600);
        let found = crowd(&replicas, 1000).await;
        let first = found[0].clone().expect("a token");
        assert!(found.iter().all(|token| token.as_deref() == Ok(first.as_str())));
        assert!(world.server.serves(&first).await);
        assert_eq!(world.server.count("refresh_token").await, round);
    }
}

#[tokio::test]
async fn a_token_that_the_resource_refuses_is_replaced_once_and_the_call_is_made_again() {
    let Some(world) = World::start_or_skip().await else { return };
    let grant = world.person("basic");
    world.authorise(&grant).await;
    let first = text(&grant).await;
    let base = &world.server.base;
    let client = Authorized::new(world.server.http.clone(), grant.clone(), base).expect("a client");
    let get = async || {
        let request = http::Request::get(format!("{base}/resource")).body(Bytes::new());
        let call = Call::http(context(), request.expect("a request"));
        client.send(call).await.map(|answer| answer.status().as_u16())
    };
    assert_eq!(get().await.ok(), Some(204));
    assert_eq!(world.server.ask("POST", "/test/expire", Some(&first)).await.0, 204);
    world.pass(60);
    assert_eq!(get().await.ok(), Some(204), "with a new token");
    assert_eq!(world.server.count("refresh_token").await, 1);
    // The new one is refused at once: that is an error, and no second refresh.
    let second = text(&grant).await;
    assert_eq!(world.server.ask("POST", "/test/expire", Some(&second)).await.0, 204);
    let error = get().await.expect_err("it was just issued");
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    assert_eq!(world.server.count("refresh_token").await, 1);
}

#[tokio::test]
async fn an_answer_that_is_lost_behind_the_rotation_ends_the_grant_once() {
    let Some(world) = World::start_or_skip().await else { return };
    let grant = world.person("basic");
    world.authorise(&grant).await;
    world.pass(3600);
    world.server.tell("/test/lose").await;
    assert_eq!(refusal(&grant).await, ErrorKind::Unavailable);
    for _ in 0..5 {
        world.pass(600);
        assert_eq!(refusal(&grant).await, ErrorKind::AuthenticationFailed);
    }
    assert_eq!(world.server.count("refresh_token").await, 2);
    let events = world.events.lock().expect("not poisoned").clone();
    let lost = |event: &&AuthEvent| {
        matches!(event, AuthEvent::NeedsReauth { why: ReauthReason::RotationLost, .. })
    };
    assert_eq!(events.iter().filter(lost).count(), 1, "{events:?}");
    world.authorise(&grant).await;
    assert!(world.server.serves(&text(&grant).await).await, "a person helps");
}

#[tokio::test]
async fn a_server_that_is_down_is_waited_for() {
    let Some(world) = World::start_or_skip().await else { return };
    let grant = world.client("basic", ClientAuth::Basic);
    world.server.tell("/test/fail?status=503&after=40&times=1").await;
    let error = grant.token().await.expect_err("it is down");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(40)));
    world.pass(39);
    assert_eq!(refusal(&grant).await, ErrorKind::Unavailable);
    assert_eq!(world.server.count("client_credentials").await, 1);
    world.pass(1);
    text(&grant).await;
}

#[tokio::test]
async fn a_rotated_client_secret_is_taken_up_at_once() {
    let Some(world) = World::start_or_skip().await else { return };
    let grant = world.client("basic", ClientAuth::Basic);
    text(&grant).await;
    "another secret: 0123456789".clone_into(&mut world.secret.lock().expect("not poisoned"));
    let path = "/test/secret?client=basic&value=another%20secret:%200123456789";
    world.server.tell(path).await;
    world.pass(3600);
    assert!(world.server.serves(&text(&grant).await).await);
    assert_eq!(world.server.count("client_credentials").await, 3, "the old one was tried once");
}
