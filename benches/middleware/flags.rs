//! The words behind `cargo bench --bench middleware --`.

/// What the caller asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) quick: bool,
}

impl Flags {
    /// Reads the words, or says in one line what is wrong with them.
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut flags = Self::default();
        for word in words {
            match word.as_str() {
                // cargo adds it to every bench.
                "--bench" => {}
                "--quick" => flags.quick = true,
                other => return Err(format!("unknown flag {other:?}; there is: --quick")),
            }
        }
        Ok(flags)
    }
}
