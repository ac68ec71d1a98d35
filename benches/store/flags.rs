//! The words behind `cargo bench --bench store --`.

use openclaw_testkit::servers::StoreEngine;

/// What the caller asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) quick: bool,
    pub(crate) build: bool,
    pub(crate) rows: Option<u64>,
    pub(crate) only: Vec<StoreEngine>,
    /// Be the process that is killed, on the store of this place.
    pub(crate) victim: Option<String>,
}

const USAGE: &str = "--quick, --rows N, --only redb|fjall|sqlite|postgres|redis, --build";

impl Flags {
    /// Reads the words, or says in one line what is wrong with them.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut flags = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                // cargo adds it to every bench.
                "--bench" => {}
                "--quick" => flags.quick = true,
                "--build" => flags.build = true,
                "--rows" => {
                    let value = words.next();
                    let rows = value.as_deref().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                    flags.rows = Some(rows.ok_or_else(|| unknown("--rows", value.as_deref()))?);
                }
                "--only" => {
                    let value = words.next();
                    let engine = value.as_deref().and_then(StoreEngine::named);
                    flags.only.push(engine.ok_or_else(|| unknown("--only", value.as_deref()))?);
                }
                "--victim" => flags.victim = words.next(),
                other => return Err(format!("unknown flag {other:?}; there are: {USAGE}")),
            }
        }
        Ok(flags)
    }

    /// The engines to measure.
    pub(crate) fn engines(&self) -> Vec<StoreEngine> {
        if self.only.is_empty() { StoreEngine::ALL.to_vec() } else { self.only.clone() }
    }
}

fn unknown(flag: &str, value: Option<&str>) -> String {
    let value = value.map_or_else(|| "no value".to_owned(), |v| format!("{v:?}"));
    format!("{flag} does not take {value}; there are: {USAGE}")
}
