//! One life of the child: its process, its connection, and its end.

use std::{error::Error as StdError, process::ExitStatus, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        TcpListener,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, Command},
    sync::mpsc,
    task::JoinSet,
};

use crate::{
    child::Birth,
    wire::{Down, Up, encode},
};

pub(crate) type Outcome<T> = Result<T, Box<dyn StdError + Send + Sync>>;

/// How long a child may take to be born, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running child.
#[derive(Debug)]
pub(crate) struct Life {
    listener: TcpListener,
    child: Child,
    lines: Option<Lines<BufReader<OwnedReadHalf>>>,
    say: Option<mpsc::Sender<Down>>,
    /// The writer, and answers that take their time.
    tasks: JoinSet<()>,
    /// Who listens goes on until the child is silent, also behind its death.
    listening: JoinSet<()>,
}

impl Life {
    /// Starts a child. Its port is its own: nothing of an earlier life comes in here.
    pub(crate) async fn begin(birth: &Birth) -> Outcome<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("child").arg("--port").arg(listener.local_addr()?.port().to_string());
        command.arg("--store").arg(&birth.store).arg("--seed").arg(birth.seed.to_string());
        if let Some(broken) = birth.broken {
            command.arg("--break").arg(broken.word());
        }
        if let Some(name) = &birth.replica {
            command.arg("--replica").arg(name);
        }
        let child = command.kill_on_drop(true).spawn()?;
        Ok(Self {
            listener,
            child,
            lines: None,
            say: None,
            tasks: JoinSet::new(),
            listening: JoinSet::new(),
        })
    }

    /// Waits until the child has connected.
    pub(crate) async fn connect(&mut self) -> Outcome<()> {
        let stream = tokio::select! {
            accepted = self.listener.accept() => accepted?.0,
            status = self.child.wait() => return Err(format!("no child: {}", status?).into()),
            () = tokio::time::sleep(PATIENCE) => return Err("the child does not connect".into()),
        };
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let (say, queue) = mpsc::channel(4096);
        self.tasks.spawn(write_lines(queue, write));
        self.lines = Some(BufReader::new(read).lines());
        self.say = Some(say);
        Ok(())
    }

    /// Says a line; to a dead child nobody has to.
    pub(crate) async fn say(&self, down: Down) {
        if let Some(say) = &self.say {
            drop(say.send(down).await);
        }
    }

    /// Says a line a little later, as a remote does that has to work for its answer.
    pub(crate) fn say_later(&mut self, down: Down, after: Duration) {
        let Some(say) = self.say.clone() else { return };
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(async move {
            tokio::time::sleep(after).await;
            drop(say.send(down).await);
        });
    }

    /// Hands each line over as it comes, and at last `None`, until nobody takes it.
    pub(crate) fn listen<F: Future<Output = bool> + Send + 'static>(
        &mut self,
        mut hear: impl FnMut(Option<Up>) -> F + Send + 'static,
    ) {
        let Some(mut lines) = self.lines.take() else { return };
        self.listening.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                // The last line of a killed child may be cut off.
                let Ok(up) = serde_json::from_str(&line) else { break };
                if !hear(Some(up)).await {
                    return;
                }
            }
            hear(None).await;
        });
    }

    /// Halts the process where it stands: SIGSTOP.
    pub(crate) fn pause(&self) -> Outcome<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on: SIGCONT.
    pub(crate) fn resume(&self) -> Outcome<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Outcome<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(kill_process(pid.ok_or("the child has no number any more")?, signal)?)
    }

    /// The child's next line; `None` when it is gone.
    pub(crate) async fn next(&mut self) -> Outcome<Option<Up>> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        // A killed process may break its connection off: what it had not said, it did not say.
        let Ok(Some(line)) = lines.next_line().await else { return Ok(None) };
        match serde_json::from_str(&line) {
            Ok(up) => Ok(Some(up)),
            // The last line of a killed child may be cut off.
            Err(e) if e.is_eof() => Ok(None),
            Err(e) => Err(format!("the child says {line:?}: {e}").into()),
        }
    }

    /// SIGKILL, and waits until the process is gone. What it had said can still be read.
    pub(crate) async fn kill(&mut self) -> Outcome<()> {
        self.child.start_kill()?;
        self.child.wait().await?;
        self.say = None;
        Ok(())
    }

    /// Hangs up and waits for the child's own end.
    pub(crate) async fn end(mut self) -> Outcome<ExitStatus> {
        self.say = None;
        self.lines = None;
        self.tasks.shutdown().await;
        Ok(tokio::time::timeout(PATIENCE, self.child.wait()).await??)
    }
}

async fn write_lines(mut queue: mpsc::Receiver<Down>, mut write: OwnedWriteHalf) {
    while let Some(down) = queue.recv().await {
        let Ok(bytes) = encode(&down) else { continue };
        if write.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
