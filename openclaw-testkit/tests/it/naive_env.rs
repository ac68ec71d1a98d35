//! Clocks, sources of numbers and disks, with one flaw at a time planted into them.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::ThreadId,
    time::Duration,
};

use openclaw_core::{Clock, Rng, Timestamp, store::Disk};
use openclaw_testkit::{
    conformance::{clock::ClockHarness, disk::DiskHarness, rng::RngHarness},
    disk::FaultDisk,
    env::{ManualClock, SeededRng},
};

/// Something that one of them does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    BitsAreFew,
    CountsSeconds,
    CutsComeBack,
    EndsAreShortReads,
    LengthsAreNotSynced,
    NumbersComeAgain,
    NumbersCount,
    OffsetsAreBlocks,
    OverlapsKeepTheFirst,
    ReadsSeeTheSynced,
    RunsBackwards,
    SeededAlike,
    SyncsDoNothing,
    Stands,
    ThreadsHaveClocks,
    ThreadsHaveNumbers,
    NothingIsAnError,
    WritesInTwoSteps,
}

/// Makes any of them with this flaw.
#[derive(Debug)]
pub(crate) struct Naive {
    flaw: Flaw,
    clock: ManualClock,
    last: Mutex<FaultDisk>,
    seed: AtomicU64,
}

impl Naive {
    pub(crate) fn new(flaw: Flaw) -> Self {
        let (clock, last) = (ManualClock::default(), Mutex::default());
        Self { flaw, clock, last, seed: AtomicU64::new(1) }
    }
}

#[derive(Debug)]
struct NaiveClock(Flaw, ManualClock, AtomicU64, ThreadId);

impl Clock for NaiveClock {
    fn now(&self) -> Timestamp {
        let now = self.1.now().as_millis();
        let n = self.2.fetch_add(1, Ordering::SeqCst);
        Timestamp::from_millis(match self.0 {
            Flaw::CountsSeconds => now / 1_000,
            Flaw::RunsBackwards => now - n % 7,
            Flaw::Stands => 1_767_225_600_000,
            Flaw::ThreadsHaveClocks if std::thread::current().id() != self.3 => now + 3_600_000,
            _ => now,
        })
    }
}

impl ClockHarness for Naive {
    fn fresh(&self) -> Box<dyn Clock> {
        Box::new(NaiveClock(
            self.flaw,
            self.clock.clone(),
            AtomicU64::new(0),
            std::thread::current().id(),
        ))
    }

    fn pass(&self, time: Duration) -> bool {
        self.clock.advance(time);
        true
    }

    fn real_time(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct NaiveRng(Flaw, SeededRng, AtomicU64);

thread_local! {
    static OWN: SeededRng = SeededRng::new(7);
}

impl Rng for NaiveRng {
    fn next_u64(&self) -> u64 {
        let n = self.2.fetch_add(1, Ordering::SeqCst);
        match self.0 {
            Flaw::BitsAreFew => self.1.next_u64() >> 1,
            Flaw::NumbersComeAgain => SeededRng::new(n % 1_000).next_u64(),
            Flaw::NumbersCount => n.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            Flaw::ThreadsHaveNumbers => OWN.with(Rng::next_u64),
            _ => self.1.next_u64(),
        }
    }
}

impl RngHarness for Naive {
    fn fresh(&self) -> Box<dyn Rng> {
        let n = self.seed.fetch_add(1, Ordering::SeqCst);
        let seed = if self.flaw == Flaw::SeededAlike { 1 } else { n };
        Box::new(NaiveRng(self.flaw, SeededRng::new(seed), AtomicU64::new(0)))
    }
}

/// A disk over another one. The second is what a flaw keeps apart.
#[derive(Debug)]
struct NaiveDisk(Flaw, FaultDisk, Arc<Mutex<Vec<u8>>>, AtomicU64);

impl Disk for NaiveDisk {
    fn len(&self) -> io::Result<u64> {
        self.1.len()
    }

    fn read(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        match self.0 {
            Flaw::NothingIsAnError if buf.is_empty() => Err(io::ErrorKind::InvalidInput.into()),
            Flaw::EndsAreShortReads => {
                let rest = self.1.len()?.saturating_sub(at);
                let n = buf.len().min(usize::try_from(rest).unwrap());
                self.1.read(at.min(self.1.len()?), &mut buf[..n])
            }
            Flaw::OffsetsAreBlocks => self.1.read(at / 8 * 8, buf),
            Flaw::ReadsSeeTheSynced => {
                let synced = self.2.lock().unwrap();
                let at = usize::try_from(at).unwrap();
                for (n, byte) in buf.iter_mut().enumerate() {
                    *byte = synced.get(at + n).copied().unwrap_or_default();
                }
                Ok(())
            }
            _ => self.1.read(at, buf),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let before = self.1.len()?;
        if self.0 == Flaw::CutsComeBack && len < before {
            let mut rest = vec![0; usize::try_from(before - len).unwrap()];
            self.1.read(len, &mut rest)?;
            *self.2.lock().unwrap() = rest;
        }
        self.1.set_len(len)?;
        if self.0 == Flaw::CutsComeBack && len > before {
            let rest = std::mem::take(&mut *self.2.lock().unwrap());
            self.1.write(before, &rest)?;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        match self.0 {
            Flaw::SyncsDoNothing => return Ok(()),
            Flaw::ReadsSeeTheSynced => {
                let mut all = vec![0; usize::try_from(self.1.len()?).unwrap()];
                self.1.read(0, &mut all)?;
                *self.2.lock().unwrap() = all;
            }
            Flaw::LengthsAreNotSynced if self.1.len()? < 4_096 => return Ok(()),
            _ => {}
        }
        self.1.sync()
    }

    fn write(&self, at: u64, data: &[u8]) -> io::Result<()> {
        match self.0 {
            Flaw::OffsetsAreBlocks => self.1.write(at / 8 * 8, data),
            Flaw::OverlapsKeepTheFirst => {
                let mut old = vec![0; data.len()];
                self.1.read(at, &mut old)?;
                let kept =
                    old.iter().zip(data).map(|(old, new)| if *old == 0 { *new } else { *old });
                self.1.write(at, &kept.collect::<Vec<u8>>())
            }
            Flaw::WritesInTwoSteps => {
                // All of the disk is read, changed and written back: others lose their bytes.
                let mut all = vec![0; usize::try_from(self.1.len()?).unwrap()];
                self.1.read(0, &mut all)?;
                let mine = self.3.fetch_add(1, Ordering::SeqCst) + 1;
                for _ in 0..5_000 {
                    if self.3.load(Ordering::SeqCst) != mine {
                        break;
                    }
                    std::thread::yield_now();
                }
                let at = usize::try_from(at).unwrap();
                all[at..at + data.len()].copy_from_slice(data);
                self.1.write(0, &all)
            }
            _ => self.1.write(at, data),
        }
    }
}

impl DiskHarness for Naive {
    fn fresh(&self) -> Box<dyn Disk> {
        let disk = FaultDisk::new();
        *self.last.lock().unwrap() = disk.clone();
        Box::new(NaiveDisk(self.flaw, disk, Arc::default(), AtomicU64::new(0)))
    }

    fn after_power_loss(&self) -> Option<Box<dyn Disk>> {
        let seed = self.seed.fetch_add(1, Ordering::SeqCst);
        Some(Box::new(self.last.lock().unwrap().cut(seed)))
    }
}
