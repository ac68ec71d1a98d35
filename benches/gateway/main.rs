//! `cargo bench --bench gateway`: messages a second through a whole gateway, in memory and on
//! redb, with an echo agent and a channel that sends at most once.
//!
//! `-- --quick` is a short run with a small store, for a look. `-- --only memory` or `--only
//! redb` leaves the other out (its figures are `null`). `-- --break twice` hands some messages
//! out under two ids, and the program must end with an error.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod flags;
mod report;

use std::{collections::BTreeMap, path::Path, process::ExitCode, time::Duration};

use openclaw_benches::{
    Outcome,
    load::{Counting, Figures, Filled, Scenario, Tally, fill, run},
    peers,
};
use openclaw_core::{
    Env,
    store::{MemoryStore, RedbStore},
};

use self::flags::{Flags, Only};

/// Messages of the pass that counts commits and rows.
const COUNTED: u64 = 20_000;
/// What every message must write, in this order.
const STEPS: [&str; 4] = ["admit", "turn", "dispatch", "done"];

/// Everything that was measured; `None` where a flag left it out.
#[derive(Debug, Default)]
struct Results {
    counted: Option<Counted>,
    memory: Vec<Row>,
    redb: Vec<Row>,
    filled: Filled,
    file_mib: u64,
    /// Before the redb runs, and after them: a busy machine shows here first.
    fsyncs_per_s: [f64; 2],
    hop_ns: f64,
    problems: Vec<String>,
}

/// One line of the table.
#[derive(Debug)]
struct Row {
    name: &'static str,
    figures: Figures,
}

/// What the counting store saw.
#[derive(Debug)]
struct Counted {
    messages: u64,
    steps: BTreeMap<&'static str, Tally>,
    left: usize,
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
struct Spans {
    warm_up: Duration,
    memory: Duration,
    redb: Duration,
    paced: Duration,
    extra: Duration,
    peers: Duration,
    rows: u64,
}

impl Spans {
    const fn of(flags: Flags) -> Self {
        const fn s(n: u64) -> Duration {
            Duration::from_secs(n)
        }
        if flags.quick {
            let (memory, redb, paced, extra) = (s(3), s(5), s(3), s(2));
            return Self { warm_up: s(1), memory, redb, paced, extra, peers: s(1), rows: 60_000 };
        }
        let (memory, redb, paced, extra) = (s(10), s(60), s(20), s(10));
        Self { warm_up: s(2), memory, redb, paced, extra, peers: s(3), rows: 1_000_000 }
    }
}

fn main() -> ExitCode {
    let flags = match Flags::read(std::env::args().skip(1)) {
        Ok(flags) => flags,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let results = match start(flags) {
        Ok(results) => results,
        Err(e) => {
            eprintln!("gateway bench: {e}");
            return ExitCode::FAILURE;
        }
    };
    report::table(&results);
    for problem in &results.problems {
        eprintln!("FAILED: {problem}");
    }
    println!("{}", report::json(&results));
    if results.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn start(flags: Flags) -> Outcome<Results> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    runtime.block_on(async move {
        // A task of its own: the thread that blocks here is not one of the two workers.
        tokio::spawn(bench(flags)).await?
    })
}

async fn bench(flags: Flags) -> Outcome<Results> {
    let spans = Spans::of(flags);
    let mut results = Results::default();
    let counted = count(flags.twice).await?;
    results.problems.extend(counted.1);
    results.problems.extend(missing_steps(&counted.0));
    results.counted = Some(counted.0);
    results.hop_ns = peers::hop_ns(200_000).await?;
    if flags.only != Some(Only::Redb) {
        results.memory = memory(spans).await?;
    }
    if flags.only != Some(Only::Memory) {
        let dir = tempfile::Builder::new()
            .prefix("bench-gateway-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let syncs = || tokio::task::block_in_place(|| peers::fsyncs_per_s(dir.path(), spans.peers));
        let before = syncs()?;
        redb(dir.path(), spans, &mut results).await?;
        results.fsyncs_per_s = [before, syncs()?];
    }
    for row in results.memory.iter().chain(&results.redb) {
        let wrong = row.figures.problems.iter().map(|p| format!("{}: {p}", row.name));
        results.problems.extend(wrong);
    }
    Ok(results)
}

/// A short pass through a store that counts. The measured runs go to the bare store.
async fn count(twice: bool) -> Outcome<(Counted, Vec<String>)> {
    let memory = MemoryStore::new(Env::system().clock());
    let store = Counting::new(memory.clone());
    let scenario = Scenario::closed(64).messages(COUNTED).broken(twice);
    let figures = run(store.clone(), &scenario).await?;
    let mut steps = store.tallies();
    // Once a gateway, once a range of the audit trail: no part of a message.
    steps.retain(|label, _| !["seize", "seal"].contains(label));
    let problems = figures.problems.iter().map(|p| format!("counted: {p}")).collect();
    Ok((Counted { messages: figures.messages, steps, left: memory.len() }, problems))
}

/// Four commits a message, no fewer.
fn missing_steps(counted: &Counted) -> Option<String> {
    let short: Vec<&str> = STEPS
        .into_iter()
        .filter(|step| counted.steps.get(step).is_none_or(|t| t.commits < counted.messages))
        .collect();
    let n = counted.messages;
    (!short.is_empty()).then(|| format!("{n} messages, but fewer commits of {}", short.join(", ")))
}

async fn memory(spans: Spans) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    let runs = [
        ("memory, 64 in flight", Scenario::closed(64), spans.memory),
        ("memory, 256 in flight", Scenario::closed(256), spans.extra),
        ("memory, one conversation", Scenario::closed(64).in_one_conversation(), spans.extra),
    ];
    for (name, scenario, window) in runs {
        let store = MemoryStore::new(Env::system().clock());
        let figures = run(store, &scenario.lasting(spans.warm_up, window)).await?;
        rows.push(Row { name, figures });
    }
    Ok(rows)
}

async fn redb(dir: &Path, spans: Spans, results: &mut Results) -> Outcome<()> {
    let path = dir.join("state.redb");
    let store = RedbStore::open(&path, Env::system().clock())?;
    results.filled = fill(store.clone(), spans.rows).await?;
    let mut first = results.filled.next;
    let mut rows: Vec<Row> = Vec::new();
    for name in [
        "redb, 64 in flight",
        "redb, half that rate",
        "redb, 256 in flight",
        "redb, one conversation",
    ] {
        let half = rows.first().map_or(0.0, |row| row.figures.per_s / 2.0);
        let scenario = match rows.len() {
            0 => Scenario::closed(64).lasting(spans.warm_up, spans.redb),
            1 => Scenario::paced(half).lasting(spans.warm_up, spans.paced),
            2 => Scenario::closed(256).lasting(spans.warm_up, spans.extra),
            _ => Scenario::closed(64).in_one_conversation().lasting(spans.warm_up, spans.extra),
        };
        let figures = run(store.clone(), &scenario.starting_at(first)).await?;
        first = figures.next;
        rows.push(Row { name, figures });
    }
    drop(store);
    results.file_mib = std::fs::metadata(&path)?.len() >> 20;
    results.redb = rows;
    Ok(())
}
