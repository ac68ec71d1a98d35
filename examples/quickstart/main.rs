//! A support desk in one process: type or post a question, and it acts on a small shop.
//!
//! Everything is durable in one directory. Kill it at any moment and start it again: nothing is
//! lost, and no refund happens twice.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people prints")]

mod app;
mod args;
mod desk;
mod selftest;
mod shop;
mod skills;

use std::{env, error::Error, process::ExitCode};

use self::args::{Mode, USAGE};

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("quickstart: no runtime: {e}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run());
    // A thread may still wait for a line of the terminal: nobody waits for it.
    runtime.shutdown_background();
    code
}

async fn run() -> ExitCode {
    let args = match args::parse(env::args().skip(1)) {
        Ok(args) => args,
        Err(problem) => {
            eprintln!("quickstart: {problem}");
            return ExitCode::from(2);
        }
    };
    let outcome: Result<bool, Box<dyn Error>> = match args.mode {
        Mode::Help => {
            println!("{USAGE}");
            Ok(true)
        }
        Mode::Selftest => selftest::run().await,
        Mode::Desk | Mode::Tested => app::run(&args).await.map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("quickstart: {problem}");
            ExitCode::FAILURE
        }
    }
}
