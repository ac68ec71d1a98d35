//! A support desk on other people's systems: a CRM behind OAuth, an approval, finance's webhook.
//!
//! It finds a customer by e-mail, changes the billing address once the back office has said yes,
//! writes the note, and tells finance: each of them once, though the remotes fail and the process
//! is killed in between. There is no network: `--selftest` brings the remotes along.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people prints")]

mod agent;
mod child;
mod desk;
mod remote;
mod selftest;
mod skills;

use std::{env, path::PathBuf, process::ExitCode};

const USAGE: &str = "usage: crm_support --selftest";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(e) => return failed(&format!("no runtime: {e}"), 1),
    };
    let code = match words.as_slice() {
        ["--selftest"] => match runtime.block_on(selftest::run()) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(e) => failed(&e.to_string(), 1),
        },
        // The self-test's own child.
        ["--desk", data, remote] => match remote.parse() {
            Ok(remote) => match runtime.block_on(desk::run(&PathBuf::from(data), remote)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(e) => failed(&e.to_string(), 1),
            },
            Err(_) => failed(USAGE, 2),
        },
        ["--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => failed(USAGE, 2),
    };
    // A thread may still wait for a line of the console: nobody waits for it.
    runtime.shutdown_background();
    code
}

fn failed(why: &str, code: u8) -> ExitCode {
    eprintln!("crm_support: {why}");
    ExitCode::from(code)
}
