//! Why a server does not run.

use std::{io, path::PathBuf};

/// Why a server did not start, stop or restart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Its program is not on this machine.
    #[error(
        "{what} is not on this machine: install it (Debian package `{package}`), \
         or name the program in {variable}"
    )]
    Missing {
        /// The program that was looked for.
        what: String,
        /// The Debian package that has it.
        package: &'static str,
        /// The environment variable that names it when it lies elsewhere.
        variable: &'static str,
    },
    /// Another process listens on its port.
    #[error("{server}: port {port} is taken by another process")]
    PortTaken {
        /// The server.
        server: &'static str,
        /// The port it was to listen on.
        port: u16,
    },
    /// It ended or hung when it should not have.
    #[error("{server} ({}) {why}; the end of its log:\n{log}", binary.display())]
    Failed {
        /// The server.
        server: &'static str,
        /// The program that ran.
        binary: PathBuf,
        /// What it did or left undone.
        why: String,
        /// The last lines of its log.
        log: String,
    },
    /// The machine refused something a server needs.
    #[error("could not {doing}")]
    Io {
        /// What was to be done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ServerError {
    /// For `map_err`: what was to be done when the system refused.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        |source| Self::Io { doing, source }
    }
}
