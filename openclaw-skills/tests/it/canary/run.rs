//! One run of a gateway with skills, credentials of every kind, and trouble of every kind.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Debug,
    fs::{self, Permissions},
    num::NonZeroUsize,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use openclaw_channels::{guarded_http::GuardedHttp, memory::MemoryChannel};
use openclaw_core::{
    AgentId, Call, ChannelId, Context, Effect, Env, Error, ErrorKind, Result, Secret, SkillId,
    TenantId,
    agent::{Answer, Turn, agent_fn},
    gateway::{Gateway, GatewayConfig},
    http::Http,
    records::{AuditLog, DeadLetters, Inventory},
    skill::{SkillAnswer, SkillManifest},
    store::{
        Backup, Key, Keys, MemoryStore, Op, Prefix, SealKey, SealedStore, SharedStore,
        StateStore as _, StateStoreExt as _, Txn,
    },
};
use openclaw_skills::{
    api::Authorize,
    auth::{ApiKey, Authorized, ClientAuth, Leaks, OAuth, OAuthBuilder},
    secrets::{
        EnvSecrets, ExecSecrets, FileSecrets, KeyPair, SecretRef, SecretSource, Secrets,
        StoredSecrets,
    },
    skill_fn,
};
use openclaw_testkit::env::{ManualClock, SeededRng};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    capture::Capture,
    scan::{Planted, Sink},
    server::{Answers, serve, tokens},
};
use crate::support::client;

/// A mistake that lets a secret out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leak {
    Trace,
    Row,
    Error,
    Reply,
    Letter,
    Debug,
}

/// What is planted, where it lies, and what came out.
struct World {
    planted: Planted,
    dir: TempDir,
    below: MemoryStore,
    sealed: SharedStore,
    env: Env,
    clock: ManualClock,
    answers: Answers,
    base: String,
    http: GuardedHttp,
    secrets: Secrets,
    errors: Vec<Error>,
    debug: Vec<String>,
    /// What hosts are told about their grants.
    events: Arc<Mutex<Vec<String>>>,
}

fn acme() -> TenantId {
    TenantId::new("acme").expect("a name")
}

fn reference(source: SecretSource, id: &str) -> SecretRef {
    SecretRef::new(source, "default", id).expect("a reference")
}

/// All that comes out of a run, and what must not be in it.
pub(super) async fn run(leak: Option<Leak>) -> (Vec<Sink>, Planted) {
    let capture = Capture::default();
    let _guard = tracing::subscriber::set_default(capture.clone());
    let answers: Answers = Arc::new(Mutex::new(VecDeque::new()));
    let (base, _server) = serve(Arc::clone(&answers)).await;
    let mut world = World::new(Arc::clone(&answers), base).await;
    let keys = world.keys().await;
    let grants = world.grants().await;
    world.bad_places().await;
    // What was planned to go wrong did, and what was planned to be issued was.
    assert_eq!(answers.lock().expect("not poisoned").len(), 0);
    assert!(world.errors.len() >= 30, "{} errors", world.errors.len());
    let replies = world.gateway(&keys, &grants, leak).await;
    let sinks = world.sinks(leak, &capture, replies).await;
    (sinks, world.planted)
}

impl World {
    async fn new(answers: Answers, base: String) -> Self {
        let mut planted = Planted::default();
        let clock = ManualClock::default();
        let below = MemoryStore::new(Arc::new(clock.clone()));
        let seal = Keys::sealing("k", &SealKey::from_bytes(&[7; 32]));
        let sealed: SharedStore = Arc::new(SealedStore::new(below.clone(), seal));
        let dir = tempfile::tempdir().expect("a folder");
        let mut debug = Vec::new();
        let secrets = provide(&mut planted, &dir, &sealed, &mut debug).await;
        debug.push(format!("{secrets:?}"));
        Self {
            planted,
            dir,
            below,
            sealed,
            env: Env::new(clock.clone(), SeededRng::new(7)),
            clock,
            answers,
            base,
            http: client(),
            secrets,
            errors: Vec::new(),
            debug,
            events: Arc::default(),
        }
    }

    /// Shows something as a program would in a log.
    fn show(&mut self, what: &impl Debug) {
        self.debug.push(format!("{what:?} {what:#?}"));
    }

    /// Makes a request at this path, and keeps the error or the odd status as one.
    async fn get(&mut self, client: &Authorized, path: &str) {
        if let Err(e) = fetch(client, &self.base, path).await {
            self.errors.push(e);
        }
    }

    /// Every way to show a secret, and every way in which its use goes wrong.
    async fn keys(&mut self) -> Vec<Authorized> {
        let secrets = || self.secrets.clone();
        let keys = [
            ApiKey::header(secrets(), reference(SecretSource::Env, "HEADER"), "x-api-key"),
            Ok(ApiKey::bearer(secrets(), reference(SecretSource::File, "/a/b"))),
            ApiKey::basic(secrets(), "user", reference(SecretSource::Exec, "vault/one")),
            ApiKey::query(
                secrets(),
                reference(SecretSource::Store, "STORED"),
                "key",
                Leaks::Accepted,
            ),
            Ok(ApiKey::bearer(secrets(), reference(SecretSource::File, "value"))),
        ];
        let mut clients = Vec::new();
        for key in keys {
            let key = key.expect("a key");
            self.show(&key);
            let mut request = http::Request::new(Bytes::new());
            let context = Context::new(acme());
            match key.authorize(&context, &mut request, None).await {
                Ok(credential) => {
                    self.show(&credential);
                    self.show(request.headers());
                }
                Err(e) => self.errors.push(e),
            }
            let base = self.base.clone();
            let client = Authorized::new(self.http.clone(), key, &base).expect("an origin");
            self.show(&client);
            for path in ["/api/ok", "/api/401", "/api/403", "/api/500", "/api/reset"] {
                self.get(&client, path).await;
            }
            clients.push(client);
        }
        clients
    }

    fn answer(&self, answer: (u16, String)) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
    }

    fn build(&mut self, builder: OAuthBuilder) -> OAuth {
        let told = Arc::clone(&self.events);
        let builder = builder.on_event(move |event| {
            told.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{event:?}"));
        });
        self.show(&builder);
        let (http, secrets) = (self.http.clone(), self.secrets.clone());
        let (store, env) = (Arc::clone(&self.sealed), self.env.clone());
        let grant = builder.build(http, secrets, store, acme(), env).expect("a grant");
        self.show(&grant);
        grant
    }

    async fn token(&mut self, grant: &OAuth) {
        match grant.token().await {
            Ok(token) => self.show(&token),
            Err(e) => self.errors.push(e),
        }
        match grant.status().await {
            Ok(status) => self.show(&status),
            Err(e) => self.errors.push(e),
        }
    }

    /// Every flow, every refusal, and answers that hold secrets where none belong.
    async fn grants(&mut self) -> Vec<OAuth> {
        let uri = format!("{}/token", self.base);
        let field = self.planted.plant("field");
        let basic = OAuth::client_credentials("basic", &uri, "gateway")
            .client_secret(reference(SecretSource::Env, "CLIENT_BASIC"))
            .field("audience", field);
        let post = OAuth::client_credentials("post", &uri, "gateway")
            .client_secret(reference(SecretSource::Store, "CLIENT_POST"))
            .client_auth(ClientAuth::Post);
        let mut grants = Vec::new();
        for (name, builder) in [("basic", basic), ("post", post)] {
            let grant = self.build(builder);
            let (first, second) = (format!("access-{name}-1"), format!("access-{name}-2"));
            let access = [self.planted.plant(&first), self.planted.plant(&second)];
            self.answer(tokens(&access[0], None));
            self.token(&grant).await;
            self.clock.advance(Duration::from_secs(1000));
            for answer in self.odd_answers(name) {
                self.answer(answer);
                self.token(&grant).await;
                self.clock.advance(Duration::from_secs(300));
            }
            self.answer(tokens(&access[1], None));
            self.token(&grant).await;
            grants.push(grant);
        }
        grants.push(self.person(&uri).await);
        grants
    }

    /// Answers of a token end point that an error could quote.
    fn odd_answers(&mut self, of: &str) -> Vec<(u16, String)> {
        let mut text = |name: &str| self.planted.plant(&format!("{name}-{of}"));
        let said = text("description");
        vec![
            (400, json!({ "error": "invalid_request", "error_description": said }).to_string()),
            (400, json!({ "error": text("code") }).to_string()),
            (200, json!({ "access_token": text("odd-type"), "token_type": "mac" }).to_string()),
            (200, text("not-json")),
            (200, json!({ "token_type": "Bearer", "refresh_token": text("alone") }).to_string()),
            (302, text("redirect")),
        ]
    }

    async fn person(&mut self, uri: &str) -> OAuth {
        let builder = OAuth::authorization_code("person", uri, "gateway")
            .client_secret(reference(SecretSource::Env, "CLIENT_BASIC"))
            .consent(format!("{}/auth", self.base), "http://127.0.0.1/back");
        let grant = self.build(builder);
        self.token(&grant).await;
        for round in 1..=2 {
            let code = Secret::new(self.planted.plant(&format!("code-{round}")));
            let begun = grant.begin().await.expect("a consent");
            self.show(&begun);
            if round == 1 {
                let said = self.planted.plant("code-refused");
                let refused = json!({ "error": "invalid_grant", "error_description": said });
                self.answer((400, refused.to_string()));
            } else {
                let access = self.planted.plant("access-person-1");
                let refresh = self.planted.plant("refresh-1");
                self.answer(tokens(&access, Some(&refresh)));
            }
            self.errors.extend(grant.finish(&code, begun.state(), None).await.err());
            self.errors.extend(grant.finish(&code, begun.state(), None).await.err());
        }
        self.token(&grant).await;
        self.clock.advance(Duration::from_secs(1000));
        let (access, refresh) =
            (self.planted.plant("access-person-2"), self.planted.plant("refresh-2"));
        self.answer(tokens(&access, Some(&refresh)));
        self.token(&grant).await;
        let adopted = self.planted.plant("refresh-adopted");
        grant.adopt(Secret::new(adopted)).await.expect("it is kept");
        let said = self.planted.plant("grant-refused");
        let refused = json!({ "error": "invalid_grant", "error_description": said });
        self.answer((400, refused.to_string()));
        self.token(&grant).await;
        grant
    }

    /// References to places that hold something else, and texts that are none.
    async fn bad_places(&mut self) {
        for (source, id) in [
            (SecretSource::Env, "BROKEN"),
            (SecretSource::Env, "MISSING"),
            (SecretSource::File, "/a"),
            (SecretSource::File, "/missing"),
            (SecretSource::Exec, "vault/refused"),
            (SecretSource::Exec, "vault/odd"),
            (SecretSource::Exec, "vault/crash"),
            (SecretSource::Store, "MISSING"),
        ] {
            let reference = reference(source, id);
            match self.secrets.get(&reference).await {
                Ok(secret) => self.show(&secret),
                Err(e) => self.errors.push(e),
            }
            let key = ApiKey::header(self.secrets.clone(), reference, "x-api-key").expect("a key");
            let mut request = http::Request::new(Bytes::new());
            let signed = key.authorize(&Context::new(acme()), &mut request, None).await;
            self.errors.extend(signed.err());
        }
        for name in ["PAIR", "HALF"] {
            let pair = KeyPair::bundle(self.secrets.clone(), reference(SecretSource::Store, name));
            self.show(&pair);
            match pair.read().await {
                Ok((_, key)) => self.show(&key),
                Err(e) => self.errors.push(e),
            }
        }
        let world_readable = FileSecrets::new(self.dir.path().join("open")).expect("a path");
        let secrets = Secrets::builder().provider(SecretSource::File, "default", world_readable);
        let secrets = secrets.build().expect("names");
        let value = reference(SecretSource::File, "value");
        self.errors.extend(secrets.get(&value).await.err());
        let pasted = self.planted.plant("pasted");
        for text in [json!(pasted), json!({ "source": pasted }), json!({ "id": pasted })] {
            let error = serde_json::from_value::<SecretRef>(text).expect_err("no reference");
            self.show(&error);
            self.debug.push(error.to_string());
        }
        self.errors.extend(SecretRef::new(SecretSource::Env, "default", &pasted).err());
        self.errors.extend(SecretRef::new(SecretSource::Exec, &pasted, "a").err());
        let key = ApiKey::header(self.secrets.clone(), value, &pasted);
        self.errors.extend(key.err());
    }

    /// A conversation about all of it; what was replied.
    async fn gateway(
        &mut self,
        keys: &[Authorized],
        grants: &[OAuth],
        leak: Option<Leak>,
    ) -> Vec<String> {
        let secret = self.planted.all().next().expect("one").1.to_owned();
        let origin = self.base.clone();
        let signed = grants.iter().map(|grant| {
            Authorized::new(self.http.clone(), grant.clone(), &origin).expect("an origin")
        });
        let clients: Arc<[Authorized]> = keys.iter().cloned().chain(signed).collect();
        let all = clients.len();
        let base = origin.clone();
        let skill = skill_fn(
            SkillManifest::new(SkillId::new("crm.get").expect("a name"), "1.0.0")
                .effect(Effect::Pure),
            move |_cx, (client, path): (usize, String)| {
                let (clients, base) = (Arc::clone(&clients), base.clone());
                async move { fetch(&clients[client], &base, &path).await }
            },
        );
        let (channel, peer) = MemoryChannel::pair(ChannelId::new("web").expect("a name"), acme());
        let mut config = GatewayConfig::default();
        config.turn_attempts = 1;
        let agent = agent_fn(AgentId::new("desk").expect("a name"), move |turn: Turn| {
            let secret = secret.clone();
            async move { desk(turn, leak, &secret).await }
        });
        let gateway = Gateway::builder(self.env.clone(), self.below.clone())
            .config(config)
            .channel(channel)
            .agent(agent)
            .skill(skill.expect("a skill"))
            .start()
            .await
            .expect("a gateway");
        let paths = ["ok", "401", "403", "500", "reset"];
        let messages: Vec<String> = (0..all)
            .flat_map(|client| paths.map(|path| format!("{client} /api/{path}")))
            .chain(["die 0 /api/500".to_owned()])
            .collect();
        for message in &messages {
            peer.say(&format!("c-{message}"), message).expect("it is said");
        }
        let mut replies = Vec::new();
        while replies.len() < messages.len() - 1 {
            let sent = tokio::time::timeout(Duration::from_secs(30), peer.next_sent()).await;
            replies.push(sent.expect("a reply").text());
        }
        gateway.drain(Duration::from_secs(30)).await.expect("it ends well");
        self.show(&gateway);
        self.debug.push(format!("{:?}", Inventory::of(&self.shared()).await.expect("rows")));
        replies
    }

    fn shared(&self) -> SharedStore {
        Arc::new(self.below.clone())
    }

    /// Lets a secret out on purpose.
    async fn leak(&mut self, leak: Option<Leak>) {
        let secret = self.planted.all().last().expect("one").1.to_owned();
        match leak {
            Some(Leak::Trace) => tracing::trace!(header = secret, "sent"),
            Some(Leak::Row) => {
                let key = Key::system("zz").text("oops").build();
                let put = Op::put(key, secret.clone().into_bytes());
                self.below.commit(Txn::new("oops").op(put)).await.expect("a row");
            }
            Some(Leak::Error) => {
                let cause = std::io::Error::other(format!("Bearer {secret}"));
                self.errors.push(Error::new(ErrorKind::ServerError, "odd").with_source(cause));
            }
            Some(Leak::Debug) => self.show(&secret),
            _ => {}
        }
    }

    /// The bytes of all that came out.
    async fn sinks(
        &mut self,
        leak: Option<Leak>,
        capture: &Capture,
        replies: Vec<String>,
    ) -> Vec<Sink> {
        self.leak(leak).await;
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
        let mut sinks = vec![
            ("events".to_owned(), events.into_bytes()),
            ("trace".to_owned(), capture.text().into_bytes()),
            ("replies".to_owned(), replies.join("\n").into_bytes()),
            ("debug".to_owned(), self.debug.join("\n").into_bytes()),
        ];
        let errors: Vec<String> = self.errors.iter().map(said).collect();
        sinks.push(("errors".to_owned(), errors.join("\n").into_bytes()));
        let rows = self.below.scan_all(Prefix::from_bytes(Bytes::new())).await.expect("rows");
        assert!(!rows.is_empty());
        for (key, row) in rows {
            sinks.push(("rows".to_owned(), [key.as_bytes(), &row.value].concat()));
        }
        let file = self.dir.path().join("backup");
        Backup::new(self.below.clone()).save(&file).await.expect("a backup");
        sinks.push(("backup".to_owned(), fs::read(&file).expect("a file")));
        let audit = AuditLog::new(self.shared(), acme()).entries().await.expect("entries");
        sinks.push(("audit".to_owned(), format!("{audit:?}").into_bytes()));
        let letters = DeadLetters::new(self.shared(), acme());
        let some = NonZeroUsize::new(100).expect("not zero");
        let dead = letters.list(None, some).await.expect("letters");
        let parked = letters.parked(None, some).await.expect("letters");
        assert_eq!(dead.len(), 1);
        sinks.push(("letters".to_owned(), format!("{dead:?} {parked:?}").into_bytes()));
        sinks
    }
}

/// All that an error says, with its causes.
fn said(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?} {}", error.public());
    let mut cause = std::error::Error::source(error);
    while let Some(e) = cause {
        text.push_str(&format!(" {e} {e:?}"));
        cause = e.source();
    }
    text
}

async fn fetch(client: &Authorized, base: &str, path: &str) -> Result<Value> {
    let request = http::Request::get(format!("{base}{path}")).body(Bytes::new());
    let call = Call::http(Context::new(acme()), request.expect("a request"));
    let answer = client.send(call).await?;
    let status = answer.status();
    let body = answer.into_body().collect(1 << 20).await?;
    if status.is_success() {
        return serde_json::from_slice(&body)
            .map_err(|e| Error::new(ErrorKind::ServerError, "no JSON").with_source(e));
    }
    Err(Error::new(ErrorKind::ServerError, "the CRM refused").with("status", status.as_u16()))
}

/// An agent that calls the skill it is told to, and tells what came of it.
async fn desk(mut turn: Turn, leak: Option<Leak>, secret: &str) -> Result<Answer> {
    let text = turn.text().into_owned();
    let words = text.strip_prefix("die ").unwrap_or(&text);
    let (client, path) = words.split_once(' ').unwrap_or_default();
    let input = json!([client.parse::<usize>().unwrap_or_default(), path]);
    let outcome = turn.skill("crm.get", "get", input).await;
    match outcome {
        Err(e) if text.starts_with("die ") => Err(match leak {
            Some(Leak::Letter) => e.with("header", secret),
            _ => e,
        }),
        Err(e) => Ok(Answer::text(format!("{e} {e:?} {}", e.public()))),
        Ok(SkillAnswer::Done(output)) if leak == Some(Leak::Reply) => {
            Ok(Answer::text(format!("{output:?} {secret}")))
        }
        Ok(answer) => Ok(Answer::text(format!("{answer:?}"))),
    }
}

/// All four kinds of places, filled.
async fn provide(
    planted: &mut Planted,
    dir: &TempDir,
    sealed: &SharedStore,
    debug: &mut Vec<String>,
) -> Secrets {
    let mut variables = BTreeMap::new();
    for name in ["HEADER", "CLIENT_BASIC"] {
        variables.insert(name.to_owned(), planted.plant(&format!("env-{name}")));
    }
    // No header can hold it.
    let broken = format!("{}\n", planted.plant("env-broken"));
    variables.insert("BROKEN".to_owned(), broken);
    let env = EnvSecrets::of(move |name| variables.get(name).cloned());
    let write = |name: &str, text: &str, mode| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its rights");
        path
    };
    let document = json!({ "a": { "b": planted.plant("file-json") } });
    let file = write("secrets", &document.to_string(), 0o600);
    write("open", &planted.plant("file-open"), 0o644);
    let program = format!(
        "#!/bin/sh\nread -r asked\necho '{stderr}' >&2\ncase $asked in\n\
         *vault/one*) printf '%s' '{one}' ;;\n*vault/refused*) printf '%s' '{refused}' ;;\n\
         *vault/odd*) printf '%s' '{odd}' ;;\n*) printf '%s' '{odd}'; exit 3 ;;\nesac\n",
        stderr = planted.plant("exec-stderr"),
        one = json!({ "protocolVersion": 1, "values": { "vault/one": planted.plant("exec") } }),
        refused = json!({
            "protocolVersion": 1,
            "errors": { "vault/refused": { "message": planted.plant("exec-message") } },
        }),
        odd = planted.plant("exec-odd"),
    );
    let vault = ExecSecrets::new("default", write("vault", &program, 0o700)).expect("a path");
    let vault = vault.arg("--quiet").env("TOKEN", planted.plant("exec-env"));
    let stored = StoredSecrets::new(Arc::clone(sealed), acme());
    for name in ["STORED", "CLIENT_POST"] {
        let secret = Secret::new(planted.plant(&format!("store-{name}")));
        stored.put(name, &secret).await.expect("it is kept");
        debug.push(format!("{secret:?}"));
    }
    for (name, certificates) in [("PAIR", 1), ("HALF", 0)] {
        let certificate = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n";
        let body = planted.plant(&format!("pem-{name}"));
        let key = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        let both = Secret::new(certificate.repeat(certificates) + &key);
        stored.put(name, &both).await.expect("it is kept");
    }
    let file = FileSecrets::new(file).expect("a path");
    debug.push(format!("{env:?} {file:?} {vault:?} {stored:?}"));
    let builder = Secrets::builder()
        .provider(SecretSource::Env, "default", env)
        .provider(SecretSource::File, "default", file)
        .provider(SecretSource::Exec, "default", vault)
        .provider(SecretSource::Store, "default", stored);
    debug.push(format!("{builder:?}"));
    builder.build().expect("names")
}
