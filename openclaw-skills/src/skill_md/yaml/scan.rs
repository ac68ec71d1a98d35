//! Text to tokens. Where scalars end is decided here, by indentation and by the level of brackets.

use super::token::{Kind, Token};

/// All tokens of a text, in order, without gaps.
pub(super) fn scan(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut scanner = Scanner { text, bytes, at_line_start: true, ..Scanner::default() };
    let mut state = State::Stream;
    while scanner.pos < scanner.bytes.len() {
        state = match state {
            State::Stream => scanner.stream(),
            State::BlockStart => scanner.block_start(),
            State::Block => scanner.block(),
            State::Flow => scanner.flow(),
        };
    }
    scanner.tokens
}

#[derive(Clone, Copy)]
enum State {
    /// Between documents.
    Stream,
    /// At the first character of a line, or behind an indicator there.
    BlockStart,
    /// Inside a line, outside brackets.
    Block,
    /// Inside brackets.
    Flow,
}

#[derive(Default)]
struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pos: usize,
    tokens: Vec<Token>,
    /// The indentation of this line, indicators included.
    indent: usize,
    /// The least indentation of a line that goes on with the scalar before it.
    next_indent: usize,
    /// Open brackets.
    level: usize,
    /// A `:` may follow without a blank: a key in quotes or brackets came before.
    after_key: bool,
    /// What a token's column counts: spaces and indicators at the start of its line.
    column: usize,
    at_line_start: bool,
}

/// What ends a word: a blank, a line's end or the text's.
fn is_blank(byte: Option<u8>) -> bool {
    matches!(byte, None | Some(b' ' | b'\t' | b'\n' | b'\r'))
}

fn is_flow_indicator(byte: Option<u8>) -> bool {
    matches!(byte, Some(b',' | b'[' | b']' | b'{' | b'}'))
}

fn ends_anchor(byte: Option<u8>) -> bool {
    is_blank(byte) || is_flow_indicator(byte)
}

fn is_tag_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-#;/?:@&=+$_.!~*'()".contains(&byte)
}

impl Scanner<'_> {
    fn at(&self, ahead: usize) -> Option<u8> {
        self.byte(self.pos + ahead)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn find(&self, byte: u8, from: usize) -> Option<usize> {
        self.bytes.get(from..)?.iter().position(|b| *b == byte).map(|found| from + found)
    }

    fn line_end(&self) -> usize {
        self.find(b'\n', self.pos).unwrap_or(self.bytes.len())
    }

    /// A document's mark, `---` or `...`, alone or before a blank.
    fn mark(&self, at: usize) -> Option<Kind> {
        let word = self.bytes.get(at..at + 3)?;
        if !is_blank(self.byte(at + 3)) {
            return None;
        }
        match word {
            b"---" => Some(Kind::DocStart),
            b"..." => Some(Kind::DocEnd),
            _ => None,
        }
    }

    /// Up to `end`, which may be behind us: then the token is empty.
    fn push(&mut self, kind: Kind, end: usize) {
        let end = end.clamp(self.pos, self.bytes.len());
        let (start, indent) = (self.pos, self.column);
        self.tokens.push(Token { kind, start, end, indent });
        match kind {
            Kind::Newline | Kind::BlockText => (self.at_line_start, self.column) = (true, 0),
            Kind::Space if self.at_line_start && self.byte(start) == Some(b' ') => {
                self.column += end - start;
            }
            Kind::SeqItem | Kind::Key | Kind::Value if self.at_line_start => self.column += 1,
            Kind::Space
            | Kind::SeqItem
            | Kind::Key
            | Kind::Value
            | Kind::DocMode
            | Kind::FlowCut
            | Kind::Unknown => {}
            _ => self.at_line_start = false,
        }
        self.pos = end;
    }

    /// How many were there.
    fn spaces(&mut self, tabs: bool) -> usize {
        let mut end = self.pos;
        while self.byte(end) == Some(b' ') || (tabs && self.byte(end) == Some(b'\t')) {
            end += 1;
        }
        let count = end - self.pos;
        if count > 0 {
            self.push(Kind::Space, end);
        }
        count
    }

    fn newline(&mut self) -> bool {
        let here = self.at(0) == Some(b'\n');
        if here {
            self.push(Kind::Newline, self.pos + 1);
        }
        here
    }

    /// The rest of the line, named by its first character.
    fn rest(&mut self) {
        let end = self.line_end();
        if end > self.pos {
            self.push(Kind::of_rest(self.text.get(self.pos..end).unwrap_or_default()), end);
        }
    }

    fn word(&mut self, kind: Kind, ends: fn(Option<u8>) -> bool) {
        let mut end = self.pos;
        while !ends(self.byte(end)) {
            end += 1;
        }
        self.push(kind, end);
    }

    fn stream(&mut self) -> State {
        if self.text.get(self.pos..).is_some_and(|rest| rest.starts_with('\u{feff}')) {
            self.push(Kind::ByteOrderMark, self.pos + '\u{feff}'.len_utf8());
        }
        if self.at(0) == Some(b'%') {
            self.directive();
            return State::Stream;
        }
        let mut end = self.pos;
        while matches!(self.byte(end), Some(b' ' | b'\t')) {
            end += 1;
        }
        if matches!(self.byte(end), None | Some(b'#' | b'\n')) {
            self.spaces(true);
            self.rest();
            self.newline();
            return State::Stream;
        }
        self.push(Kind::DocMode, self.pos);
        self.line_start()
    }

    fn directive(&mut self) {
        let line_end = self.line_end();
        let mut end = line_end;
        for at in self.pos + 1..line_end {
            if self.byte(at) == Some(b'#') && matches!(self.byte(at - 1), Some(b' ' | b'\t')) {
                end = at;
                break;
            }
        }
        while matches!(self.byte(end - 1), Some(b' ' | b'\t')) {
            end -= 1;
        }
        self.push(Kind::Directive, end);
        self.spaces(true);
        self.rest();
    }

    fn line_start(&mut self) -> State {
        if let Some(mark) = self.mark(self.pos) {
            self.push(mark, self.pos + 3);
            (self.indent, self.next_indent) = (0, 0);
            return if mark == Kind::DocStart { State::Block } else { State::Stream };
        }
        self.indent = self.spaces(false);
        if self.next_indent > self.indent && !is_blank(self.at(1)) {
            self.next_indent = self.indent;
        }
        self.block_start()
    }

    fn block_start(&mut self) -> State {
        let Some(kind) = self.indicator(|_| false) else { return State::Block };
        let from = self.pos;
        self.push(kind, self.pos + 1);
        self.spaces(true);
        self.next_indent = self.indent + 1;
        self.indent += self.pos - from;
        State::BlockStart
    }

    /// `-`, `?` or `:` before a blank, or before what `also` says.
    fn indicator(&self, also: fn(Option<u8>) -> bool) -> Option<Kind> {
        let kind = match self.at(0)? {
            b'-' => Kind::SeqItem,
            b'?' => Kind::Key,
            b':' => Kind::Value,
            _ => return None,
        };
        (is_blank(self.at(1)) || also(self.at(1))).then_some(kind)
    }

    /// Tags, anchors and indicators before a node.
    fn indicators(&mut self) {
        loop {
            match self.at(0) {
                Some(b'!') => self.tag(),
                Some(b'&') => self.word(Kind::Anchor, ends_anchor),
                _ => {
                    let in_flow = self.level > 0;
                    let also = if in_flow { is_flow_indicator } else { |_| false };
                    let Some(kind) = self.indicator(also) else { return };
                    if in_flow {
                        self.after_key = false;
                    } else {
                        self.next_indent = self.indent + 1;
                    }
                    self.push(kind, self.pos + 1);
                }
            }
            self.spaces(true);
        }
    }

    fn tag(&mut self) {
        let mut end = self.pos + 1;
        if self.byte(end) == Some(b'<') {
            while !is_blank(self.byte(end)) && self.byte(end) != Some(b'>') {
                end += 1;
            }
            end += usize::from(self.byte(end) == Some(b'>'));
        } else {
            let hex = |at: usize| self.byte(at).is_some_and(|b| b.is_ascii_hexdigit());
            while let Some(byte) = self.byte(end) {
                if is_tag_byte(byte) {
                    end += 1;
                } else if byte == b'%' && hex(end + 1) && hex(end + 2) {
                    end += 3;
                } else {
                    break;
                }
            }
        }
        self.push(Kind::Tag, end);
    }

    fn block(&mut self) -> State {
        self.spaces(true);
        self.indicators();
        match self.at(0) {
            None | Some(b'#' | b'\n') => {
                self.rest();
                self.newline();
                return self.line_start();
            }
            Some(open @ (b'{' | b'[')) => {
                self.push(Kind::of_bracket(open), self.pos + 1);
                (self.after_key, self.level) = (false, 1);
                return State::Flow;
            }
            Some(close @ (b'}' | b']')) => self.push(Kind::of_bracket(close), self.pos + 1),
            Some(b'*') => self.word(Kind::Alias, ends_anchor),
            Some(quote @ (b'"' | b'\'')) => return self.quoted(quote),
            Some(b'|' | b'>') => return self.block_scalar(),
            Some(_) => return self.plain(),
        }
        State::Block
    }

    fn flow(&mut self) -> State {
        let mut indent = None;
        loop {
            let newline = self.newline();
            let mut blanks = 0;
            if newline {
                blanks = self.spaces(false);
                self.indent = blanks;
                indent = Some(blanks);
            }
            blanks += self.spaces(true);
            if !newline && blanks == 0 {
                break;
            }
        }
        if indent.is_some_and(|indent| self.flow_is_cut(indent)) {
            self.level = 0;
            self.push(Kind::FlowCut, self.pos);
            return self.line_start();
        }
        while self.at(0) == Some(b',') {
            self.push(Kind::Comma, self.pos + 1);
            self.spaces(true);
            self.after_key = false;
        }
        self.indicators();
        self.flow_node()
    }

    /// Has the line that begins here too little indentation to be inside the brackets?
    fn flow_is_cut(&self, indent: usize) -> bool {
        let first = self.at(0);
        let short = indent < self.next_indent && first != Some(b'#');
        let marked = indent == 0 && self.mark(self.pos).is_some();
        if !short && !marked {
            return false;
        }
        let closes = matches!(first, Some(b']' | b'}'));
        !(indent + 1 == self.next_indent && self.level == 1 && closes)
    }

    fn flow_node(&mut self) -> State {
        match self.at(0) {
            None | Some(b'\n') => {}
            Some(b'#') => self.rest(),
            Some(open @ (b'{' | b'[')) => {
                self.push(Kind::of_bracket(open), self.pos + 1);
                self.after_key = false;
                self.level += 1;
            }
            Some(close @ (b'}' | b']')) => {
                self.push(Kind::of_bracket(close), self.pos + 1);
                self.after_key = true;
                self.level -= 1;
                return if self.level > 0 { State::Flow } else { State::Block };
            }
            Some(b'*') => self.word(Kind::Alias, ends_anchor),
            Some(quote @ (b'"' | b'\'')) => {
                self.after_key = true;
                return self.quoted(quote);
            }
            Some(b':') if self.after_key || is_blank(self.at(1)) || self.at(1) == Some(b',') => {
                self.after_key = false;
                self.push(Kind::Value, self.pos + 1);
                self.spaces(true);
            }
            Some(_) => {
                self.after_key = false;
                return self.plain();
            }
        }
        State::Flow
    }

    fn within(&self) -> State {
        if self.level > 0 { State::Flow } else { State::Block }
    }

    /// Where the scalar goes on in the line from `at`, if it does.
    fn continues(&self, at: usize) -> Option<usize> {
        if self.next_indent == 0 {
            return self.mark(at).is_none().then_some(at);
        }
        let mut end = at;
        while self.byte(end) == Some(b' ') {
            end += 1;
        }
        (self.byte(end) == Some(b'\n') || end - at >= self.next_indent).then_some(end)
    }

    fn quoted(&mut self, quote: u8) -> State {
        let kind = if quote == b'"' { Kind::DoubleQuoted } else { Kind::SingleQuoted };
        let Some(close) = self.closing(quote) else {
            self.push(kind, self.bytes.len());
            return self.within();
        };
        // No farther than the quote: lines may be long, and have many.
        let line_in = |from: usize| {
            let inside = self.bytes.get(from..close)?;
            inside.iter().position(|byte| *byte == b'\n').map(|at| from + at)
        };
        let mut newline = line_in(self.pos);
        while let Some(at) = newline {
            let Some(next) = self.continues(at + 1) else { break };
            newline = line_in(next);
        }
        self.push(kind, newline.unwrap_or(close + 1));
        self.within()
    }

    fn closing(&self, quote: u8) -> Option<usize> {
        let mut at = self.find(quote, self.pos + 1)?;
        loop {
            if quote == b'\'' {
                if self.byte(at + 1) != Some(quote) {
                    return Some(at);
                }
                at = self.find(quote, at + 2)?;
            } else {
                let before = self.bytes.get(..at).unwrap_or_default();
                let escapes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
                if escapes % 2 == 0 {
                    return Some(at);
                }
                at = self.find(quote, at + 1)?;
            }
        }
    }

    fn plain(&mut self) -> State {
        let in_flow = self.level > 0;
        let stops = |byte| in_flow && is_flow_indicator(byte);
        let mut end = self.pos;
        let mut at = self.pos;
        while let Some(byte) = self.byte(at) {
            let next = self.byte(at + 1);
            match byte {
                b':' if is_blank(next) || stops(next) => break,
                b' ' | b'\t' | b'\n' => {
                    if next == Some(b'#') || stops(next) {
                        break;
                    }
                    if byte == b'\n' {
                        let Some(line) = self.continues(at + 1) else { break };
                        // One blank is left to be seen, for the sake of ` #`.
                        at = at.max(line.saturating_sub(2));
                    }
                }
                _ if stops(Some(byte)) => break,
                _ => end = at + 1,
            }
            at += 1;
        }
        self.push(Kind::Plain, end);
        self.within()
    }

    fn block_scalar(&mut self) -> State {
        let mut explicit = None;
        let mut keep = false;
        let mut at = self.pos + 1;
        loop {
            match self.byte(at) {
                Some(b'+') => keep = true,
                Some(digit @ b'1'..=b'9') => explicit = Some(usize::from(digit - b'1')),
                Some(b'-') => {}
                _ => break,
            }
            at += 1;
        }
        self.word(Kind::BlockHeader, |byte| is_blank(byte) || byte == Some(b'#'));
        self.spaces(true);
        self.rest();
        self.newline();
        let end = self.block_scalar_end(explicit, keep);
        self.push(Kind::BlockText, end);
        self.line_start()
    }

    /// The end of the lines of a block scalar whose first line begins here.
    fn block_scalar_end(&mut self, explicit: Option<usize>, keep: bool) -> usize {
        // `end` is behind the last line end that belongs to it.
        let (mut end, mut indent, mut at) = (self.pos, 0, self.pos);
        loop {
            match self.byte(at) {
                Some(b' ') => indent += 1,
                Some(b'\n') => (end, indent) = (at + 1, 0),
                _ => break,
            }
            at += 1;
        }
        if indent >= self.next_indent {
            self.next_indent = match explicit {
                None => indent,
                Some(extra) => extra + self.next_indent.max(1),
            };
            while let Some(line) = self.continues(end) {
                let Some(newline) = self.find(b'\n', line) else {
                    end = self.bytes.len() + 1;
                    break;
                };
                end = newline + 1;
            }
        }
        let mut at = end;
        while self.byte(at) == Some(b' ') {
            at += 1;
        }
        if self.byte(at) == Some(b'\t') {
            while matches!(self.byte(at), Some(b'\t' | b' ' | b'\n')) {
                at += 1;
            }
            return at;
        }
        if keep { end } else { self.without_blank_lines(end, indent) }
    }

    /// Blank lines at the end are not the scalar's, unless they are more indented.
    fn without_blank_lines(&self, mut end: usize, indent: usize) -> usize {
        loop {
            // `end - 1` is the last line end, or one behind the text.
            let Some(last) = end.checked_sub(2) else { return end };
            let mut at = last;
            while self.byte(at) == Some(b' ') && at > 0 {
                at -= 1;
            }
            let drops = self.byte(at) == Some(b'\n') && at >= self.pos && at + 1 + indent > last;
            if !drops {
                return end;
            }
            end = at + 1;
        }
    }
}
