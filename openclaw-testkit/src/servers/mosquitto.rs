//! A private Mosquitto.

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

/// A private Mosquitto that everyone on this machine may use.
///
/// It keeps retained and queued messages over a clean stop. It writes its file after each
/// change too, but only after it has answered: what it acknowledged in the last moment before a
/// SIGKILL can be lost. The program is `mosquitto`, or what `OPENCLAW_MOSQUITTO_BIN` names.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), openclaw_testkit::servers::ServerError> {
/// use openclaw_testkit::servers::Mosquitto;
///
/// let builder = Mosquitto::builder().setting("max_inflight_messages", "1");
/// let Some(mosquitto) = builder.start_or_skip().await? else { return Ok(()) };
/// assert_eq!(mosquitto.url(), format!("mqtt://127.0.0.1:{}", mosquitto.port()));
/// mosquitto.stop().await
/// # }
/// ```
#[derive(Debug)]
pub struct Mosquitto(Server<Settings>);

/// Settings for a [`Mosquitto`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct MosquittoBuilder {
    settings: Settings,
    frame: Frame,
}

face!(Mosquitto, MosquittoBuilder);

impl MosquittoBuilder {
    /// Does it keep messages on disk? It does by default.
    pub const fn persistence(mut self, persistence: bool) -> Self {
        self.settings.forgetful = !persistence;
        self
    }

    /// A line of `mosquitto.conf`, such as `max_queued_messages 10`.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.lines.push((name.into(), value.into()));
        self
    }
}

#[derive(Clone, Debug, Default)]
struct Settings {
    forgetful: bool,
    lines: Vec<(String, String)>,
}

impl Kind for Settings {
    const NAME: &'static str = "mosquitto";
    const PROGRAM: Program = Program {
        name: "mosquitto",
        variable: "OPENCLAW_MOSQUITTO_BIN",
        package: "mosquitto",
        before: &[],
        after: USUAL,
    };

    fn url(&self, port: u16) -> String {
        format!("mqtt://127.0.0.1:{port}")
    }

    fn launch(&self, home: &Home) -> Result<Launch, ServerError> {
        let mut text = format!("listener {} 127.0.0.1\nallow_anonymous true\n", home.port());
        if rustix::process::geteuid().is_root() {
            // It would change to an account that can't write here.
            text += "user root\n";
        }
        if !self.forgetful {
            text += &format!(
                "persistence true\npersistence_location {}/\n\
                 autosave_on_changes true\nautosave_interval 1\n",
                home.path().display()
            );
        }
        text.extend(self.lines.iter().map(|(name, value)| format!("{name} {value}\n")));
        home.write("mosquitto.conf", &text)?;
        Ok(Launch::new(&home.binary).arg("-c").arg(home.join("mosquitto.conf")))
    }

    async fn greet(&self, home: &Home, _id: u32) -> io::Result<()> {
        // CONNECT of MQTT 3.1.1, a clean session, 60 s; then DISCONNECT.
        let question = b"\x10\x14\0\x04MQTT\x04\x02\0\x3c\0\x08openclaw\xe0\0";
        let answer = wire::ask(home.port(), question, |answer| answer.len() >= 4).await?;
        // The answer does not say whose it is; the log says that this process has the port.
        if answer.starts_with(&[0x20, 2]) && home.launch_log().contains(" running") {
            Ok(())
        } else {
            Err(wire::unlike(&answer))
        }
    }
}
