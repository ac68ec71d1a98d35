//! A private Postgres.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;

#[cfg(feature = "tls")]
use super::tls::Certificate;
use super::{
    error::ServerError,
    face::face,
    home::Home,
    kind::Kind,
    process::{Launch, beside, run},
    program::Program,
    server::{Frame, Server},
    watchdog::Watchdog,
    wire,
};

/// A private Postgres with one superuser `postgres`, trusted without a password.
///
/// `fsync` and `synchronous_commit` are on, as Postgres has them. The program is the newest
/// `postgres` of this machine, or what `OPENCLAW_POSTGRES_BIN` names (the program or its
/// folder); `initdb` must lie beside it. Postgres refuses root, so root's tests run it as
/// `postgres` or `nobody`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), openclaw_testkit::servers::ServerError> {
/// use openclaw_testkit::servers::Postgres;
///
/// let builder = Postgres::builder().setting("max_connections", "20");
/// let Some(mut postgres) = builder.start_or_skip().await? else { return Ok(()) };
/// let port = postgres.port();
/// assert_eq!(postgres.url(), format!("postgres://postgres@127.0.0.1:{port}/postgres"));
/// postgres.stop_immediate().await?;
/// postgres.restart().await?;
/// postgres.stop().await
/// # }
/// ```
#[derive(Debug)]
pub struct Postgres(Server<Settings>);

/// Settings for a [`Postgres`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct PostgresBuilder {
    settings: Settings,
    frame: Frame,
}

face!(Postgres, PostgresBuilder);

impl Postgres {
    /// Ends it without a checkpoint, as `pg_ctl stop -m immediate`: SIGQUIT.
    ///
    /// The next [`Self::restart`] recovers from the log.
    ///
    /// # Errors
    /// [`ServerError::Failed`] when it had to be killed after 30 s.
    pub async fn stop_immediate(&mut self) -> Result<(), ServerError> {
        self.0.shut_down(Signal::QUIT).await
    }
}

impl PostgresBuilder {
    /// A parameter of `postgresql.conf`, such as `fsync` `off`. The last of a name counts.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.parameters.push((name.into(), value.into()));
        self
    }

    /// It speaks TLS too, with this certificate; the [URL](Postgres::url) asks for it.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, certificate: Certificate) -> Self {
        self.settings.tls = Some(certificate);
        self
    }
}

#[derive(Clone, Debug, Default)]
struct Settings {
    parameters: Vec<(String, String)>,
    #[cfg(feature = "tls")]
    tls: Option<Certificate>,
}

impl Settings {
    /// The parameters of TLS, with their files. Who asks plainly is served as ever.
    #[cfg(feature = "tls")]
    fn secured(&self, home: &Home) -> Result<Vec<(&'static str, String)>, ServerError> {
        let Some(certificate) = &self.tls else { return Ok(Vec::new()) };
        home.write("server.pem", &certificate.chain)?;
        home.write_secret("server.key", certificate.key.expose())?;
        let mut set = vec![
            ("ssl", "on".to_owned()),
            ("ssl_cert_file", home.text("server.pem")),
            ("ssl_key_file", home.text("server.key")),
        ];
        if let Some(clients) = &certificate.clients {
            home.write("clients.pem", clients)?;
            let rules = "hostssl all all all trust clientcert=verify-ca\n\
                         hostnossl all all all trust\n";
            home.write("hba.conf", rules)?;
            set.push(("ssl_ca_file", home.text("clients.pem")));
            set.push(("hba_file", home.text("hba.conf")));
        }
        Ok(set)
    }

    #[cfg(not(feature = "tls"))]
    #[allow(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "it has a feature to ask about"
    )]
    fn secured(&self, _home: &Home) -> Result<Vec<(&'static str, String)>, ServerError> {
        Ok(Vec::new())
    }
}

/// How long `initdb` may take.
const FOUNDED_WITHIN: Duration = Duration::from_secs(60);

impl Kind for Settings {
    const NAME: &'static str = "postgres";
    const PROGRAM: Program = Program {
        name: "postgres",
        variable: "OPENCLAW_POSTGRES_BIN",
        package: "postgresql",
        before: &[],
        after: PLACES,
    };
    // Fast: clients are cut off. SIGTERM would wait for them.
    const STOP: Signal = Signal::INT;
    const ORDINARY: bool = true;

    fn url(&self, port: u16) -> String {
        let plain = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return plain + "?sslmode=verify-full";
        }
        plain
    }

    fn needs(&self, binary: &Path) -> Result<(), ServerError> {
        let initdb = beside(binary, "initdb");
        Program { name: "initdb", ..Self::PROGRAM }.find(Some(&initdb)).map(|_found| ())
    }

    async fn found(&self, home: &Home, guard: &mut Watchdog) -> Result<(), ServerError> {
        let initdb = Launch::new(beside(&home.binary, "initdb"))
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .args(["--no-sync", "--pgdata"])
            .arg(home.join("data"));
        let made = run(&initdb, home, guard, FOUNDED_WITHIN).await;
        if made.map_err(ServerError::io("run initdb"))? {
            Ok(())
        } else {
            Err(home.failed("has no data: initdb failed"))
        }
    }

    fn launch(&self, home: &Home) -> Result<Launch, ServerError> {
        let place = [
            ("port", home.port().to_string()),
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("unix_socket_directories", String::new()),
        ];
        let place = place.iter().map(|(name, value)| format!("{name}={value}"));
        let own = self.parameters.iter().map(|(name, value)| format!("{name}={value}"));
        let secured = self.secured(home)?;
        let secured = secured.iter().map(|(name, value)| format!("{name}={value}"));
        let set =
            own.chain(place).chain(secured).flat_map(|parameter| ["-c".to_owned(), parameter]);
        Ok(Launch::new(&home.binary).arg("-D").arg(home.join("data")).args(set))
    }

    async fn greet(&self, home: &Home, id: u32) -> io::Result<()> {
        let answer = wire::ask(home.port(), &startup(), |answer| last(answer).is_some()).await?;
        match last(&answer) {
            Some(b'Z') if is_ready(home, id) => Ok(()),
            _ => Err(wire::unlike(&answer)),
        }
    }
}

const PLACES: &[&str] = &[
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/bin",
];

/// The packet that begins a session of protocol 3.0, and at once the one that ends it.
fn startup() -> Vec<u8> {
    let words = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(words.len() + 4).unwrap_or_default();
    [&length.to_be_bytes(), words.as_slice(), b"X\0\0\0\x04"].concat()
}

/// The type of the message that ends the greeting: `Z`, ready, or `E`, an error.
fn last(mut answer: &[u8]) -> Option<u8> {
    while let Some(([kind, length @ ..], _)) = answer.split_first_chunk::<5>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let rest = answer.get(length.checked_add(1)?..)?;
        if matches!(kind, b'Z' | b'E') {
            return Some(*kind);
        }
        answer = rest;
    }
    None
}

/// Does the lock file of this very process say that it accepts sessions?
fn is_ready(home: &Home, id: u32) -> bool {
    let lock = fs::read_to_string(home.join("data/postmaster.pid")).unwrap_or_default();
    let mut lines = lock.lines().map(str::trim);
    lines.next() == Some(&id.to_string()) && lines.nth(6) == Some("ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_over_at_ready_or_at_an_error() {
        let auth = b"R\0\0\0\x08\0\0\0\0";
        assert_eq!(last(auth), None);
        assert_eq!(last(&[auth.as_slice(), b"Z\0\0\0\x05I"].concat()), Some(b'Z'));
        assert_eq!(last(&[auth.as_slice(), b"Z\0\0\0\x05"].concat()), None, "cut short");
        assert_eq!(last(b"E\0\0\0\x05\0"), Some(b'E'));
    }
}
