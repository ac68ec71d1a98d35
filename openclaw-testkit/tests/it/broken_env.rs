//! A law must be able to fail: clocks, sources of numbers and disks with flaws are caught.

use openclaw_core::{Clock, Rng, SystemClock, SystemRng};
use openclaw_testkit::{
    conformance::{
        clock::{self, ClockHarness},
        disk,
        rng::{self, RngHarness},
    },
    env::{ManualClock, SeededRng},
};

use crate::{
    broken::{Caught, every_flaw_is_caught, every_law_catches_a_flaw, holds},
    naive_env::{Flaw, Naive},
};

const CLOCKS: &Caught<Flaw> = &[
    (Flaw::CountsSeconds, &["a_date_is_a_date", "time_goes_on_in_milliseconds"]),
    (Flaw::RunsBackwards, &["dates_do_not_run_backwards"]),
    (Flaw::Stands, &["time_goes_on_in_milliseconds"]),
    (Flaw::ThreadsHaveClocks, &["threads_read_one_clock"]),
];

const RNGS: &Caught<Flaw> = &[
    (Flaw::BitsAreFew, &["every_bit_is_drawn"]),
    (Flaw::NumbersComeAgain, &["numbers_do_not_come_again"]),
    (Flaw::NumbersCount, &["numbers_do_not_follow_each_other"]),
    (Flaw::SeededAlike, &["two_sources_differ"]),
    (Flaw::ThreadsHaveNumbers, &["threads_draw_their_own_numbers"]),
];

const DISKS: &Caught<Flaw> = &[
    (Flaw::CutsComeBack, &["a_disk_is_cut_and_lengthened_with_zeros"]),
    (Flaw::EndsAreShortReads, &["behind_the_end_is_nothing_to_read"]),
    (Flaw::LengthsAreNotSynced, &["a_length_that_was_synced_survives"]),
    (Flaw::NothingIsAnError, &["bytes_of_no_length_are_no_error"]),
    (Flaw::OffsetsAreBlocks, &["offsets_are_whole"]),
    (Flaw::OverlapsKeepTheFirst, &["the_last_write_counts"]),
    (Flaw::ReadsSeeTheSynced, &["what_is_written_is_read_at_once"]),
    (Flaw::SyncsDoNothing, &["what_was_synced_survives", "a_length_that_was_synced_survives"]),
    (Flaw::WritesInTwoSteps, &["threads_write_side_by_side"]),
];

#[test]
fn those_without_a_flaw_hold_every_law() {
    let naive = || Naive::new(Flaw::None);
    assert_eq!(clock::check_all(&naive()).held.len(), clock::LAWS.len());
    assert_eq!(rng::check_all(&naive()).held.len(), rng::LAWS.len());
    assert_eq!(disk::check_all(&naive()).held.len(), disk::LAWS.len());
}

#[test]
fn every_flaw_is_caught_by_the_laws_that_name_it() {
    every_flaw_is_caught(CLOCKS, |law, flaw| holds(|| clock::check(law, &Naive::new(flaw))));
    every_flaw_is_caught(RNGS, |law, flaw| holds(|| rng::check(law, &Naive::new(flaw))));
    every_flaw_is_caught(DISKS, |law, flaw| holds(|| disk::check(law, &Naive::new(flaw))));
}

#[test]
fn every_law_is_named_by_a_flaw() {
    every_law_catches_a_flaw(CLOCKS, clock::LAWS.iter().map(|law| law.name()));
    every_law_catches_a_flaw(RNGS, rng::LAWS.iter().map(|law| law.name()));
    every_law_catches_a_flaw(DISKS, disk::LAWS.iter().map(|law| law.name()));
}

#[derive(Default)]
struct Manual(ManualClock);

impl ClockHarness for Manual {
    fn fresh(&self) -> Box<dyn Clock> {
        Box::new(self.0.clone())
    }

    fn pass(&self, time: std::time::Duration) -> bool {
        self.0.advance(time);
        true
    }

    fn real_time(&self) -> bool {
        false
    }
}

struct System;

impl ClockHarness for System {
    fn fresh(&self) -> Box<dyn Clock> {
        Box::new(SystemClock::default())
    }
}

impl RngHarness for System {
    fn fresh(&self) -> Box<dyn Rng> {
        Box::new(SystemRng::default())
    }
}

struct Seeded;

impl RngHarness for Seeded {
    fn fresh(&self) -> Box<dyn Rng> {
        Box::new(SeededRng::new(7))
    }

    fn is_seeded(&self) -> bool {
        true
    }
}

mod manual_clock {
    openclaw_testkit::clock_laws!("ManualClock", super::Manual::default());
}

mod system_clock {
    openclaw_testkit::clock_laws!("SystemClock", super::System);
}

mod system_rng {
    openclaw_testkit::rng_laws!("SystemRng", super::System);
}

mod seeded_rng {
    openclaw_testkit::rng_laws!("SeededRng", super::Seeded);
}

mod fault_disk {
    use super::{Flaw, Naive};

    // Without a flaw it hands everything to its `FaultDisk`.
    openclaw_testkit::disk_laws!("FaultDisk", Naive::new(Flaw::None));
}
