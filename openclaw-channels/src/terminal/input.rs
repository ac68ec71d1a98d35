//! Lines of bounded length; a dropped read loses nothing.

use std::{fmt, io};

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// The longest line, in bytes.
pub(super) const LONGEST: usize = 64 << 10;

/// What is typed, and the line that is not ended yet.
pub(super) struct Input {
    reader: Box<dyn AsyncBufRead + Send + Unpin>,
    line: Vec<u8>,
    too_long: bool,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Input")
    }
}

/// One thing that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    Line(String),
    TooLong,
    End,
}

impl Input {
    pub(super) fn new(reader: Box<dyn AsyncBufRead + Send + Unpin>) -> Self {
        Self { reader, line: Vec::new(), too_long: false }
    }

    /// Reads a line, without its end. The last one needs none. Cancel-safe: what was read of a
    /// line is kept here.
    pub(super) async fn next(&mut self) -> io::Result<Typed> {
        loop {
            let read = self.reader.fill_buf().await?;
            if read.is_empty() {
                let nothing = self.line.is_empty() && !self.too_long;
                return Ok(if nothing { Typed::End } else { self.finish() });
            }
            let (piece, end) = match read.iter().position(|byte| *byte == b'\n') {
                Some(at) => (read.get(..at).unwrap_or(read), true),
                None => (read, false),
            };
            let used = piece.len() + usize::from(end);
            if self.line.len() + piece.len() > LONGEST {
                self.too_long = true;
            } else if !self.too_long {
                self.line.extend_from_slice(piece);
            }
            self.reader.consume(used);
            if end {
                return Ok(self.finish());
            }
        }
    }

    fn finish(&mut self) -> Typed {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            return Typed::TooLong;
        }
        Typed::Line(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, BufReader};

    use super::*;

    async fn all(text: &[u8]) -> Vec<Typed> {
        let text = text.to_vec();
        let mut input = Input::new(Box::new(BufReader::with_capacity(7, io::Cursor::new(text))));
        let mut typed = Vec::new();
        loop {
            match input.next().await.unwrap() {
                Typed::End => return typed,
                other => typed.push(other),
            }
        }
    }

    fn line(text: &str) -> Typed {
        Typed::Line(text.to_owned())
    }

    #[tokio::test]
    async fn lines_are_read_whatever_ends_them() {
        assert_eq!(
            all(b"one\r\n\ntwo words, long\nlast").await,
            [line("one"), line(""), line("two words, long"), line("last")]
        );
        assert_eq!(all(b"").await, []);
        assert_eq!(all(b"\xff\n").await, [line("\u{fffd}")]);
    }

    #[tokio::test]
    async fn a_line_at_the_limit_is_read_and_one_above_is_skipped() {
        let text = ["x".repeat(LONGEST), "y".repeat(LONGEST + 1), "z".to_owned()].join("\n");
        let typed = all(text.as_bytes()).await;
        assert_eq!(typed[1..], [Typed::TooLong, line("z")]);
        assert_eq!(typed[0], line(&"x".repeat(LONGEST)));
    }

    #[tokio::test]
    async fn a_dropped_read_loses_nothing() {
        let (mut keys, reader) = tokio::io::duplex(64);
        let mut input = Input::new(Box::new(BufReader::new(reader)));
        keys.write_all(b"half ").await.unwrap();
        assert!(tokio::time::timeout(std::time::Duration::ZERO, input.next()).await.is_err());
        keys.write_all(b"and half\n").await.unwrap();
        assert_eq!(input.next().await.unwrap(), line("half and half"));
    }
}
