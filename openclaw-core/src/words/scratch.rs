//! Buffers that a thread keeps, so that what is written only to be read once costs no allocation.

use std::cell::RefCell;

/// The largest buffer that is kept.
const LARGEST: usize = 64 << 10;

/// How many are kept: one writes into another at most so often.
const MOST: usize = 4;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Lends an empty buffer.
pub(crate) fn scratch<T>(f: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut buffer = take();
    let out = f(&mut buffer);
    give_back(buffer);
    out
}

/// An empty buffer, to be given back.
pub(crate) fn take() -> Vec<u8> {
    KEPT.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Keeps a buffer for whoever needs one next.
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() > LARGEST {
        return;
    }
    KEPT.with_borrow_mut(|kept| {
        if kept.len() < MOST {
            buffer.clear();
            kept.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_empty_also_inside_another() {
        for _ in 0..3 {
            scratch(|outer| {
                outer.extend_from_slice(b"outer");
                scratch(|inner| {
                    assert!(inner.is_empty());
                    inner.extend_from_slice(b"inner");
                });
                assert_eq!(outer, b"outer");
            });
        }
    }

    #[test]
    fn a_large_buffer_is_not_kept() {
        scratch(|buffer| buffer.resize(LARGEST + 1, 0));
        scratch(|buffer| assert!(buffer.capacity() <= LARGEST));
    }
}
