//! A place of secrets and its provider, with one flaw at a time planted into them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{Error, ErrorKind, Result, Secret};
use openclaw_skills::{
    conformance::secret_provider::{SecretPlace, SecretProviderHarness},
    secrets::{SecretProvider, SecretSource},
};
use tokio::time::sleep;

/// Something that a provider does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    BreaksAloud,
    Cuts,
    DropsBreakIt,
    ErrorsQuote,
    IdsArePrefixes,
    MissingIsABreakdown,
    MissingIsEmpty,
    Mixes,
    OddIsAPanic,
    Remembers,
    ShowsItself,
    Trims,
}

/// Bytes of the longest secret.
const LONGEST: usize = 5_000;

#[derive(Default)]
struct Shelf {
    secrets: BTreeMap<String, String>,
    broken: Option<String>,
    seen: BTreeMap<String, String>,
    asked_last: String,
}

#[derive(Clone)]
struct Naive {
    flaw: Flaw,
    shelf: Arc<Mutex<Shelf>>,
    busy: Arc<AtomicBool>,
}

impl Naive {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().expect("no panic")
    }

    fn look(&self, id: &str) -> Result<Secret> {
        let mut shelf = self.shelf();
        if let Some(broken) = &shelf.broken {
            let quoted = if self.flaw == Flaw::BreaksAloud { broken } else { "it is broken" };
            let why = format!("the shelf can't be read: {quoted}");
            return Err(Error::new(ErrorKind::ValidationError, why));
        }
        let text = match self.flaw {
            Flaw::Remembers if shelf.seen.contains_key(id) => shelf.seen.get(id),
            Flaw::IdsArePrefixes => {
                let first = shelf.secrets.iter().find(|(known, _)| known.starts_with(id));
                first.map(|(_, text)| text)
            }
            _ => shelf.secrets.get(id),
        };
        let Some(text) = text.cloned() else { return self.missing(&shelf) };
        shelf.seen.insert(id.to_owned(), text.clone());
        if text.len() > LONGEST && self.flaw != Flaw::Cuts {
            return Err(Error::new(ErrorKind::ValidationError, "the secret is too long"));
        }
        Ok(Secret::new(match self.flaw {
            Flaw::Cuts => text.chars().take(LONGEST).collect(),
            Flaw::Trims => text.trim().to_owned(),
            _ => text,
        }))
    }

    fn missing(&self, shelf: &Shelf) -> Result<Secret> {
        match self.flaw {
            Flaw::MissingIsEmpty => Ok(Secret::new("")),
            Flaw::MissingIsABreakdown => Err(Error::new(ErrorKind::Unavailable, "nothing there")),
            Flaw::ErrorsQuote => {
                let all = shelf.secrets.iter().chain(&shelf.seen);
                let why = format!("none of {:?}", all.collect::<Vec<_>>());
                Err(Error::new(ErrorKind::NotFound, why))
            }
            _ => Err(Error::new(ErrorKind::NotFound, "the shelf has no such secret")),
        }
    }
}

impl fmt::Debug for Naive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.flaw {
            Flaw::ShowsItself => write!(f, "Naive({:?})", self.shelf().secrets),
            _ => f.write_str("Naive"),
        }
    }
}

#[async_trait]
impl SecretProvider for Naive {
    async fn fetch(&self, id: &str) -> Result<Secret> {
        if self.flaw == Flaw::OddIsAPanic {
            assert!(id.starts_with("LAW"), "a name");
        }
        if self.flaw == Flaw::DropsBreakIt && self.busy.swap(true, Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Conflict, "somebody else is asking"));
        }
        self.shelf().asked_last = id.to_owned();
        sleep(Duration::from_millis(5)).await;
        self.busy.store(false, Ordering::SeqCst);
        let asked = match self.flaw {
            Flaw::Mixes => self.shelf().asked_last.clone(),
            _ => id.to_owned(),
        };
        self.look(&asked)
    }
}

#[async_trait]
impl SecretPlace for Naive {
    async fn put(&self, id: &str, text: &str) {
        self.shelf().secrets.insert(id.to_owned(), text.to_owned());
    }

    async fn remove(&self, id: &str) {
        self.shelf().secrets.remove(id);
    }

    fn breaks(&self) -> bool {
        true
    }

    async fn break_with(&self, text: &str) {
        self.shelf().broken = Some(text.to_owned());
    }
}

#[async_trait]
impl SecretProviderHarness for Flaw {
    async fn fresh(&self) -> (Box<dyn SecretProvider>, Box<dyn SecretPlace>) {
        let naive = Naive { flaw: *self, shelf: Arc::default(), busy: Arc::default() };
        (Box::new(naive.clone()), Box::new(naive))
    }

    fn source(&self) -> SecretSource {
        SecretSource::Env
    }

    fn id(&self, n: u64) -> String {
        format!("LAW_{n}")
    }

    fn too_long(&self) -> Option<usize> {
        Some(LONGEST + 1)
    }
}
