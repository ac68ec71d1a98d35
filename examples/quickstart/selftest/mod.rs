//! The self-test: a scripted conversation over HTTP, a kill at the worst moment, a restart.

mod child;
mod script;

use std::{error::Error, path::Path};

use openclaw_examples::Checks;

use self::child::Desk;

/// Plays everything in a directory of its own. `false` when a check did not hold.
pub(crate) async fn run() -> Result<bool, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let mut checks = Checks::default();
    let played = play(dir.path(), &mut checks).await;
    if let Err(problem) = &played {
        println!("FAIL  {problem}");
    }
    let ok = played.is_ok() && checks.all_hold();
    println!("{{\"ok\":{ok},\"checks\":{}}}", checks.done());
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
