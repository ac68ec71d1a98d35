//! Private servers: they start, answer, crash, come back with their data, and leave nothing.

mod mosquitto;
mod nats;
mod orphans;
mod ports;
mod postgres;
mod programs;
mod rabbitmq;
mod redis;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// A client of one connection that speaks bytes.
struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
        Self { stream, read: Vec::new() }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("the connection takes bytes");
    }

    /// Takes what `cut` says is whole: the number of bytes at the front.
    async fn take(&mut self, cut: impl Fn(&[u8]) -> Option<usize>) -> Vec<u8> {
        self.try_take(cut).await.unwrap_or_else(|so_far| {
            panic!("the answer ended at \"{}\"", so_far.escape_ascii());
        })
    }

    async fn try_take(&mut self, cut: impl Fn(&[u8]) -> Option<usize>) -> Result<Vec<u8>, Vec<u8>> {
        loop {
            if let Some(len) = cut(&self.read) {
                let rest = self.read.split_off(len);
                return Ok(std::mem::replace(&mut self.read, rest));
            }
            let more = self.stream.read_buf(&mut self.read);
            let got = timeout(Duration::from_secs(10), more).await;
            if !matches!(got, Ok(Ok(n)) if n > 0) {
                return Err(self.read.clone());
            }
        }
    }

    /// Takes one line, without its end.
    async fn line(&mut self) -> String {
        let end = |read: &[u8]| read.windows(2).position(|w| w == b"\r\n").map(|at| at + 2);
        let line = self.take(end).await;
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// Waits for the other side to hang up; false when it does not.
    async fn ends(mut self) -> bool {
        let more = self.stream.read_buf(&mut self.read);
        matches!(timeout(Duration::from_secs(10), more).await, Ok(Ok(0) | Err(_)))
    }
}

/// The processes that live in a directory or name it, as `number: words`.
fn processes_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let ours = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        let home: PathBuf = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        let found = home.starts_with(dir) || words.contains(&dir.display().to_string());
        found.then(|| format!("{pid}: {words}"))
    };
    let numbered = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbered.filter_map(|pid| ours(&pid)).collect()
}

/// Checks that nothing is left of what lived there.
fn assert_gone(dir: &Path) {
    let left = processes_in(dir);
    assert!(left.is_empty(), "still there: {left:#?}");
    assert!(!dir.exists(), "{} is still there", dir.display());
}
