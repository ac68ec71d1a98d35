//! Scalars inside a line: plain, in single and in double quotes.

use super::fault::{Code, Faults};

pub(super) fn plain(source: &str, at: usize, faults: &mut Faults) -> String {
    if source.starts_with(['\t', ',', '%', '|', '>', '@', '`']) {
        let message = "text does not begin with `,`, `%`, `|`, `>`, `@` or a backtick: use quotes";
        faults.add(at, Code::BadScalarStart, message);
    }
    folded(source)
}

pub(super) fn single_quoted(source: &str, at: usize, faults: &mut Faults) -> String {
    if source.len() == 1 || !source.ends_with('\'') {
        faults.add(at + source.len(), Code::MissingChar, "the closing ' is missing");
    }
    folded(inside(source)).replace("''", "'")
}

/// Without its first and its last character.
fn inside(source: &str) -> &str {
    let mut chars = source.chars();
    chars.next();
    chars.next_back();
    chars.as_str()
}

/// A line end is a blank; each blank line is a line end.
fn folded(source: &str) -> String {
    const BLANKS: [char; 2] = [' ', '\t'];
    let Some((first, mut rest)) = source.split_once('\n') else { return source.to_owned() };
    let mut text = first.trim_end_matches(BLANKS).to_owned();
    let mut sep = ' ';
    while let Some((line, behind)) = rest.split_once('\n') {
        rest = behind;
        let line = line.trim_matches(BLANKS);
        if !line.is_empty() {
            text.push(sep);
            text.push_str(line);
            sep = ' ';
        } else if sep == '\n' {
            text.push('\n');
        } else {
            sep = '\n';
        }
    }
    text.push(sep);
    text.push_str(rest.trim_start_matches(BLANKS));
    text
}

pub(super) fn double_quoted(source: &str, at: usize, faults: &mut Faults) -> String {
    if source.len() == 1 || !source.ends_with('"') {
        let mut reader = DoubleQuoted::new(source, at);
        reader.read(faults);
        faults.add(at + source.len(), Code::MissingChar, "the closing \" is missing");
        return reader.text();
    }
    if !source.contains(['\\', '\n']) {
        return inside(source).to_owned();
    }
    let mut reader = DoubleQuoted::new(source, at);
    reader.read(faults);
    reader.text()
}

struct DoubleQuoted<'a> {
    /// What is behind the reader's place, the closing quote included.
    rest: &'a str,
    source: &'a str,
    /// Where the source begins.
    at: usize,
    /// In UTF-16, because two escapes may be one character.
    units: Vec<u16>,
}

impl<'a> DoubleQuoted<'a> {
    fn new(source: &'a str, at: usize) -> Self {
        let rest = source.get(1..).unwrap_or_default();
        Self { rest, source, at, units: Vec::new() }
    }

    fn text(&self) -> String {
        String::from_utf16_lossy(&self.units)
    }

    fn pos(&self) -> usize {
        self.at + self.source.len() - self.rest.len()
    }

    fn push(&mut self, text: &str) {
        self.units.extend(text.encode_utf16());
    }

    fn skip(&mut self, chars: impl Fn(char) -> bool) -> &'a str {
        let behind = self.rest.trim_start_matches(chars);
        let skipped = self.rest.get(..self.rest.len() - behind.len()).unwrap_or_default();
        self.rest = behind;
        skipped
    }

    fn bump(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        Some(next)
    }

    fn read(&mut self, faults: &mut Faults) {
        let blank = |c| matches!(c, ' ' | '\t');
        // The last character is the closing quote, or stands where it should.
        while self.rest.chars().nth(1).is_some() {
            let blanks = self.skip(blank);
            if !blanks.is_empty() {
                if !self.rest.starts_with('\n') {
                    self.push(blanks);
                }
                continue;
            }
            match self.bump() {
                Some('\n') => {
                    let skipped = self.skip(|c| matches!(c, ' ' | '\t' | '\n'));
                    let lines = skipped.matches('\n').count();
                    let fold = if lines == 0 { " ".to_owned() } else { "\n".repeat(lines) };
                    self.push(&fold);
                }
                Some('\\') => self.escape(faults),
                Some(other) => self.push(other.encode_utf8(&mut [0; 4])),
                None => return,
            }
        }
    }

    fn escape(&mut self, faults: &mut Faults) {
        let start = self.pos() - 1;
        let Some(sign) = self.bump() else { return };
        let plain = match sign {
            '0' => '\0',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' | '\t' => '\t',
            'v' => '\u{b}',
            'N' => '\u{85}',
            '_' => '\u{a0}',
            'L' => '\u{2028}',
            'P' => '\u{2029}',
            ' ' | '"' | '/' | '\\' => sign,
            '\n' => {
                self.skip(|c| matches!(c, ' ' | '\t'));
                return;
            }
            'x' => return self.code(2, start, faults),
            'u' => return self.code(4, start, faults),
            'U' => return self.code(8, start, faults),
            _ => {
                faults.add(
                    start,
                    Code::BadEscape,
                    "`\\` begins no known escape: use single quotes",
                );
                self.push("\\");
                sign
            }
        };
        self.push(plain.encode_utf8(&mut [0; 4]));
    }

    fn code(&mut self, digits: usize, start: usize, faults: &mut Faults) {
        let hex = self.rest.get(..digits).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match code.filter(|code| *code <= 0x10_ffff) {
            Some(code) => match (char::from_u32(code), u16::try_from(code)) {
                (Some(char), _) => self.push(char.encode_utf8(&mut [0; 4])),
                // Half of a character; the other half may follow.
                (None, Ok(unit)) => self.units.push(unit),
                (None, Err(_)) => {}
            },
            None => {
                faults.add(start, Code::BadEscape, "an escape needs its hexadecimal digits");
                let end =
                    self.rest.char_indices().nth(digits).map_or(self.rest.len(), |(at, _)| at);
                let raw = self.source.get(start - self.at..self.pos() - self.at + end);
                self.push(raw.unwrap_or_default());
            }
        }
        let end = self.rest.char_indices().nth(digits).map_or(self.rest.len(), |(at, _)| at);
        self.rest = self.rest.get(end..).unwrap_or_default();
    }
}
