//! The desk as a process of its own, so that it can be killed.

use std::{
    env,
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// How long a desk may take to start, or to stop.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running desk.
#[derive(Debug)]
pub(crate) struct Desk {
    process: Child,
    pub(crate) web: SocketAddr,
    pub(crate) shop: SocketAddr,
    /// What it said it recovered.
    pub(crate) recovered: String,
}

impl Desk {
    /// Starts a desk on a free port over this directory.
    pub(crate) async fn start(data: &Path) -> Result<Self, String> {
        let mut process =
            command(data, "0")?.spawn().map_err(|e| format!("the desk does not start: {e}"))?;
        let out = process.stdout.take().ok_or("the desk has no output")?;
        let mut lines = BufReader::new(out).lines();
        let mut next = async || match timeout(PATIENCE, lines.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            _ => Err("the desk ended before it listened"),
        };
        let (first, recovered) = (next().await?, next().await?);
        let mut addresses = first
            .split("http://")
            .skip(1)
            .map(|rest| rest.split([',', ' ']).next().unwrap_or_default().parse());
        let (Some(Ok(web)), Some(Ok(shop))) = (addresses.next(), addresses.next()) else {
            return Err(format!("the desk does not say where it listens: {first:?}"));
        };
        // Its greeting goes on; nobody reads it, and the pipe must not fill up.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { process, web, shop, recovered })
    }

    /// SIGKILL: no destructor, no flush, no goodbye.
    pub(crate) async fn kill(mut self) -> Result<(), String> {
        self.process.kill().await.map_err(|e| format!("the desk can't be killed: {e}"))
    }
}

/// Runs a desk that is expected to refuse to start: its exit and its last words.
pub(crate) async fn refused(
    data: &Path,
    port: &str,
    extra: &[&str],
) -> Result<(ExitStatus, String), String> {
    let mut process = command(data, port)?
        .args(extra)
        .spawn()
        .map_err(|e| format!("the desk does not start: {e}"))?;
    let mut words = String::new();
    let mut err = process.stderr.take().ok_or("the desk has no error output")?;
    let wait = async {
        err.read_to_string(&mut words).await?;
        process.wait().await
    };
    let status =
        timeout(PATIENCE, wait).await.map_err(|_late| "the desk started, and should not have")?;
    Ok((status.map_err(|e| e.to_string())?, words))
}

fn command(data: &Path, port: &str) -> Result<Command, String> {
    let program = env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command.args(["--tested", "--port", port, "--data"]).arg(data);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}
