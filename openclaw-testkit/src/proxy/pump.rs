//! Carries the bytes of one direction, late, slowly, in pieces, or not at all.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    lane::{Cut, Lane},
    line::Track,
};

/// The largest read.
const CHUNK: usize = 16 * 1024;

/// What a peer did.
#[derive(Debug)]
enum Act {
    Sent(Bytes),
    Finished,
    Broke,
}

/// What came, and when.
#[derive(Debug)]
pub(super) struct Parcel {
    act: Act,
    arrived: Instant,
}

/// What a writer does next.
enum Step {
    Cut(Cut),
    Wait,
    WaitUntil(Instant),
    Take,
    Write(usize),
    Finish,
}

/// Reads until the peer has finished, breaks or is no longer heard.
pub(super) async fn read<R>(mut from: R, queue: mpsc::Sender<Parcel>) -> Result<(), Cut>
where
    R: AsyncRead + Unpin + Send,
{
    loop {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        let act = match from.read_buf(&mut buffer).await {
            Ok(0) => Act::Finished,
            Ok(_) => Act::Sent(buffer.freeze()),
            Err(_broken) => Act::Broke,
        };
        let last = !matches!(act, Act::Sent(_));
        let parcel = Parcel { act, arrived: Instant::now() };
        if queue.send(parcel).await.is_err() || last {
            return Ok(());
        }
    }
}

/// Hands over what was read, as the lane allows.
#[derive(Debug)]
pub(super) struct Writer<'a, W> {
    to: W,
    queue: mpsc::Receiver<Parcel>,
    track: &'a Track,
    total: &'a AtomicU64,
    lane: watch::Receiver<Lane>,
    hand: Option<(Parcel, Duration)>,
    /// When the lane is done with what it wrote.
    free: Instant,
}

impl<'a, W: AsyncWrite + Unpin + Send> Writer<'a, W> {
    pub(super) fn new(
        to: W,
        queue: mpsc::Receiver<Parcel>,
        track: &'a Track,
        total: &'a AtomicU64,
    ) -> Self {
        let lane = track.watch();
        Self { to, queue, track, total, lane, hand: None, free: Instant::now() }
    }

    /// Runs until the peer's end is handed over; the error is how the connection is cut.
    pub(super) async fn run(mut self) -> Result<(), Cut> {
        loop {
            let lane = self.lane.borrow_and_update().clone();
            match self.step(&lane) {
                Step::Cut(how) => return Err(how),
                Step::Wait => {
                    let _changed = self.lane.changed().await;
                }
                Step::WaitUntil(at) => tokio::select! {
                    biased;
                    _changed = self.lane.changed() => {}
                    () = sleep_until(at) => {}
                },
                Step::Take => tokio::select! {
                    biased;
                    _changed = self.lane.changed() => {}
                    parcel = self.queue.recv() => {
                        let gone = || Parcel { act: Act::Finished, arrived: Instant::now() };
                        self.hand = Some((parcel.unwrap_or_else(gone), lane.jitter()));
                    }
                },
                Step::Write(bytes) => self.write(bytes, &lane).await?,
                Step::Finish => return self.to.shutdown().await.map_err(|_broken| Cut::Reset),
            }
        }
    }

    fn step(&self, lane: &Lane) -> Step {
        let passed = self.track.passed();
        if let Some(how) = lane.cut(passed, false) {
            return Step::Cut(how);
        }
        if lane.held {
            return Step::Wait;
        }
        let Some((parcel, late)) = &self.hand else { return Step::Take };
        let now = Instant::now();
        let Some(due) = parcel.arrived.checked_add(lane.latency.saturating_add(*late)) else {
            return Step::Wait;
        };
        if due > now {
            return Step::WaitUntil(due);
        }
        match &parcel.act {
            Act::Finished => Step::Finish,
            Act::Broke => Step::Cut(Cut::Reset),
            Act::Sent(bytes) => match lane.cut(passed, true) {
                Some(how) => Step::Cut(how),
                None if self.free > now => Step::WaitUntil(self.free),
                None => Step::Write(lane.piece(bytes.len(), passed)),
            },
        }
    }

    async fn write(&mut self, bytes: usize, lane: &Lane) -> Result<(), Cut> {
        let Some((Parcel { act: Act::Sent(held), .. }, _)) = &mut self.hand else { return Ok(()) };
        let piece = held.get(..bytes).unwrap_or_default();
        let written = tokio::select! {
            biased;
            _changed = self.lane.changed() => return Ok(()),
            written = self.to.write(piece) => written.map_err(|_broken| Cut::Reset)?,
        };
        held.advance(written);
        let through = held.is_empty();
        self.track.pass(written);
        self.total.fetch_add(u64::try_from(written).unwrap_or(u64::MAX), Ordering::SeqCst);
        let now = Instant::now();
        self.free = now.checked_add(lane.cost(written)).unwrap_or(now);
        if through {
            self.hand = None;
        }
        Ok(())
    }
}
