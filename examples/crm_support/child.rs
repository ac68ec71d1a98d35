//! The desk as the self-test holds it: its console, and the means to kill it.

use std::{env, fs, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::desk::{CRM_SECRET, FINANCE_SECRET, STORE_KEY};

/// How long a desk may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// The secrets of a desk.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    pub(crate) crm: String,
    pub(crate) finance: String,
    pub(crate) store: String,
}

/// A running desk.
#[derive(Debug)]
pub(crate) struct Desk {
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    pub(crate) web: SocketAddr,
    /// Turns that wait for somebody, as it said at its start.
    pub(crate) waiting: u64,
    /// Everything that it said.
    pub(crate) said: String,
}

impl Desk {
    /// Starts a desk over this directory, beside these remotes.
    pub(crate) async fn start(
        data: &Path,
        remote: SocketAddr,
        secrets: &Secrets,
    ) -> Result<Self, String> {
        let program = env::current_exe().map_err(|e| e.to_string())?;
        let log = fs::File::options().create(true).append(true).open(data.join("desk.log"));
        let mut process = Command::new(program)
            .arg("--desk")
            .arg(data)
            .arg(remote.to_string())
            .env(CRM_SECRET, &secrets.crm)
            .env(FINANCE_SECRET, &secrets.finance)
            .env(STORE_KEY, &secrets.store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.map_err(|e| e.to_string())?)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("the desk does not start: {e}"))?;
        let orders = process.stdin.take().ok_or("the desk has no console")?;
        let answers = BufReader::new(process.stdout.take().ok_or("the desk is mute")?).lines();
        let web = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut desk = Self { process, orders, answers, web, waiting: 0, said: String::new() };
        let first = desk.heard().await?;
        let at = first.get("web").and_then(Value::as_str).and_then(|at| at.parse().ok());
        desk.web = at.ok_or_else(|| format!("the desk does not say where it is: {first}"))?;
        desk.waiting = first.get("waiting").and_then(Value::as_u64).unwrap_or_default();
        Ok(desk)
    }

    /// Gives an order at the console.
    pub(crate) async fn order(&mut self, order: &Value) -> Result<Value, String> {
        let line = format!("{order}\n");
        self.orders.write_all(line.as_bytes()).await.map_err(|e| e.to_string())?;
        self.heard().await
    }

    async fn heard(&mut self) -> Result<Value, String> {
        match timeout(PATIENCE, self.answers.next_line()).await {
            Ok(Ok(Some(line))) => {
                self.said.push_str(&line);
                serde_json::from_str(&line).map_err(|e| format!("{e}: {line}"))
            }
            _ => Err("the desk does not answer".to_owned()),
        }
    }

    /// SIGKILL: no destructor, no flush, no goodbye.
    /// Gives what it had said.
    pub(crate) async fn kill(mut self) -> Result<String, String> {
        self.process.kill().await.map_err(|e| format!("the desk can't be killed: {e}"))?;
        Ok(self.said)
    }

    /// Has it finish what it does. True when it ended well.
    pub(crate) async fn stop(mut self) -> Result<bool, String> {
        self.orders.write_all(b"{\"do\":\"stop\"}\n").await.map_err(|e| e.to_string())?;
        let ended = timeout(PATIENCE, self.process.wait()).await;
        let ended = ended.map_err(|_late| "the desk does not stop")?;
        Ok(ended.map_err(|e| e.to_string())?.success())
    }
}
