//! A test of this binary, run as a process of its own: one that can be killed, watched, starved.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Set for the child: the directory of its store.
const PLACE: &str = "OPENCLAW_TEST_FJALL";

/// Where the store of this process is, when it is a child.
pub(super) fn place() -> Option<PathBuf> {
    std::env::var_os(PLACE).map(PathBuf::from)
}

/// This test as a child, behind the words of another program.
pub(super) fn command(wrap: &[&str], test: &str, place: &Path) -> Command {
    let this = std::env::current_exe().expect("this program");
    let mut command = match wrap {
        [] => Command::new(this),
        [program, words @ ..] => {
            let mut command = Command::new(program);
            command.args(words).arg(this);
            command
        }
    };
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(PLACE, place);
    command
}

/// Runs a child to its end, which must be a good one.
pub(super) fn run(mut command: Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}: install it"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{command:?}: {output:#?}");
    output
}

/// Tells the parent something, past what the test runner catches.
pub(super) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).expect("the parent listens");
    out.flush().expect("the parent listens");
}

/// The numbers behind a word in a line that a child said.
pub(super) fn heard(line: &str, word: &str) -> Option<Vec<u64>> {
    let (_, numbers) = line.split_once(word)?;
    Some(numbers.split_whitespace().filter_map(|n| n.parse().ok()).collect())
}
