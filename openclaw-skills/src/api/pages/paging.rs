//! How an API divides a list into pages, and how the next is asked.

use http::{HeaderMap, Uri};
use serde_json::Value;

use super::{
    super::{
        base::{Base, Leads},
        request::Request,
    },
    link,
    stream::Truncated,
};
use crate::pointer;

/// How an API divides a list into pages.
///
/// Places are RFC 6901 pointers into the answer; `""` is the whole of it.
///
/// ```
/// use openclaw_skills::api::Paging;
///
/// // { "data": [ … ], "next_cursor": "c-2", "has_more": true }, asked by ?cursor=c-2
/// let by_cursor = Paging::cursor("/next_cursor", "cursor").items("/data").more("/has_more");
/// // Link: </orders?page=2>; rel="next", and a body that is the list itself
/// let by_link = Paging::link_header();
/// // { "data": { "customers": { "nodes": [ … ], "pageInfo": { … } } } }, asked by $after
/// let connection = Paging::connection("/customers");
/// # drop((by_cursor, by_link, connection));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Paging {
    items: Box<str>,
    record: Box<str>,
    more: Option<Box<str>>,
    size: Option<usize>,
    scheme: Scheme,
}

#[derive(Clone, Debug)]
enum Scheme {
    Cursor { from: Box<str>, to: To },
    LinkHeader,
    NextLink { from: Box<str> },
    Page { param: Box<str>, first: u64 },
    Offset { param: Box<str> },
}

/// Where a cursor goes.
#[derive(Clone, Debug)]
enum To {
    Query(Box<str>),
    Body(Box<str>),
}

/// What follows a page.
#[derive(Debug)]
pub(super) enum Follows {
    Nothing,
    /// This request; its mark is what must not come twice.
    Page(Box<Request>, Option<String>),
    /// There is more, and no way to it.
    Stop(Truncated),
}

/// A page, as far as what follows it depends on it.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) answer: &'a Value,
    pub(super) headers: &'a HeaderMap,
    pub(super) address: &'a Uri,
    /// The records on it.
    pub(super) records: usize,
    /// The pages and records before it.
    pub(super) before: (u64, u64),
}

impl Paging {
    fn of(scheme: Scheme) -> Self {
        Self { items: "".into(), record: "".into(), more: None, size: None, scheme }
    }

    /// A cursor in the answer goes into this parameter of the query.
    pub fn cursor(from: &str, param: &str) -> Self {
        Self::of(Scheme::Cursor { from: from.into(), to: To::Query(param.into()) })
    }

    /// A cursor in the answer goes to this place in the body. For searches by `POST`.
    pub fn cursor_in_body(from: &str, place: &str) -> Self {
        Self::of(Scheme::Cursor { from: from.into(), to: To::Body(place.into()) })
    }

    /// The `Link` header says where the next page is (RFC 8288).
    pub fn link_header() -> Self {
        Self::of(Scheme::LinkHeader)
    }

    /// The answer says at this place where the next page is.
    pub fn next_link(from: &str) -> Self {
        Self::of(Scheme::NextLink { from: from.into() })
    }

    /// Pages have numbers, and this is the first one. The list ends with an empty page.
    pub fn page(param: &str, first: u64) -> Self {
        Self::of(Scheme::Page { param: param.into(), first })
    }

    /// Records have numbers from 0. The list ends with an empty page.
    pub fn offset(param: &str) -> Self {
        Self::of(Scheme::Offset { param: param.into() })
    }

    /// A GraphQL connection at this place in the data, whose operation takes `$after`.
    pub fn connection(at: &str) -> Self {
        Self::cursor_in_body(&format!("/data{at}/pageInfo/endCursor"), "/variables/after")
            .items(&format!("/data{at}/nodes"))
            .more(&format!("/data{at}/pageInfo/hasNextPage"))
    }

    /// The same with `edges { node { … } }` in place of `nodes`.
    pub fn connection_of_edges(at: &str) -> Self {
        Self::connection(at).items(&format!("/data{at}/edges")).record("/node")
    }

    /// Where the list of records is; the whole answer unless set.
    pub fn items(mut self, place: &str) -> Self {
        self.items = place.into();
        self
    }

    /// Where the record is within an item of the list. The whole item unless set.
    pub fn record(mut self, place: &str) -> Self {
        self.record = place.into();
        self
    }

    /// Where the answer says `false` when this page is the last.
    pub fn more(mut self, place: &str) -> Self {
        self.more = Some(place.into());
        self
    }

    /// How many records a full page has. A shorter one is the last, where pages or records are
    /// counted.
    pub const fn size(mut self, records: usize) -> Self {
        self.size = Some(records);
        self
    }

    pub(super) fn list(&self) -> &str {
        &self.items
    }

    pub(super) fn in_item(&self) -> &str {
        &self.record
    }

    /// Does it count up? Then only the records tell that a page comes twice.
    pub(super) const fn counts(&self) -> bool {
        matches!(self.scheme, Scheme::Page { .. } | Scheme::Offset { .. })
    }

    /// The request for the first page.
    pub(super) fn first(&self, request: Request) -> Request {
        match &self.scheme {
            Scheme::Page { param, first } => request.with_query(param, &first.to_string()),
            Scheme::Offset { param } => request.with_query(param, "0"),
            Scheme::Cursor { .. } | Scheme::LinkHeader | Scheme::NextLink { .. } => request,
        }
    }

    /// What follows a page that this request brought.
    pub(super) fn follows(&self, request: &Request, base: &Base, page: &Seen<'_>) -> Follows {
        let more = self.more.as_ref().and_then(|place| page.answer.pointer(place)?.as_bool());
        // A cursor or a link says for itself whether a short page is the last.
        let short = self.counts() && self.size.is_some_and(|size| page.records < size);
        if more == Some(false) || (short && more.is_none()) {
            return Follows::Nothing;
        }
        match &self.scheme {
            Scheme::Cursor { from, to } => {
                match page.answer.pointer(from).and_then(cursor) {
                    Some(cursor) => asked(request.clone(), to, cursor),
                    // It says that there is more, and not where.
                    None if more == Some(true) => Follows::Stop(Truncated::NoCursor),
                    None => Follows::Nothing,
                }
            }
            Scheme::LinkHeader => led(request, base, page, link::next(page.headers)),
            Scheme::NextLink { from } => {
                let link = page.answer.pointer(from).and_then(Value::as_str);
                led(request, base, page, link.filter(|link| !link.is_empty()).map(str::to_owned))
            }
            _ if page.records == 0 && more.is_none() => Follows::Nothing,
            // It says that there is more, and gives nothing to count on by.
            Scheme::Offset { .. } if page.records == 0 => Follows::Stop(Truncated::NoCursor),
            Scheme::Page { param, first } => {
                counted(request, param, first.saturating_add(page.before.0).saturating_add(1))
            }
            Scheme::Offset { param } => {
                counted(request, param, page.before.1.saturating_add(page.records as u64))
            }
        }
    }
}

/// The cursor in a value: a text or a number.
fn cursor(value: &Value) -> Option<Value> {
    let some = match value {
        Value::String(text) => !text.is_empty(),
        Value::Number(_) => true,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    };
    some.then(|| value.clone())
}

fn asked(mut request: Request, to: &To, cursor: Value) -> Follows {
    let mark = match &cursor {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let request = match to {
        To::Query(param) => request.with_query(param, &mark),
        To::Body(place) => {
            let body =
                request.body_mut().get_or_insert_with(|| Value::Object(serde_json::Map::new()));
            set(body, place, cursor);
            request
        }
    };
    Follows::Page(Box::new(request), Some(mark))
}

fn led(request: &Request, base: &Base, page: &Seen<'_>, link: Option<String>) -> Follows {
    let Some(link) = link else { return Follows::Nothing };
    match base.leads(page.address, &link) {
        Leads::Here(uri) => {
            let mark = uri.to_string();
            Follows::Page(Box::new(request.clone().at(uri)), Some(mark))
        }
        Leads::Elsewhere => Follows::Stop(Truncated::ForeignLink),
        Leads::Nowhere => Follows::Stop(Truncated::NoCursor),
    }
}

fn counted(request: &Request, param: &str, number: u64) -> Follows {
    Follows::Page(Box::new(request.clone().with_query(param, &number.to_string())), None)
}

/// Sets a field at this pointer. Objects on the way are made where there are none.
fn set(body: &mut Value, place: &str, value: Value) {
    let mut at = body;
    for step in place.split('/').skip(1) {
        if !at.is_object() {
            *at = Value::Object(serde_json::Map::new());
        }
        let Value::Object(fields) = at else { return };
        at = fields.entry(pointer::name(step)).or_insert(Value::Null);
    }
    *at = value;
}
