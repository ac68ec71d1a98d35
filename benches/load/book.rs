//! The book of a run: every message that was handed out, and whether it was answered.

use std::collections::VecDeque;

use tokio::time::Instant;

/// What an answer means to the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// The first answer; the message went out at this moment.
    First(Instant),
    /// The message was answered before.
    Again,
    /// No such message was handed out.
    Unknown,
}

/// Messages by number. What is answered at the front is forgotten, so that it stays short.
#[derive(Debug, Default)]
pub struct Book {
    first: u64,
    open: VecDeque<Option<Instant>>,
    waiting: u64,
}

impl Book {
    /// An empty book whose first message has this number.
    #[must_use]
    pub fn starting_at(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// Enters a message that goes out at this moment, and gives it the next number.
    pub fn hand_out(&mut self, at: Instant) -> u64 {
        self.open.push_back(Some(at));
        self.waiting += 1;
        self.next() - 1
    }

    /// Enters an answer.
    pub fn answer(&mut self, number: u64) -> Entry {
        if number >= self.next() {
            return Entry::Unknown;
        }
        let at = number.checked_sub(self.first).and_then(|n| usize::try_from(n).ok());
        let Some(handed) = at.and_then(|at| self.open.get_mut(at)).and_then(Option::take) else {
            return Entry::Again;
        };
        self.waiting -= 1;
        while self.open.front().is_some_and(Option::is_none) {
            self.open.pop_front();
            self.first += 1;
        }
        Entry::First(handed)
    }

    /// The number of the next message.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.first + self.open.len() as u64
    }

    /// Messages that wait for their answer.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_message_is_answered_once() {
        let mut book = Book::starting_at(7);
        let now = Instant::now();
        let numbers: Vec<u64> = (0..4).map(|_| book.hand_out(now)).collect();
        assert_eq!(numbers, [7, 8, 9, 10]);
        for number in [8, 7, 10, 9] {
            assert_eq!(book.answer(number), Entry::First(now));
            assert_eq!(book.answer(number), Entry::Again, "{number}");
        }
        assert_eq!((book.waiting(), book.next()), (0, 11));
    }

    #[test]
    fn what_was_never_handed_out_is_seen() {
        let mut book = Book::starting_at(7);
        assert_eq!(book.answer(7), Entry::Unknown);
        assert_eq!(book.answer(6), Entry::Again, "it belongs to a run before");
    }
}
