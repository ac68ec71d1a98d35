//! What was expected, what came, and what came nearest.

use std::fmt;

use super::{books::Books, pattern::Miss, received::Received, rule::Entry};

/// Why a stub is not content: [`StubServer::verify`](super::StubServer::verify).
///
/// ```
/// use openclaw_testkit::stub::{StubServer, get, times};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stub = StubServer::start().await?;
/// stub.on(get("/orders").has_header("x-tenant")).named("orders").expect(times(1));
/// reqwest::get(format!("{}/orders", stub.url())).await?;
/// let report = stub.verify().unwrap_err();
/// assert_eq!(
///     report.complaints()[0],
///     "rule `orders` (GET /orders, with x-tenant): expected 1 request, came 0. \
///      Nearest other is #1 GET /orders: header x-tenant: expected, was absent",
/// );
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    complaints: Vec<String>,
}

impl Report {
    /// All complaints, or none.
    pub(super) fn of(books: &Books) -> Option<Self> {
        let mut complaints: Vec<String> =
            books.rules.iter().filter_map(|rule| unmet(rule, books)).collect();
        let unmatched = books.received.iter().enumerate().filter(|(_, r)| !r.is_matched());
        complaints.extend(unmatched.map(|(at, request)| {
            format!("request {} fits no rule. {}", title(at, request), nearest_rule(request, books))
        }));
        complaints.extend(books.broken.iter().map(|why| format!("a request was refused: {why}")));
        if books.tls.is_none() && books.handshakes > 0 {
            let n = books.handshakes;
            complaints.push(format!("{n} peers opened TLS, and no TLS failure was asked for"));
        }
        (!complaints.is_empty()).then_some(Self { complaints })
    }

    /// The complaints, one text each.
    #[must_use]
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stub has {} complaint(s)", self.complaints.len())?;
        let mut numbered = self.complaints.iter().enumerate();
        numbered.try_for_each(|(at, complaint)| write!(f, "\n{}. {complaint}", at + 1))
    }
}

impl std::error::Error for Report {}

/// The rule that comes nearest to a request, and why it is not for it.
pub(super) fn nearest_rule(request: &Received, books: &Books) -> String {
    let rated = books.rules.iter().map(|rule| (rule, rule.pattern.misses(request)));
    match rated.min_by_key(|(_, misses)| distance(misses)) {
        Some((rule, misses)) => format!("Nearest is {rule}: {}", reasons(&misses)),
        None => "There are no rules".to_owned(),
    }
}

fn unmet(rule: &Entry, books: &Books) -> Option<String> {
    let times = rule.times.filter(|times| !times.holds(rule.hits))?;
    let came = format!("{rule}: expected {times}, came {}", rule.hits);
    let others = books.received.iter().enumerate();
    let rated = others.map(|(at, request)| (at, request, rule.pattern.misses(request)));
    let near = rated.filter(|(_, _, misses)| !misses.is_empty());
    Some(match near.min_by_key(|(_, _, misses)| distance(misses)) {
        Some((at, request, misses)) => {
            format!("{came}. Nearest other is {}: {}", title(at, request), reasons(&misses))
        }
        None => format!("{came}. No other request came"),
    })
}

fn title(at: usize, request: &Received) -> String {
    format!("#{} {} {}", at + 1, request.method(), request.path())
}

fn distance(misses: &[Miss]) -> u32 {
    misses.iter().map(|miss| miss.weight).sum()
}

fn reasons(misses: &[Miss]) -> String {
    let reasons: Vec<&str> = misses.iter().map(|miss| miss.why.as_str()).collect();
    reasons.join("; ")
}
