//! `cargo bench --bench middleware`: what a call through each layer costs, beside its peers.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod drive;
mod ours;
mod peers;

use std::process::ExitCode;

use drive::{Cost, Effort, call, measure, pin_to};

fn main() -> ExitCode {
    pin_to(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _inside = runtime.enter();
    let effort = Effort { rounds: 20, calls: 50_000 };
    let mut n = 0_u64;
    macro_rules! row {
        ($name:literal, $service:expr) => {{
            let mut service = $service;
            let cost = measure(effort, || {
                n += 1;
                drop(std::hint::black_box(call(&mut service, n)));
            });
            println!("{:<32} {:>8.1} ns {:>6.2} allocs", $name, cost.ns, cost.allocs);
            cost
        }};
    }
    let _: Cost = row!("bare", ours::bare(false));
    row!("breaker", ours::breaker(false));
    row!("breaker pending", ours::breaker(true));
    row!(
        "breaker count 100",
        ours::breaker_of(openclaw_core::middleware::breaker::Window::Count(100))
    );
    row!(
        "breaker count 100k",
        ours::breaker_of(openclaw_core::middleware::breaker::Window::Count(100_000))
    );
    row!(
        "breaker time",
        ours::breaker_of(openclaw_core::middleware::breaker::Window::Time(
            std::time::Duration::from_secs(60)
        ))
    );
    row!("breaker open", ours::open_breaker());
    row!("peer breaker", peers::breaker(false).unwrap());
    row!("limiter", ours::limiter(false));
    row!("limiter keyed 100k", ours::keyed_limiter(100_000));
    let clock = measure(effort, || drop(std::hint::black_box(tokio::time::Instant::now())));
    println!("clock {clock:?}");
    let layer = openclaw_core::middleware::RateLimitLayer::new(
        "x",
        openclaw_core::middleware::Quota::per_second(
            std::num::NonZeroU32::new(1_000_000_000).unwrap(),
        ),
    );
    let check = measure(effort, || drop(std::hint::black_box(layer.check(&n))));
    println!("check {check:?}");
    let governor = peers::governor();
    let cost = measure(effort, || drop(std::hint::black_box(governor.check())));
    println!("governor {cost:?}");
    let governor = peers::governor_keyed();
    let cost = measure(effort, || {
        n += 1;
        drop(std::hint::black_box(
            governor.check_key(&((n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) % 100_000)),
        ))
    });
    println!("governor keyed {cost:?}");
    row!("peer limiter tr", peers::limiter().unwrap());
    row!("retry", ours::retry(false));
    row!("peer retry", peers::retry(false));
    row!("timeout", ours::timeout(false));
    row!("core6", ours::core6(false));
    row!("core6 pending", ours::core6(true));
    row!("peer stack", peers::stack(false).unwrap());
    ExitCode::SUCCESS
}
