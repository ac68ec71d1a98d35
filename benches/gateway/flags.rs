//! The words behind `cargo bench --bench gateway --`.

/// What the caller asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) quick: bool,
    pub(crate) twice: bool,
    pub(crate) only: Option<Only>,
}

/// The one store to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    Memory,
    Redb,
}

const USAGE: &str = "--quick, --only memory|redb, --break twice";

impl Flags {
    /// Reads the words, or says in one line what is wrong with them.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut flags = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                // cargo adds it to every bench.
                "--bench" => {}
                "--quick" => flags.quick = true,
                "--only" => match words.next().as_deref() {
                    Some("memory") => flags.only = Some(Only::Memory),
                    Some("redb") => flags.only = Some(Only::Redb),
                    other => return Err(unknown("--only", other)),
                },
                "--break" => match words.next().as_deref() {
                    Some("twice") => flags.twice = true,
                    other => return Err(unknown("--break", other)),
                },
                other => return Err(format!("unknown flag {other:?}; there are: {USAGE}")),
            }
        }
        Ok(flags)
    }
}

fn unknown(flag: &str, value: Option<&str>) -> String {
    let value = value.map_or_else(|| "no value".to_owned(), |v| format!("{v:?}"));
    format!("{flag} does not take {value}; there are: {USAGE}")
}
