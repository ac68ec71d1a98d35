//! A limit for each key: who has a place of its own, and who shares one.

use std::{
    hash::{Hash, Hasher},
    num::NonZeroU32,
    time::Duration,
};

use openclaw_core::middleware::{Quota, RateLimitLayer};

const S: Duration = Duration::from_secs(1);

fn one_a_second() -> RateLimitLayer {
    RateLimitLayer::new("ip", Quota::per_second(NonZeroU32::MIN))
}

/// A key that chooses its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chosen(u64, &'static str);

impl Hash for Chosen {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_reaches_keys_on_hand_and_those_without_room() {
    let layer = one_a_second().per_key_of(|key: &u8| *key, 1);
    layer.check(&1).expect("it has the only room");
    layer.block(5 * S);
    assert_eq!(layer.peek(&1), 5 * S);
    assert_eq!(layer.check(&1).expect_err("blocked").retry_after(), Some(5 * S));
    assert_eq!(layer.check(&2).expect_err("blocked").retry_after(), Some(5 * S), "without room");
}

#[tokio::test(start_paused = true)]
async fn a_key_without_room_is_looked_up_where_it_would_go() {
    let layer = one_a_second().per_key_of(|key: &u8| *key, 1);
    layer.check(&1).expect("it has the only room");
    assert_eq!(layer.peek(&2), Duration::ZERO, "nobody has used the shared limit");
    layer.check(&2).expect("the first without room");
    assert_eq!(layer.peek(&3), S, "it would share the limit of the second");
    assert_eq!(layer.check(&3).expect_err("it does").retry_after(), Some(S));
}

#[tokio::test(start_paused = true)]
async fn keys_of_one_hash_share_no_place() {
    let layer = one_a_second().per_key_of(|key: &Chosen| key.clone(), 128);
    let (first, second) = (Chosen(1, "first"), Chosen(1, "second"));
    layer.check(&first).expect("it has the place");
    assert_eq!(layer.peek(&second), Duration::ZERO, "what the first has used is not its own");
    layer.check(&second).expect("it goes with those without room");
    assert_eq!((layer.peek(&first), layer.peek(&second)), (S, S));
    assert_eq!((layer.snapshot().keys, layer.snapshot().crowded), (1, 1));
    for hash in 2..50 {
        let other = Chosen(hash, "other");
        assert_eq!(layer.peek(&other), Duration::ZERO, "there is room for it");
    }
}
