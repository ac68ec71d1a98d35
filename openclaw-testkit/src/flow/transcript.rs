//! A run as text: recorded, compared with a file, and blessed by hand.

use std::{
    env, error, fmt, fs, io,
    path::{Path, PathBuf},
};

use openclaw_core::{MessageId, Timestamp};
use similar::{ChangeTag, TextDiff};

/// A run of a [`TestGateway`](super::TestGateway) as text, one line for each thing that happened.
///
/// Message ids and dates are replaced by `<id 1>`, `<id 2>`, … and `<time>`. What is left is
/// the same in each run, and a [`Story`](super::Story) can play it.
///
/// ```text
/// alice> refund order 1042
/// skill refund.create {"order":1042} -> 1
/// gateway< Refunded: 1
/// ```
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use openclaw_testkit::{agent::ScriptedAgent, flow::TestGateway};
///
/// let agent = ScriptedAgent::new("desk")?.when("bye").then_nothing().otherwise("What?");
/// let gateway = TestGateway::builder()
///     .gateway(move |builder| builder.agent(agent.clone()))
///     .start()
///     .await?;
/// gateway.user("alice").says("hm").await?;
/// gateway.user("bob").says("bye").await?;
/// assert_eq!(gateway.transcript().to_string(), "alice> hm\ngateway< What?\nbob> bye\nnothing\n");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript(Vec<String>);

/// What to do with the file of a transcript.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bless {
    /// Compare with it.
    #[default]
    No,
    /// Write it anew.
    Yes,
    /// Somebody wants to write it where nobody would look at it: an error.
    Refused,
}

impl Bless {
    /// `Yes` when `OPENCLAW_BLESS` is set, `Refused` when `CI` is set, too.
    ///
    /// A variable that is empty, `0` or `false` counts as not set.
    #[must_use]
    pub fn from_env() -> Self {
        let var = |name| env::var(name).unwrap_or_default();
        Self::of(&var("OPENCLAW_BLESS"), &var("CI"))
    }

    fn of(bless: &str, ci: &str) -> Self {
        let set = |value: &str| !matches!(value, "" | "0" | "false");
        match (set(bless), set(ci)) {
            (false, _) => Self::No,
            (true, false) => Self::Yes,
            (true, true) => Self::Refused,
        }
    }
}

impl Transcript {
    pub(super) fn of_lines(lines: impl IntoIterator<Item = String>) -> Self {
        let mut ids = Vec::new();
        let number = |id: MessageId| {
            let at = ids.iter().position(|known| *known == id).unwrap_or_else(|| {
                ids.push(id);
                ids.len() - 1
            });
            format!("<id {}>", at + 1)
        };
        let mut number = number;
        Self(lines.into_iter().map(|line| normal(&line, &mut number)).collect())
    }

    /// Its lines.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }

    /// Compares it with a file, or writes the file: see [`Bless::from_env`].
    ///
    /// A relative path counts from where the test runs: the folder of its package.
    ///
    /// # Errors
    /// The file is another one, is missing, or can't be read or written.
    pub fn check(&self, path: impl AsRef<Path>) -> Result<(), TranscriptError> {
        self.check_as(path, Bless::from_env())
    }

    /// As [`Transcript::check`], whatever the environment says.
    ///
    /// # Errors
    /// As [`Transcript::check`].
    pub fn check_as(&self, path: impl AsRef<Path>, bless: Bless) -> Result<(), TranscriptError> {
        let path = path.as_ref();
        let error = |problem| TranscriptError { path: path.to_owned(), problem };
        match bless {
            Bless::Refused => Err(error(Problem::BlessedInCi)),
            Bless::Yes => {
                let folder = path.parent().unwrap_or_else(|| Path::new(""));
                let written =
                    fs::create_dir_all(folder).and_then(|()| fs::write(path, self.to_string()));
                written.map_err(|e| error(Problem::Io(e)))
            }
            Bless::No => {
                let known = fs::read_to_string(path).map_err(|e| match e.kind() {
                    io::ErrorKind::NotFound => error(Problem::Missing),
                    _ => error(Problem::Io(e)),
                })?;
                self.compare(&known).map_err(|diff| error(Problem::Differs(diff)))
            }
        }
    }

    fn compare(&self, known: &str) -> Result<(), String> {
        let known = known.replace("\r\n", "\n");
        let now = self.to_string();
        if known == now {
            return Ok(());
        }
        let diff = TextDiff::from_lines(known.as_str(), now.as_str());
        let line = |change: similar::Change<&str>| {
            let mark = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            format!("\n{mark} {}", change.value().trim_end_matches('\n'))
        };
        Err(diff.iter_all_changes().map(line).collect())
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Why a run is not the one in the file.
///
/// Its text shows the lines: `-` stands only in the file, `+` only in this run.
pub struct TranscriptError {
    path: PathBuf,
    problem: Problem,
}

enum Problem {
    Missing,
    Differs(String),
    BlessedInCi,
    Io(io::Error),
}

impl fmt::Display for TranscriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            Problem::Missing => {
                write!(f, "there is no transcript {path}: run once with OPENCLAW_BLESS=1")
            }
            Problem::Differs(diff) => write!(
                f,
                "the run is not the one in {path} (-); run with OPENCLAW_BLESS=1 if this one (+) \
                 is right:{diff}"
            ),
            Problem::BlessedInCi => {
                write!(f, "{path} is not blessed in CI: bless it at home and look at the change")
            }
            Problem::Io(e) => write!(f, "{path}: {e}"),
        }
    }
}

impl fmt::Debug for TranscriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for TranscriptError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.problem {
            Problem::Io(e) => Some(e),
            Problem::Missing | Problem::Differs(_) | Problem::BlessedInCi => None,
        }
    }
}

/// The text without what differs from run to run, for comparing a file's text with a run's.
pub(super) fn masked(text: &str) -> String {
    let mut out = String::new();
    let text = normal(text, &mut |_| "<id>".to_owned());
    let mut rest = text.as_str();
    while let Some((before, behind)) = rest.split_once("<id ") {
        out.push_str(before);
        out.push_str("<id>");
        rest = behind.split_once('>').map_or("", |(_, after)| after);
    }
    out + rest
}

/// The text with its ids named by `name`, and its dates as `<time>`.
fn normal(text: &str, name: &mut impl FnMut(MessageId) -> String) -> String {
    let is_date = |c: char| c.is_ascii_digit() || "TZ:.+-".contains(c);
    let text = words(text, is_date, |word| {
        let (date, dot) = word.strip_suffix('.').map_or((word, ""), |date| (date, "."));
        Timestamp::parse_rfc3339(date).map(|_| format!("<time>{dot}"))
    });
    words(
        &text,
        |c| c.is_ascii_alphanumeric(),
        |word| {
            let is_written_so = word.len() == 26 && !word.bytes().any(|b| b.is_ascii_lowercase());
            is_written_so.then(|| word.parse().ok()).flatten().map(&mut *name)
        },
    )
}

/// Replaces words, the longest runs of such characters.
fn words(
    text: &str,
    belongs: impl Fn(char) -> bool,
    mut replace: impl FnMut(&str) -> Option<String>,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(from) = rest.find(&belongs) {
        let (before, behind) = rest.split_at(from);
        let (word, after) = behind.split_at(behind.find(|c| !belongs(c)).unwrap_or(behind.len()));
        out.push_str(before);
        out.push_str(&replace(word).unwrap_or_else(|| word.to_owned()));
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_blesses_in_ci() {
        for (bless, ci, expected) in [
            ("", "", Bless::No),
            ("0", "", Bless::No),
            ("", "true", Bless::No),
            ("1", "", Bless::Yes),
            ("1", "false", Bless::Yes),
            ("1", "true", Bless::Refused),
        ] {
            assert_eq!(Bless::of(bless, ci), expected, "{bless:?} {ci:?}");
        }
    }

    #[test]
    fn ids_are_numbered_and_dates_are_gone() {
        let [a, b] = [7, 8].map(MessageId::from_u128);
        let lines = [format!("x {a}.refund {b}"), format!("{a} at 2026-01-01T00:00:00.000Z.")];
        let transcript = Transcript::of_lines(lines);
        assert_eq!(transcript.lines(), ["x <id 1>.refund <id 2>", "<id 1> at <time>."]);
        assert_eq!(masked(&format!("{a} <id 2>")), "<id> <id>");
        assert_eq!(masked("order 1042-7, 10:30, ABC"), "order 1042-7, 10:30, ABC");
    }
}
