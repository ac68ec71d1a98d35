//! Idempotency: P13.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, extract::Request, response::Response};
use axum_idempotent::{IdempotentLayer, IdempotentOptions};
use openclaw_core::{
    Call, Context, Env, Error as CoreError, IdempotencyKey, TenantId,
    middleware::{LedgerLayer, MarkLayer},
    skill::{SkillAnswer, SkillManifest},
    store::MemoryStore,
};
use ruts::{
    CookieOptions, Id, SessionLayer,
    store::{Error, SessionMap, SessionStore, Ttl},
};
use serde::{Serialize, de::DeserializeOwned};
use tower::{ServiceBuilder, ServiceExt};
use tower_cookies::CookieManagerLayer;

/// An operation of a second that must happen once a key.
trait Once {
    /// Asks for it under one and the same key.
    async fn ask(&self);

    /// How often it happened.
    fn happened(&self) -> usize;
}

/// The sessions that the peer keeps its answers in: a map.
#[derive(Clone, Debug, Default)]
struct Sessions(Arc<Mutex<HashMap<String, Vec<u8>>>>);

impl SessionStore for Sessions {
    async fn get<T>(&self, _: &Id, field: &str) -> Result<Option<T>, Error>
    where
        T: Send + Sync + DeserializeOwned,
    {
        let read = |value: &Vec<u8>| serde_json::from_slice(value);
        let found = self.0.lock().unwrap().get(field).map(read).transpose();
        found.map_err(|e| Error::Decode(e.to_string()))
    }

    async fn get_all(&self, _: &Id) -> Result<Option<SessionMap>, Error> {
        Ok(None)
    }

    async fn set<T>(
        &self,
        _: &Id,
        field: &str,
        value: &T,
        _: Ttl,
        _: Option<std::marker::PhantomData<()>>,
    ) -> Result<(), Error>
    where
        T: Send + Sync + Serialize,
    {
        let value = serde_json::to_vec(value).map_err(|e| Error::Encode(e.to_string()))?;
        self.0.lock().unwrap().insert(field.to_owned(), value);
        Ok(())
    }

    async fn set_and_rename<T>(
        &self,
        _: &Id,
        new: &Id,
        field: &str,
        value: &T,
        ttl: Ttl,
        _: Option<std::marker::PhantomData<()>>,
    ) -> Result<(), Error>
    where
        T: Send + Sync + Serialize,
    {
        self.set(new, field, value, ttl, None).await
    }

    async fn rename_session_id(&self, _: &Id, _: &Id) -> Result<bool, Error> {
        Ok(true)
    }

    async fn remove(&self, _: &Id, field: &str) -> Result<bool, Error> {
        Ok(self.0.lock().unwrap().remove(field).is_some())
    }

    async fn delete(&self, _: &Id) -> Result<bool, Error> {
        Ok(false)
    }

    async fn expire_field(&self, _: &Id, _: &str, _: Ttl) -> Result<bool, Error> {
        Ok(false)
    }
}

/// axum-idempotent, with the client's own key and a session that both requests are of.
#[derive(Default)]
struct AxumIdempotent {
    sessions: Arc<Sessions>,
    session: Id,
    happened: Arc<AtomicUsize>,
}

impl Once for AxumIdempotent {
    async fn ask(&self) {
        let happened = Arc::clone(&self.happened);
        let operation = tower::service_fn(move |_: Request| {
            let happened = Arc::clone(&happened);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                happened.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(Response::new(Body::from("done")))
            }
        });
        let cookie = CookieOptions::build().name("session");
        let sessions = Arc::clone(&self.sessions);
        let service = ServiceBuilder::new()
            .layer(CookieManagerLayer::new())
            .layer(SessionLayer::new(sessions).with_cookie_options(cookie))
            .layer(IdempotentLayer::<Sessions>::new(IdempotentOptions::default()))
            .service(operation);
        let request = Request::post("/refund")
            .header("cookie", format!("session={}", self.session.as_str()))
            .body(Body::from("42"))
            .expect("a request");
        let answer = service.oneshot(request).await.expect("it can't fail");
        assert_eq!(answer.status(), 200);
    }

    fn happened(&self) -> usize {
        self.happened.load(Ordering::Relaxed)
    }
}

/// The two layers of ours: a new stack a request, as each has its own in another task.
struct Ours {
    ledger: LedgerLayer<Arc<serde_json::Value>, SkillAnswer>,
    happened: Arc<AtomicUsize>,
}

impl Default for Ours {
    fn default() -> Self {
        let env = Env::system();
        let store = Arc::new(MemoryStore::new(env.clock()));
        Self { ledger: LedgerLayer::new(store, env), happened: Arc::default() }
    }
}

impl Once for Ours {
    async fn ask(&self) {
        let happened = Arc::clone(&self.happened);
        let operation = tower::service_fn(move |_: Call<Arc<serde_json::Value>>| {
            let happened = Arc::clone(&happened);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                happened.fetch_add(1, Ordering::Relaxed);
                Ok::<_, CoreError>(SkillAnswer::done("done".into()))
            }
        });
        let service = ServiceBuilder::new()
            .layer(self.ledger.clone())
            .layer(MarkLayer::new())
            .service(operation);
        let manifest = SkillManifest::new("shop.refund".parse().expect("a name"), "1.0.0");
        let tenant = TenantId::new("acme").expect("a tenant");
        let key = IdempotencyKey::builder("shop.refund").part("42").build().expect("a key");
        let call = Call::skill(Context::new(tenant), &manifest, Arc::default()).with_key(key);
        service.oneshot(call).await.expect("both get the answer");
    }

    fn happened(&self) -> usize {
        self.happened.load(Ordering::Relaxed)
    }
}

/// How often it happens, asked for twice at once; and never again behind that.
async fn asked_twice_at_once(once: &impl Once) -> usize {
    tokio::join!(once.ask(), once.ask());
    let happened = once.happened();
    once.ask().await;
    assert_eq!(once.happened(), happened, "a later duplicate is answered from memory");
    happened
}

#[tokio::test(start_paused = true)]
async fn p13_two_duplicates_at_once_happen_once() {
    assert_eq!(asked_twice_at_once(&AxumIdempotent::default()).await, 2, "nothing is locked");
    assert_eq!(asked_twice_at_once(&Ours::default()).await, 1);
}
