//! A business system that counts its effects, in process, and misbehaves on demand.

mod behaviour;
mod skill;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use openclaw_core::{Digest, Error, ErrorKind, Happened, Result};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::behaviour::Manners;
pub use self::{behaviour::Behaviour, skill::RemoteSkill};
use crate::env::SeededRng;

/// Does a remote honour idempotency keys?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteKind {
    /// A key seen before answers as the first time; with another payload it is a `CONFLICT`.
    Keyed,
    /// Every call is a new effect. Keys are counted all the same.
    Unkeyed,
}

/// A remote system that counts effects per key and per payload.
///
/// Clones are the same remote: one goes into the skill, one stays in the test.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use openclaw_core::Happened;
/// use openclaw_testkit::remote::{Behaviour, CountingRemote, RemoteKind};
/// use serde_json::json;
///
/// let shop = CountingRemote::new(RemoteKind::Keyed);
/// shop.script([Behaviour::LoseAnswer]);
/// let lost = shop.call(Some("k1"), &json!({"order": 1042})).await.unwrap_err();
/// assert_eq!(lost.happened(), Happened::Maybe);
/// shop.call(Some("k1"), &json!({"order": 1042})).await.expect("the key is honoured");
/// assert_eq!((shop.effects("k1"), shop.duplicates()), (1, 0));
/// # }
/// ```
#[derive(Clone)]
pub struct CountingRemote(Arc<Inner>);

struct Inner {
    kind: RemoteKind,
    books: Mutex<Books>,
}

type Answer = Arc<dyn Fn(u64, &Value) -> Value + Send + Sync>;

struct Books {
    answer: Answer,
    lag: Duration,
    manners: Manners,
    calls: u64,
    effects: u64,
    reused: u64,
    keys: BTreeMap<String, Account>,
    payloads: BTreeMap<Digest, u64>,
    /// Effects of calls without a key, by payload.
    keyless: BTreeMap<Digest, u64>,
}

/// What the remote knows about one key.
#[derive(Default)]
struct Account {
    effects: u64,
    first: Option<Done>,
    /// Calls that have not ended: their effect may still come.
    open: u32,
    ended: Option<Instant>,
}

#[derive(Clone)]
struct Done {
    fingerprint: Digest,
    answer: Value,
    at: Instant,
}

impl CountingRemote {
    /// A remote that answers `{"effect": n}`, at once and always.
    #[must_use]
    pub fn new(kind: RemoteKind) -> Self {
        Self(Arc::new(Inner { kind, books: Mutex::new(Books::new()) }))
    }

    /// Makes its answers of the number of the effect and the payload.
    #[must_use]
    pub fn answering(self, answer: impl Fn(u64, &Value) -> Value + Send + Sync + 'static) -> Self {
        self.books().answer = Arc::new(answer);
        self
    }

    /// Lets its look-up show an effect only this much later.
    #[must_use]
    pub fn lagging(self, lag: Duration) -> Self {
        self.books().lag = lag;
        self
    }

    /// Decides what the next calls meet, in order; behind these it behaves again.
    pub fn script(&self, next: impl IntoIterator<Item = Behaviour>) {
        self.books().manners.script(next);
    }

    /// Misbehaves with this probability, as the seed decides; 0 ends it.
    pub fn misbehave(&self, rng: SeededRng, p: f64) {
        self.books().manners.chance(rng, p);
    }

    /// Asks for one effect.
    ///
    /// # Errors
    /// What the [`Behaviour`] of this call says; `CONFLICT` when a key that is honoured comes
    /// with another payload.
    pub async fn call(&self, key: Option<&str>, payload: &Value) -> Result<Value> {
        let open = Open::begin(self, key);
        let behaviour = self.books().begin();
        if !behaviour.has_effect() {
            return Err(refusal(behaviour));
        }
        let answer = self.effect(key, payload)?;
        manner(behaviour).await?;
        drop(open);
        Ok(answer)
    }

    /// Asks for nothing but an answer: no effect is counted.
    ///
    /// # Errors
    /// What the [`Behaviour`] of this call says.
    pub async fn read(&self, payload: &Value) -> Result<Value> {
        let (behaviour, answer) = {
            let mut books = self.books();
            (books.begin(), (books.answer)(books.effects, payload))
        };
        if !behaviour.has_effect() {
            return Err(refusal(behaviour));
        }
        manner(behaviour).await?;
        Ok(answer)
    }

    /// The effect, or the answer of the first call with this key.
    fn effect(&self, key: Option<&str>, payload: &Value) -> Result<Value> {
        let fingerprint = Digest::of_json("remote", payload);
        let mut books = self.books();
        let first = key.and_then(|key| books.keys.get(key)).and_then(|a| a.first.clone());
        if let (RemoteKind::Keyed, Some(first)) = (self.0.kind, first) {
            if first.fingerprint == fingerprint {
                return Ok(first.answer);
            }
            books.reused += 1;
            return Err(Error::new(ErrorKind::Conflict, "the key came with another payload"));
        }
        books.effects += 1;
        let answer = (books.answer)(books.effects, payload);
        *books.payloads.entry(fingerprint).or_default() += 1;
        match key {
            Some(key) => {
                let account = books.keys.entry(key.to_owned()).or_default();
                account.effects += 1;
                let done = Done { fingerprint, answer: answer.clone(), at: Instant::now() };
                account.first.get_or_insert(done);
            }
            None => *books.keyless.entry(fingerprint).or_default() += 1,
        }
        Ok(answer)
    }

    /// What the remote's own look-up says about a key: the answer of its first effect.
    ///
    /// On a [lagging](Self::lagging) remote `None` proves nothing until
    /// [`unsettled`](Self::unsettled) is `None` too.
    #[must_use]
    pub fn lookup(&self, key: &str) -> Option<Value> {
        let books = self.books();
        let first = books.keys.get(key)?.first.as_ref()?;
        (first.at.elapsed() >= books.lag).then(|| first.answer.clone())
    }

    /// How long the look-up may still be wrong about this key; `None` when it is right.
    #[must_use]
    pub fn unsettled(&self, key: &str) -> Option<Duration> {
        const OPEN: Duration = Duration::from_millis(100);
        let books = self.books();
        let account = books.keys.get(key)?;
        if account.open > 0 {
            return Some(books.lag.max(OPEN));
        }
        let since = account.ended?.elapsed();
        books.lag.checked_sub(since).filter(|rest| !rest.is_zero())
    }

    /// Effects under this key.
    #[must_use]
    pub fn effects(&self, key: &str) -> u64 {
        self.books().keys.get(key).map_or(0, |account| account.effects)
    }

    /// Effects with this payload, whatever their keys.
    #[must_use]
    pub fn effects_of(&self, payload: &Value) -> u64 {
        self.books().payloads.get(&Digest::of_json("remote", payload)).copied().unwrap_or_default()
    }

    /// Effects in all.
    #[must_use]
    pub fn effects_total(&self) -> u64 {
        self.books().effects
    }

    /// Calls and reads in all, whatever became of them.
    #[must_use]
    pub fn calls_total(&self) -> u64 {
        self.books().calls
    }

    /// Effects beyond the first of each key, or of each payload where there was no key.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        let books = self.books();
        let keyed = books.keys.values().map(|account| account.effects);
        keyed.chain(books.keyless.values().copied()).map(|n| n.saturating_sub(1)).sum()
    }

    /// Calls refused because their key had come with another payload.
    #[must_use]
    pub fn keys_reused(&self) -> u64 {
        self.books().reused
    }

    /// Every key that had an effect, with its count, in order of the keys.
    #[must_use]
    pub fn by_key(&self) -> Vec<(String, u64)> {
        let books = self.books();
        let seen = books.keys.iter().filter(|(_, account)| account.effects > 0);
        seen.map(|(key, account)| (key.clone(), account.effects)).collect()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn new() -> Self {
        Self {
            answer: Arc::new(|n, _| json!({ "effect": n })),
            lag: Duration::ZERO,
            manners: Manners::default(),
            calls: 0,
            effects: 0,
            reused: 0,
            keys: BTreeMap::new(),
            payloads: BTreeMap::new(),
            keyless: BTreeMap::new(),
        }
    }

    fn begin(&mut self) -> Behaviour {
        self.calls += 1;
        self.manners.next()
    }
}

impl fmt::Debug for CountingRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let books = self.books();
        f.debug_struct("CountingRemote")
            .field("kind", &self.0.kind)
            .field("calls", &books.calls)
            .field("effects", &books.effects)
            .finish_non_exhaustive()
    }
}

/// A call that has not ended; a caller that gives up ends it too.
struct Open<'a>(&'a CountingRemote, Option<&'a str>);

impl<'a> Open<'a> {
    fn begin(remote: &'a CountingRemote, key: Option<&'a str>) -> Self {
        if let Some(key) = key {
            remote.books().keys.entry(key.to_owned()).or_default().open += 1;
        }
        Self(remote, key)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut books = self.0.books();
        if let Some(account) = self.1.and_then(|key| books.keys.get_mut(key)) {
            account.open = account.open.saturating_sub(1);
            account.ended = Some(Instant::now());
        }
    }
}

/// What comes between an effect and its answer.
async fn manner(behaviour: Behaviour) -> Result<()> {
    match behaviour {
        Behaviour::AnswerLate(wait) => tokio::time::sleep(wait).await,
        Behaviour::Hang => std::future::pending().await,
        Behaviour::LoseAnswer => {
            let lost =
                Error::new(ErrorKind::Unavailable, "the connection broke behind the request");
            return Err(lost.with_happened(Happened::Maybe));
        }
        Behaviour::Answer | Behaviour::FailBefore | Behaviour::Busy { .. } => {}
    }
    Ok(())
}

fn refusal(behaviour: Behaviour) -> Error {
    match behaviour {
        Behaviour::Busy { retry_after } => Error::new(ErrorKind::Unavailable, "503")
            .with_happened(Happened::Maybe)
            .with_retry_after(retry_after),
        _ => Error::new(ErrorKind::Unavailable, "connection refused").with_happened(Happened::No),
    }
}
