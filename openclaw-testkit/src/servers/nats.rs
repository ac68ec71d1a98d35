//! A private NATS.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

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

/// A private NATS with JetStream, its streams on disk.
///
/// What JetStream has acknowledged survives SIGKILL. NATS syncs its files every two minutes
/// unless it is told otherwise: from 2.10 on, the block `jetstream` knows `sync_interval`.
/// The program is `nats-server`, or what `OPENCLAW_NATS_BIN` names.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), openclaw_testkit::servers::ServerError> {
/// use openclaw_testkit::servers::Nats;
///
/// let builder = Nats::builder().setting("max_payload", "65536");
/// let Some(nats) = builder.start_or_skip().await? else { return Ok(()) };
/// assert_eq!(nats.url(), format!("nats://127.0.0.1:{}", nats.port()));
/// nats.stop().await
/// # }
/// ```
#[derive(Debug)]
pub struct Nats(Server<Settings>);

/// Settings for a [`Nats`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct NatsBuilder {
    settings: Settings,
    frame: Frame,
}

face!(Nats, NatsBuilder);

impl NatsBuilder {
    /// Has it JetStream? It has by default.
    pub const fn jetstream(mut self, jetstream: bool) -> Self {
        self.settings.bare = !jetstream;
        self
    }

    /// A line `name: value` of its configuration; the value as the file has it, with quotes.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.lines.push((name.into(), value.into()));
        self
    }

    /// A line `name: value` inside the block `jetstream`.
    pub fn jetstream_setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.jetstream.push((name.into(), value.into()));
        self
    }
}

#[derive(Clone, Debug, Default)]
struct Settings {
    bare: bool,
    lines: Vec<(String, String)>,
    jetstream: Vec<(String, String)>,
}

impl Kind for Settings {
    const NAME: &'static str = "nats";
    const PROGRAM: Program = Program {
        name: "nats-server",
        variable: "OPENCLAW_NATS_BIN",
        package: "nats-server",
        before: &[],
        after: USUAL,
    };

    fn url(&self, port: u16) -> String {
        format!("nats://127.0.0.1:{port}")
    }

    fn launch(&self, home: &Home) -> Result<Launch, ServerError> {
        let line = |(name, value): &(String, String)| format!("{name}: {value}\n");
        let mut text = format!(
            "host: \"127.0.0.1\"\nport: {}\nserver_name: \"{}\"\n",
            home.port(),
            home.name()
        );
        text.extend(self.lines.iter().map(line));
        if !self.bare {
            let store = home.text("jetstream");
            let own: String = self.jetstream.iter().map(line).collect();
            text += &format!("jetstream {{\nstore_dir: \"{store}\"\n{own}}}\n");
        }
        home.write("nats.conf", &text)?;
        Ok(Launch::new(&home.binary).arg("--config").arg(home.join("nats.conf")))
    }

    async fn greet(&self, home: &Home, _id: u32) -> io::Result<()> {
        let question = b"CONNECT {\"verbose\":false}\r\nPING\r\n";
        let over = |answer: &[u8]| answer.ends_with(b"PONG\r\n") || find(answer, b"-ERR");
        let answer = wire::ask(home.port(), question, over).await?;
        let name = format!("\"server_name\":\"{}\"", home.name());
        let greeted = answer.starts_with(b"INFO {") && find(&answer, name.as_bytes());
        // A server that wants a password greets with the first line and refuses the second.
        if greeted { Ok(()) } else { Err(wire::unlike(&answer)) }
    }
}

fn find(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}
