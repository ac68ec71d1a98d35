//! Kills a gateway over and over, and compares what everybody counted.
//!
//! The parent is the platform and the remotes; the child is a gateway on redb, or on what
//! `--engine` names. The parent sends
//! messages, kills the child with SIGKILL at random moments and at every named crash point,
//! starts it again, and sends again what was not acknowledged. At the end acknowledgements,
//! replies, the remotes' books, the ledger, the sessions and the audit trail must agree.
//!
//! A SIGKILL says nothing about syncs: `--power-cuts` runs the store on a disk that drops what was
//! not synced. `--break` takes a protection away, and the program must then fail.
//!
//! `cargo run --release --example crashloop -- --kills 50`
//! `cargo run --release --all-features --example crashloop -- --kills 50 --engine postgres`
//! `cargo run --release --all-features --example crashloop -- --kills 30 --engine postgres --replicas 3`
//! `cargo run --release --example crashloop -- --power-cuts 200`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program tells what it found")]

mod broken;
mod channel;
mod child;
mod engine;
mod evidence;
mod flags;
mod fleet;
mod head;
mod life;
mod link;
mod parent;
mod plan;
mod platform;
mod power_cuts;
mod remotes;
mod skills;
mod table;
mod trail;
mod traps;
mod verdict;
mod wire;

use std::process::ExitCode;

use self::{flags::Job, life::Outcome};

#[tokio::main]
async fn main() -> ExitCode {
    let job = match flags::parse(std::env::args().skip(1)) {
        Ok(job) => job,
        Err(told) => {
            eprintln!("{told}");
            return ExitCode::from(2);
        }
    };
    let done = match job {
        Job::Child { port, birth } => child::run(port, birth).await.map(|()| true),
        Job::Kills(options) => kills(options).await,
        Job::PowerCuts { cuts, break_sync, seed } => Ok(power_cuts(cuts, break_sync, seed).await),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("crashloop: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn kills(options: parent::Options) -> Outcome<bool> {
    let verdict = match options.replicas {
        1 => parent::run(options).await?,
        _ => fleet::run(options).await?,
    };
    print!("{verdict}");
    println!("{}", verdict.to_json());
    Ok(verdict.holds())
}

async fn power_cuts(cuts: u64, break_sync: bool, seed: u64) -> bool {
    if break_sync {
        // The engine panics over what a lying disk gives it; the store catches that and says so.
        std::panic::set_hook(Box::new(|_| {}));
    }
    let report = power_cuts::run(cuts, break_sync, seed).await;
    print!("{report}");
    println!("{}", report.to_json());
    report.holds()
}
