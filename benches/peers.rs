//! Peers: what the machine does with nothing of ours in between.

use std::{fs::OpenOptions, io::Write as _, path::Path, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::Outcome;

/// Bytes of one record, about what a commit writes for one message.
const RECORD: [u8; 256] = [0x5a; 256];

/// Appends a record and syncs it, again and again: syncs a second, one after the other.
///
/// # Errors
/// The file can't be written.
pub fn fsyncs_per_s(dir: &Path, span: Duration) -> Outcome<f64> {
    let path = dir.join("peer.log");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let start = Instant::now();
    let mut syncs = 0_u32;
    while start.elapsed() < span {
        file.write_all(&RECORD)?;
        file.sync_data()?;
        syncs += 1;
    }
    let per_s = f64::from(syncs) / start.elapsed().as_secs_f64();
    drop(file);
    std::fs::remove_file(path)?;
    Ok(per_s)
}

/// Asks another task through a channel and waits for its answer: nanoseconds a round trip.
///
/// # Errors
/// The other task is gone.
pub async fn hop_ns(trips: u32) -> Outcome<f64> {
    let (asks, mut asked) = mpsc::channel::<oneshot::Sender<()>>(64);
    let other = tokio::spawn(async move {
        while let Some(answer) = asked.recv().await {
            // Whoever asked may be gone: not ours to judge.
            let _heard = answer.send(());
        }
    });
    let asker = tokio::spawn(async move {
        let start = Instant::now();
        for _ in 0..trips {
            let (answer, answered) = oneshot::channel();
            asks.send(answer).await?;
            answered.await?;
        }
        Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(trips.max(1)))
    });
    let ns = asker.await?;
    other.await?;
    ns
}
