//! The command line.

use std::str::FromStr;

use openclaw_testkit::servers::StoreEngine;

use crate::{broken::Break, child::Birth, parent::Options};

/// What the program is for, in one line.
const USAGE: &str = "usage: crashloop --kills N [--engine redb|fjall|sqlite|postgres|redis] \
                     [--replicas R] [--seed S] [--break dedupe|ledger|ack_before_write|order|fence] | --power-cuts N [--seed S] [--break sync]";

/// What the program is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Kill children.
    Kills(Options),
    /// Cut the power of a fault disk.
    PowerCuts { cuts: u64, seed: u64, break_sync: bool },
    /// Be a child.
    Child { port: u16, birth: Birth },
}

/// The flags as they were given, each at most once.
#[derive(Default)]
struct Given {
    kills: Option<usize>,
    cuts: Option<u64>,
    seed: Option<u64>,
    engine: Option<String>,
    broken: Option<String>,
    port: Option<u16>,
    store: Option<String>,
    replica: Option<String>,
    replicas: Option<usize>,
}

/// Reads the arguments behind the program's name; the error is one line for people.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Job, String> {
    let mut arguments = arguments.into_iter().peekable();
    let child = arguments.next_if(|first| first == "child").is_some();
    let mut given = Given::default();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value; {USAGE}"))?;
        match flag.as_str() {
            "--kills" => set(&mut given.kills, &flag, &value)?,
            "--power-cuts" => set(&mut given.cuts, &flag, &value)?,
            "--seed" => set(&mut given.seed, &flag, &value)?,
            "--engine" if !child => set(&mut given.engine, &flag, &value)?,
            "--break" => set(&mut given.broken, &flag, &value)?,
            "--port" if child => set(&mut given.port, &flag, &value)?,
            "--replica" if child => set(&mut given.replica, &flag, &value)?,
            "--replicas" if !child => set(&mut given.replicas, &flag, &value)?,
            "--store" if child => set(&mut given.store, &flag, &value)?,
            _ => return Err(format!("there is no flag {flag}; {USAGE}")),
        }
    }
    given.job(child)
}

fn set<T: FromStr>(slot: &mut Option<T>, flag: &str, value: &str) -> Result<(), String> {
    let read = value.parse().ok();
    let read = read.ok_or_else(|| format!("{flag} can't be {value:?}; {USAGE}"))?;
    match slot.replace(read) {
        None => Ok(()),
        Some(_) => Err(format!("{flag} is there twice; {USAGE}")),
    }
}

impl Given {
    fn job(self, child: bool) -> Result<Job, String> {
        let seed = self.seed.unwrap_or(1);
        match (self.kills, self.cuts, self.port, self.store) {
            (None, None, Some(port), Some(store)) if child => {
                let broken = known(self.broken.as_deref())?;
                let birth = Birth { store, seed, broken, replica: self.replica };
                Ok(Job::Child { port, birth })
            }
            (Some(0), None, ..) | (None, Some(0), ..) => {
                Err(format!("none at all proves nothing; {USAGE}"))
            }
            (Some(kills), None, None, None) if !child => {
                let broken = known(self.broken.as_deref())?;
                let engine = engine(self.engine.as_deref())?;
                let replicas = replicas(self.replicas, engine)?;
                if replicas > 1 && broken == Some(Break::Fence) {
                    return Err(format!("replicas have a lease besides their fence; {USAGE}"));
                }
                Ok(Job::Kills(Options { kills, engine, replicas, seed, broken }))
            }
            (None, Some(_), ..) if self.engine.is_some() || self.replicas.is_some() => {
                Err(format!("power is cut under redb only; {USAGE}"))
            }
            (None, Some(cuts), None, None) if !child => match self.broken.as_deref() {
                None => Ok(Job::PowerCuts { cuts, seed, break_sync: false }),
                Some("sync") => Ok(Job::PowerCuts { cuts, seed, break_sync: true }),
                Some(other) => Err(format!("a power cut can't break {other:?}; {USAGE}")),
            },
            _ => Err(format!("either kills or power cuts; {USAGE}")),
        }
    }
}

fn engine(word: Option<&str>) -> Result<StoreEngine, String> {
    let word = word.unwrap_or("redb");
    StoreEngine::named(word).ok_or_else(|| format!("there is no engine {word:?}; {USAGE}"))
}

/// How many gateways share the store; 1 is alone.
fn replicas(count: Option<usize>, engine: StoreEngine) -> Result<usize, String> {
    let shared = matches!(engine, StoreEngine::Sqlite | StoreEngine::Postgres | StoreEngine::Redis);
    match count {
        None => Ok(1),
        Some(0 | 1) => Err(format!("replicas are several; {USAGE}")),
        Some(_) if !shared => Err(format!("{engine} is open to one process only; {USAGE}")),
        Some(count) => Ok(count),
    }
}

fn known(broken: Option<&str>) -> Result<Option<Break>, String> {
    let unknown = |word| format!("kills can't break {word:?}; {USAGE}");
    broken.map(|word| Break::named(word).ok_or_else(|| unknown(word))).transpose()
}
