//! The self-test: a scripted conversation over HTTP, a kill at the worst moment, a restart.

mod child;
mod client;
mod script;

use std::{error::Error, path::Path};

use self::child::Desk;

/// Counts what was checked, and says what did not hold.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    done: u32,
    failed: u32,
}

impl Checks {
    /// One check; `seen` is shown when it does not hold.
    pub(crate) fn that(&mut self, what: &str, holds: bool, seen: &dyn std::fmt::Debug) {
        self.done += 1;
        if holds {
            println!("ok    {what}");
        } else {
            self.failed += 1;
            println!("FAIL  {what}: {seen:?}");
        }
    }
}

/// Plays everything in a directory of its own. `false` when a check did not hold.
pub(crate) async fn run() -> Result<bool, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let mut checks = Checks::default();
    let played = play(dir.path(), &mut checks).await;
    if let Err(problem) = &played {
        println!("FAIL  {problem}");
    }
    let ok = played.is_ok() && checks.failed == 0;
    println!("{{\"ok\":{ok},\"checks\":{}}}", checks.done);
    Ok(ok)
}

async fn play(data: &Path, checks: &mut Checks) -> Result<(), String> {
    let desk = Desk::start(data).await?;
    script::talk(&desk, checks).await?;
    script::repeat(&desk, checks).await?;
    script::signed(&desk, data, checks).await?;
    script::hostile(&desk, checks).await?;
    script::starts(&desk, data, checks).await?;
    script::killed(desk, data, checks).await
}
