//! Effects per `Idempotency-Key`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::received::Received;

/// What a stub's requests did, by their `Idempotency-Key`.
///
/// Requests with a safe method (`GET`, `HEAD`, `OPTIONS`, `TRACE`) are left out.
///
/// ```
/// use openclaw_testkit::stub::{StubServer, post, status};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stub = StubServer::start().await?;
/// stub.on(post("/pay")).reply_seq([status(503), status(200), status(200)]);
/// let client = reqwest::Client::new();
/// for body in ["5 EUR", "5 EUR", "6 EUR"] {
///     let pay = client.post(format!("{}/pay", stub.url())).header("idempotency-key", "k1");
///     pay.body(body).send().await?;
/// }
/// let report = stub.idempotency_report();
/// assert_eq!((report.requests("k1"), report.effects("k1"), report.bodies("k1")), (3, 2, 2));
/// assert_eq!(report.duplicates(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdempotencyReport {
    keys: BTreeMap<String, Account>,
    keyless: Account,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Account {
    requests: u64,
    effects: u64,
    bodies: BTreeSet<Bytes>,
}

impl IdempotencyReport {
    pub(super) fn of(received: &[Received]) -> Self {
        let mut report = Self::default();
        for request in received.iter().filter(|r| !super::is_safe(r.method())) {
            let account = match request.header("idempotency-key") {
                Some(key) => report.keys.entry(key.to_owned()).or_default(),
                None => &mut report.keyless,
            };
            account.requests += 1;
            account.effects += u64::from(request.had_effect());
            account.bodies.insert(request.body().clone());
        }
        report
    }

    /// The keys that came, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// Requests with this key.
    #[must_use]
    pub fn requests(&self, key: &str) -> u64 {
        self.keys.get(key).map_or(0, |account| account.requests)
    }

    /// Requests with this key that had an effect.
    #[must_use]
    pub fn effects(&self, key: &str) -> u64 {
        self.keys.get(key).map_or(0, |account| account.effects)
    }

    /// Different bodies that came with this key: more than one is a key that was used twice.
    #[must_use]
    pub fn bodies(&self, key: &str) -> usize {
        self.keys.get(key).map_or(0, |account| account.bodies.len())
    }

    /// Requests without a key.
    #[must_use]
    pub const fn without_key(&self) -> u64 {
        self.keyless.requests
    }

    /// Effects of requests without a key.
    #[must_use]
    pub const fn effects_without_key(&self) -> u64 {
        self.keyless.effects
    }

    /// Effects beyond the first of each key. The stub honours none: each effect counts.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.keys.values().map(|account| account.effects.saturating_sub(1)).sum()
    }
}
