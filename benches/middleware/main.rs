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
use openclaw_core::{
    Effect,
    middleware::{Ticks, breaker::Window},
};
use tower::Service;

use self::{
    drive::{
        Beside, COUNTED, Effort, call, cpu_time, finish, measure, measure_beside, measure_once,
        pin_to,
    },
    flags::Flags,
    report::{Ratios, Rows},
    stacks::Calls,
};

/// What a peer says of settings that it does not take.
const REFUSED: &str = "a peer refused its settings";

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
    layers(&mut rows, effort)?;
    limits(&mut rows, effort);
    whole(&mut rows, effort)?;
    let first_run = ledger(&mut rows, effort)?;
    // Once more: a machine that is slow for a second is so for all rounds of the short rows.
    layers(&mut rows, effort)?;
    limits(&mut rows, effort);
    whole(&mut rows, effort)?;
    let calls = effort.calls * rounds;
    let peer = peers::breaker(false).ok_or(REFUSED)?;
    let ratios = Ratios {
        first_run,
        two_threads: two_threads(calls, &ours::breaker(false)),
        peer_two_threads: two_threads(calls.min(200_000), &peer),
        window: growth(ours::breaker_of(Window::Time(ours::MINUTE))),
        peer_window: growth(peers::time_breaker().ok_or(REFUSED)?),
    };
    drop(inside);

    println!("peers: {}\nfastest of {rounds} rounds of {} calls", peers::VERSIONS, effort.calls);
    println!(
        "clock: the runtime's; in breaker_open, limiter_counter and limiter_keyed100k the counter\n"
    );
    rows.table();
    println!(
        "\ntwo pinned threads on one breaker, by one: {:.2}, the peer {:.2}",
        ratios.two_threads, ratios.peer_two_threads
    );
    println!(
        "10,000 calls in a time window, by 500: {:.2}, the peer {:.2}",
        ratios.window, ratios.peer_window
    );
    println!("a first run of the ledger, by its commits alone: {:.2}", ratios.first_run);
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
        black_box(call(&mut service, n));
    });
    rows.add(name, cost);
}

/// Adds two rows, measured in turn.
fn beside<S, T>(rows: &mut Rows, effort: Effort, ours: (&'static str, S), peer: (&'static str, T))
where
    S: Service<u64, Response = u64>,
    T: Service<u64, Response = u64>,
{
    let ((name, mut ours), (peer_name, mut peer)) = (ours, peer);
    let (mut n, mut m) = (0_u64, 0_u64);
    let Beside { costs: [cost, peer_cost], .. } = measure_beside(
        effort,
        || {
            n += 1;
            black_box(call(&mut ours, n));
        },
        || {
            m += 1;
            black_box(call(&mut peer, m));
        },
    );
    rows.add(name, cost);
    rows.add(peer_name, peer_cost);
}

fn layers(rows: &mut Rows, effort: Effort) -> Outcome<()> {
    row(rows, effort, "bare", ours::bare(false));
    let peer = peers::breaker(false).ok_or(REFUSED)?;
    beside(rows, effort, ("breaker", ours::breaker(false)), ("peer_breaker", peer));
    row(rows, effort, "breaker_pending", ours::breaker(true));
    row(rows, effort, "breaker_count_100", ours::breaker_of(Window::Count(100)));
    row(rows, effort, "breaker_count_100k", ours::breaker_of(Window::Count(100_000)));
    row(rows, effort, "breaker_time_60s", ours::breaker_of(Window::Time(ours::MINUTE)));
    row(rows, effort, "breaker_open", ours::open_breaker(Ticks::counter()));
    row(rows, effort, "breaker_open_runtime", ours::open_breaker(Ticks::runtime()));
    beside(rows, effort, ("retry", ours::retry(false)), ("peer_retry", peers::retry(false)));
    row(rows, effort, "retry_pending", ours::retry(true));
    let inside = Arc::new(0_u64);
    rows.add("retry_clone", measure(effort, || drop(black_box(Arc::clone(black_box(&inside))))));
    row(rows, effort, "timeout", ours::timeout(false));
    row(rows, effort, "timeout_pending", ours::timeout(true));
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
    Ok(())
}

/// What the time window of a breaker costs with many calls in it, by what it costs with few.
fn growth<S: Service<u64, Response = u64>>(mut service: S) -> f64 {
    let mut cost_behind = |calls: u64| {
        (0..calls).for_each(|n| {
            black_box(call(&mut service, n));
        });
        let effort = Effort { rounds: 20, calls: 20 };
        measure_once(effort, || {
            black_box(call(&mut service, 0));
        })
    };
    let few = cost_behind(500);
    cost_behind(10_000) / few
}

/// governor has a decision and no layer: ours beside it is the decision, too.
fn limits(rows: &mut Rows, effort: Effort) {
    let peer = peers::governor();
    for (name, ticks) in [("limiter_counter", Ticks::counter()), ("limiter", Ticks::runtime())] {
        let one = ours::decision(ticks);
        let Beside { costs: [cost, peer_cost], .. } = measure_beside(
            effort,
            || {
                black_box(one.check(&()).is_ok());
            },
            || {
                black_box(peer.check().is_ok());
            },
        );
        rows.add(name, cost);
        rows.add("peer_limiter", peer_cost);
    }
    let (peer, keys) = (peers::governor_keyed(), peers::keys());
    let key = |n: &mut u64| {
        *n += 1;
        let at = ours::scattered(*n) % ours::KEYS;
        keys.get(usize::try_from(at).unwrap_or_default()).map_or_else(|| "".into(), Arc::clone)
    };
    let ways =
        [("limiter_keyed100k_runtime", Ticks::runtime()), ("limiter_keyed100k", Ticks::counter())];
    for (name, ticks) in ways {
        let keyed = ours::keyed_decision(ticks);
        let (mut n, mut m) = (0_u64, 0_u64);
        let Beside { costs: [cost, peer_cost], .. } = measure_beside(
            effort,
            || {
                black_box(keyed.check(&key(&mut n)).is_ok());
            },
            || {
                black_box(peer.check_key(&key(&mut m)).is_ok());
            },
        );
        rows.add(name, cost);
        rows.add("peer_limiter_keyed100k", peer_cost);
    }
    row(rows, effort, "limiter_layer", ours::limiter(false));
    row(rows, effort, "limiter_layer_pending", ours::limiter(true));
    if let Some(peer) = peers::limiter() {
        row(rows, effort, "peer_limiter_layer", peer);
    }
}

fn whole(rows: &mut Rows, effort: Effort) -> Outcome<()> {
    let peer = peers::stack(false).ok_or(REFUSED)?;
    beside(rows, effort, ("core6", ours::core6(false)), ("peer_stack", peer));
    row(rows, effort, "core6_pending", ours::core6(true));
    Ok(())
}

/// The rows of the ledger; how often the time of its commits alone a first run takes.
fn ledger(rows: &mut Rows, effort: Effort) -> Outcome<f64> {
    // Each call leaves rows: fewer, so that the store stays what it is in use.
    let effort = Effort { rounds: effort.rounds.min(30), calls: effort.calls / 20 };
    let mut calls = Calls::new(Effect::AtMostOnce)?;
    let runs = effort.rounds * effort.calls + COUNTED;
    let recorded = "a first run is not three commits";
    let mut commits = stacks::Commits::of(&mut calls, runs).ok_or(recorded)?;
    let cost = measure(effort, || {
        assert!(black_box(finish(commits.ready())).is_some(), "every commit is applied");
    });
    rows.add("commits_recorded", cost);
    let mut commits = stacks::Commits::of(&mut calls, runs).ok_or(recorded)?;
    let mut new = calls.some(runs).ok_or("a key of the bench")?;
    let mut first = stacks::ledger();
    let Beside { costs: [cost, alone], ratio } = measure_beside(
        effort,
        || {
            let answer = new.next().and_then(|new| call(&mut first, new));
            assert!(black_box(answer).is_some(), "a first run is answered");
        },
        || assert!(black_box(finish(commits.made())).is_some(), "every commit is applied"),
    );
    rows.add("commits_alone", alone);
    rows.add("idempotency_first", cost);
    let mut new = calls.some(runs).ok_or("a key of the bench")?;
    let mut erased = stacks::erased();
    let cost = measure(effort, || {
        let answer = new.next().and_then(|new| call(&mut erased, new));
        assert!(black_box(answer).is_some(), "a first run is answered");
    });
    rows.add("dyn", cost);
    let again = calls.of(1).ok_or("a key of the bench")?;
    let cost = measure(effort, || {
        black_box(call(&mut first, again.clone()));
    });
    rows.add("idempotency_replay", cost);
    Ok(ratio)
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
            black_box(call(&mut service, u64::from(n)));
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
