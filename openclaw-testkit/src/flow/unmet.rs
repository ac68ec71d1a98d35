//! The story of a step that did not go as expected.

use std::{error::Error, fmt, time::Duration};

use super::{Heard, line as lines};

/// What did not come true in a step, and what came instead.
///
/// `Display` and `Debug` tell the same story, enough to act on: what was said, what was
/// expected, and the replies, skill calls, state and virtual time that came instead.
pub struct Unmet(Box<Story>);

pub(super) struct Story {
    /// Its line in a story's file.
    pub(super) line: Option<usize>,
    pub(super) who: String,
    pub(super) said: Option<String>,
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) problems: Vec<String>,
    pub(super) heard: Option<Heard>,
}

impl Unmet {
    pub(super) fn new(story: Story) -> Self {
        Self(Box::new(story))
    }

    /// The step stands in this line of a story.
    pub(super) fn in_line(mut self, number: usize) -> Self {
        self.0.line = Some(number);
        self
    }

    /// An event of a story that failed.
    pub(super) fn of_event(line: usize, e: &openclaw_core::Error) -> Self {
        Self::new(Story {
            line: Some(line),
            who: "the story".to_owned(),
            said: None,
            from: Duration::ZERO,
            to: Duration::ZERO,
            problems: vec![format!("the event failed: {e}")],
            heard: None,
        })
    }

    /// What did not come true, one text for each.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.0.problems
    }

    /// What came instead; `None` when the step could not even begin.
    #[must_use]
    pub const fn heard(&self) -> Option<&Heard> {
        self.0.heard.as_ref()
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Story { line, who, said, from, to, problems, heard } = &*self.0;
        if let Some(line) = line {
            write!(f, "line {line}: ")?;
        }
        match said {
            Some(said) => write!(f, "{who} said {said:?} at {}:", lines::span(*from))?,
            None => write!(f, "{who} waited from {} on:", lines::span(*from))?,
        }
        for problem in problems {
            write!(f, "\n  {problem}")?;
        }
        let Some(heard) = heard else { return Ok(()) };
        write!(f, "\nwhat came by {}:", lines::span(*to))?;
        for call in &heard.skills {
            write!(f, "\n  {} (operation {:?})", lines::skill(call), call.operation)?;
        }
        for reply in &heard.replies {
            write!(f, "\n  reply {reply:?}")?;
        }
        if heard.replies.is_empty() {
            f.write_str("\n  no reply")?;
        }
        match (heard.refused(), heard.state) {
            (Some(kind), _) => write!(f, "\n  the message was refused: {kind}")?,
            (None, Some(state)) => write!(f, "\n  the message is {}", lines::state(state))?,
            (None, None) => f.write_str("\n  the gateway did not accept the message")?,
        }
        if let Some(reason) = &heard.reason {
            write!(f, ", because: {reason}")?;
        }
        if heard.crashed {
            f.write_str("\n  the gateway has no power")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Unmet {}
