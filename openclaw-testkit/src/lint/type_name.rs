//! Reads a stack from the name of its type.

use std::any::type_name;

use super::{Part, Stack};

/// Reads the layers of a composed service from its type.
///
/// It knows our own layers, and those of tower, tower-http and tower-resilience; register yours. What it does
/// not know is [`Part::Unknown`]; what a box or a buffer hides is [`Part::Opaque`].
///
/// The names of types are not a promise of the compiler: use it in tests.
///
/// ```
/// use openclaw_testkit::lint::{Part, Reader};
/// # mod my { #[derive(Debug)] pub struct Claim<S>(pub S); #[derive(Debug)] pub struct Shop; }
///
/// let reader = Reader::new().register("my::Claim", Part::Claim);
/// let stack = reader.stack_of(&my::Claim(my::Shop));
/// assert_eq!(stack.parts().collect::<Vec<_>>(), [Part::Claim, Part::Service]);
/// assert_eq!(stack.findings()[0].rule, "no-timeout");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Reader(Vec<(String, Part)>);

/// Reads the layers of a composed service, as a [`Reader`] without names of your own.
#[must_use]
pub fn stack_of<S: ?Sized>(service: &S) -> Stack {
    Reader::new().stack_of(service)
}

/// A known type: its crate, its name (any when empty), what it is for, and which of its
/// parameters is the inner service.
type Known = (&'static str, &'static str, Part, usize);

const KNOWN: &[Known] = &[
    ("openclaw_core", "Trace", Part::Trace, 0),
    ("openclaw_core", "Validate", Part::Validate, 0),
    ("openclaw_core", "Ledger", Part::Claim, 0),
    ("openclaw_core", "Timeout", Part::Timeout, 0),
    ("openclaw_core", "Retry", Part::Retry, 0),
    ("openclaw_core", "RateLimit", Part::RateLimit, 0),
    ("openclaw_core", "Concurrency", Part::Concurrency, 0),
    ("openclaw_core", "Breaker", Part::Breaker, 0),
    ("openclaw_core", "Mark", Part::Mark, 0),
    ("openclaw_core", "Fallback", Part::Fallback, 0),
    ("openclaw_core", "Lift", Part::Plain, 0),
    ("tower", "Retry", Part::Retry, 1),
    ("tower", "Timeout", Part::Timeout, 0),
    ("tower", "RateLimit", Part::RateLimit, 0),
    ("tower", "ConcurrencyLimit", Part::Concurrency, 0),
    ("tower", "LoadShed", Part::LoadShed, 0),
    ("tower", "Filter", Part::Validate, 0),
    ("tower", "AsyncFilter", Part::Validate, 0),
    ("tower", "Hedge", Part::Hedge, 0),
    ("tower", "SpawnReady", Part::Plain, 0),
    ("tower", "MapRequest", Part::Plain, 0),
    ("tower", "MapResponse", Part::Plain, 0),
    ("tower", "MapErr", Part::Plain, 0),
    ("tower", "MapResult", Part::Plain, 0),
    ("tower", "MapFuture", Part::Plain, 0),
    ("tower", "Then", Part::Plain, 0),
    ("tower", "AndThen", Part::Plain, 0),
    ("tower", "PendingRequests", Part::Plain, 0),
    ("tower", "PeakEwma", Part::Plain, 0),
    ("tower", "Constant", Part::Plain, 0),
    ("tower", "Buffer", Part::Buffer, HIDDEN),
    ("tower", "BoxService", Part::Opaque, NONE),
    ("tower", "UnsyncBoxService", Part::Opaque, NONE),
    ("tower", "BoxCloneService", Part::Opaque, NONE),
    ("tower", "BoxCloneSyncService", Part::Opaque, NONE),
    ("tower", "Either", Part::Opaque, NONE),
    ("tower", "Optional", Part::Opaque, NONE),
    ("tower", "Steer", Part::Opaque, NONE),
    ("tower", "Balance", Part::Opaque, NONE),
    ("tower", "ServiceFn", Part::Service, NONE),
    ("tower_http", "Trace", Part::Trace, 0),
    ("tower_http", "Timeout", Part::Timeout, 0),
    ("tower_http", "ValidateRequestHeader", Part::Validate, 0),
    ("tower_http", "AsyncRequireAuthorization", Part::Validate, 0),
    ("tower_http", "RequestBodyLimit", Part::Validate, 0),
    ("tower_http", "", Part::Plain, 0),
    ("tower_resilience_retry", "", Part::Retry, 0),
    ("tower_resilience_circuitbreaker", "", Part::Breaker, 0),
    ("tower_resilience_outlier", "", Part::Breaker, 0),
    ("tower_resilience_ratelimiter", "", Part::RateLimit, 0),
    ("tower_resilience_bulkhead", "", Part::Concurrency, 0),
    ("tower_resilience_adaptive", "", Part::Concurrency, 0),
    ("tower_resilience_timelimiter", "", Part::Timeout, 0),
    ("tower_resilience_fallback", "", Part::Fallback, 0),
    ("tower_resilience_hedge", "", Part::Hedge, 0),
    ("tower_resilience_reconnect", "", Part::Retry, 0),
    ("tower_resilience_cache", "", Part::Plain, 0),
    ("tower_resilience_coalesce", "", Part::Plain, 0),
    ("tower_resilience_chaos", "", Part::Plain, 0),
    ("tower_resilience_executor", "", Part::Plain, 0),
    ("alloc", "Box", Part::Plain, 0),
    ("alloc", "Arc", Part::Plain, 0),
];

/// Nothing is inside.
const NONE: usize = usize::MAX;
/// Something is inside, and the type does not show it.
const HIDDEN: usize = NONE - 1;
/// The parameter that looks like a service, else the first.
const ANY: usize = NONE - 2;

impl Reader {
    /// A reader that knows tower, tower-http and tower-resilience.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what a layer of your own is for, by a part of its path: `"my_crate::guard::Claim"`.
    #[must_use]
    pub fn register(mut self, path: impl Into<String>, part: Part) -> Self {
        self.0.push((path.into(), part));
        self
    }

    /// The layers of this service.
    #[must_use]
    pub fn stack_of<S: ?Sized>(&self, _service: &S) -> Stack {
        self.read(type_name::<S>())
    }

    /// The layers of the service whose type has this name.
    #[must_use]
    pub fn read(&self, type_name: &str) -> Stack {
        let mut stack = Stack::default();
        let mut next = Some(type_name);
        while let Some(name) = next {
            let (path, parameters) = split(name);
            let (part, inner) = match self.known(path) {
                Some((part, NONE)) => (part, None),
                Some((part, HIDDEN)) => {
                    return stack.with(part, path).with(Part::Opaque, format!("inside {path}"));
                }
                Some((part, ANY)) => {
                    (part, self.inner(&parameters).or(parameters.first().copied()))
                }
                Some((part, at)) => (part, parameters.get(at).copied()),
                None if path.starts_with("dyn ") => (Part::Opaque, None),
                None => match self.inner(&parameters) {
                    Some(inner) => (Part::Unknown, Some(inner)),
                    None => (Part::Service, None),
                },
            };
            stack = stack.with(part, path);
            next = inner;
        }
        stack
    }

    fn known(&self, path: &str) -> Option<(Part, usize)> {
        let own = self.0.iter().find(|(fragment, _)| path.contains(&**fragment));
        if let Some((_, part)) = own {
            let ends = matches!(part, Part::Service | Part::Opaque);
            return Some((*part, if ends { NONE } else { ANY }));
        }
        let (krate, rest) = path.split_once("::")?;
        let name = rest.rsplit_once("::").map_or(rest, |(_, name)| name);
        let known = KNOWN.iter().find(|(k, n, ..)| *k == krate && (n.is_empty() || *n == name));
        known.map(|(_, _, part, at)| (*part, *at))
    }

    /// The parameter that is a service: the one with a known layer in it.
    fn inner<'a>(&self, parameters: &[&'a str]) -> Option<&'a str> {
        parameters.iter().copied().find(|parameter| self.holds_known(parameter))
    }

    fn holds_known(&self, name: &str) -> bool {
        let (path, parameters) = split(name);
        self.known(path).is_some_and(|(part, _)| part != Part::Plain)
            || parameters.iter().any(|parameter| self.holds_known(parameter))
    }
}

/// The path of a type and its parameters: `a::B<C, D<E>>` is `a::B`, `C` and `D<E>`.
fn split(name: &str) -> (&str, Vec<&str>) {
    let name = name.trim().trim_start_matches('&').trim_start_matches("mut ");
    let generic = name.find('<').filter(|at| *at > 0 && name.ends_with('>'));
    let is_path = |path: &str| path.chars().all(|c| c.is_alphanumeric() || "_:".contains(c));
    let Some(at) = generic.filter(|at| is_path(name.get(..*at).unwrap_or_default())) else {
        return (name, Vec::new());
    };
    let (path, list) = name.split_at(at);
    let list = list.get(1..list.len() - 1).unwrap_or_default();
    let (mut depth, mut from, mut parameters) = (0_i32, 0, Vec::new());
    let mut before = ' ';
    for (at, c) in list.char_indices() {
        match c {
            '<' | '(' | '[' | '{' => depth += 1,
            // The end of an arrow is no bracket.
            '>' if before == '-' => {}
            '>' | ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parameters.extend(list.get(from..at).map(str::trim));
                from = at + 1;
            }
            _ => {}
        }
        // Balanced to the end, or the outer bracket closed before: `a::B<C>::d<E>`.
        if depth < 0 {
            return (name, Vec::new());
        }
        before = c;
    }
    parameters.extend(list.get(from..).map(str::trim));
    (path, parameters)
}
