//! A private Redis.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use openclaw_core::Secret;

#[cfg(feature = "tls")]
use super::tls::Certificate;
use super::{
    error::ServerError,
    face::face,
    home::Home,
    kind::Kind,
    process::Launch,
    program::{Program, USUAL},
    server::{Frame, Server},
    wire,
};

/// A private Redis that has every write on disk before it answers.
///
/// `appendonly yes`, `appendfsync always` and no snapshots, unless [`RedisBuilder::setting`]
/// says otherwise. The program is `redis-server`, or what `OPENCLAW_REDIS_BIN` names.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), openclaw_testkit::servers::ServerError> {
/// use openclaw_testkit::servers::Redis;
///
/// let builder = Redis::builder().setting("maxmemory-policy", "noeviction");
/// let Some(mut redis) = builder.start_or_skip().await? else { return Ok(()) };
/// assert_eq!(redis.url(), format!("redis://127.0.0.1:{}/0", redis.port()));
/// redis.kill().await?;
/// redis.restart().await?;
/// redis.stop().await
/// # }
/// ```
#[derive(Debug)]
pub struct Redis(Server<Settings>);

/// Settings for a [`Redis`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RedisBuilder {
    settings: Settings,
    frame: Frame,
}

face!(Redis, RedisBuilder);

impl RedisBuilder {
    /// A line of `redis.conf`, such as `appendfsync everysec`. The last of a name counts.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        if name == "requirepass" {
            return self.requirepass(value);
        }
        self.settings.lines.push((name, value));
        self
    }

    /// The password clients must give; it is in the [URL](Redis::url).
    pub fn requirepass(mut self, password: impl Into<String>) -> Self {
        self.settings.password = Some(Secret::new(password));
        self
    }

    /// Clients must speak TLS, and see this certificate; the [URL](Redis::url) is `rediss:`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, certificate: Certificate) -> Self {
        self.settings.tls = Some(certificate);
        self
    }
}

#[derive(Clone, Debug, Default)]
struct Settings {
    lines: Vec<(String, String)>,
    password: Option<Secret>,
    #[cfg(feature = "tls")]
    tls: Option<Certificate>,
}

impl Settings {
    #[cfg(feature = "tls")]
    const fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_self, reason = "it has a feature to ask about")]
    const fn has_tls(&self) -> bool {
        false
    }

    /// Where it speaks TLS, and with which files.
    #[cfg(feature = "tls")]
    fn secured(&self, home: &Home) -> Result<Vec<(&'static str, String)>, ServerError> {
        let Some(certificate) = &self.tls else { return Ok(Vec::new()) };
        home.write("server.pem", &certificate.chain)?;
        home.write_secret("server.key", certificate.key.expose())?;
        let clients = certificate.clients.as_deref();
        home.write("clients.pem", clients.unwrap_or(&certificate.chain))?;
        Ok(vec![
            ("tls-port", home.port().to_string()),
            ("tls-cert-file", home.text("server.pem")),
            ("tls-key-file", home.text("server.key")),
            ("tls-ca-cert-file", home.text("clients.pem")),
            ("tls-auth-clients", if clients.is_some() { "yes" } else { "no" }.to_owned()),
        ])
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

    /// The port that speaks plainly: under TLS one of its own, for the greeting alone.
    fn plain_port(&self, home: &Home) -> u16 {
        if self.has_tls() { home.side_port(1) } else { home.port() }
    }
}

const DURABLE: [(&str, &str); 3] = [("appendonly", "yes"), ("appendfsync", "always"), ("save", "")];

impl Kind for Settings {
    const NAME: &'static str = "redis";
    const PORTS: usize = 2;
    const PROGRAM: Program = Program {
        name: "redis-server",
        variable: "OPENCLAW_REDIS_BIN",
        package: "redis-server",
        before: &[],
        after: USUAL,
    };

    fn url(&self, port: u16) -> String {
        let password = self.password.as_ref().map(|p| format!(":{}@", percent(p.expose())));
        let scheme = if self.has_tls() { "rediss" } else { "redis" };
        format!("{scheme}://{}127.0.0.1:{port}/0", password.unwrap_or_default())
    }

    fn launch(&self, home: &Home) -> Result<Launch, ServerError> {
        let (port, dir) = (self.plain_port(home).to_string(), home.path().display().to_string());
        let place = [("port", &*port), ("bind", "127.0.0.1"), ("dir", &*dir), ("daemonize", "no")];
        let own = self.lines.iter().map(|(name, value)| (&**name, &**value));
        let password = self.password.as_ref().map(|password| ("requirepass", password.expose()));
        let secured = self.secured(home)?;
        let secured = secured.iter().map(|(name, value)| (*name, &**value));
        let lines = place.into_iter().chain(DURABLE).chain(secured).chain(own).chain(password);
        let line = |(name, value)| format!("{name} {}\n", quoted(value));
        home.write("redis.conf", &lines.map(line).collect::<String>())?;
        Ok(Launch::new(&home.binary).arg(home.join("redis.conf")))
    }

    async fn greet(&self, home: &Home, id: u32) -> io::Result<()> {
        let words = |words: &[&str]| {
            let word = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
            format!("*{}\r\n{}", words.len(), words.iter().map(word).collect::<String>())
        };
        let password = self.password.as_ref();
        let auth = password.map(|p| words(&["AUTH", p.expose()])).unwrap_or_default();
        let question = auth + &words(&["INFO", "server"]) + &words(&["PING"]);
        let over = |answer: &[u8]| answer.ends_with(b"+PONG\r\n") || answer.starts_with(b"-");
        let answer = wire::ask(self.plain_port(home), question.as_bytes(), over).await?;
        let text = String::from_utf8_lossy(&answer);
        let ours = text.lines().any(|line| line == format!("process_id:{id}"));
        if text.ends_with("+PONG\r\n") && ours { Ok(()) } else { Err(wire::unlike(&answer)) }
    }
}

/// A value in double quotes, as `redis.conf` reads it.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Text as it may stand in a URL.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::ports, *};

    #[test]
    fn a_password_keeps_its_signs_in_the_url_and_in_the_file() {
        let settings =
            Settings { password: Some(Secret::new("a\"b\\c @:/é")), ..Settings::default() };
        assert_eq!(settings.url(7), "redis://:a%22b%5Cc%20%40%3A%2F%C3%A9@127.0.0.1:7/0");
        assert_eq!(quoted("a\"b\\c"), r#""a\"b\\c""#);
    }

    #[tokio::test]
    async fn a_port_that_was_lost_is_followed_by_another() {
        let Some(holder) = Redis::builder().start_or_skip().await.unwrap() else { return };
        let mut tried = 0;
        let lost_twice = |count| {
            tried += 1;
            if tried > 2 { ports::free(count) } else { Ok(vec![holder.port()]) }
        };
        let settings = Settings::default();
        let server = Server::start_on(settings.clone(), &Frame::default(), 5, lost_twice).await;
        assert_ne!(server.unwrap().home().port(), holder.port());
        assert_eq!(tried, 3);

        let mut tried = 0;
        let always_lost = |_| {
            tried += 1;
            Ok(vec![holder.port()])
        };
        let server = Server::start_on(settings, &Frame::default(), 5, always_lost).await;
        assert!(matches!(server, Err(ServerError::PortTaken { .. })), "{server:?}");
        assert_eq!(tried, 5, "it gives up");
    }
}
