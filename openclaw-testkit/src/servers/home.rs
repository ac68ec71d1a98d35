//! The directory of one server: its data, its log, its ports.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{account::Account, error::ServerError};

/// How much of a log an error shows.
const TAIL_LINES: usize = 40;

/// Where one server lives, until the value is dropped.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) server: &'static str,
    pub(super) binary: PathBuf,
    /// Who runs it; `None` is whoever runs the tests.
    pub(super) account: Option<Account>,
    /// The port clients connect to, and after it those the server needs for itself.
    pub(super) ports: Vec<u16>,
    dir: TempDir,
    /// Where in the log the present launch began.
    launched: u64,
}

impl Home {
    /// A fresh directory that the account may write to.
    pub(super) fn new(
        server: &'static str,
        binary: PathBuf,
        account: Option<Account>,
    ) -> Result<Self, ServerError> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("openclaw-{server}-"))
            .tempdir()
            .map_err(ServerError::io(format!("make a directory for {server}")))?;
        if let Some(Account { uid, gid }) = account {
            chown(dir.path(), Some(uid), Some(gid))
                .map_err(ServerError::io(format!("hand {} over", dir.path().display())))?;
        }
        Ok(Self { server, binary, account, ports: Vec::new(), dir, launched: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A name that no other server of this machine has: that of its directory.
    pub(super) fn name(&self) -> String {
        self.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A path in the directory.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// [`Self::join`] as text, for a configuration file.
    pub(super) fn text(&self, name: &str) -> String {
        self.join(name).display().to_string()
    }

    /// The port for clients.
    pub(super) fn port(&self) -> u16 {
        self.ports.first().copied().unwrap_or_default()
    }

    /// Another of its ports.
    pub(super) fn side_port(&self, at: usize) -> u16 {
        self.ports.get(at).copied().unwrap_or_default()
    }

    /// Writes a file that the server reads.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), ServerError> {
        let path = self.join(name);
        fs::write(&path, text).map_err(ServerError::io(format!("write {}", path.display())))
    }

    /// Writes a file that only the server reads.
    #[cfg(feature = "tls")]
    pub(super) fn write_secret(&self, name: &str, text: &str) -> Result<(), ServerError> {
        self.write(name, text)?;
        let path = self.join(name);
        let only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        let shut = fs::set_permissions(&path, only).and_then(|()| match self.account {
            Some(Account { uid, gid }) => chown(&path, Some(uid), Some(gid)),
            None => Ok(()),
        });
        shut.map_err(ServerError::io(format!("hand {} over", path.display())))
    }

    /// The file that takes what the server prints.
    pub(super) fn log_file(&self) -> PathBuf {
        self.join("server.log")
    }

    /// All that the server has printed.
    pub(super) fn log(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Remembers that a launch begins here in the log.
    pub(super) fn mark_launch(&mut self) {
        self.launched = fs::metadata(self.log_file()).map_or(0, |about| about.len());
    }

    /// What the server printed since its launch.
    pub(super) fn launch_log(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = fs::File::open(self.log_file())?;
            file.seek(SeekFrom::Start(self.launched))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
    }

    /// The failure with the end of the log.
    pub(super) fn failed(&self, why: impl Into<String>) -> ServerError {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
        ServerError::Failed {
            server: self.server,
            binary: self.binary.clone(),
            why: why.into(),
            log: tail.join("\n"),
        }
    }
}
