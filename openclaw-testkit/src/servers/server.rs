//! The life of a server, whatever its kind: start, kill, restart, stop.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{
    account::Account, error::ServerError, home::Home, kind::Kind, ports, process::Process,
    tree::Tree, watchdog::Watchdog,
};

/// How many ports are tried when others are faster.
const PORT_TRIES: usize = 5;

/// How long a server may take to end cleanly.
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// The environment variables that make a missing server an error.
const REQUIRED: [&str; 2] = ["CI", "OPENCLAW_REQUIRE_SERVERS"];

/// What all builders have in common.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) binary: Option<PathBuf>,
    pub(super) port: Option<u16>,
    pub(super) deadline: Duration,
}

impl Default for Frame {
    fn default() -> Self {
        Self { binary: None, port: None, deadline: Duration::from_secs(60) }
    }
}

/// A server that was started, whether it runs at the moment or not.
#[derive(Debug)]
pub(super) struct Server<K: Kind> {
    kind: K,
    deadline: Duration,
    process: Option<Process>,
    paused: bool,
    // Before `home`: fields are dropped in order, and the directory goes last.
    guard: Watchdog,
    home: Home,
}

impl<K: Kind> Server<K> {
    /// Starts a server in a fresh directory.
    pub(super) async fn start(kind: K, frame: Frame) -> Result<Self, ServerError> {
        let Some(port) = frame.port else {
            return Self::start_on(kind, &frame, PORT_TRIES, ports::free).await;
        };
        let fixed = move |count| {
            let mut ports = ports::free(count)?;
            ports.iter_mut().take(1).for_each(|first| *first = port);
            Ok(ports)
        };
        Self::start_on(kind, &frame, 1, fixed).await
    }

    /// Starts it, or says plainly that it is not here; [`must_run`] decides.
    pub(super) async fn start_or_skip(kind: K, frame: Frame) -> Result<Option<Self>, ServerError> {
        match Self::start(kind, frame).await {
            Ok(server) => Ok(Some(server)),
            Err(missing @ ServerError::Missing { .. }) if !must_run() => {
                // Not by a macro: what a test prints by one is not shown when it passes.
                let _closed = writeln!(io::stderr(), "NOT RUN: {missing}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Starts it on the first of these ports that nobody took meanwhile.
    pub(super) async fn start_on(
        kind: K,
        frame: &Frame,
        tries: usize,
        mut ports: impl FnMut(usize) -> io::Result<Vec<u16>>,
    ) -> Result<Self, ServerError> {
        let mut server = Self::install(kind, frame).await?;
        let mut tried = 1;
        loop {
            server.home.ports = ports(K::PORTS).map_err(ServerError::io("find a free port"))?;
            match server.launch().await {
                Err(ServerError::PortTaken { .. }) if tried < tries => tried += 1,
                outcome => return outcome.map(|()| server),
            }
        }
    }

    /// Finds the programs and makes the directory with its data.
    async fn install(kind: K, frame: &Frame) -> Result<Self, ServerError> {
        let binary = K::PROGRAM.find(frame.binary.as_deref())?;
        kind.needs(&binary)?;
        let account = if K::ORDINARY { Account::unprivileged()? } else { None };
        let home = Home::new(K::NAME, binary, account)?;
        let mut guard =
            Watchdog::over(home.path()).map_err(ServerError::io("start a watchdog with sh"))?;
        kind.found(&home, &mut guard).await?;
        let deadline = frame.deadline;
        Ok(Self { kind, deadline, process: None, paused: false, guard, home })
    }

    /// Runs the program and waits until it shakes hands.
    async fn launch(&mut self) -> Result<(), ServerError> {
        let launch = self.kind.launch(&self.home)?;
        self.home.mark_launch();
        let binary = self.home.binary.display().to_string();
        let process = Process::start(&launch, &self.home, &mut self.guard)
            .map_err(ServerError::io(format!("run {binary}")))?;
        let process = self.process.insert(process);
        let outcome = ready(&self.kind, &self.home, process, self.deadline).await;
        if let Err(why) = outcome {
            let ended = self.end(None).await;
            if ports::taken(&self.home.launch_log()) {
                return Err(ServerError::PortTaken { server: K::NAME, port: self.home.port() });
            }
            return Err(self.home.failed(format!("{why}{}", ended.unwrap_or_default())));
        }
        Ok(())
    }

    pub(super) fn url(&self) -> String {
        self.kind.url(self.home.port())
    }

    pub(super) const fn home(&self) -> &Home {
        &self.home
    }

    /// The number of the first process, while it is there.
    pub(super) fn id(&self) -> Option<u32> {
        self.process.as_ref().filter(|process| !process.is_over()).map(Process::id)
    }

    /// SIGKILL to all its processes; back when they are gone.
    pub(super) async fn kill(&mut self) -> Result<(), ServerError> {
        self.end(None).await.map(|_status| ())
    }

    /// Ends what is left; how it ended, in words, when it was there.
    async fn end(&mut self, seen: Option<Tree>) -> Result<String, ServerError> {
        self.paused = false;
        let Some(process) = self.process.take() else { return Ok(String::new()) };
        match process.end(seen, &mut self.guard).await {
            Some(status) => Ok(format!(" ({status})")),
            None => Err(self.home.failed("outlived SIGKILL")),
        }
    }

    /// Sends the signal and waits for the end it asks for.
    pub(super) async fn shut_down(&mut self, signal: Signal) -> Result<(), ServerError> {
        self.resume();
        let Some(process) = &self.process else { return Ok(()) };
        let seen = process.tree();
        process.signal(signal);
        let ended = process.ends_within(STOPS_WITHIN).await;
        self.end(Some(seen)).await?;
        if ended { Ok(()) } else { Err(self.home.failed("did not stop within 30 s: killed")) }
    }

    /// Starts again on the same data and the same port.
    pub(super) async fn restart(&mut self) -> Result<(), ServerError> {
        const PAUSE: Duration = Duration::from_millis(100);
        self.shut_down(K::STOP).await?;
        let end = Instant::now() + self.deadline.min(Duration::from_secs(2));
        loop {
            match self.launch().await {
                // A client's socket may hold the port for a moment.
                Err(ServerError::PortTaken { .. }) if Instant::now() < end => sleep(PAUSE).await,
                outcome => return outcome,
            }
        }
    }

    /// SIGSTOP to all its processes.
    pub(super) fn pause(&mut self) {
        if let Some(process) = &self.process {
            process.freeze();
            self.paused = true;
        }
    }

    /// SIGCONT to all its processes.
    pub(super) fn resume(&mut self) {
        if let Some(process) = self.process.as_ref().filter(|_| self.paused) {
            process.tree().signal(Signal::CONT);
        }
        self.paused = false;
    }
}

impl<K: Kind> Drop for Server<K> {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.end_now(&mut self.guard);
        }
    }
}

/// Waits for the handshake; the error is the rest of a sentence.
async fn ready<K: Kind>(
    kind: &K,
    home: &Home,
    process: &Process,
    deadline: Duration,
) -> Result<(), String> {
    let (end, mut pause) = (Instant::now() + deadline, Duration::from_millis(10));
    loop {
        let greeting = kind.greet(home, process.id()).await;
        // Another server may have answered on this port while ours could not have it.
        if process.is_over() {
            return Err("ended before it was ready".to_owned());
        }
        match greeting {
            Ok(()) => return Ok(()),
            Err(last) if Instant::now() >= end => {
                return Err(format!("was not ready after {deadline:?}, last: {last}"));
            }
            Err(_not_yet) => sleep(pause).await,
        }
        pause = (pause * 3 / 2).min(Duration::from_millis(200));
    }
}

/// Is a missing server an error on this machine?
fn must_run() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    REQUIRED.into_iter().any(set)
}
