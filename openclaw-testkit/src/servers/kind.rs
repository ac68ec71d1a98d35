//! What tells one server from another: its program, its configuration, its greeting.

use std::{fmt::Debug, io, path::Path};

use rustix::process::Signal;

use super::{
    error::ServerError, home::Home, process::Launch, program::Program, watchdog::Watchdog,
};

/// A kind of server with its settings.
pub(super) trait Kind: Clone + Debug + Send + Sync + 'static {
    /// Its name in messages and directories.
    const NAME: &'static str;
    /// Its program.
    const PROGRAM: Program;
    /// How many ports it needs; clients connect to the first.
    const PORTS: usize = 1;
    /// What makes its first process end cleanly.
    const STOP: Signal = Signal::TERM;
    /// Does it refuse to run as root?
    const ORDINARY: bool = false;

    /// Where clients connect to.
    fn url(&self, port: u16) -> String;

    /// Looks for the other programs it can't do without.
    fn needs(&self, _binary: &Path) -> Result<(), ServerError> {
        Ok(())
    }

    /// Makes the data, before the first launch.
    fn found(
        &self,
        _home: &Home,
        _guard: &mut Watchdog,
    ) -> impl Future<Output = Result<(), ServerError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Writes the configuration and says what to run, before each launch.
    fn launch(&self, home: &Home) -> Result<Launch, ServerError>;

    /// Shakes hands over TCP. `Ok` when this very process answered as it should; the error
    /// says what came instead.
    fn greet(&self, home: &Home, id: u32) -> impl Future<Output = io::Result<()>> + Send;
}
