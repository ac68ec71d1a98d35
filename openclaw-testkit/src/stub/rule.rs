//! What a stub does with the requests of one pattern, and how many it waits for.

use std::{fmt, sync::Mutex};

use super::{
    books::{self, Books},
    pattern::Pattern,
    reply::{Reply, status},
};

/// How many requests a rule waits for: [`times`], [`at_least`], [`at_most`] or [`never()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    min: usize,
    max: usize,
}

/// Exactly this many.
#[must_use]
pub const fn times(n: usize) -> Times {
    Times { min: n, max: n }
}

/// This many or more.
#[must_use]
pub const fn at_least(n: usize) -> Times {
    Times { min: n, max: usize::MAX }
}

/// This many or fewer.
#[must_use]
pub const fn at_most(n: usize) -> Times {
    Times { min: 0, max: n }
}

/// None.
#[must_use]
pub const fn never() -> Times {
    times(0)
}

impl Times {
    pub(super) fn holds(self, n: usize) -> bool {
        (self.min..=self.max).contains(&n)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (_, 0) => f.write_str("no request"),
            (min, max) if min == max => write!(f, "{}", requests(min)),
            (min, usize::MAX) => write!(f, "at least {}", requests(min)),
            (_, max) => write!(f, "at most {}", requests(max)),
        }
    }
}

fn requests(n: usize) -> String {
    format!("{n} request{}", if n == 1 { "" } else { "s" })
}

/// What a stub knows of one rule.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) pattern: Pattern,
    pub(super) name: Option<String>,
    replies: Vec<Reply>,
    pub(super) times: Option<Times>,
    pub(super) hits: usize,
}

impl Entry {
    pub(super) const fn new(pattern: Pattern) -> Self {
        Self { pattern, name: None, replies: Vec::new(), times: None, hits: 0 }
    }

    /// The reply for the next request; the last one goes on for ever.
    pub(super) fn next(&mut self) -> Reply {
        let reply = self.replies.get(self.hits).or(self.replies.last()).cloned();
        self.hits += 1;
        reply.unwrap_or_else(|| status(200))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "rule `{name}` ({})", self.pattern),
            None => write!(f, "rule ({})", self.pattern),
        }
    }
}

/// A rule of a stub, while it is being written. It holds from the start.
///
/// Without a reply it answers an empty 200, without [`expect`](Self::expect) any number of
/// requests is fine.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    books: &'a Mutex<Books>,
    at: usize,
}

#[expect(clippy::must_use_candidate, reason = "the change is made; what is returned is for more")]
impl<'a> Rule<'a> {
    pub(super) const fn new(books: &'a Mutex<Books>, at: usize) -> Self {
        Self { books, at }
    }

    /// Gives it a name for reports.
    pub fn named(&self, name: impl Into<String>) -> &Self {
        let name = name.into();
        self.change(|rule| rule.name = Some(name))
    }

    /// Answers every request like this.
    pub fn reply(&self, reply: impl Into<Reply>) -> &Self {
        self.reply_seq([reply])
    }

    /// Answers requests with these, in order; the last one answers all that follow.
    pub fn reply_seq<R: Into<Reply>>(&self, replies: impl IntoIterator<Item = R>) -> &Self {
        let replies = replies.into_iter().map(Into::into).collect();
        self.change(|rule| rule.replies = replies)
    }

    /// Lets [`verify`](super::StubServer::verify) complain about any other number of requests.
    pub fn expect(&self, times: Times) -> &Self {
        self.change(|rule| rule.times = Some(times))
    }

    /// Requests so far.
    #[must_use]
    pub fn hits(&self) -> usize {
        books::lock(self.books).rules.get(self.at).map_or(0, |rule| rule.hits)
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) -> &Self {
        if let Some(rule) = books::lock(self.books).rules.get_mut(self.at) {
            change(rule);
        }
        self
    }
}
