//! What a text is made of.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ByteOrderMark,
    /// A document begins; no text of its own.
    DocMode,
    DocStart,
    DocEnd,
    Directive,
    Newline,
    Space,
    Comment,
    Anchor,
    Tag,
    /// `-`
    SeqItem,
    /// `?`
    Key,
    /// `:`
    Value,
    Comma,
    MapOpen,
    MapClose,
    SeqOpen,
    SeqClose,
    /// Brackets that are still open end here, by indentation; no text of its own.
    FlowCut,
    Alias,
    Plain,
    SingleQuoted,
    DoubleQuoted,
    BlockHeader,
    BlockText,
    Unknown,
}

impl Kind {
    /// Of what stands behind the header of a block scalar.
    pub(super) fn of_rest(rest: &str) -> Self {
        match rest.as_bytes() {
            b"-" => Self::SeqItem,
            b"?" => Self::Key,
            b":" => Self::Value,
            b"," => Self::Comma,
            b"---" => Self::DocStart,
            b"..." => Self::DocEnd,
            [bracket @ (b'{' | b'}' | b'[' | b']')] => Self::of_bracket(*bracket),
            [b'#', ..] => Self::Comment,
            [b'*', ..] => Self::Alias,
            [b'&', ..] => Self::Anchor,
            [b'!', ..] => Self::Tag,
            [b'%', ..] => Self::Directive,
            [b'\'', ..] => Self::SingleQuoted,
            [b'"', ..] => Self::DoubleQuoted,
            [b'|' | b'>', ..] => Self::BlockHeader,
            _ => Self::Unknown,
        }
    }

    pub(super) fn of_bracket(byte: u8) -> Self {
        match byte {
            b'{' => Self::MapOpen,
            b'}' => Self::MapClose,
            b'[' => Self::SeqOpen,
            _ => Self::SeqClose,
        }
    }

    /// A scalar or an alias: what may be a key on one line.
    pub(super) fn is_scalar(self) -> bool {
        matches!(
            self,
            Self::Alias | Self::Plain | Self::SingleQuoted | Self::DoubleQuoted | Self::BlockText
        )
    }

    /// Blanks, comments and line ends.
    pub(super) fn is_empty(self) -> bool {
        matches!(self, Self::Space | Self::Comment | Self::Newline)
    }

    /// In words, for a person.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ByteOrderMark => "byte order mark",
            Self::DocMode | Self::DocStart => "start of a document",
            Self::DocEnd => "end of a document",
            Self::Directive => "directive",
            Self::Newline => "line end",
            Self::Space => "blank",
            Self::Comment => "comment",
            Self::Anchor => "anchor",
            Self::Tag => "tag",
            Self::SeqItem => "`-`",
            Self::Key => "`?`",
            Self::Value => "`:`",
            Self::Comma => "`,`",
            Self::MapOpen => "`{`",
            Self::MapClose => "`}`",
            Self::SeqOpen => "`[`",
            Self::SeqClose => "`]`",
            Self::FlowCut => "end of the brackets",
            Self::Alias => "alias",
            Self::Plain | Self::BlockText | Self::Unknown => "text",
            Self::SingleQuoted | Self::DoubleQuoted => "quoted text",
            Self::BlockHeader => "start of a block of text",
        }
    }
}

/// A piece of the text, and the column of its line's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) indent: usize,
}
