//! The rows of the bench: random keys, values that don't compress.

use bytes::Bytes;
use openclaw_benches::Outcome;
use openclaw_core::{
    Rng,
    store::{Commit, Guard, Key, Op, StateStore, Txn},
};
use openclaw_testkit::env::SeededRng;

/// Bytes of a value.
pub(crate) const VALUE: usize = 256;
/// Rows of one transaction while filling.
const ROWS: u64 = 96;
/// Transactions side by side while filling.
const BATCH: u64 = 32;

/// The key of row `n`: 29 bytes, in no order.
pub(crate) fn key(n: u64) -> Key {
    // SplitMix64's finaliser: each number has its own place, and neighbours lie far apart.
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Key::system("bench-row").number(z ^ (z >> 31)).number(n).build()
}

/// A value of its own.
pub(crate) fn value(dice: &SeededRng) -> Bytes {
    let mut bytes = Vec::with_capacity(VALUE);
    while bytes.len() < VALUE {
        bytes.extend_from_slice(&dice.next_u64().to_be_bytes());
    }
    bytes.into()
}

/// A durable insert if absent: what admitting a message or claiming an effect comes to.
pub(crate) fn insert(n: u64, dice: &SeededRng) -> Txn {
    let key = key(n);
    Txn::new("bench").guard(Guard::Absent(key.clone())).op(Op::put(key, value(dice)))
}

/// Writes rows `0..count`.
pub(crate) async fn fill(store: &dyn StateStore, count: u64, dice: &SeededRng) -> Outcome<()> {
    let mut next = 0;
    while next < count {
        let txns = (0..BATCH).map(|_| {
            let first = next.min(count);
            next = (first + ROWS).min(count);
            Txn::new("fill").ops((first..next).map(|n| Op::put(key(n), value(dice))))
        });
        for outcome in store.commit_many(txns.collect()).await {
            match outcome? {
                Commit::Applied(_) => {}
                Commit::Conflict(lost) => return Err(format!("filling: {lost:?}").into()),
            }
        }
    }
    Ok(())
}
