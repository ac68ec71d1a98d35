//! Bytes at offsets, and what is left of them.

use std::{io::ErrorKind, sync::Arc};

use openclaw_core::store::Disk;

use super::Trial;
use crate::conformance::run::threads;

fn read(disk: &dyn Disk, at: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xEE; length];
    disk.read(at, &mut bytes).expect("bytes");
    bytes
}

/// A disk of this length.
fn sized<'a>(trial: &'a Trial<'_>, length: u64) -> &'a dyn Disk {
    trial.disk.set_len(length).expect("a length");
    &*trial.disk
}

/// A read sees what was written, synced or not.
pub fn what_is_written_is_read_at_once(trial: &Trial<'_>) {
    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let disk = sized(trial, 20_000);
    disk.write(777, &bytes).expect("a write");
    assert!(read(disk, 777, bytes.len()) == bytes, "before a sync");
    disk.sync().expect("a sync");
    assert!(read(disk, 777, bytes.len()) == bytes, "behind a sync");
    assert_eq!(disk.len().expect("a length"), 20_000);
}

/// Where writes overlap, the last one counts, and only there.
pub fn the_last_write_counts(trial: &Trial<'_>) {
    let disk = sized(trial, 100);
    disk.write(10, b"aaaaaaaa").expect("a write");
    disk.write(12, b"bb").expect("a write");
    disk.write(16, b"cccc").expect("a write");
    assert_eq!(read(disk, 9, 12), b"\0aabbaacccc\0");
}

/// A disk is as long as it was made; what is new, or comes back, is zeros.
pub fn a_disk_is_cut_and_lengthened_with_zeros(trial: &Trial<'_>) {
    assert_eq!(trial.disk.len().expect("a length"), 0, "a new disk");
    let disk = sized(trial, 1_000);
    assert_eq!(read(disk, 0, 1_000), [0; 1_000], "what is new");
    disk.write(0, &[7; 1_000]).expect("a write");
    for length in [400, 1_000] {
        disk.set_len(length).expect("a length");
        assert_eq!(disk.len().expect("a length"), length);
    }
    assert_eq!(read(disk, 0, 400), [7; 400], "what stayed");
    assert_eq!(read(disk, 400, 600), [0; 600], "what was cut and comes back");
}

/// Behind the end there is nothing to read, and a read over the end is no short read.
pub fn behind_the_end_is_nothing_to_read(trial: &Trial<'_>) {
    let disk = sized(trial, 100);
    for (at, length) in [(100, 1), (99, 2), (0, 101), (5_000, 10)] {
        let e = disk.read(at, &mut vec![0; length]).expect_err("it is behind the end");
        assert_eq!(e.kind(), ErrorKind::UnexpectedEof, "{length} bytes at {at}: {e}");
    }
    read(disk, 99, 1);
}

/// No bytes are read and written without an error.
pub fn bytes_of_no_length_are_no_error(trial: &Trial<'_>) {
    let disk = sized(trial, 10);
    disk.write(3, b"").expect("a write");
    disk.read(3, &mut []).expect("a read");
    assert_eq!(disk.len().expect("a length"), 10);
    assert_eq!(read(disk, 0, 10), [0; 10]);
}

/// An offset means a byte, not a block.
pub fn offsets_are_whole(trial: &Trial<'_>) {
    let disk = sized(trial, 20_000);
    let places = [0, 1, 511, 512, 513, 4_095, 4_096, 9_999];
    for (n, at) in (1..).zip(places) {
        disk.write(at, &[n]).expect("a write");
    }
    for (n, at) in (1..).zip(places) {
        assert_eq!(read(disk, at, 1), [n], "the byte at {at}");
    }
}

/// Threads write and read side by side, each its own bytes, and nobody loses any.
pub fn threads_write_side_by_side(trial: &Trial<'_>) {
    const ROUNDS: u8 = 50;
    let place = |n: u8, round: u8| (u64::from(round) * 4 + u64::from(n)) * 20;
    let bytes = |n: u8, round: u8| [n * ROUNDS + round + 1; 20];
    let disk = sized(trial, place(0, ROUNDS));
    let work = |n: u8| {
        let disk = Arc::clone(&trial.disk);
        move || {
            for round in 0..ROUNDS {
                disk.write(place(n, round), &bytes(n, round)).expect("a write");
                assert_eq!(read(&*disk, place(n, round), 20), bytes(n, round));
            }
        }
    };
    drop(threads((0..4).map(work)));
    for (n, round) in (0..4).flat_map(|n| (0..ROUNDS).map(move |round| (n, round))) {
        let kept = read(disk, place(n, round), 20);
        assert_eq!(kept, bytes(n, round), "what thread {n} wrote in round {round}");
    }
}

/// What was synced is there after a power loss, whatever became of later writes.
pub fn what_was_synced_survives(trial: &Trial<'_>) {
    let disk = sized(trial, 8_192);
    disk.write(100, b"before").expect("a write");
    disk.write(5_000, b"and after").expect("a write");
    disk.sync().expect("a sync");
    disk.write(4_096, &[9; 512]).expect("a write");
    // A power loss may leave more than was synced: one that does proves nothing.
    for _ in 0..32 {
        let after = trial.harness.after_power_loss().expect("a power loss");
        assert_eq!(read(&*after, 100, 6), b"before");
        assert_eq!(read(&*after, 5_000, 9), b"and after");
    }
}

/// A length that was synced is the length after a power loss.
pub fn a_length_that_was_synced_survives(trial: &Trial<'_>) {
    for length in [4_096, 1_024, 2_048, 0, 9] {
        sized(trial, length).sync().expect("a sync");
        for _ in 0..8 {
            let after = trial.harness.after_power_loss().expect("a power loss");
            assert_eq!(after.len().expect("a length"), length);
        }
    }
}
