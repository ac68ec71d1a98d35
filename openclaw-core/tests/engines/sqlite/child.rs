//! Processes of their own: this test program runs one of its tests again.
use std::{
    env,
    io::{self, BufRead, BufReader, Lines, Write},
    path::{Path, PathBuf},
    process::{ChildStderr, Command, Stdio},
};

/// Names the file that a child works on; not set in the parent.
const CHILD: &str = "OPENCLAW_TEST_SQLITE_CHILD";

/// The file to work on, when this is a child.
pub(super) fn task() -> Option<PathBuf> {
    env::var_os(CHILD).map(PathBuf::from)
}

/// The same test again, as a child at work on this file.
pub(super) fn again(test: &str, path: &Path) -> Command {
    under(&[], test, path)
}

/// The same, run by another program.
pub(super) fn under(by: &[&str], test: &str, path: &Path) -> Command {
    let this = env::current_exe().expect("this program").into_os_string();
    let mut words = by.iter().map(Into::into).chain([this]);
    let mut command = Command::new(words.next().expect("a program"));
    let name = format!("sqlite::{test}");
    command.args(words).args(["--exact", &name, "--nocapture"]).env(CHILD, path);
    command
}

/// Says a line to the parent, whole or not at all.
pub(super) fn say(line: &str) {
    io::stderr().write_all(format!("{line}\n").as_bytes()).expect("somebody listens");
}

/// Runs a child to its end; what it said, line by line.
pub(super) fn ends(mut command: Command) -> Vec<String> {
    let ended = command.stdin(Stdio::null()).output().expect("a child");
    let out = String::from_utf8_lossy(&ended.stdout);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && out.contains("1 passed"), "{out}\n{said}");
    said.lines().map(str::to_owned).collect()
}

/// Runs a child that is killed on its way; what it had said, line by line.
pub(super) fn dies(mut command: Command) -> Vec<String> {
    let ended = command.stdin(Stdio::null()).output().expect("a child");
    assert!(!ended.status.success(), "it came to its end");
    String::from_utf8_lossy(&ended.stderr).lines().map(str::to_owned).collect()
}

/// A child that runs beside the test, and is killed when this is dropped.
pub(super) struct Running {
    process: std::process::Child,
    said: Lines<BufReader<ChildStderr>>,
}

impl Running {
    pub(super) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("a child");
        let said = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        Self { process, said }
    }

    /// The next line it says; `None` when it has ended.
    pub(super) fn next(&mut self) -> Option<String> {
        self.said.next().map(|line| line.expect("text"))
    }

    /// SIGKILL; then what it had said and nobody had heard.
    pub(super) fn kill(mut self) -> Vec<String> {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Sends it a signal that std does not know.
    pub(super) fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.expect("the program kill").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The number behind a word.
pub(super) fn numbers<'a>(said: &'a [String], word: &str) -> impl Iterator<Item = u64> + 'a {
    let word = format!("{word} ");
    said.iter().filter_map(move |line| line.strip_prefix(&word)?.parse().ok())
}

/// Is this program here and does it run? Where it has to be, its absence is a failure.
pub(super) fn has(by: &[&str], package: &str) -> bool {
    let (program, rest) = by.split_first().expect("a program");
    let tried = Command::new(program).args(rest).arg("true").output();
    if tried.is_ok_and(|ended| ended.status.success()) {
        return true;
    }
    let must = |name| env::var(name).is_ok_and(|set| !set.is_empty() && set != "0");
    let missing = format!("{} does not run here (Debian package `{package}`)", by.join(" "));
    assert!(!must("CI") && !must("OPENCLAW_REQUIRE_SERVERS"), "{missing}");
    say(&format!("NOT RUN: {missing}"));
    false
}
