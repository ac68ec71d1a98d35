//! Secrets from a program that the host names.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{Error, ErrorKind, Limits, Result, Secret, json};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    time::timeout,
};

use super::provider::{SecretProvider, refuse};

/// Bytes of the longest answer.
const MAX_ANSWER: u64 = 1 << 20;

/// How long a program may take.
const TIME: Duration = Duration::from_secs(5);

/// A program that is asked for secrets, on standard input and output.
///
/// It is run for each fetch, without a shell and with an empty environment, and reads one line of
/// JSON: `{"protocolVersion":1,"provider":NAME,"ids":[ID]}`. It answers
/// `{"protocolVersion":1,"values":{ID:TEXT},"errors":{ID:…}}` and ends with 0. After 5 s, behind
/// 1 MiB, or when its caller is dropped, it is killed: on Unix with every process of its group, so
/// that what it waits for ends, too. What it writes to standard error is not read.
///
/// Refused: a relative path, a link, what is no regular file, and a program that its group or
/// others may write, or that belongs to a user other than this one and root.
///
/// ```
/// # #[cfg(unix)]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::{fs, os::unix::fs::PermissionsExt};
/// use openclaw_skills::secrets::{ExecSecrets, SecretProvider};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("vault");
/// let answer = r#"{"protocolVersion":1,"values":{"crm/key":"s3cret"}}"#;
/// fs::write(&path, format!("#!/bin/sh\nread -r asked\nprintf '%s' '{answer}'\n"))?;
/// fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
/// let vault = ExecSecrets::new("vault", &path)?;
/// assert_eq!(vault.fetch("crm/key").await?.expose(), "s3cret");
/// # Ok(()) }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct ExecSecrets {
    name: String,
    program: PathBuf,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    time: Duration,
}

impl ExecSecrets {
    /// The program at this absolute path. `name` is what it is told that it is called.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a relative path.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Result<Self> {
        let (name, program) = (name.into(), program.into());
        if !program.is_absolute() {
            let message = "the path of a program for secrets must be absolute";
            return Err(refuse(ErrorKind::ValidationError, message));
        }
        Ok(Self { name, program, args: Vec::new(), env: BTreeMap::new(), time: TIME })
    }

    /// Adds an argument. Other processes can read it: never a secret.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Gives it a variable; it has no others.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// How long it may take. 5 s.
    #[must_use]
    pub const fn timeout(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    fn start(&self) -> Result<Child> {
        check(&self.program)?;
        let mut command = Command::new(&self.program);
        #[cfg(unix)]
        command.process_group(0);
        command
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|_io| refuse(ErrorKind::Unavailable, "the program can't be run"))
    }

    async fn ask(&self, mut child: Child, id: &str) -> Result<Vec<u8>> {
        let broken = |_io| refuse(ErrorKind::Unavailable, "the program broke its pipes");
        // Before the child itself, whose number is its own for as long as nobody has waited for it.
        #[cfg(unix)]
        let group = Group::of(&child);
        let ids = [id];
        let question = json!({ "protocolVersion": 1, "provider": self.name, "ids": ids });
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(refuse(ErrorKind::Unavailable, "the program has no pipes"));
        };
        // A program may answer without reading: only its answer counts.
        let _unread = stdin.write_all(format!("{question}\n").as_bytes()).await;
        drop(stdin);
        let mut answer = Vec::new();
        stdout.take(MAX_ANSWER + 1).read_to_end(&mut answer).await.map_err(broken)?;
        if answer.len() as u64 > MAX_ANSWER {
            return Err(refuse(ErrorKind::ValidationError, "the answer is longer than 1 MiB"));
        }
        let status = child.wait().await.map_err(broken)?;
        #[cfg(unix)]
        group.ended();
        if !status.success() {
            let failed = refuse(ErrorKind::Unavailable, "the program failed");
            return Err(failed.with("status", status.code().unwrap_or(-1)));
        }
        Ok(answer)
    }
}

/// The processes of a program that runs: killed together when this is dropped.
#[cfg(unix)]
struct Group(Option<rustix::process::Pid>);

#[cfg(unix)]
impl Group {
    /// The group that a child was started in, and that has its number.
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(rustix::process::Pid::from_raw))
    }

    /// The child was waited for: its number may soon be another's.
    fn ended(mut self) {
        self.0 = None;
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            use rustix::process::{Signal, kill_process_group};
            // None may be left.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Variables may be secrets themselves: only their names are shown.
impl fmt::Debug for ExecSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecSecrets")
            .field("name", &self.name)
            .field("program", &self.program)
            .field("args", &self.args.len())
            .field("env", &self.env.keys())
            .field("time", &self.time)
            .finish()
    }
}

#[async_trait]
impl SecretProvider for ExecSecrets {
    async fn fetch(&self, id: &str) -> Result<Secret> {
        let child = self.start()?;
        // When the time is over the child is dropped, and so killed with its group.
        let answer = timeout(self.time, self.ask(child, id)).await;
        let late = |_| refuse(ErrorKind::Timeout, "the program did not answer in time");
        value(&answer.map_err(late)??, id)
    }
}

/// The value of this id in an answer. No error quotes the answer.
fn value(answer: &[u8], id: &str) -> Result<Secret> {
    let odd = |message| refuse(ErrorKind::ValidationError, message);
    let answer = json::parse(answer, &Limits::default())
        .map_err(|e| odd("the program's answer is no JSON").with_source(e))?;
    if answer.get("protocolVersion") != Some(&Value::from(1)) {
        return Err(odd("the program's answer is not of protocolVersion 1"));
    }
    let of = |map: &str| answer.get(map).and_then(|map| map.get(id));
    match of("values").map(Value::as_str) {
        Some(Some(text)) => Ok(Secret::new(text)),
        Some(None) => Err(odd("the program's value is no text")),
        None if of("errors").is_some() => {
            Err(refuse(ErrorKind::NotFound, "the program says that it has no such secret"))
        }
        None => Err(refuse(ErrorKind::NotFound, "the program's answer lacks the secret")),
    }
}

fn check(program: &Path) -> Result<()> {
    let missing = |_io| Error::new(ErrorKind::NotFound, "there is no such program");
    let about = std::fs::symlink_metadata(program).map_err(missing)?;
    let unsafe_ = |message| Err(refuse(ErrorKind::PermissionDenied, message));
    if about.is_symlink() {
        return unsafe_("the program is a link: name what it leads to");
    }
    if !about.is_file() {
        return unsafe_("the program is no regular file");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        if ![0, rustix::process::geteuid().as_raw()].contains(&about.uid()) {
            return unsafe_("the program belongs to another user: make it root's or our own");
        }
        if about.permissions().mode() & 0o022 != 0 {
            return unsafe_("group or others may write the program: take that right away");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use openclaw_core::Happened;

    use super::*;

    #[test]
    fn an_answer_gives_its_value_or_a_reason_without_quoting() {
        let check = |answer: &str, expected: Result<&str, ErrorKind>| {
            let found = value(answer.as_bytes(), "a");
            if let Err(e) = &found {
                assert_eq!(e.happened(), Happened::No);
                assert!(!format!("{e} {e:?}").contains("s3cret"), "{e:?}");
            }
            let found = found.as_ref().map(Secret::expose).map_err(Error::kind);
            assert_eq!(found, expected, "{answer}");
        };
        check(r#"{"protocolVersion":1,"values":{"a":"s3cret"}}"#, Ok("s3cret"));
        check(r#"{"protocolVersion":1,"values":{"b":"s3cret"}}"#, Err(ErrorKind::NotFound));
        check(r#"{"protocolVersion":1,"errors":{"a":"s3cret"}}"#, Err(ErrorKind::NotFound));
        check(
            r#"{"protocolVersion":1,"values":{"a":["s3cret"]}}"#,
            Err(ErrorKind::ValidationError),
        );
        check(r#"{"protocolVersion":2,"values":{"a":"s3cret"}}"#, Err(ErrorKind::ValidationError));
        check("s3cret", Err(ErrorKind::ValidationError));
    }
}
