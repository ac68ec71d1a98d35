//! API keys and OAuth grants hold the laws of the port.

use std::{
    fmt,
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use openclaw_core::{ErrorKind, Happened, Result, Secret, TenantId};
use openclaw_skills::{
    api::Authorize,
    auth::{ApiKey, Leaks, OAuth},
    conformance::authorize::{AuthorizeHarness, AuthorizePeer},
    secrets::{SecretProvider, SecretRef, SecretSource, Secrets},
};
use tokio::time::sleep;

use crate::{desk::Trouble, oauth_world::World};

type Made = (Box<dyn Authorize>, Box<dyn AuthorizePeer>);

/// How a key is put on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Header,
    Bearer,
    Basic,
    Query,
}

/// A vault with one key, and the shop that takes it.
#[derive(Clone)]
struct Vault {
    way: Way,
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
struct Books {
    rotations: u32,
    asked: u64,
    empty: bool,
    silent: bool,
}

impl Vault {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no panic")
    }

    fn auth(&self) -> Result<ApiKey> {
        let secrets = Secrets::builder().provider(SecretSource::Env, "default", self.clone());
        let (secrets, key) = (secrets.build()?, SecretRef::env("KEY")?);
        match self.way {
            Way::Header => ApiKey::header(secrets, key, "x-api-key"),
            Way::Bearer => Ok(ApiKey::bearer(secrets, key)),
            Way::Basic => ApiKey::basic(secrets, "law", key),
            Way::Query => ApiKey::query(secrets, key, "api_key", Leaks::Accepted),
        }
    }

    /// The key as it is sent.
    fn sent(&self, key: &str) -> String {
        match self.way {
            Way::Header => key.to_owned(),
            Way::Bearer => format!("Bearer {key}"),
            Way::Basic => format!("Basic {}", base64(&format!("law:{key}"))),
            Way::Query => format!("api_key={key}"),
        }
    }
}

fn key(n: u32) -> String {
    format!("s3cret-{n}")
}

/// Base64 with padding (RFC 4648).
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = text.as_bytes().chunks(3).flat_map(|chunk| {
        let bits = (0..3).fold(0, |bits, n| (bits << 8) | u32::from(*chunk.get(n).unwrap_or(&0)));
        (0..4).map(move |n| match n <= chunk.len() {
            true => char::from(LETTERS[(bits >> (18 - 6 * n)) as usize % 64]),
            false => '=',
        })
    });
    letters.collect()
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

#[async_trait]
impl SecretProvider for Vault {
    async fn fetch(&self, _id: &str) -> Result<Secret> {
        self.books().asked += 1;
        if self.books().silent {
            pending::<()>().await;
        }
        sleep(Duration::from_millis(5)).await;
        let books = self.books();
        if books.empty {
            return Err(openclaw_core::Error::new(ErrorKind::NotFound, "the vault is empty")
                .with_happened(Happened::No));
        }
        Ok(Secret::new(key(books.rotations)))
    }
}

#[async_trait]
impl AuthorizePeer for Vault {
    fn secrets(&self) -> Vec<String> {
        let keys = (0..=self.books().rotations).map(key);
        keys.flat_map(|key| [base64(&format!("law:{key}")), key]).collect()
    }

    fn accepts(&self, request: &Request<Bytes>) -> bool {
        let expected = self.sent(&key(self.books().rotations));
        let header = |name| {
            let mut all = request.headers().get_all(name).iter();
            let only = all.next().filter(|_| all.next().is_none());
            only.is_some_and(|value| value.as_bytes() == expected.as_bytes())
        };
        match self.way {
            Way::Header => header("x-api-key"),
            Way::Bearer | Way::Basic => header("authorization"),
            Way::Query => {
                request.uri().query().is_some_and(|all| all.split('&').any(|one| one == expected))
            }
        }
    }

    async fn rotate(&self) {
        self.books().rotations += 1;
    }

    fn asked(&self) -> Option<u64> {
        Some(self.books().asked)
    }

    fn can_be_empty(&self) -> bool {
        true
    }

    async fn take_away(&self) {
        self.books().empty = true;
    }

    fn can_be_silent(&self) -> bool {
        true
    }

    async fn fall_silent(&self) {
        self.books().silent = true;
    }
}

#[async_trait]
impl AuthorizeHarness for Way {
    async fn fresh(&self) -> Made {
        let vault = Vault { way: *self, books: Arc::default() };
        (Box::new(vault.auth().expect("names")), Box::new(vault))
    }

    fn in_the_query(&self) -> bool {
        *self == Self::Query
    }
}

/// Whose grant it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    Client,
    Person,
}

/// A token end point, and a shop that takes the newest of its tokens.
struct Issuer {
    world: World,
    grant: Grant,
    /// Tokens up to this number are refused.
    refused: AtomicUsize,
}

#[async_trait]
impl AuthorizePeer for Issuer {
    fn secrets(&self) -> Vec<String> {
        let tokens = (0..100).flat_map(|n| [format!("access-{n}"), format!("refresh-{n}")]);
        tokens.chain(["client s3cret".to_owned(), base64("gateway:client+s3cret")]).collect()
    }

    fn accepts(&self, request: &Request<Bytes>) -> bool {
        let header = request.headers().get("authorization");
        let token = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let number = token.and_then(|token| token.strip_prefix("access-")?.parse::<usize>().ok());
        number.is_some_and(|number| number > self.refused.load(Ordering::SeqCst))
            && token.is_some_and(|token| self.world.desk.accepts(token))
    }

    async fn rotate(&self) {
        self.refused.store(self.world.desk.count(), Ordering::SeqCst);
    }

    fn asked(&self) -> Option<u64> {
        u64::try_from(self.world.desk.count()).ok()
    }

    fn can_be_empty(&self) -> bool {
        true
    }

    async fn take_away(&self) {
        match self.grant {
            Grant::Client => self.world.desk.script([Trouble::Refuse("invalid_client")]),
            Grant::Person => self.world.desk.revoke(),
        }
    }

    fn can_be_silent(&self) -> bool {
        true
    }

    async fn fall_silent(&self) {
        self.world.desk.fall_silent();
    }
}

#[async_trait]
impl AuthorizeHarness for Grant {
    async fn fresh(&self) -> Made {
        let world = World::new();
        let auth: OAuth = match self {
            Self::Client => world.client(),
            Self::Person => world.authorised().await,
        };
        let issuer = Issuer { world, grant: *self, refused: AtomicUsize::new(0) };
        (Box::new(auth), Box::new(issuer))
    }

    fn stranger(&self) -> Option<TenantId> {
        Some(TenantId::new("other").expect("an id"))
    }
}

mod header {
    openclaw_skills::authorize_laws!("ApiKey, header", super::Way::Header);
}

mod bearer {
    openclaw_skills::authorize_laws!("ApiKey, bearer", super::Way::Bearer);
}

mod basic {
    openclaw_skills::authorize_laws!("ApiKey, basic", super::Way::Basic);
}

mod query {
    openclaw_skills::authorize_laws!("ApiKey, query", super::Way::Query);
}

mod client {
    openclaw_skills::authorize_laws!("OAuth, client credentials", super::Grant::Client);
}

mod person {
    openclaw_skills::authorize_laws!("OAuth, refresh tokens", super::Grant::Person);
}
