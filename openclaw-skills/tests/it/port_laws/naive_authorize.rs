//! A way to sign and its remote, with one flaw at a time planted into them.

use std::{
    fmt,
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, Uri};
use openclaw_core::{Context, Error, ErrorKind, Happened, Result, Secret, TenantId};
use openclaw_skills::{
    api::{Authorize, Credential},
    conformance::authorize::{AuthorizeHarness, AuthorizePeer},
};
use tokio::time::{sleep, timeout_at};

/// Something that a way to sign does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    AppendsHeaders,
    AsksTwice,
    BelievesLateRefusals,
    DropsBreakIt,
    DropsTheQuery,
    ErrorsQuote,
    GoesElsewhere,
    IgnoresCancellation,
    IgnoresDeadlines,
    IgnoresRefusals,
    LeavesHalf,
    NamesAtRandom,
    SaysMaybe,
    ShowsItself,
    ShowsItsHeader,
    SignsForAnybody,
    SignsNothing,
}

/// The header that carries the key.
const HEADER: &str = "x-law-key";

/// Who gives keys out.
#[derive(Default)]
struct Desk {
    rotations: u32,
    asked: u64,
    empty: bool,
    silent: bool,
}

impl Desk {
    fn key(&self) -> String {
        format!("s3cret-{}", self.rotations)
    }
}

#[derive(Clone)]
struct Naive {
    flaw: Flaw,
    desk: Arc<Mutex<Desk>>,
    /// The key at hand; held while a new one is fetched.
    held: Arc<tokio::sync::Mutex<Option<String>>>,
    busy: Arc<AtomicBool>,
}

impl Naive {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("no panic")
    }

    async fn ask(&self) -> Result<String> {
        let silent = {
            let mut desk = self.desk();
            desk.asked += 1 + u64::from(self.flaw == Flaw::AsksTwice);
            desk.silent
        };
        if silent {
            pending::<()>().await;
        }
        sleep(Duration::from_millis(5)).await;
        let desk = self.desk();
        if !desk.empty {
            return Ok(desk.key());
        }
        let why = match self.flaw {
            Flaw::ErrorsQuote => format!("{} was the last one", desk.key()),
            _ => "there are no keys".to_owned(),
        };
        let happened = match self.flaw {
            Flaw::SaysMaybe => Happened::Maybe,
            _ => Happened::No,
        };
        Err(Error::new(ErrorKind::AuthenticationFailed, why).with_happened(happened))
    }

    async fn current(&self, refused: Option<Credential>) -> Result<String> {
        let mut held = self.held.lock().await;
        let is_refused = |key: &String| refused == Some(Credential::of(&Secret::new(key.as_str())));
        let of_use = match (self.flaw, &*held) {
            (Flaw::IgnoresRefusals, Some(_)) => true,
            (Flaw::BelievesLateRefusals, Some(_)) => refused.is_none(),
            (_, Some(key)) => !is_refused(key),
            (_, None) => false,
        };
        if let Some(key) = held.as_ref().filter(|_| of_use) {
            return Ok(key.clone());
        }
        let key = self.ask().await?;
        *held = Some(key.clone());
        Ok(key)
    }

    async fn within(&self, context: &Context, refused: Option<Credential>) -> Result<String> {
        let over = |kind| Error::new(kind, "the call is over").with_happened(Happened::No);
        let deadline = context.deadline().filter(|_| self.flaw != Flaw::IgnoresDeadlines);
        let cancel = context.cancel().filter(|_| self.flaw != Flaw::IgnoresCancellation);
        let cancelled = async {
            match cancel {
                Some(cancel) => cancel.cancelled().await,
                None => pending().await,
            }
        };
        let timed = async {
            match deadline {
                Some(deadline) => timeout_at(deadline, self.current(refused))
                    .await
                    .unwrap_or_else(|_| Err(over(ErrorKind::Timeout))),
                None => self.current(refused).await,
            }
        };
        tokio::select! {
            biased;
            () = cancelled => Err(over(ErrorKind::Cancelled)),
            key = timed => key,
        }
    }

    fn put(&self, request: &mut Request<Bytes>, key: &str) {
        let mut value = HeaderValue::from_str(key).expect("a header");
        value.set_sensitive(self.flaw != Flaw::ShowsItsHeader);
        match self.flaw {
            Flaw::SignsNothing => {}
            Flaw::AppendsHeaders => {
                request.headers_mut().append(HEADER, value);
            }
            _ => {
                request.headers_mut().insert(HEADER, value);
            }
        }
        let elsewhere = match self.flaw {
            Flaw::DropsTheQuery => "https://api.law.test:8443/a%20b/c",
            Flaw::GoesElsewhere => "https://id.law.test/a%20b/c?x=1&x=2&y=%26",
            _ => return,
        };
        *request.uri_mut() = Uri::from_static(elsewhere);
    }
}

impl fmt::Debug for Naive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.flaw {
            Flaw::ShowsItself => write!(f, "Naive({:?})", self.held),
            _ => f.write_str("Naive"),
        }
    }
}

#[async_trait]
impl Authorize for Naive {
    async fn authorize(
        &self,
        context: &Context,
        request: &mut Request<Bytes>,
        refused: Option<Credential>,
    ) -> Result<Credential> {
        let ours = context.tenant().as_str() == "acme" || self.flaw == Flaw::SignsForAnybody;
        if !ours {
            let why = "the keys are another tenant's";
            return Err(Error::new(ErrorKind::PermissionDenied, why).with_happened(Happened::No));
        }
        let busy = self.busy.swap(true, Ordering::SeqCst);
        if busy && self.flaw == Flaw::DropsBreakIt {
            return Err(Error::new(ErrorKind::Conflict, "somebody else is asking"));
        }
        if self.flaw == Flaw::LeavesHalf {
            request.headers_mut().insert("x-law-began", HeaderValue::from_static("1"));
        }
        let key = self.within(context, refused).await;
        self.busy.store(false, Ordering::SeqCst);
        let key = key?;
        self.put(request, &key);
        let name = match self.flaw {
            Flaw::NamesAtRandom => format!("{key} {}", next()),
            _ => key,
        };
        Ok(Credential::of(&Secret::new(name)))
    }
}

/// Another number each time.
fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

#[async_trait]
impl AuthorizePeer for Naive {
    fn secrets(&self) -> Vec<String> {
        let rotations = self.desk().rotations;
        (0..=rotations).map(|n| format!("s3cret-{n}")).collect()
    }

    fn accepts(&self, request: &Request<Bytes>) -> bool {
        let key = request.headers().get(HEADER);
        key.is_some_and(|key| key.as_bytes() == self.desk().key().as_bytes())
    }

    async fn rotate(&self) {
        self.desk().rotations += 1;
    }

    fn asked(&self) -> Option<u64> {
        Some(self.desk().asked)
    }

    fn can_be_empty(&self) -> bool {
        true
    }

    async fn take_away(&self) {
        self.desk().empty = true;
    }

    fn can_be_silent(&self) -> bool {
        true
    }

    async fn fall_silent(&self) {
        self.desk().silent = true;
    }
}

#[async_trait]
impl AuthorizeHarness for Flaw {
    async fn fresh(&self) -> (Box<dyn Authorize>, Box<dyn AuthorizePeer>) {
        let naive =
            Naive { flaw: *self, desk: Arc::default(), held: Arc::default(), busy: Arc::default() };
        (Box::new(naive.clone()), Box::new(naive))
    }

    fn stranger(&self) -> Option<TenantId> {
        Some(TenantId::new("other").expect("an id"))
    }
}
