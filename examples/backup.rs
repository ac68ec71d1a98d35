//! Backs up a store while it is in use, looks into what is stored, and restores.
//!
//! ```text
//! cargo run --example backup -- save redb:data/state monday.backup
//! cargo run --example backup -- show monday.backup
//! cargo run --example backup -- show redb:data/state
//! cargo run --example backup -- restore monday.backup redb:data/new [--resume]
//! cargo run --example backup -- --selftest
//! ```
//!
//! redb and fjall have their place to themselves: a gateway that runs on one saves by `Backup::save`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program tells what it found")]

use std::{error::Error, path::Path, process::ExitCode, sync::Arc};

use openclaw_core::{
    Env, TenantId,
    records::{Approval, Approvals, Inventory, Restore, Unfinished},
    store::{Backup, BackupFile, SharedStore, Store},
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "usage: backup save STORE FILE | show STORE-OR-FILE | restore FILE STORE [--resume] | \
                     --selftest";

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["save", store, file] => save(store, file).await,
        ["show", place] => show(place).await,
        ["restore", file, store] => restore(file, store, Unfinished::Park).await,
        ["restore", file, store, "--resume"] => restore(file, store, Unfinished::Resume).await,
        ["--selftest"] => selftest().await,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("backup: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn open(place: &str) -> Result<SharedStore> {
    Ok(Store::open(place, Env::system().clock()).await?)
}

async fn save(store: &str, file: &str) -> Result<String> {
    let summary = Backup::new(open(store).await?).save(file).await?;
    Ok(summary.to_string())
}

async fn show(place: &str) -> Result<String> {
    let store: SharedStore = if Path::new(place).extension().is_some_and(|end| end == "backup") {
        let file = BackupFile::open(place, Env::system().clock())?;
        println!("{}", file.summary());
        Arc::new(file)
    } else {
        open(place).await?
    };
    Ok(Inventory::of(&store).await?.to_string())
}

async fn restore(file: &str, store: &str, unfinished: Unfinished) -> Result<String> {
    let file = BackupFile::open(file, Env::system().clock())?;
    let restored = Restore::new(file, open(store).await?).unfinished(unfinished).run().await?;
    Ok(restored.to_string())
}

/// Saves, shows and restores a small store; fails when anything is missing.
async fn selftest() -> Result<String> {
    let folder = tempfile::tempdir()?;
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (from, file, to) = (place("from.redb"), place("a.backup"), place("to.redb"));
    {
        let (store, acme) = (open(&from).await?, TenantId::new("acme")?);
        let order = serde_json::json!({"order": 1042});
        let digest = Approval::digest_of(&acme, "shop.refund", "1", &order);
        let approval = Approval::granted(digest, "alice", Env::system().now());
        Approvals::new(store, acme).grant("a-1", &approval).await?;
    }
    let saved = save(&from, &file).await?;
    let restored = restore(&file, &to, Unfinished::Park).await?;
    let shown = show(&to).await?;
    let whole = saved.starts_with("2 rows") && restored.contains("restored 2 rows");
    if !whole || !shown.contains("tenant acme: 2 rows") {
        return Err(format!("not what was saved: {saved}\n{restored}\n{shown}").into());
    }
    let mut bytes = std::fs::read(&file)?;
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    std::fs::write(&file, bytes)?;
    match show(&file).await {
        Err(e) if e.to_string().contains("damaged at byte") => Ok(restored),
        other => Err(format!("a damaged file was taken: {other:?}").into()),
    }
}
