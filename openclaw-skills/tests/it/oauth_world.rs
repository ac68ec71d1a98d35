//! One store and one token end point, with processes that come and go.

use std::sync::{Arc, Mutex};

use openclaw_core::{
    Env, Error, ErrorKind, Happened, Result, Secret, TenantId, Timestamp,
    store::{MemoryStore, SharedStore},
};
use openclaw_skills::{
    auth::{AuthEvent, OAuth, OAuthBuilder, ReauthReason},
    secrets::{EnvSecrets, SecretRef, SecretSource, Secrets},
};
use openclaw_testkit::env::{PausedClock, SeededRng, test_env};
use tokio::task::JoinSet;

use crate::desk::Desk;

pub(crate) const TOKEN: &str = "https://id.test/token";

/// A world of one store and one desk, in which processes come and go.
pub(crate) struct World {
    pub(crate) desk: Desk,
    pub(crate) store: SharedStore,
    pub(crate) env: Env,
    pub(crate) events: Arc<Mutex<Vec<AuthEvent>>>,
    pub(crate) client_secret: Arc<Mutex<String>>,
}

impl World {
    pub(crate) fn new() -> Self {
        let env = test_env(7);
        Self {
            desk: Desk::new(),
            store: Arc::new(MemoryStore::new(env.clock())),
            env,
            events: Arc::default(),
            client_secret: Arc::new(Mutex::new("client s3cret".to_owned())),
        }
    }

    pub(crate) fn build(&self, builder: OAuthBuilder) -> OAuth {
        self.build_in(&self.env, builder)
    }

    /// In a process with a clock of its own.
    pub(crate) fn build_in(&self, own: &Env, builder: OAuthBuilder) -> OAuth {
        let known = Arc::clone(&self.client_secret);
        let env = EnvSecrets::of(move |_name| known.lock().ok().map(|text| text.clone()));
        let secrets = Secrets::builder().provider(SecretSource::Env, "default", env);
        let events = Arc::clone(&self.events);
        let builder = builder
            .client_secret(SecretRef::env("CLIENT_SECRET").expect("a name"))
            .on_event(move |event| events.lock().expect("not poisoned").push(event.clone()));
        let (secrets, store) = (secrets.build().expect("names"), Arc::clone(&self.store));
        let acme = TenantId::new("acme").expect("a name");
        builder.build(self.desk.clone(), secrets, store, acme, own.clone()).expect("a grant")
    }

    /// What a process has whose clock is wrong by so many milliseconds.
    pub(crate) fn wrong_by(&self, ms: i64) -> Env {
        let shown = self.env.now().as_millis().saturating_add_signed(ms);
        let clock = PausedClock::new(Timestamp::from_millis(shown));
        Env::new(clock, SeededRng::new(self.env.next_u64()))
    }

    /// A process with a grant of the client's own.
    pub(crate) fn client(&self) -> OAuth {
        self.build(OAuth::client_credentials("crm", TOKEN, "gateway").scope("contacts"))
    }

    /// A process with a person's grant.
    pub(crate) fn person(&self) -> OAuth {
        let builder = OAuth::authorization_code("crm", TOKEN, "gateway").scope("contacts");
        self.build(
            builder
                .consent("https://id.test/auth?x=1", "https://host.test/back")
                .consent_field("prompt", "consent"),
        )
    }

    /// A person's grant with a refresh token that works.
    pub(crate) async fn authorised(&self) -> OAuth {
        let grant = self.person();
        grant.adopt(Secret::new("refresh-0")).await.expect("it is kept");
        grant
    }

    pub(crate) fn ends(&self) -> Vec<ReauthReason> {
        let events = self.events.lock().expect("not poisoned");
        let end = |event: &AuthEvent| match event {
            AuthEvent::NeedsReauth { why, .. } => Some(*why),
            _ => None,
        };
        events.iter().filter_map(end).collect()
    }
}

pub(crate) async fn text(grant: &OAuth) -> String {
    grant.token().await.expect("a token").expose().to_owned()
}

pub(crate) async fn refusal(grant: &OAuth) -> Error {
    let error = grant.token().await.expect_err("no token");
    assert_eq!(error.happened(), Happened::No, "what needs the token was not sent");
    let said = format!("{error} {error:?} {}", error.public());
    for secret in ["access-", "refresh-", "s3cret"] {
        assert!(!said.contains(secret), "{said}");
    }
    error
}

pub(crate) async fn crowd(grants: &[OAuth], size: usize) -> Vec<Result<String, ErrorKind>> {
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
