//! A small shell that ends the server when this process is gone, however it went.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use rustix::process::Pid;

const SCRIPT: &str = include_str!("watchdog.sh");

/// Watches this process from the outside; dropped, it removes the directory.
///
/// It holds the read end of a pipe whose write end only this process has. A SIGKILL of this
/// process closes the pipe too.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    owner: Option<ChildStdin>,
}

impl Watchdog {
    /// Guards the directory from now on.
    pub(super) fn over(dir: &Path) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "openclaw-watchdog"]).arg(dir).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own: what kills the server, or Ctrl-C in a terminal, must spare it.
        let mut shell = command.process_group(0).spawn()?;
        let owner = shell.stdin.take();
        Ok(Self { shell, owner })
    }

    /// Guards this process and what comes of it.
    pub(super) fn watch(&mut self, leader: Pid) -> io::Result<()> {
        self.say(&format!("{}\n", leader.as_raw_nonzero()))
    }

    /// Guards no process, before its number can go to another one.
    pub(super) fn forget(&mut self) {
        let _dead = self.say("\n");
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        let owner = self.owner.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        owner.write_all(line.as_bytes())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.owner = None;
        let _status = self.shell.wait();
    }
}
