//! The child's end of the socket: says lines, asks questions, hears answers.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use openclaw_core::{Error, ErrorKind, Happened, Result};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::wire::{Ask, Down, Up, encode};

/// What a question waits with.
type Waiting = HashMap<u64, oneshot::Sender<Option<u64>>>;

/// The way to the parent.
#[derive(Debug)]
pub(crate) struct Link {
    lines: mpsc::Sender<Up>,
    waiting: Mutex<Waiting>,
    asked: AtomicU64,
}

/// What comes from the parent.
#[derive(Debug)]
pub(crate) struct Orders {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: JoinHandle<()>,
}

impl Link {
    /// Connects to the parent's port.
    pub(crate) async fn connect(port: u16) -> std::io::Result<(Arc<Self>, Orders)> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let (lines, queue) = mpsc::channel(4096);
        let writer = tokio::spawn(write_lines(queue, write));
        let link = Self { lines, waiting: Mutex::default(), asked: AtomicU64::new(0) };
        Ok((Arc::new(link), Orders { lines: BufReader::new(read).lines(), writer }))
    }

    /// Says a line. Without a parent nobody hears it, and this process is about to end.
    pub(crate) async fn say(&self, up: Up) {
        drop(self.lines.send(up).await);
    }

    /// Says a line, or drops it when too many wait.
    pub(crate) fn try_say(&self, up: Up) {
        drop(self.lines.try_send(up));
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&self, question: Ask) -> Result<Option<u64>> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let (tell, answer) = oneshot::channel();
        self.waiting().insert(number, tell);
        self.say(Up::Asks { number, question }).await;
        let gone = |_| Error::new(ErrorKind::Unavailable, "the parent is gone");
        answer.await.map_err(gone).map_err(|e| e.with_happened(Happened::Maybe))
    }

    /// Hands an answer to whoever asked.
    pub(crate) fn answer(&self, number: u64, serial: Option<u64>) {
        if let Some(tell) = self.waiting().remove(&number) {
            // Whoever asked may have stopped waiting.
            tell.send(serial).ok();
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Orders {
    /// The next order; `None` when the parent is gone.
    pub(crate) async fn next(&mut self) -> Option<Down> {
        loop {
            let line = self.lines.next_line().await.ok().flatten()?;
            if let Ok(order) = serde_json::from_str(&line) {
                return Some(order);
            }
        }
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

async fn write_lines(mut queue: mpsc::Receiver<Up>, mut write: OwnedWriteHalf) {
    while let Some(up) = queue.recv().await {
        let Ok(bytes) = encode(&up) else { continue };
        if write.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
