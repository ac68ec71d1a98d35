//! A stack of layers, and what is odd about its order.

use super::{
    Finding, Part,
    Severity::{self, Error, Warn},
    order::{PAIRS, Pair},
};

/// One layer: what it is for, and the name it goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Layer {
    part: Part,
    name: String,
}

/// The layers of a stack, outermost first, with the service at the end.
///
/// ```
/// use openclaw_testkit::lint::{Part, Stack};
///
/// assert_eq!(Stack::recommended().findings(), []);
///
/// let stack = Stack::new([Part::Timeout, Part::RateLimit, Part::Retry, Part::Service]);
/// let rules: Vec<&str> = stack.findings().iter().map(|finding| finding.rule).collect();
/// assert_eq!(rules, ["rate-limit-outside-retry", "no-attempt-timeout"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack(Vec<Layer>);

/// A rule over a whole stack: its name, what is odd, why it matters and how to mend it.
struct Whole {
    id: &'static str,
    severity: Severity,
    odd: fn(&[Layer]) -> Vec<String>,
    why: &'static str,
    mend: &'static str,
}

const WHOLE: &[Whole] = &[
    Whole {
        id: "nested-retry",
        severity: Error,
        odd: |layers| {
            let repeats: Vec<&Layer> = layers.iter().filter(|l| l.part.repeats()).collect();
            let twice = (repeats.len() > 1).then(|| names(&repeats));
            twice.into_iter().collect()
        },
        why: "attempts multiply: three times three are nine calls of a remote that is down",
        mend: "retry in one place",
    },
    Whole {
        id: "no-timeout",
        severity: Error,
        odd: |layers| once(!has(layers, Part::ends) && !hides(layers), "no timeout at all"),
        why: "a remote that never answers keeps the call for ever",
        mend: "add a total timeout, and one for each attempt where there is a retry",
    },
    Whole {
        id: "no-total-timeout",
        severity: Error,
        odd: |layers| {
            let total = has(layers, |part| part == Part::TotalTimeout);
            let odd = has(layers, Part::repeats) && has(layers, Part::ends) && !total;
            once(odd, "no timeout outside the retry")
        },
        why: "attempts, pauses and waits add up without a bound",
        mend: "put a timeout outside the retry",
    },
    Whole {
        id: "no-attempt-timeout",
        severity: Warn,
        odd: |layers| {
            let attempt = has(layers, |part| part == Part::AttemptTimeout);
            let here = has(layers, Part::ends) && !hides(layers);
            let odd = has(layers, Part::repeats) && here && !attempt;
            once(odd, "no timeout inside the retry")
        },
        why: "one attempt that hangs uses up the time of all others",
        mend: "put a timeout inside the retry, innermost but for the dispatch mark",
    },
    Whole {
        id: "breaker-sees-no-timeout",
        severity: Warn,
        odd: |layers| {
            let behind = after(layers, |part| part == Part::Breaker);
            let odd = behind.is_some_and(|inside| !has(inside, Part::ends) && !hides(inside));
            once(odd && has(layers, Part::ends), "no timeout inside the breaker")
        },
        why: "a call that hangs is cut off from outside: the breaker never hears that it failed",
        mend: "put the attempt timeout inside the breaker",
    },
    Whole {
        id: "shed-over-nothing",
        severity: Warn,
        odd: |layers| {
            let behind = after(layers, |part| part == Part::LoadShed);
            let odd = behind.is_some_and(|inside| !has(inside, Part::waits) && !hides(inside));
            once(odd, "load shed, and nothing inside it that waits")
        },
        why: "it refuses only when what is inside is not ready, and that is always ready",
        mend: "put it directly outside a limit or a buffer, or leave it out",
    },
    Whole {
        id: "claim-without-mark",
        severity: Error,
        odd: |layers| {
            let is = |what: Part| has(layers, |part| part == what);
            let odd = is(Part::Claim) && !is(Part::Mark) && !hides(layers);
            once(odd, "a claim, and no dispatch mark")
        },
        why: "after a crash the ledger says that nothing was sent, whatever was: the effect is \
              made again",
        mend: "add a dispatch mark, innermost",
    },
    Whole {
        id: "unknown-layer",
        severity: Warn,
        odd: |layers| named(layers, Part::Unknown),
        why: "nobody can say whether it stands in the right place",
        mend: "tell the reader what it is for: `Reader::register`",
    },
    Whole {
        id: "opaque-layer",
        severity: Warn,
        odd: |layers| named(layers, Part::Opaque),
        why: "its type does not show what is inside",
        mend: "read the stack before it is boxed or buffered, and join both with `Stack::over`",
    },
];

fn has(layers: &[Layer], is: impl Fn(Part) -> bool) -> bool {
    layers.iter().any(|layer| is(layer.part))
}

/// Is something in there that can't be seen?
fn hides(layers: &[Layer]) -> bool {
    has(layers, |part| part == Part::Opaque)
}

/// What is inside the innermost layer of this kind.
fn after(layers: &[Layer], is: impl Fn(Part) -> bool) -> Option<&[Layer]> {
    let at = layers.iter().rposition(|layer| is(layer.part))?;
    layers.get(at + 1..)
}

fn once(odd: bool, what: &str) -> Vec<String> {
    odd.then(|| what.to_owned()).into_iter().collect()
}

fn named(layers: &[Layer], part: Part) -> Vec<String> {
    layers.iter().filter(|layer| layer.part == part).map(|layer| layer.name.clone()).collect()
}

fn names(layers: &[&Layer]) -> String {
    layers.iter().map(|layer| &*layer.name).collect::<Vec<_>>().join(" around ")
}

impl Stack {
    /// A stack of these parts, outermost first.
    #[must_use]
    pub fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        Self(parts.into_iter().map(|part| Layer { part, name: part.to_string() }).collect())
    }

    /// The order in which nothing is odd.
    #[must_use]
    pub fn recommended() -> Self {
        Self::new([
            Part::Trace,
            Part::Version,
            Part::Validate,
            Part::Lookup,
            Part::Approval,
            Part::Claim,
            Part::TotalTimeout,
            Part::Retry,
            Part::RateLimit,
            Part::Concurrency,
            Part::Breaker,
            Part::AttemptTimeout,
            Part::Mark,
            Part::Service,
        ])
    }

    /// Adds a layer inside those that are there, under a name of its own.
    #[must_use]
    pub fn with(mut self, part: Part, name: impl Into<String>) -> Self {
        self.0.push(Layer { part, name: name.into() });
        self
    }

    /// This stack around another one: what was opaque at its end, or its service, is `inner`.
    #[must_use]
    pub fn over(mut self, inner: Self) -> Self {
        let hidden = |layer: &Layer| matches!(layer.part, Part::Opaque | Part::Service);
        self.0.pop_if(|last| hidden(last));
        self.0.extend(inner.0);
        self
    }

    /// The parts, outermost first.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        self.0.iter().map(|layer| layer.part)
    }

    /// What is odd, the worst first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let layers = self.resolved();
        let mut found: Vec<Finding> =
            PAIRS.iter().filter_map(|pair| wrong(pair, &layers)).collect();
        for Whole { id: rule, severity, odd, why, mend } in WHOLE {
            let (severity, mend) = (*severity, *mend);
            let one = |what| Finding { rule, severity, what, why, mend };
            found.extend(odd(&layers).into_iter().map(one));
        }
        found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        found
    }

    /// The layers, with each timeout named by where it stands.
    fn resolved(&self) -> Vec<Layer> {
        let repeat = self.parts().position(Part::repeats);
        let timeouts = self.parts().filter(|part| part.ends()).count();
        let last = self.parts().enumerate().filter(|(_, part)| part.ends()).last();
        let innermost = last.map(|(at, _)| at);
        let name = |(at, layer): (usize, &Layer)| {
            let attempt = match repeat {
                Some(repeat) => at > repeat,
                // Without a retry the innermost of several is the attempt's.
                None => timeouts > 1 && innermost == Some(at),
            };
            let part = match (layer.part, attempt) {
                (Part::Timeout, true) => Part::AttemptTimeout,
                (Part::Timeout, false) => Part::TotalTimeout,
                (other, _) => other,
            };
            Layer { part, name: layer.name.clone() }
        };
        self.0.iter().enumerate().map(name).collect()
    }
}

/// The first pair of layers that stand as they must not.
fn wrong(pair: &Pair, layers: &[Layer]) -> Option<Finding> {
    let Pair { id: rule, severity, outer, inner, why, mend } = *pair;
    let at = layers.iter().position(|layer| outer.contains(&layer.part))?;
    let inside = layers.get(at + 1..)?.iter().find(|layer| inner.contains(&layer.part))?;
    // A second one of its kind outside is allowed to stand inside again: an inner trace.
    let again =
        inside.part == Part::Trace && layers.iter().take(at).any(|layer| layer.part == Part::Trace);
    if again {
        return None;
    }
    let what = format!("{} around {}", layers.get(at)?.name, inside.name);
    Some(Finding { rule, severity, what, why, mend })
}

/// The names of all rules that [`Stack`] knows.
#[must_use]
pub fn stack_rules() -> Vec<&'static str> {
    PAIRS.iter().map(|pair| pair.id).chain(WHOLE.iter().map(|rule| rule.id)).collect()
}
