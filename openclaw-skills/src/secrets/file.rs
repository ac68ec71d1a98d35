//! Secrets in a file that only its owner can read.

use std::{
    fs::{File, Metadata},
    io::Read as _,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use openclaw_core::{Error, ErrorKind, Limits, Result, Secret, json};

use super::provider::{SecretProvider, refuse};

/// Bytes of the largest file.
const MAX_FILE: u64 = 1 << 20;

/// A file with one secret, or a JSON document with several.
///
/// The id `value` is the whole file without a line end at its end; a JSON pointer is a text in
/// the document. The file is read at each fetch, so a new one is seen without a restart.
///
/// Refused: a relative path, what is no regular file, more than 1 MiB, and a file that its group
/// or others may read or write. A link is followed, and what it leads to is judged; the rights are
/// those of the open file, so that nothing can be exchanged between look and read. Where there are
/// no Unix rights, it answers `UNSUPPORTED`.
///
/// ```
/// # #[cfg(unix)]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::{fs, os::unix::fs::PermissionsExt};
/// use openclaw_skills::secrets::{FileSecrets, SecretProvider};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("secrets.json");
/// fs::write(&path, r#"{"crm":{"key":"s3cret"}}"#)?;
/// fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
/// assert_eq!(FileSecrets::new(&path)?.fetch("/crm/key").await?.expose(), "s3cret");
/// # Ok(()) }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct FileSecrets(PathBuf);

impl FileSecrets {
    /// The file at this absolute path. It is not looked at yet.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a relative path.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if path.is_absolute() {
            return Ok(Self(path));
        }
        Err(refuse(ErrorKind::ValidationError, "the path of a file of secrets must be absolute"))
    }
}

#[async_trait]
impl SecretProvider for FileSecrets {
    async fn fetch(&self, id: &str) -> Result<Secret> {
        let path = self.0.clone();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        let stopped = |_| refuse(ErrorKind::Unavailable, "reading the file was broken off");
        let text = read.map_err(stopped)??;
        if id == "value" {
            let text = text.expose().strip_suffix('\n').unwrap_or(text.expose());
            return Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)));
        }
        let document = json::parse(text.expose().as_bytes(), &Limits::default()).map_err(|e| {
            refuse(ErrorKind::ValidationError, "the file is no JSON").with_source(e)
        })?;
        let found = document.pointer(id).and_then(|value| value.as_str());
        let missing = "the file has no text at this pointer";
        found.map(Secret::new).ok_or_else(|| refuse(ErrorKind::NotFound, missing))
    }
}

fn read(path: &Path) -> Result<Secret> {
    // Looked at before it is opened: opening a pipe would wait for its writer.
    let before = std::fs::metadata(path).map_err(unreadable)?;
    check(&before)?;
    let file = File::open(path).map_err(unreadable)?;
    check(&file.metadata().map_err(unreadable)?)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(too_large());
    }
    let text = String::from_utf8(bytes);
    text.map(Secret::new)
        .map_err(|_bytes| refuse(ErrorKind::ValidationError, "the file is not UTF-8"))
}

fn check(about: &Metadata) -> Result<()> {
    if !about.is_file() {
        return Err(refuse(ErrorKind::PermissionDenied, "this is not a regular file"));
    }
    if about.len() > MAX_FILE {
        return Err(too_large());
    }
    check_rights(about)
}

#[cfg(unix)]
fn check_rights(about: &Metadata) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if about.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    let message = "group or others have rights on the file: give it mode 600 or 400";
    Err(refuse(ErrorKind::PermissionDenied, message))
}

#[cfg(not(unix))]
fn check_rights(_about: &Metadata) -> Result<()> {
    let message = "the rights of files can't be judged on this system: use another source";
    Err(refuse(ErrorKind::Unsupported, message))
}

fn too_large() -> Error {
    refuse(ErrorKind::ValidationError, "the file is larger than 1 MiB")
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn unreadable(e: std::io::Error) -> Error {
    match e.kind() {
        std::io::ErrorKind::NotFound => refuse(ErrorKind::NotFound, "there is no such file"),
        std::io::ErrorKind::PermissionDenied => {
            refuse(ErrorKind::PermissionDenied, "this process may not read the file")
        }
        _ => refuse(ErrorKind::Unavailable, "the file can't be read"),
    }
}
