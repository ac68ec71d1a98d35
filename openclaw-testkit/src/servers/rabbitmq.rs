//! A private RabbitMQ.

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

/// A private RabbitMQ with its default account `guest`, without plugins.
///
/// It has its own Erlang node, cookie and port mapper, so that it meets no other RabbitMQ. A
/// start takes about 8 s on two cores. The program is `rabbitmq-server` of RabbitMQ itself, not
/// a wrapper that changes the account; or what `OPENCLAW_RABBITMQ_BIN` names. Erlang's `epmd` is
/// needed too, which `OPENCLAW_EPMD_BIN` can name.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), openclaw_testkit::servers::ServerError> {
/// use openclaw_testkit::servers::RabbitMq;
///
/// let builder = RabbitMq::builder().setting("heartbeat", "5");
/// let Some(rabbit) = builder.start_or_skip().await? else { return Ok(()) };
/// assert_eq!(rabbit.url(), format!("amqp://guest:guest@127.0.0.1:{}/%2f", rabbit.port()));
/// rabbit.stop().await
/// # }
/// ```
#[derive(Debug)]
pub struct RabbitMq(Server<Settings>);

/// Settings for a [`RabbitMq`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RabbitMqBuilder {
    settings: Settings,
    frame: Frame,
}

face!(RabbitMq, RabbitMqBuilder);

impl RabbitMqBuilder {
    /// A line `name = value` of `rabbitmq.conf`.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.lines.push((name.into(), value.into()));
        self
    }
}

#[derive(Clone, Debug, Default)]
struct Settings {
    lines: Vec<(String, String)>,
}

/// The port mapper in the foreground: as a daemon it would outlive the broker. Its debug output
/// says when its port is taken, and without it the broker need not go on.
const TOGETHER: &str = r#"
{ "$EPMD" -d -address 127.0.0.1 -port "$ERL_EPMD_PORT"; kill -KILL "$$"; } &
exec "$0""#;

/// Erlang's port mapper, and where packages hide it.
const EPMD: Program = Program {
    name: "epmd",
    variable: "OPENCLAW_EPMD_BIN",
    package: "erlang-base",
    before: &[],
    after: &["/usr/bin", "/usr/lib/erlang/bin", "/usr/local/lib/erlang/bin", "/opt/homebrew/bin"],
};

impl Kind for Settings {
    const NAME: &'static str = "rabbitmq";
    const PROGRAM: Program = Program {
        name: "rabbitmq-server",
        variable: "OPENCLAW_RABBITMQ_BIN",
        package: "rabbitmq-server",
        before: &["/usr/lib/rabbitmq/bin", "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"],
        after: USUAL,
    };
    /// For clients, for Erlang's distribution, for its port mapper.
    const PORTS: usize = 3;

    fn url(&self, port: u16) -> String {
        format!("amqp://guest:guest@127.0.0.1:{port}/%2f")
    }

    fn needs(&self, _binary: &Path) -> Result<(), ServerError> {
        EPMD.find(None).map(|_found| ())
    }

    fn launch(&self, home: &Home) -> Result<Launch, ServerError> {
        let mut text = format!(
            "listeners.tcp.local = 127.0.0.1:{}\n\
             log.console = true\nlog.console.level = info\nlog.file = false\n",
            home.port()
        );
        text.extend(self.lines.iter().map(|(name, value)| format!("{name} = {value}\n")));
        home.write("rabbitmq.conf", &text)?;
        home.write("rabbitmq-env.conf", "")?;
        home.write("enabled_plugins", "[].\n")?;
        home.write("advanced.config", "[].\n")?;
        let epmd = EPMD.find(None)?;
        let launch = Launch::new("sh")
            .args(["-c", TOGETHER])
            .arg(&home.binary)
            .env("EPMD", epmd)
            .env("RABBITMQ_NODENAME", format!("{}@localhost", home.name()))
            .env("RABBITMQ_LOG", "-color")
            .env("RABBITMQ_DIST_PORT", home.side_port(1).to_string())
            .env("ERL_EPMD_PORT", home.side_port(2).to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG)
            .env("RABBITMQ_CTL_ERL_ARGS", ERLANG);
        Ok(FILES.iter().fold(launch, |launch, (name, file)| launch.env(name, home.join(file))))
    }

    async fn greet(&self, home: &Home, _id: u32) -> io::Result<()> {
        let whole = |answer: &[u8]| answer.len() > 7 && answer.ends_with(&[0xCE]);
        let answer = wire::ask(home.port(), b"AMQP\0\0\x09\x01", whole).await?;
        // A method frame on channel 0 with Connection.Start. It tells the node by its first
        // part; the second is the name of the machine.
        let node = format!("{}@", home.name());
        let start = answer.starts_with(&[1, 0, 0])
            && answer.get(7..11) == Some(&[0, 10, 0, 10])
            && answer.windows(node.len()).any(|window| window == node.as_bytes());
        if start { Ok(()) } else { Err(wire::unlike(&answer)) }
    }
}

/// Loopback only, and no more threads than a small machine has.
const ERLANG: &str = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2";

/// What the broker would look for, or leave, elsewhere.
const FILES: &[(&str, &str)] = &[
    ("RABBITMQ_CONF_ENV_FILE", "rabbitmq-env.conf"),
    ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
    ("RABBITMQ_CONFIG_FILES", "conf.d"),
    ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config"),
    ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
    ("RABBITMQ_MNESIA_BASE", "mnesia"),
    ("RABBITMQ_MNESIA_DIR", "mnesia/node"),
    ("RABBITMQ_LOG_BASE", "log"),
    ("RABBITMQ_GENERATED_CONFIG_DIR", "config"),
    ("RABBITMQ_SCHEMA_DIR", "schema"),
    ("RABBITMQ_PID_FILE", "rabbitmq.pid"),
];
