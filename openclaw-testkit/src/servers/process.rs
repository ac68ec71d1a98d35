//! One run of a server's program, with everything it starts.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::time::{Instant, sleep};

use super::{home::Home, program::USUAL, tree::Tree, watchdog::Watchdog};

/// How often a process is looked at while something waits for it.
const LOOK: Duration = Duration::from_millis(5);

/// How long a killed process may take to vanish.
const VANISH: Duration = Duration::from_secs(20);

/// Holds the program back until the watchdog knows it: no moment without a guard.
const GATE: &str = r#"read -r _ && exec "$0" "$@" </dev/null"#;

/// A program, its arguments and its environment.
#[derive(Debug)]
pub(super) struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
}

impl Launch {
    pub(super) fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new() }
    }

    pub(super) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(super) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(super) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// The command behind its gate, in a group of its own, with a bare environment.
    fn command(&self, home: &Home) -> io::Result<Command> {
        let log = fs::OpenOptions::new().create(true).append(true).open(home.log_file())?;
        let mut command = Command::new("sh");
        command.args(["-c", GATE]).arg(&self.program).args(&self.args);
        command.current_dir(home.path()).process_group(0);
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        command.env_clear().env("PATH", search_path()).env("LC_ALL", "C");
        command.env("HOME", home.path()).env("PWD", home.path());
        if let Some(libraries) = env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(account) = home.account {
            command.uid(account.uid).gid(account.gid);
        }
        Ok(command)
    }
}

/// PATH, and behind it where servers keep their helpers.
fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = USUAL.iter().chain(&["/bin"]).map(PathBuf::from);
    let all = env::split_paths(&path).filter(|p| p.is_absolute()).chain(usual);
    env::join_paths(all).unwrap_or(path)
}

/// A running program with its children. Dropped without an end, it is the watchdog's.
#[derive(Debug)]
pub(super) struct Process {
    leader: Child,
    pid: Pid,
}

impl Process {
    /// Starts a program under the watchdog.
    pub(super) fn start(launch: &Launch, home: &Home, guard: &mut Watchdog) -> io::Result<Self> {
        let mut leader = launch.command(home)?.spawn()?;
        let pid = Pid::from_child(&leader);
        guard.watch(pid)?;
        if let Some(mut gate) = leader.stdin.take() {
            gate.write_all(b"\n")?;
        }
        Ok(Self { leader, pid })
    }

    /// The number of its first process.
    pub(super) const fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Has its first process ended? It stays a zombie, so that its number stays its own.
    pub(super) fn is_over(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.pid), look), Ok(None))
    }

    /// Waits until its first process has ended; false when that takes too long.
    pub(super) async fn ends_within(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while !self.is_over() {
            if Instant::now() >= end {
                return false;
            }
            sleep(LOOK).await;
        }
        true
    }

    /// Signals its first process alone.
    pub(super) fn signal(&self, signal: Signal) {
        let _over = kill_process(self.pid, signal);
    }

    /// All its processes.
    pub(super) fn tree(&self) -> Tree {
        Tree::of(self.pid)
    }

    /// SIGSTOP to all its processes.
    pub(super) fn freeze(&self) -> Tree {
        Tree::freeze(self.pid)
    }

    /// SIGKILL to all its processes, none of which can start another meanwhile.
    fn strike(&self) -> Tree {
        let tree = self.freeze();
        tree.signal(Signal::KILL);
        tree
    }

    /// Kills what is left of it and waits until it is gone. `seen`: what belonged to it earlier.
    ///
    /// `None` when something outlives SIGKILL.
    pub(super) async fn end(
        mut self,
        seen: Option<Tree>,
        guard: &mut Watchdog,
    ) -> Option<ExitStatus> {
        let tree = self.strike();
        let mut gone = self.ends_within(VANISH).await;
        for tree in seen.into_iter().chain([tree]) {
            gone &= vanishes(tree).await;
        }
        if !gone {
            return None;
        }
        guard.forget();
        self.leader.wait().ok()
    }

    /// [`Self::end`] for a drop, which can't await.
    pub(super) fn end_now(mut self, guard: &mut Watchdog) {
        const LOOKS: usize = 1_000;
        let mut left = self.strike().survivors();
        // Each look reads all of `/proc`: that is pause enough.
        for _ in 0..LOOKS {
            if left.is_empty() {
                break;
            }
            left = left.survivors();
        }
        guard.forget();
        let _status = self.leader.wait();
    }
}

/// Kills the members again until none is left; false when that takes too long.
async fn vanishes(tree: Tree) -> bool {
    let end = Instant::now() + VANISH;
    let mut left = tree.survivors();
    while !left.is_empty() && Instant::now() < end {
        left.signal_members(Signal::KILL);
        sleep(LOOK).await;
        left = left.survivors();
    }
    left.is_empty()
}

/// Runs a program to its end, in the directory and under the watchdog of the server.
pub(super) async fn run(
    launch: &Launch,
    home: &Home,
    guard: &mut Watchdog,
    limit: Duration,
) -> io::Result<bool> {
    let process = Process::start(launch, home, guard)?;
    let ended = process.ends_within(limit).await;
    let status = process.end(None, guard).await;
    Ok(ended && status.is_some_and(|status| status.success()))
}

/// The program beside another one, or beside what that is a link to.
pub(super) fn beside(binary: &Path, name: &str) -> PathBuf {
    let near = binary.with_file_name(name);
    if near.exists() {
        return near;
    }
    binary.canonicalize().map_or(near, |real| real.with_file_name(name))
}
