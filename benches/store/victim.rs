//! A process that commits until it is killed, and what is left of its work.

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use openclaw_benches::Outcome;
use openclaw_core::{
    Env,
    store::{Commit, SharedStore, StateStore as _, StateStoreExt as _, Store, StoreError},
};
use openclaw_testkit::{env::SeededRng, servers::StorePlace};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::rows::{insert, key};

/// The first row of the process that is killed: behind all others.
const FIRST: u64 = 1 << 40;
/// How long it commits before it dies.
const LIFE: Duration = Duration::from_secs(1);
/// How long its locks may outlive it.
const RELEASE: Duration = Duration::from_secs(10);

/// Commits side by side, and says the number of each row that was acknowledged.
pub(crate) async fn be(place: &str) -> Outcome<()> {
    let store = Store::open(place, Env::system().clock()).await?;
    let next = Arc::new(AtomicU64::new(FIRST));
    let mut clients: JoinSet<Outcome<()>> = JoinSet::new();
    for client in 0..64 {
        let (store, next) = (Arc::clone(&store), Arc::clone(&next));
        let dice = SeededRng::new(client);
        clients.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if let Commit::Applied(_) = store.commit(insert(n, &dice)).await? {
                    writeln!(std::io::stdout().lock(), "{n}")?;
                }
            }
        });
    }
    clients.join_next().await.unwrap_or(Ok(Ok(())))?
}

/// What opening after the kill came to.
#[derive(Debug)]
pub(crate) struct Reopened {
    pub(crate) store: SharedStore,
    pub(crate) took: Duration,
    pub(crate) acknowledged: usize,
    pub(crate) lost: usize,
}

/// Kills a process that commits, and the server if there is one; opens the store again.
pub(crate) async fn kill(place: &mut StorePlace) -> Outcome<Reopened> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--victim", &place.url()])
        .stdout(Stdio::piped())
        // What it says of the server that dies under it is no news.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().ok_or("the child has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut acknowledged = BTreeSet::new();
    let first = lines.next_line().await?.ok_or("the child ended before its first commit")?;
    acknowledged.insert(first.parse::<u64>()?);
    let dies = Instant::now() + LIFE;
    while let Ok(Ok(Some(line))) = tokio::time::timeout_at(dies, lines.next_line()).await {
        acknowledged.insert(line.parse()?);
    }
    place.crash(false).await?;
    child.start_kill()?;
    child.wait().await?;
    // The last line of a killed process may be cut off: a number that is too short.
    while let Ok(Some(line)) = lines.next_line().await {
        acknowledged.extend(line.parse::<u64>().ok().filter(|n| *n >= FIRST));
    }
    let start = Instant::now();
    place.restart().await?;
    let store = open(&place.url()).await?;
    let some = key(acknowledged.first().copied().unwrap_or_default());
    let _found = store.get(&some).await?;
    let took = start.elapsed();
    let mut lost = 0;
    for n in &acknowledged {
        lost += usize::from(store.get(&key(*n)).await?.is_none());
    }
    Ok(Reopened { store, took, acknowledged: acknowledged.len(), lost })
}

async fn open(place: &str) -> Outcome<SharedStore> {
    let patience = Instant::now() + RELEASE;
    loop {
        match Store::open(place, Env::system().clock()).await {
            Err(StoreError::Locked(_)) if Instant::now() < patience => {
                sleep(Duration::from_millis(1)).await;
            }
            opened => return Ok(opened?),
        }
    }
}
