//! `cargo bench --bench store`: each engine beside a bare file that is appended and synced.
//!
//! For each engine: durable inserts by one client and by 64, reads, pages, bytes a row, opening
//! again after SIGKILL, and the whole gateway on it, all on a million rows. `-- --quick` is a
//! short run with few rows, `-- --only E` measures one engine, `-- --rows N` says how many,
//! `-- --build` measures cold builds too (minutes). It ends with an error when a row that was
//! acknowledged is gone, or a message.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod flags;
mod probe;
mod raw;
mod report;
mod rows;
mod victim;
mod weigh;

use std::{
    process::ExitCode,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use openclaw_benches::{
    Outcome,
    load::{self, Scenario},
};
use openclaw_core::{Env, store::Store};
use openclaw_testkit::{
    env::SeededRng,
    servers::{StoreEngine, StorePlace},
};
use tokio::time::Instant;

use self::{flags::Flags, probe::Speed};

/// How long things take, and on how many rows.
#[derive(Clone, Copy, Debug)]
struct Spans {
    rows: u64,
    probe: Duration,
    gateway: Duration,
}

impl Spans {
    fn of(flags: &Flags) -> Self {
        let (rows, probe, gateway) = if flags.quick { (20_000, 1, 2) } else { (1_000_000, 5, 20) };
        let rows = flags.rows.unwrap_or(rows);
        Self { rows, probe: Duration::from_secs(probe), gateway: Duration::from_secs(gateway) }
    }
}

/// The bare file.
#[derive(Clone, Copy, Debug, Default)]
struct Raw {
    one: Speed,
    group: Speed,
}

/// Everything that was measured of an engine.
#[derive(Debug)]
struct Row {
    engine: StoreEngine,
    fill_s: f64,
    seq: Speed,
    group: Speed,
    gets: Speed,
    scans: Speed,
    bytes: f64,
    reopen_ms: f64,
    acknowledged: usize,
    gateway: load::Figures,
    crates: usize,
    build_s: Option<f64>,
    /// The bare file on the same disk, just before.
    raw: Raw,
    problems: Vec<String>,
}

fn main() -> ExitCode {
    let flags = match Flags::read(std::env::args().skip(1)) {
        Ok(flags) => flags,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    match start(flags) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("store bench: {e}");
            ExitCode::FAILURE
        }
    }
}

fn start(flags: Flags) -> Outcome<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async move {
        // A task of its own: the thread that blocks here is not one of the two workers.
        tokio::spawn(bench(flags)).await?
    })
}

async fn bench(flags: Flags) -> Outcome<ExitCode> {
    if let Some(place) = &flags.victim {
        victim::be(place).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let spans = Spans::of(&flags);
    let mut rows = Vec::new();
    for engine in flags.engines() {
        eprintln!("{engine} …");
        rows.push(measure(engine, spans, flags.build).await?);
    }
    report::table(spans.rows, &rows);
    for (row, problem) in rows.iter().flat_map(|row| row.problems.iter().map(move |p| (row, p))) {
        eprintln!("FAILED: {}: {problem}", row.engine);
    }
    println!("{}", report::json(&rows));
    let sound = rows.iter().all(|row| row.problems.is_empty());
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(engine: StoreEngine, spans: Spans, build: bool) -> Outcome<Row> {
    let mut place = StorePlace::make(engine).await?;
    let raw = Raw {
        one: raw::appends(place.dir(), 1, spans.probe).await?,
        group: raw::appends(place.dir(), 64, spans.probe).await?,
    };
    let store = Store::open(&place.url(), Env::system().clock()).await?;
    let empty = weigh::bytes_in(place.dir());
    let filling = Instant::now();
    rows::fill(&*store, spans.rows, &SeededRng::new(1)).await?;
    let fill_s = filling.elapsed().as_secs_f64();
    let bytes = per_row(weigh::bytes_in(place.dir()).saturating_sub(empty), spans.rows);
    let next = Arc::new(AtomicU64::new(spans.rows));
    let seq = probe::inserts(&store, 1, &next, spans.probe).await?;
    let group = probe::inserts(&store, 64, &next, spans.probe).await?;
    let gets = probe::reads(&store, spans.rows, spans.probe).await?;
    let scans = probe::scans(&store, spans.probe).await?;
    drop(store);
    let reopened = victim::kill(&mut place).await?;
    let scenario = Scenario::closed(64).lasting(Duration::from_secs(1), spans.gateway);
    let gateway = load::run(reopened.store, &scenario).await?;
    let mut problems = gateway.problems.clone();
    if reopened.lost > 0 {
        problems.push(format!("{} acknowledged rows are gone after SIGKILL", reopened.lost));
    }
    Ok(Row {
        engine,
        fill_s,
        seq,
        group,
        gets,
        scans,
        bytes,
        reopen_ms: reopened.took.as_secs_f64() * 1e3,
        acknowledged: reopened.acknowledged,
        gateway,
        crates: weigh::crates(engine)?,
        build_s: build.then(|| weigh::build_s(engine)).transpose()?,
        raw,
        problems,
    })
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a bench are far below 2^52")]
fn per_row(bytes: u64, rows: u64) -> f64 {
    bytes as f64 / rows.max(1) as f64
}
