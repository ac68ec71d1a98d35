//! Pins: a package runs as it was approved, or not at all.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    audit::{AuditAction, AuditEntry, NO_MESSAGE},
    commit::{self, Known},
    row::Row,
};
use crate::{
    Digest, Env, Error, ErrorKind, Happened, Result, TenantId,
    store::{Guard, Key, Op, SharedStore, StateStoreExt as _, Txn, Version},
};

/// Files of one package at most: its sheet is one row.
pub const MAX_FILES: usize = 4_096;

/// The longest path of a file, in bytes.
const MAX_PATH: usize = 512;

/// Lost races before a caller hears of them.
const RACES: usize = 8;

/// What a package consists of: its manifest and its files, by their digests.
///
/// ```
/// use openclaw_core::{Digest, records::Sheet};
///
/// let manifest = Digest::of_json("docs", &serde_json::json!({ "id": "pay" }));
/// let sheet = Sheet::new(manifest).file("main.py", Digest::sha256(b"print()"))?;
/// let other = Sheet::new(manifest).file("main.py", Digest::sha256(b"steal()"))?;
/// assert_ne!(sheet.digest(), other.digest());
/// assert_eq!(other.drift_from(&sheet)[0].to_string(), "main.py changed");
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    manifest: Digest,
    files: BTreeMap<Arc<str>, Digest>,
}

/// How a part of a package differs from what was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Drift {
    /// The manifest is another one.
    Manifest,
    /// A file is new.
    Added(Arc<str>),
    /// A file is gone.
    Removed(Arc<str>),
    /// A file has another content.
    Changed(Arc<str>),
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, what) = match self {
            Self::Manifest => return f.write_str("the manifest changed"),
            Self::Added(path) => (path, "added"),
            Self::Removed(path) => (path, "removed"),
            Self::Changed(path) => (path, "changed"),
        };
        write!(f, "{} {what}", path.escape_debug())
    }
}

impl Sheet {
    /// A package without files, by the digest of its manifest.
    #[must_use]
    pub const fn new(manifest: Digest) -> Self {
        Self { manifest, files: BTreeMap::new() }
    }

    /// The digest of its manifest.
    #[must_use]
    pub const fn manifest(&self) -> Digest {
        self.manifest
    }

    /// Adds a file by the plain SHA-256 of its content.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: the path is there already, empty or over 512 bytes, or these are more
    /// than [`MAX_FILES`].
    pub fn file(mut self, path: &str, content: Digest) -> Result<Self> {
        let wrong = |why: &'static str| {
            Err(Error::new(ErrorKind::ValidationError, why).with("limit", MAX_FILES))
        };
        if path.is_empty() || path.len() > MAX_PATH {
            return wrong("the path of a package's file has 1 to 512 bytes");
        }
        if self.files.len() >= MAX_FILES {
            return wrong("the package has too many files");
        }
        if self.files.insert(path.into(), content).is_some() {
            return wrong("the package has two files of one path");
        }
        Ok(self)
    }

    /// The digest of the whole: the manifest's, then the sorted list of path and `sha256:` digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let files = self.files.iter().flat_map(|(path, content)| {
            [path.as_bytes().to_vec(), format!("sha256:{content}").into_bytes()]
        });
        let manifest = std::iter::once(self.manifest.as_bytes().to_vec());
        Digest::of("openclaw.package", manifest.chain(files))
    }

    /// What differs from another sheet of the package, in the order of the paths.
    #[must_use]
    pub fn drift_from(&self, approved: &Self) -> Vec<Drift> {
        let mut drift = Vec::new();
        if self.manifest != approved.manifest {
            drift.push(Drift::Manifest);
        }
        let paths = self.files.keys().chain(approved.files.keys());
        let paths: std::collections::BTreeSet<_> = paths.collect();
        for path in paths {
            match (approved.files.get(path), self.files.get(path)) {
                (None, _) => drift.push(Drift::Added(Arc::clone(path))),
                (_, None) => drift.push(Drift::Removed(Arc::clone(path))),
                (old, new) if old != new => drift.push(Drift::Changed(Arc::clone(path))),
                _ => {}
            }
        }
        drift
    }
}

/// What is kept of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PinRow {
    approved: Option<Sheet>,
    /// What was seen instead, and nobody has approved.
    held: Option<Sheet>,
    changes: u64,
}

impl Row for PinRow {
    const NAME: &'static str = "pins";
    const FORMAT: u8 = 1;
}

/// Whether a package may run as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a host must handle all three")]
pub enum Standing {
    /// It is what was approved.
    Approved,
    /// Nobody has approved any content of it so far.
    New,
    /// It differs from what was approved, in this.
    Changed(Vec<Drift>),
}

/// A package that waits for somebody's approval.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// Its name.
    pub package: Arc<str>,
    /// The digest to approve.
    pub digest: Digest,
    /// What differs from what was approved; none when nothing ever was.
    pub drift: Option<Vec<Drift>>,
}

/// The pins of a program, over its store.
///
/// Rows and audit entries are those of one tenant, which the host names: the operators, as a rule.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{Digest, Env, TenantId, records::{Pins, Sheet, Standing}, store::MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let env = Env::system();
/// let store = Arc::new(MemoryStore::new(env.clock()));
/// let pins = Pins::new(env, store, TenantId::new("operators")?);
/// let manifest = Digest::of_json("docs", &serde_json::json!({ "id": "pay" }));
/// let sheet = Sheet::new(manifest).file("main.py", Digest::sha256(b"print()"))?;
///
/// assert_eq!(pins.check("pay", &sheet).await?, Standing::New);
/// pins.approve("pay", sheet.digest(), "carol").await?;
/// assert_eq!(pins.check("pay", &sheet).await?, Standing::Approved);
///
/// let drifted = Sheet::new(manifest).file("main.py", Digest::sha256(b"steal()"))?;
/// assert!(matches!(pins.check("pay", &drifted).await?, Standing::Changed(_)));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Pins {
    store: SharedStore,
    env: Env,
    tenant: TenantId,
}

impl Pins {
    /// The pins of this tenant in this store.
    #[must_use]
    pub const fn new(env: Env, store: SharedStore, tenant: TenantId) -> Self {
        Self { store, env, tenant }
    }

    /// Compares a package with what was approved; what differs is recorded, with an audit entry.
    ///
    /// # Errors
    /// The store does not answer, or the row can't be read: then the package may not run either.
    pub async fn check(&self, package: &str, sheet: &Sheet) -> Result<Standing> {
        for _ in 0..RACES {
            let (row, guard) = self.read(package).await?;
            if row.approved.as_ref() == Some(sheet) {
                return Ok(Standing::Approved);
            }
            let drift = row.approved.as_ref().map(|approved| sheet.drift_from(approved));
            let told = told(drift.as_deref());
            let standing = drift.map_or(Standing::New, Standing::Changed);
            if row.held.as_ref() == Some(sheet) {
                return Ok(standing);
            }
            let changes = row.changes.saturating_add(1);
            let next = PinRow { held: Some(sheet.clone()), changes, ..row };
            let note = format!("held at {}: {told}", sheet.digest());
            let action = AuditAction::PackageHeld;
            if self.write(package, guard, &next, (action, package, note)).await? {
                return Ok(standing);
            }
        }
        Err(conflict("others check this package all the time: try again").with("package", package))
    }

    /// Approves the content of a package that is held, by its digest.
    ///
    /// # Errors
    /// `NOT_FOUND`: nothing of this name is held. `CONFLICT`: something else is held than what the
    /// digest names. The store does not answer.
    pub async fn approve(&self, package: &str, digest: Digest, by: &str) -> Result<()> {
        for _ in 0..RACES {
            let (row, guard) = self.read(package).await?;
            if row.approved.as_ref().is_some_and(|approved| approved.digest() == digest) {
                return Ok(());
            }
            let missing = || {
                Error::new(ErrorKind::NotFound, "nothing of this package waits for an approval")
                    .with("package", package)
            };
            let held = row.held.ok_or_else(missing)?;
            if held.digest() != digest {
                let why = "another content is held than the one that you approve: look again";
                return Err(conflict(why).with("package", package).with("held", held.digest()));
            }
            let changes = row.changes.saturating_add(1);
            let next = PinRow { approved: Some(held), held: None, changes };
            let note = format!("{package} at {digest}");
            let action = AuditAction::PackageApproved;
            if self.write(package, guard, &next, (action, by, note)).await? {
                return Ok(());
            }
        }
        Err(conflict("others change this pin all the time: try again").with("package", package))
    }

    /// The packages that wait for an approval, in the order of their names.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    pub async fn held(&self) -> Result<Vec<Held>> {
        let prefix = Key::of(&self.tenant, "pn").prefix();
        let rows = self.store.scan_all(prefix.clone()).await?;
        let mut all = Vec::new();
        for (key, entry) in rows {
            let PinRow { approved, held: Some(held), .. } = PinRow::decode(&entry.value)? else {
                continue;
            };
            let name = key.behind(&prefix).and_then(|name| name.get(2..)).unwrap_or_default();
            all.push(Held {
                package: String::from_utf8_lossy(name).into(),
                digest: held.digest(),
                drift: approved.map(|approved| held.drift_from(&approved)),
            });
        }
        Ok(all)
    }

    async fn read(&self, package: &str) -> Result<(PinRow, Guard)> {
        let key = self.key(package);
        let read: Option<(PinRow, Version)> = commit::read(&*self.store, &key).await?;
        Ok(match read {
            Some((row, version)) => (row, commit::unchanged(key, version)),
            None => (PinRow { approved: None, held: None, changes: 0 }, Guard::Absent(key)),
        })
    }

    async fn write(
        &self,
        package: &str,
        guard: Guard,
        row: &PinRow,
        (action, subject, note): (AuditAction, &str, String),
    ) -> Result<bool> {
        let entry = AuditEntry::new(self.env.now(), action, NO_MESSAGE, subject).because(note);
        let txn = Txn::new("pin")
            .guard(guard)
            .op(Op::put(self.key(package), row.encode()?))
            .op(entry.append(&self.tenant)?);
        Ok(matches!(commit::commit(&*self.store, txn).await?, Known::Applied(_)))
    }

    fn key(&self, package: &str) -> Key {
        Key::of(&self.tenant, "pn").text(package).build()
    }
}

/// The first few differences, in words.
fn told(drift: Option<&[Drift]>) -> String {
    const SHOWN: usize = 8;
    let Some(drift) = drift else { return "it is new".to_owned() };
    let mut words: Vec<String> = drift.iter().take(SHOWN).map(Drift::to_string).collect();
    if let Some(more) = drift.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}

fn conflict(why: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, why).with_happened(Happened::No)
}
