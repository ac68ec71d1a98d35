//! What an engine weighs: bytes on disk, crates, seconds of building.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use openclaw_benches::Outcome;
use openclaw_testkit::servers::StoreEngine;
use tokio::time::Instant;

/// Bytes that the files below a folder take on their disk.
#[cfg(unix)]
pub(crate) fn bytes_in(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_in(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The crates that the engine adds to core.
pub(crate) fn crates(engine: StoreEngine) -> Outcome<usize> {
    let with = tree(Some(engine))?;
    Ok(with.difference(&tree(None)?).count())
}

fn tree(engine: Option<StoreEngine>) -> Outcome<BTreeSet<String>> {
    let mut cargo = cargo();
    cargo.args(["tree", "-p", "openclaw-core", "-e", "normal,build", "--prefix", "none"]);
    cargo.args(["--format", "{p}"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if let Some(engine) = engine {
        cargo.args(["--features", engine.name()]);
    }
    let output = cargo.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

/// Seconds that a cold release build of core with the engine takes longer than without.
pub(crate) fn build_s(engine: StoreEngine) -> Outcome<f64> {
    Ok(build(Some(engine))? - build(None)?)
}

fn build(engine: Option<StoreEngine>) -> Outcome<f64> {
    let target = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--release", "-p", "openclaw-core", "--target-dir"]);
    cargo.arg(target.path()).current_dir(env!("CARGO_MANIFEST_DIR"));
    if let Some(engine) = engine {
        cargo.args(["--features", engine.name()]);
    }
    let start = Instant::now();
    let status = cargo.status()?;
    if status.success() {
        Ok(start.elapsed().as_secs_f64())
    } else {
        Err(format!("cargo ended with {status}").into())
    }
}
