//! The peer: a bare file, appended and synced, with the same queue in front.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::Path,
    sync::mpsc,
    time::Duration,
};

use openclaw_benches::Outcome;
use openclaw_testkit::load::Latencies;
use tokio::{sync::oneshot, task::JoinSet, time::Instant};

use crate::{probe::Speed, rows::VALUE};

/// Appends that share a sync, at most: as many as our engines take.
const MAX_BATCH: usize = 256;

/// Key, head and value of a row.
const RECORD: [u8; 29 + 16 + VALUE] = [0x5a; 29 + 16 + VALUE];

type Ask = oneshot::Sender<()>;

/// Clients that each append a record, and wait until it is synced, again and again.
pub(crate) async fn appends(dir: &Path, clients: usize, span: Duration) -> Outcome<Speed> {
    let path = dir.join("raw.log");
    let file = OpenOptions::new().create(true).append(true).open(&path)?;
    let (asks, asked) = mpsc::channel::<Ask>();
    let writer = std::thread::spawn(move || write(file, &asked));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let asks = asks.clone();
        tasks.spawn(async move {
            let mut latencies = Latencies::default();
            while start.elapsed() < span {
                let (answer, answered) = oneshot::channel();
                let since = Instant::now();
                asks.send(answer).map_err(|_gone| "the writer is gone")?;
                answered.await?;
                latencies.record(since.elapsed());
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(latencies)
        });
    }
    drop(asks);
    let speed = Speed::join(tasks, start).await?;
    writer.join().map_err(|_panic| "the raw writer panicked")??;
    std::fs::remove_file(path)?;
    Ok(speed)
}

fn write(mut file: File, asked: &mpsc::Receiver<Ask>) -> std::io::Result<()> {
    while let Ok(first) = asked.recv() {
        let mut batch = vec![first];
        batch.extend(asked.try_iter().take(MAX_BATCH - 1));
        file.write_all(&RECORD.repeat(batch.len()))?;
        file.sync_data()?;
        for answer in batch {
            // Whoever asked may be gone: not ours to judge.
            let _heard = answer.send(());
        }
    }
    Ok(())
}
