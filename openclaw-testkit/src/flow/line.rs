//! One line for each thing that can happen: what transcripts hold and stories play.

use std::time::Duration;

use openclaw_core::{gateway::MessageState, records::EffectState, skill::SkillAnswer};

use super::{Heard, SkillCall};

/// A span as transcripts write it: `5m`, `90s`, `1500ms`.
pub(super) fn span(span: Duration) -> String {
    let ms = span.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let fits = units.iter().find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{ms}ms"), |(unit, name)| format!("{}{name}", ms / unit))
}

/// Reads what [`span`] wrote.
pub(super) fn read_span(text: &str) -> Option<Duration> {
    let units = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let (unit, ms) = units.iter().find(|(unit, _)| text.ends_with(unit))?;
    let n: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
    Some(Duration::from_millis(n.checked_mul(*ms)?))
}

/// The text on one line.
pub(super) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

/// Reads what [`escape`] wrote.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, (c == '\\').then(|| chars.next()).flatten()) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some(other)) | (other, _) => out.push(other),
        }
    }
    out
}

/// What came of a skill call.
pub(super) fn result(state: &EffectState) -> String {
    match state {
        EffectState::Done { answer: SkillAnswer::Done(output) } => output.to_string(),
        EffectState::Done { answer: SkillAnswer::Pending(ticket) } => {
            format!("job {}", escape(&ticket.job))
        }
        EffectState::Failed { kind, message, .. } => format!("failed {kind}: {}", escape(message)),
        EffectState::Parked { reason, .. } => format!("parked: {}", escape(reason)),
        EffectState::Claimed { .. } => "not sent".to_owned(),
        EffectState::Dispatching { .. } => "no answer".to_owned(),
        _ => "in doubt".to_owned(),
    }
}

/// A skill call on one line.
pub(super) fn skill(call: &SkillCall) -> String {
    format!("skill {} {} -> {}", call.skill, call.input, result(&call.state))
}

/// What came of something that was said, without what was told before.
pub(super) fn heard(heard: &Heard, told: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines: Vec<String> = heard.skills.iter().map(skill).filter(|line| told(line)).collect();
    lines.extend(heard.replies.iter().map(|reply| format!("gateway< {}", escape(reply))));
    lines.extend(end(heard));
    if lines.is_empty() {
        lines.push("nothing".to_owned());
    }
    lines
}

/// The end that is no reply.
fn end(heard: &Heard) -> Option<String> {
    let reason = escape(heard.reason.as_deref().unwrap_or("no reason"));
    if heard.crashed {
        return Some("crashed".to_owned());
    }
    if let Some(kind) = heard.refused() {
        return Some(format!("refused {kind}"));
    }
    match heard.state? {
        MessageState::Waiting => Some("suspended".to_owned()),
        MessageState::Dead => Some(format!("dead letter: {reason}")),
        MessageState::Parked => Some(format!("parked: {reason}")),
        _ => None,
    }
}

/// The message's state in words.
pub(super) const fn state(state: MessageState) -> &'static str {
    match state {
        MessageState::Queued => "queued: no agent has answered yet",
        MessageState::Waiting => "suspended",
        MessageState::Delivering => "delivering its reply",
        MessageState::Done => "done",
        MessageState::Dead => "a dead letter",
        MessageState::Parked => "parked",
        _ => "in a state that the testkit does not know",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_short_and_read_back() {
        for (text, ms) in [("2h", 7_200_000), ("5m", 300_000), ("90s", 90_000), ("1500ms", 1_500)] {
            assert_eq!(span(Duration::from_millis(ms)), text);
            assert_eq!(read_span(text), Some(Duration::from_millis(ms)));
        }
        assert_eq!(read_span("soon"), None);
        assert_eq!(read_span(&span(Duration::ZERO)), Some(Duration::ZERO));
    }

    #[test]
    fn a_text_stays_on_its_line() {
        for text in ["a\nb", "a\\nb", "\\", "c:\\dir\r\n"] {
            assert!(!escape(text).contains('\n'));
            assert_eq!(unescape(&escape(text)), text);
        }
    }
}
