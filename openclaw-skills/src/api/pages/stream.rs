//! `Pages`: the records of all pages in order, and never more than allowed.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    marker::PhantomData,
    time::Duration,
};

use openclaw_core::{Digest, Effect, Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    super::{
        answer::{Answer, read},
        exchange::Exchange,
        graphql::judged,
        request::Request,
    },
    paging::{Follows, Paging, Seen},
};
use crate::problem::{Problem, refusal};

/// The most that one list may cost.
///
/// ```
/// use openclaw_skills::api::PageLimits;
///
/// assert_eq!(PageLimits::default().records, 10_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageLimits {
    /// Records in all. 10,000.
    pub records: usize,
    /// Pages, each of them one request. 1,000.
    pub pages: usize,
    /// Bytes of all pages, as the bodies of their answers are long. 64 MiB.
    ///
    /// A page that would go beyond is not read.
    pub bytes: usize,
    /// Time for all pages. 60 s.
    pub time: Duration,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self { records: 10_000, pages: 1_000, bytes: 64 << 20, time: Duration::from_secs(60) }
    }
}

/// Why a list ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Truncated {
    /// It has more records than allowed.
    Records,
    /// It has more pages than allowed.
    Pages,
    /// It has more bytes than allowed.
    Bytes,
    /// Its time was over.
    Time,
    /// A cursor came twice: it would go round for ever.
    RepeatedCursor,
    /// A page came twice: the service does not heed the number of the page.
    RepeatedPage,
    /// The next page is at another origin, where our credentials don't go.
    ForeignLink,
    /// There is more, but no way to it.
    NoCursor,
}

/// A whole list, or as much of it as was allowed. It can stand in a skill's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Listing<T> {
    /// The records, in order.
    pub records: Vec<T>,
    /// Why there are no more of them, though the service has more.
    pub truncated: Option<Truncated>,
}

/// The records of all pages, one after the other.
///
/// One page is held at a time. Dropping the future of [`next`](Self::next) loses nothing: the
/// page is asked for again.
pub struct Pages<'a, T> {
    exchange: &'a Exchange,
    paging: Paging,
    limits: PageLimits,
    next: Option<Request>,
    page: VecDeque<(usize, Value)>,
    pages: usize,
    records: usize,
    bytes: usize,
    seen: BTreeSet<[u8; 16]>,
    last: Option<Digest>,
    end: Instant,
    truncated: Option<Truncated>,
    of: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Pages<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("pages", &self.pages)
            .field("records", &self.records)
            .field("truncated", &self.truncated)
            .finish_non_exhaustive()
    }
}

impl<'a, T: DeserializeOwned> Pages<'a, T> {
    pub(in super::super) fn new(
        exchange: &'a Exchange,
        request: Request,
        paging: Paging,
        limits: PageLimits,
    ) -> Result<Self> {
        if request.effect(None) != Effect::Pure {
            let message = "only what reads comes in pages: mark a search by POST with `reads`";
            return Err(Error::new(ErrorKind::ValidationError, message));
        }
        Ok(Self {
            exchange,
            next: Some(paging.first(request)),
            paging,
            limits,
            page: VecDeque::new(),
            pages: 0,
            records: 0,
            bytes: 0,
            seen: BTreeSet::new(),
            last: None,
            end: end(limits.time),
            truncated: None,
            of: PhantomData,
        })
    }

    /// The next record; `None` at the end, or at a limit.
    ///
    /// # Errors
    /// A record has another shape than expected: the error names page and place, and the next
    /// call goes on behind it. A page can't be had: the next call asks for it again.
    pub async fn next(&mut self) -> Result<Option<T>> {
        loop {
            if self.records >= self.limits.records && !self.page.is_empty() {
                self.stop(Truncated::Records);
            }
            if let Some((index, item)) = self.page.pop_front() {
                self.records += 1;
                return self.record(index, &item).map(Some);
            }
            let Some(request) = self.next.clone() else { return Ok(None) };
            if let Some(limit) = self.reached() {
                self.stop(limit);
                return Ok(None);
            }
            let Ok(answer) = timeout_at(self.end, self.exchange.send(request.clone())).await else {
                self.stop(Truncated::Time);
                return Ok(None);
            };
            let number = self.pages + 1;
            let turned = answer.and_then(|answer| self.turn(&request, &answer));
            turned.map_err(|e| self.exchange.told(e).with("page", number))?;
        }
    }

    /// Why there are no more records, though the service has more.
    #[must_use]
    pub const fn truncated(&self) -> Option<Truncated> {
        self.truncated
    }

    /// The pages so far.
    #[must_use]
    pub const fn pages(&self) -> usize {
        self.pages
    }

    /// All records, as far as the limits allow.
    ///
    /// # Errors
    /// The first one of [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Listing<T>> {
        let mut records = Vec::new();
        while let Some(record) = self.next().await? {
            records.push(record);
        }
        Ok(Listing { records, truncated: self.truncated })
    }

    /// The limit that forbids another page.
    fn reached(&self) -> Option<Truncated> {
        if self.records >= self.limits.records {
            Some(Truncated::Records)
        } else if self.pages >= self.limits.pages {
            Some(Truncated::Pages)
        } else if self.bytes >= self.limits.bytes {
            Some(Truncated::Bytes)
        } else {
            (Instant::now() >= self.end).then_some(Truncated::Time)
        }
    }

    fn stop(&mut self, why: Truncated) {
        (self.truncated, self.next) = (Some(why), None);
        self.page.clear();
    }

    /// Takes a page over, and decides what follows it.
    fn turn(&mut self, request: &Request, answer: &Answer) -> Result<()> {
        let bytes = self.bytes.saturating_add(answer.body().len());
        if bytes > self.limits.bytes {
            self.stop(Truncated::Bytes);
            return Ok(());
        }
        let mut value = answer.value()?;
        if request.is_graphql()
            && let Some((_, error)) = judged(&value, false)?
        {
            return Err(error);
        }
        let misfit = || {
            let text = "a list of records is expected here";
            refusal("service's answer", &[Problem::new(self.paging.list(), "", text)])
        };
        let list = value.pointer_mut(self.paging.list()).ok_or_else(misfit)?;
        let Value::Array(items) = list.take() else { return Err(misfit()) };
        let page = Seen {
            answer: &value,
            headers: answer.headers(),
            address: answer.address(),
            records: items.len(),
            before: (self.pages as u64, self.records as u64),
        };
        let follows = self.paging.follows(request, self.exchange.base(), &page);
        self.pages += 1;
        self.bytes = bytes;
        self.seen.insert(mark(&answer.address().to_string()));
        let items = self.unless_repeated(items);
        match follows {
            // Nobody knows what would follow a page that came twice.
            _ if self.truncated.is_some() => self.next = None,
            Follows::Nothing => self.next = None,
            Follows::Stop(why) => (self.truncated, self.next) = (Some(why), None),
            Follows::Page(request, cursor) => {
                if cursor.is_some_and(|cursor| !self.seen.insert(mark(&cursor))) {
                    (self.truncated, self.next) = (Some(Truncated::RepeatedCursor), None);
                } else {
                    self.next = Some(*request);
                }
            }
        }
        self.page = items.into_iter().enumerate().collect();
        Ok(())
    }

    /// The records of a page; none when it is the last one over again.
    fn unless_repeated(&mut self, items: Vec<Value>) -> Vec<Value> {
        if !self.paging.counts() || items.is_empty() {
            return items;
        }
        let items = Value::Array(items);
        let digest = Digest::of_json("openclaw.page", &items);
        if self.last.replace(digest) == Some(digest) {
            self.truncated = Some(Truncated::RepeatedPage);
            return Vec::new();
        }
        match items {
            Value::Array(items) => items,
            _ => Vec::new(),
        }
    }

    /// One record, typed.
    fn record(&self, index: usize, item: &Value) -> Result<T> {
        let (list, within) = (self.paging.list(), self.paging.in_item());
        let at = format!("{list}/{index}{within}");
        let problem = match item.pointer(within).map(read) {
            Some(Ok(record)) => return Ok(record),
            Some(Err(problem)) => {
                Problem::new(&format!("{at}{}", problem.pointer), "", &problem.text)
            }
            None => Problem::new(&at, "", "a record is expected here"),
        };
        Err(self.exchange.told(refusal("record", &[problem]).with("page", self.pages)))
    }
}

/// When the time is over; a year is as good as never.
fn end(time: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);
    Instant::now() + time.min(YEAR)
}

/// What is remembered of a cursor, however long it is.
fn mark(cursor: &str) -> [u8; 16] {
    Digest::of("openclaw.cursor", [cursor]).short()
}
