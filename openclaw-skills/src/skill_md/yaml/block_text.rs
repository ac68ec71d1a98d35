//! Blocks of text: `|` keeps its lines, `>` joins them.

use super::{
    fault::{Code, Faults},
    token::{Kind, Token},
    tree::Block,
};

/// The text, where it begins and where it ends.
pub(super) fn read(
    block: &Block,
    text: &str,
    at_root: bool,
    faults: &mut Faults,
) -> (String, usize, usize) {
    let start = block.head.first().map_or(0, |token| token.start);
    let header = Header::read(&block.head, text, faults);
    let body_start = start + header.length;
    let source = block.text.and_then(|token| text.get(token.start..token.end)).unwrap_or_default();
    let end = body_start + source.len();
    let lines = if source.is_empty() { Vec::new() } else { lines(source) };
    let solid = lines.iter().rposition(|line| !line.content.is_empty());
    let Some(solid) = solid else {
        let keep = header.chomp == Some('+') && !lines.is_empty();
        let count = if keep { lines.len().saturating_sub(1).max(1) } else { 0 };
        return ("\n".repeat(count), start, end);
    };
    let place = Place { body_start, indent: block.indent, at_root };
    let trimmed = Trimmed::new(&lines, solid + 1, &header, &place, faults);
    (trimmed.text(&lines, &header, faults), start, end)
}

#[derive(Clone, Copy)]
struct Line<'a> {
    indent: &'a str,
    content: &'a str,
}

impl Line<'_> {
    fn length(&self) -> usize {
        self.indent.len() + self.content.len() + 1
    }
}

fn lines(source: &str) -> Vec<Line<'_>> {
    source
        .split('\n')
        .map(|line| {
            let content = line.trim_start_matches(' ');
            let indent = line.get(..line.len() - content.len()).unwrap_or_default();
            Line { indent, content }
        })
        .collect()
}

struct Header {
    folds: bool,
    indent: usize,
    chomp: Option<char>,
    /// Of the header with what stands behind it, line end included.
    length: usize,
}

impl Header {
    fn read(head: &[Token], text: &str, faults: &mut Faults) -> Self {
        let mut header = Self { folds: false, indent: 0, chomp: None, length: 0 };
        let Some((first, behind)) = head.split_first() else { return header };
        let source = text.get(first.start..first.end).unwrap_or_default();
        header.folds = source.starts_with('>');
        header.length = source.len();
        let mut extra = None;
        for (at, sign) in source.char_indices().skip(1) {
            match sign {
                '-' | '+' if header.chomp.is_none() => header.chomp = Some(sign),
                '1'..='9' if header.indent == 0 => {
                    header.indent = sign.to_digit(10).map_or(0, |digit| digit as usize);
                }
                _ => extra = extra.or(Some(first.start + at)),
            }
        }
        if let Some(at) = extra {
            faults.add(
                at,
                Code::Unexpected,
                "the header of a block of text is `|` or `>`, a digit, `+` or `-`",
            );
        }
        let mut has_space = false;
        for token in behind {
            match token.kind {
                Kind::Space => has_space = true,
                Kind::Newline => {}
                Kind::Comment if has_space => {}
                Kind::Comment => {
                    faults.add(
                        token.start,
                        Code::MissingChar,
                        "a blank must stand before a comment",
                    );
                }
                _ => faults.add(
                    token.start,
                    Code::Unexpected,
                    "a block of text begins on the next line",
                ),
            }
            header.length += token.end - token.start;
        }
        header
    }
}

struct Place {
    body_start: usize,
    indent: usize,
    at_root: bool,
}

/// Which lines are content, and how much indentation they lose.
struct Trimmed {
    indent: usize,
    first: usize,
    /// Behind the last line of the content.
    end: usize,
    /// Where the first line of the content begins.
    offset: usize,
}

impl Trimmed {
    fn new(
        lines: &[Line<'_>],
        end: usize,
        header: &Header,
        place: &Place,
        faults: &mut Faults,
    ) -> Self {
        let mut trimmed =
            Self { indent: place.indent + header.indent, first: 0, end, offset: place.body_start };
        for (at, line) in lines.iter().enumerate().take(end) {
            if line.content.is_empty() {
                if header.indent == 0 {
                    trimmed.indent = trimmed.indent.max(line.indent.len());
                }
                trimmed.offset += line.length();
                continue;
            }
            if line.indent.len() < trimmed.indent {
                let message = "blank lines before the text are more indented than it: give the indentation in the header";
                faults.add(trimmed.offset + line.indent.len(), Code::MissingChar, message);
            }
            if header.indent == 0 {
                trimmed.indent = line.indent.len();
            }
            trimmed.first = at;
            if trimmed.indent == 0 && !place.at_root {
                faults.add(
                    trimmed.offset,
                    Code::BadIndent,
                    "a block of text in a collection must be indented",
                );
            }
            break;
        }
        let deeper = lines.iter().rposition(|line| line.indent.len() > trimmed.indent);
        trimmed.end = trimmed.end.max(deeper.map_or(0, |at| at + 1));
        trimmed
    }

    fn text(&self, lines: &[Line<'_>], header: &Header, faults: &mut Faults) -> String {
        let rest = |line: &Line<'_>| line.indent.get(self.indent..).unwrap_or_default().to_owned();
        let mut text = String::new();
        for line in lines.iter().take(self.first) {
            text.push_str(&rest(line));
            text.push('\n');
        }
        let mut joiner = Joiner { text, sep: "", more_indented: false };
        let mut offset = self.offset;
        for line in lines.iter().take(self.end).skip(self.first) {
            offset += line.length();
            let mut indent = rest(line);
            if !line.content.is_empty() && line.indent.len() < self.indent {
                let at = offset - line.content.len() - 1;
                faults.add(
                    at,
                    Code::BadIndent,
                    "a line of a block of text has too little indentation",
                );
                indent.clear();
            }
            if header.folds {
                joiner.fold(&indent, line.content);
            } else {
                joiner.keep(&indent, line.content);
            }
        }
        let mut text = joiner.text;
        match header.chomp {
            Some('-') => {}
            Some(_) => {
                for line in lines.iter().skip(self.end) {
                    text.push('\n');
                    text.push_str(&rest(line));
                }
                if !text.ends_with('\n') {
                    text.push('\n');
                }
            }
            None => text.push('\n'),
        }
        text
    }
}

struct Joiner {
    text: String,
    sep: &'static str,
    more_indented: bool,
}

impl Joiner {
    fn push(&mut self, indent: &str, content: &str) {
        self.text.push_str(self.sep);
        self.text.push_str(indent);
        self.text.push_str(content);
    }

    fn keep(&mut self, indent: &str, content: &str) {
        self.push(indent, content);
        self.sep = "\n";
    }

    fn fold(&mut self, indent: &str, content: &str) {
        if !indent.is_empty() || content.starts_with('\t') {
            if self.sep == " " {
                self.sep = "\n";
            } else if !self.more_indented && self.sep == "\n" {
                self.sep = "\n\n";
            }
            self.push(indent, content);
            (self.sep, self.more_indented) = ("\n", true);
        } else if content.is_empty() {
            if self.sep == "\n" {
                self.text.push('\n');
            } else {
                self.sep = "\n";
            }
        } else {
            self.push("", content);
            (self.sep, self.more_indented) = (" ", false);
        }
    }
}
