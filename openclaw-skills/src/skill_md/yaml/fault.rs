//! What is wrong with a text, and where.

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::skill_md) enum Code {
    AliasProps,
    BadAlias,
    BadDirective,
    BadEscape,
    BadIndent,
    BadPropOrder,
    BadScalarStart,
    BlockAsImplicitKey,
    BlockInFlow,
    DuplicateKey,
    KeyTooLong,
    MissingChar,
    MultilineKey,
    MultipleAnchors,
    MultipleDocs,
    MultipleTags,
    TabAsIndent,
    TagUnresolved,
    TooDeep,
    TrailingContent,
    Unexpected,
}

/// A broken rule at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::skill_md) struct Fault {
    /// The byte at which it shows.
    pub(in crate::skill_md) pos: usize,
    pub(in crate::skill_md) code: Code,
    /// For a person; it quotes nothing but signs of the language.
    pub(in crate::skill_md) message: String,
}

/// All faults, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) list: Vec<Fault>,
}

impl Faults {
    pub(super) fn add(&mut self, pos: usize, code: Code, message: impl Into<String>) {
        self.list.push(Fault { pos, code, message: message.into() });
    }
}
