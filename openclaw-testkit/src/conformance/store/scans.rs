//! Scans: bytewise order, pages, and the borders of a prefix.

use std::num::NonZeroUsize;

use openclaw_core::store::{Key, Op, Prefix, ScanQuery, StateStore, StateStoreExt};
use tokio::task::yield_now;

use super::steps::{apply, group, key, nth, page, put, row, rows, shown, txn};

/// Suffixes that a lazy order gets wrong: empty, zero bytes, 0xFF, and look-alikes.
const SUFFIXES: [&[u8]; 16] = [
    b"",
    b"\x00",
    b"\x00\x00",
    b"\x00\xff",
    b"0",
    b"00",
    b"10",
    b"9",
    b"A",
    b"a",
    b"a\x00",
    b"a\x00b",
    "é".as_bytes(),
    "e\u{301}".as_bytes(),
    "😀".as_bytes(),
    b"\xff\xff\xff",
];

fn raw(prefix: &[u8], suffix: &[u8]) -> Key {
    Key::from_bytes([prefix, suffix].concat())
}

fn limit(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("more than zero")
}

async fn fill(store: &dyn StateStore, prefix: &Prefix) -> Vec<Key> {
    // Written in another order than they are read.
    for suffix in SUFFIXES.iter().rev() {
        put(store, &raw(prefix.as_bytes(), suffix), "x").await;
    }
    let mut keys: Vec<Key> = SUFFIXES.iter().map(|s| raw(prefix.as_bytes(), s)).collect();
    keys.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    keys
}

/// Scans are in bytewise order of the keys, backwards in its exact reverse.
pub async fn scans_are_in_bytewise_order(store: &dyn StateStore) {
    let all = group("bytes");
    let mut expected = fill(store, &all).await;
    assert_eq!(page(store, ScanQuery::new(all.clone())).await.0, expected);
    expected.reverse();
    assert_eq!(page(store, ScanQuery::new(all).reversed()).await.0, expected);
    for k in expected {
        assert_eq!(row(store, &k).await.map(|e| shown(&e)).as_deref(), Some("x"), "{k:?}");
    }
}

/// Pages of any size, in both directions, join to the whole.
pub async fn pages_join_to_the_whole(store: &dyn StateStore) {
    let all = group("pages");
    let keys = fill(store, &all).await;
    for size in 1..=SUFFIXES.len() + 1 {
        for reverse in [false, true] {
            let mut joined: Vec<Key> = Vec::new();
            loop {
                let mut query = ScanQuery::new(all.clone()).limit(limit(size));
                query = query.after(joined.last().cloned());
                let query = if reverse { query.reversed() } else { query };
                let (found, more) = page(store, query).await;
                assert!(!more || !found.is_empty(), "an empty page says that more follows");
                joined.extend(found);
                assert!(joined.len() <= keys.len(), "a page came again");
                if !more {
                    break;
                }
            }
            if reverse {
                joined.reverse();
            }
            assert_eq!(joined, keys, "pages of {size}, reverse {reverse}");
        }
    }
}

async fn behind(
    store: &dyn StateStore,
    group: &Prefix,
    after: &Key,
    reverse: bool,
) -> (Vec<Key>, bool) {
    let query = ScanQuery::new(group.clone()).after(Some(after.clone()));
    page(store, if reverse { query.reversed() } else { query }).await
}

/// A cursor needs no row: the page begins with the next one, and never with its own.
pub async fn a_cursor_needs_no_row(store: &dyn StateStore) {
    let all = group("b");
    let keys: Vec<Key> = [1, 3, 5].map(|n| nth("b", n)).to_vec();
    for k in &keys {
        put(store, k, "x").await;
    }
    let expected: [(u64, bool, &[usize]); 8] = [
        (0, false, &[0, 1, 2]),
        (2, false, &[1, 2]),
        (3, false, &[2]),
        (5, false, &[]),
        (9, true, &[2, 1, 0]),
        (4, true, &[1, 0]),
        (3, true, &[0]),
        (1, true, &[]),
    ];
    for (cursor, reverse, places) in expected {
        let found = behind(store, &all, &nth("b", cursor), reverse).await.0;
        let expected: Vec<Key> = places.iter().map(|at| keys[*at].clone()).collect();
        assert_eq!(found, expected, "behind {cursor}, reverse {reverse}");
    }
    apply(store, txn().op(Op::delete(keys[1].clone()))).await;
    let found = behind(store, &all, &keys[1], false).await.0;
    assert_eq!(found, keys[2..], "behind a cursor that was deleted");
}

/// A cursor outside the prefix widens nothing and inverts nothing.
pub async fn a_cursor_may_stand_outside_the_prefix(store: &dyn StateStore) {
    let all = group("b");
    let keys: Vec<Key> = [1, 2, 3].map(|n| nth("b", n)).to_vec();
    let (front, end) = (nth("a", 1), nth("c", 1));
    for k in keys.iter().chain([&front, &end]) {
        put(store, k, "x").await;
    }
    let none = (Vec::new(), false);
    assert_eq!(behind(store, &all, &front, false).await.0, keys);
    assert_eq!(behind(store, &all, &end, false).await, none);
    assert_eq!(behind(store, &all, &front, true).await, none);
    let mut back = behind(store, &all, &end, true).await.0;
    back.reverse();
    assert_eq!(back, keys);
}

/// A scan gives the rows of its prefix, and none of its neighbours.
pub async fn a_scan_stays_inside_its_prefix(store: &dyn StateStore) {
    let inside = [b"p\x7f".as_slice(), b"p\x7f\x00", b"p\x7fz", b"p\x7f\xff\xff"];
    let outside = [b"p".as_slice(), b"p\x7e", b"p\x7e\xff\xff\xff", b"p\x80", b"p\x80\x00", b"q"];
    for bytes in inside.iter().chain(&outside) {
        put(store, &Key::from_bytes(bytes.to_vec()), "x").await;
    }
    let prefix = Prefix::from_bytes(&b"p\x7f"[..]);
    let expected: Vec<Key> = inside.iter().map(|bytes| Key::from_bytes(bytes.to_vec())).collect();
    assert_eq!(page(store, ScanQuery::new(prefix.clone())).await, (expected.clone(), false));
    let mut back = page(store, ScanQuery::new(prefix).reversed()).await.0;
    back.reverse();
    assert_eq!(back, expected);
}

/// A prefix of 0xFF bytes, which no key stands behind, ends where the keys end.
pub async fn a_prefix_of_ff_bytes_has_an_end(store: &dyn StateStore) {
    let below = raw(b"\xff\xfe", b"z");
    let keys = [raw(b"\xff\xff", b""), raw(b"\xff\xff", b"\x00"), raw(b"\xff\xff", b"\xff\xff")];
    for k in keys.iter().chain([&below]) {
        put(store, k, "x").await;
    }
    let prefix = Prefix::from_bytes(&b"\xff\xff"[..]);
    assert_eq!(page(store, ScanQuery::new(prefix.clone())).await.0, keys);
    let back = page(store, ScanQuery::new(prefix.clone()).reversed().limit(limit(2))).await.0;
    assert_eq!(back, [keys[2].clone(), keys[1].clone()]);
    let last = ScanQuery::new(prefix).reversed().after(Some(keys[1].clone()));
    assert_eq!(page(store, last).await.0, keys[..1]);
    let whole = store.scan_all(Prefix::from_bytes(Vec::new())).await.expect("a scan");
    assert!(whole.len() >= 4, "the empty prefix is every row");
}

/// Paging while others write neither skips nor repeats the rows that stay.
pub async fn paging_under_writers_keeps_the_stable_rows(store: &dyn StateStore) {
    let all = group("moving");
    let stable: Vec<Key> = (0..40).map(|n| nth("moving", n * 10)).collect();
    for k in &stable {
        put(store, k, "stable").await;
    }
    let churn = async {
        for n in 0..200_u64 {
            let k = nth("moving", n * 7 % 400 / 10 * 10 + 1 + n % 9);
            put(store, &k, "moving").await;
            yield_now().await;
            apply(store, txn().op(Op::delete(k))).await;
        }
    };
    let read = async {
        for size in [1, 3, 7, 16] {
            let mut seen: Vec<Key> = Vec::new();
            let mut after = None;
            loop {
                let query = ScanQuery::new(all.clone()).limit(limit(size)).after(after.clone());
                let found = store.scan(query).await.expect("a scan").value;
                assert!(!found.more || !found.rows.is_empty(), "an empty page, and more follows");
                assert!(seen.len() <= stable.len(), "rows came twice");
                after = found.rows.last().map(|(k, _)| k.clone()).or(after);
                let kept = found.rows.into_iter().filter(|(_, e)| shown(e) == "stable");
                seen.extend(kept.map(|(k, _)| k));
                if !found.more {
                    break;
                }
                yield_now().await;
            }
            assert_eq!(seen, stable, "pages of {size}");
        }
    };
    tokio::join!(churn, read);
}

/// `get_many` answers in the order of its keys, repeated and absent ones too.
pub async fn get_many_answers_in_order(store: &dyn StateStore) {
    let (a, b, none) = (key("a"), key("b"), key("none"));
    put(store, &a, "a").await;
    put(store, &b, "b").await;
    let read = store.get_many(&[b.clone(), none, a, b]).await.expect("a read").value;
    let values: Vec<_> = read.iter().map(|e| e.as_ref().map(shown)).collect();
    let (a, b) = (Some("a".to_owned()), Some("b".to_owned()));
    assert_eq!(values, [b.clone(), None, a, b]);
    assert!(store.get_many(&[]).await.expect("a read").value.is_empty());
}

/// Tenants never see each other's rows, whatever their names hold.
pub async fn tenants_never_see_each_other(store: &dyn StateStore) {
    use openclaw_core::TenantId;
    let names = ["a", "b", "aa", "a/b", "a:b", "ab", "A", "ä", "\u{10FFFF}", "a\u{10FFFF}"];
    let tenant = |name: &str| TenantId::new(name).expect("a tenant");
    for name in names {
        for table in ["se", "sex"] {
            put(store, &Key::of(&tenant(name), table).text("b").build(), name).await;
            let log = Key::of(&tenant(name), table).text("log").prefix();
            apply(store, txn().op(Op::append(log, name))).await;
        }
    }
    for name in names {
        let own = rows(store, &Key::of(&tenant(name), "se").prefix()).await;
        let seen: Vec<_> = own.iter().map(|(_, entry)| shown(entry)).collect();
        assert_eq!(seen, [name, name], "what {name:?} sees");
    }
    assert!(rows(store, &Key::system("se").prefix()).await.is_empty(), "system rows are apart");
}
