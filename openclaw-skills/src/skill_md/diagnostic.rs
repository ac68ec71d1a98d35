//! What there is to say about a skill, for people and for programs.

use serde::Serialize;

/// How much a [`Diagnostic`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// Good to know; nothing is lost.
    Note,
    /// A rule is broken, or something was left out; the skill works.
    Warning,
    /// The skill can't be used as it stands.
    Error,
}

/// One thing that is wrong with a skill, or was done for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// A stable name of the rule, such as `name-invalid`.
    pub code: &'static str,
    /// The line of the file, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The field, such as `metadata.openclaw.install[0]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong and what to do, without control characters.
    pub message: String,
}

impl Diagnostic {
    pub(super) fn new(severity: Severity, code: &'static str, message: impl AsRef<str>) -> Self {
        let message = printable(message.as_ref());
        Self { severity, code, line: None, field: None, message }
    }

    pub(super) fn error(code: &'static str, message: impl AsRef<str>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    pub(super) fn warning(code: &'static str, message: impl AsRef<str>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    pub(super) fn note(code: &'static str, message: impl AsRef<str>) -> Self {
        Self::new(Severity::Note, code, message)
    }

    pub(super) fn at(mut self, line: Option<usize>) -> Self {
        self.line = line;
        self
    }

    pub(super) fn of(mut self, field: impl AsRef<str>) -> Self {
        self.field = Some(printable(field.as_ref()));
        self
    }
}

/// A word of the file in a message: short, nothing a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    let unseen = |c: char| {
        let format = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        c.is_control() || format
    };
    let mut shown: String =
        text.chars().take(LONGEST).map(|c| if unseen(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}
