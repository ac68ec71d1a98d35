//! The simulator as a program: many seeds, on every core, and what they met.
//!
//! Skills come from the registry of openclaw-skills: canaries are tried and rolled back all along.
//!
//! ```text
//! cargo run --release --example sim -- --seeds 2000
//! cargo run --release --example sim -- --seed 17 --only 3-9      (what a failing run printed)
//! cargo run --release --example sim -- --twice 100
//! cargo run --release --example sim -- --seeds 2000 --stacks    (behind limits, breakers and retries)
//! RUSTFLAGS="--cfg openclaw_planted" cargo run --release --example sim -- --planted --seeds 200
//! ```
#![expect(clippy::print_stdout, reason = "a program prints its results")]

mod campaign;
mod flags;
mod planted;
mod versions;

use std::process::ExitCode;

use openclaw_testkit::sim::Sim;
use serde_json::json;

use self::{
    campaign::{Campaign, quiet, sim_of},
    flags::Job,
};

fn main() -> ExitCode {
    quiet();
    let job = match flags::parse(std::env::args().skip(1)) {
        Ok(job) => job,
        Err(why) => {
            println!("{why}");
            return ExitCode::from(2);
        }
    };
    let fine = match job {
        Job::Seeds { seeds, from, stacks } => many(seeds, from, stacks),
        Job::Again(sim) => again(sim.versions(versions::open)),
        Job::Twice { seeds, stacks } => twice(seeds, stacks),
        Job::Planted(seeds) => planted::hunt(seeds),
    };
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Many seeds; the first that fails is made small.
fn many(seeds: u64, from: u64, stacks: bool) -> bool {
    let campaign = Campaign::play(from..from + seeds, stacks);
    campaign.show();
    if let Some(failed) = campaign.failed {
        println!("seed {failed} fails; making it small");
        println!("{}", sim_of(failed, stacks).run_and_shrink());
    }
    println!("{}", campaign.to_json());
    campaign.is_fine()
}

/// One run again, word for word.
fn again(sim: Sim) -> bool {
    let report = sim.telling().run();
    report.story.iter().for_each(|line| println!("{line}"));
    for (mark, n) in report.marks.all() {
        println!("{n:>8}  {mark}");
    }
    println!("{report}");
    let json = json!({
        "seed": report.seed,
        "messages": report.messages,
        "crashes": report.crashes,
        "violations": report.violations.len(),
        "trace_hash": report.trace_hash.to_string(),
    });
    println!("{json}");
    report.is_ok()
}

/// Each seed twice: the same hash.
fn twice(seeds: u64, stacks: bool) -> bool {
    let (one, two) = (Campaign::play(0..seeds, stacks), Campaign::play(0..seeds, stacks));
    let same = one.hashes == two.hashes;
    for (seed, hash) in &one.hashes {
        if two.hashes.get(seed) != Some(hash) {
            println!("seed {seed} gave two runs");
        }
    }
    println!("{}", json!({ "seeds": seeds, "same": same }));
    same && one.is_calm()
}
