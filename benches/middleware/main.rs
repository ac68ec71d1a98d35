//! `cargo bench --bench middleware`: what a call through each layer costs, beside its peers.
//!
//! Times are processor time of the calling thread, the fastest of many rounds; allocations are
//! counted. `-- --quick` is a short run, for a look. It ends with an error when a gate of the
//! design does not hold; times are scaled by the peer's row of the same run.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod drive;
mod flags;
mod ours;
mod peers;
mod report;
mod stacks;

use std::{
    hint::black_box,
    process::ExitCode,
    sync::{Arc, Barrier},
};

use openclaw_benches::Outcome;
use openclaw_core::{Effect, middleware::breaker::Window};
use tower::Service;

use self::{
    drive::{COUNTED, Effort, call, cpu_time, finish, measure, measure_once, pin_to},
    flags::Flags,
    report::{Ratios, Rows},
    stacks::Calls,
};

fn main() -> ExitCode {
    let flags = match Flags::read(std::env::args().skip(1)) {
        Ok(flags) => flags,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::FAILURE;
        }
    };
    match run(flags) {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> Outcome<Vec<String>> {
    pin_to(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let inside = runtime.enter();
    let rounds = if flags.quick { 10 } else { 60 };
    let effort = Effort { rounds, calls: 20_000 };
    let mut rows = Rows::default();
    layers(&mut rows, effort);
    limits(&mut rows, effort);
    whole(&mut rows, effort)?;
    ledger(&mut rows, effort)?;
    let calls = effort.calls * rounds;
    let peer = peers::breaker(false).ok_or("the peer's breaker was refused")?;
    let ratios = Ratios {
        two_threads: two_threads(calls, &ours::breaker(false)),
        peer_two_threads: two_threads(calls.min(200_000), &peer),
        window: growth(ours::breaker_of(Window::Time(ours::MINUTE))),
        peer_window: growth(peers::time_breaker().ok_or("the peer's breaker was refused")?),
    };
    drop(inside);

    println!("peers: {}\nfastest of {rounds} rounds of {} calls\n", peers::VERSIONS, effort.calls);
    rows.table();
    println!(
        "\ntwo pinned threads on one breaker, by one: {:.2}, the peer {:.2}",
        ratios.two_threads, ratios.peer_two_threads
    );
    println!(
        "10,000 calls in a time window, by 500: {:.2}, the peer {:.2}",
        ratios.window, ratios.peer_window
    );
    let problems = rows.problems(&ratios);
    for problem in &problems {
        println!("PROBLEM {problem}");
    }
    println!("{}", rows.json(&ratios, &ours::CORE6, &stacks::DYN));
    Ok(problems)
}

/// Adds a row of calls with a new number each.
fn row<S>(rows: &mut Rows, effort: Effort, name: &'static str, mut service: S)
where
    S: Service<u64, Response = u64>,
{
    let mut n = 0_u64;
    let cost = measure(effort, || {
        n += 1;
        black_box(call(&mut service, n).ok());
    });
    rows.add(name, cost);
}

fn layers(rows: &mut Rows, effort: Effort) {
    row(rows, effort, "bare", ours::bare(false));
    row(rows, effort, "breaker", ours::breaker(false));
    row(rows, effort, "breaker_pending", ours::breaker(true));
    row(rows, effort, "breaker_count_100", ours::breaker_of(Window::Count(100)));
    row(rows, effort, "breaker_count_100k", ours::breaker_of(Window::Count(100_000)));
    row(rows, effort, "breaker_time_60s", ours::breaker_of(Window::Time(ours::MINUTE)));
    row(rows, effort, "breaker_open", ours::open_breaker());
    row(rows, effort, "retry", ours::retry(false));
    row(rows, effort, "retry_pending", ours::retry(true));
    let inside = Arc::new(0_u64);
    rows.add("retry_clone", measure(effort, || drop(black_box(Arc::clone(black_box(&inside))))));
    row(rows, effort, "timeout", ours::timeout(false));
    row(rows, effort, "timeout_pending", ours::timeout(true));
    if let Some(peer) = peers::breaker(false) {
        row(rows, effort, "peer_breaker", peer);
    }
    row(rows, effort, "peer_retry", peers::retry(false));
    let (failsafe, recloser) = (peers::failsafe(), peers::recloser());
    rows.add(
        "peer_failsafe",
        measure(effort, || {
            black_box(failsafe(black_box(1)));
        }),
    );
    rows.add(
        "peer_recloser",
        measure(effort, || {
            black_box(recloser(black_box(1)));
        }),
    );
}

/// What the time window of a breaker costs with many calls in it, by what it costs with few.
fn growth<S: Service<u64, Response = u64>>(mut service: S) -> f64 {
    let mut cost_behind = |calls: u64| {
        (0..calls).for_each(|n| {
            black_box(call(&mut service, n).ok());
        });
        let effort = Effort { rounds: 20, calls: 20 };
        measure_once(effort, || {
            black_box(call(&mut service, 0).ok());
        })
    };
    let few = cost_behind(500);
    cost_behind(10_000) / few
}

fn limits(rows: &mut Rows, effort: Effort) {
    // governor has a decision and no layer: ours beside it is the decision, too.
    let (one, keyed) = (ours::decision(), ours::keyed_decision());
    let keys = peers::keys();
    let mut n = 0_u64;
    let mut next = || {
        n += 1;
        let at = ours::scattered(n) % ours::KEYS;
        keys.get(usize::try_from(at).unwrap_or_default()).map_or_else(|| "".into(), Arc::clone)
    };
    rows.add("limiter", measure(effort, || drop(black_box(one.check(&0_u64)))));
    rows.add("limiter_keyed100k", measure(effort, || drop(black_box(keyed.check(&next())))));
    row(rows, effort, "limiter_layer", ours::limiter(false));
    row(rows, effort, "limiter_layer_pending", ours::limiter(true));
    let (one, keyed) = (peers::governor(), peers::governor_keyed());
    rows.add("peer_limiter", measure(effort, || drop(black_box(one.check()))));
    let cost = measure(effort, || drop(black_box(keyed.check_key(&next()))));
    rows.add("peer_limiter_keyed100k", cost);
    if let Some(peer) = peers::limiter() {
        row(rows, effort, "peer_limiter_layer", peer);
    }
}

fn whole(rows: &mut Rows, effort: Effort) -> Outcome<()> {
    row(rows, effort, "core6", ours::core6(false));
    row(rows, effort, "core6_pending", ours::core6(true));
    let stack = peers::stack(false).ok_or("the peers' stack was refused")?;
    row(rows, effort, "peer_stack", stack);
    Ok(())
}

fn ledger(rows: &mut Rows, effort: Effort) -> Outcome<()> {
    // Each call leaves rows: fewer, so that the store stays what it is in use.
    let effort = Effort { rounds: effort.rounds.min(30), calls: effort.calls / 20 };
    let mut calls = Calls::new(Effect::AtMostOnce)?;
    let runs = effort.rounds * effort.calls + COUNTED;
    let mut commits =
        stacks::Commits::of(&mut calls, runs).ok_or("a first run is not three commits")?;
    let cost = measure(effort, || {
        assert!(black_box(finish(commits.next())).is_some(), "every commit is applied");
    });
    rows.add("commits_alone", cost);
    let mut first = stacks::ledger();
    let cost = measure(effort, || {
        let outcome = calls.fresh().map(|fresh| call(&mut first, fresh));
        assert!(matches!(black_box(outcome), Some(Ok(_))), "a first run is answered");
    });
    rows.add("idempotency_first", cost);
    let again = calls.of(1).ok_or("a key of the bench")?;
    let cost = measure(effort, || {
        black_box(call(&mut first, again.clone()).ok());
    });
    rows.add("idempotency_replay", cost);
    let mut erased = stacks::erased();
    let cost = measure(effort, || {
        let outcome = calls.fresh().map(|fresh| call(&mut erased, fresh));
        assert!(matches!(black_box(outcome), Some(Ok(_))), "a first run is answered");
    });
    rows.add("dyn", cost);
    Ok(())
}

/// Calls a second of two pinned threads on one breaker, by those of one.
fn two_threads<S>(calls: u32, service: &S) -> f64
where
    S: Service<u64, Response = u64> + Clone + Send + Sync,
{
    let on = |cpu: usize, start: &Barrier| {
        let mut service = service.clone();
        pin_to(cpu);
        start.wait();
        let began = cpu_time();
        for n in 0..calls {
            black_box(call(&mut service, u64::from(n)).ok());
        }
        (cpu_time() - began).as_secs_f64()
    };
    let alone = on(0, &Barrier::new(1));
    let start = Barrier::new(2);
    let (on, start) = (&on, &start);
    let both = std::thread::scope(|scope| {
        let threads = [0, 1].map(|cpu| scope.spawn(move || on(cpu, start)));
        threads.map(|thread| thread.join().unwrap_or(f64::MAX)).into_iter().fold(0.0, f64::max)
    });
    pin_to(0);
    2.0 * alone / both
}
