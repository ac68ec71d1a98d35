//! The rules over the order of a stack.

use openclaw_testkit::lint::{
    Part::{
        self, Approval, AttemptTimeout, Breaker, Buffer, Claim, Concurrency, Fallback, Hedge,
        LoadShed, Lookup, Mark, Opaque, Plain, RateLimit, Retry, Service, Timeout, TotalTimeout,
        Trace, Unknown, Validate, Version,
    },
    Stack, stack_rules,
};

use super::{covers, ids};

/// A rule, a stack that breaks it, and one that differs as little as possible and does not.
type Case = (&'static str, &'static [Part], &'static [Part]);

const CASES: &[Case] = &[
    ("rate-limit-outside-retry", &[RateLimit, Retry], &[Retry, RateLimit]),
    ("rate-limit-outside-retry", &[RateLimit, Hedge], &[Hedge, RateLimit]),
    ("breaker-outside-retry", &[Breaker, Retry], &[Retry, Breaker]),
    ("concurrency-outside-retry", &[Concurrency, Retry], &[Retry, Concurrency]),
    ("shed-inside-retry", &[Retry, LoadShed], &[LoadShed, Retry]),
    ("buffer-inside-retry", &[Retry, Buffer], &[Buffer, Retry]),
    ("claim-inside-retry", &[Retry, Claim], &[Claim, Retry]),
    ("approval-inside-retry", &[Retry, Approval], &[Approval, Retry]),
    ("lookup-inside-retry", &[Retry, Lookup], &[Lookup, Retry]),
    ("validation-inside-retry", &[Retry, Validate], &[Validate, Retry]),
    ("version-inside-retry", &[Retry, Version], &[Version, Retry]),
    ("version-inside-validation", &[Validate, Version], &[Version, Validate]),
    ("validation-inside-claim", &[Claim, Validate], &[Validate, Claim]),
    ("lookup-inside-claim", &[Claim, Lookup], &[Lookup, Claim]),
    ("approval-inside-claim", &[Claim, Approval], &[Approval, Claim]),
    ("timeout-around-claim", &[Timeout, Claim], &[Claim, Timeout]),
    ("total-timeout-inside-retry", &[Retry, TotalTimeout], &[TotalTimeout, Retry]),
    ("attempt-timeout-outside-retry", &[AttemptTimeout, Retry], &[Retry, AttemptTimeout]),
    ("wait-inside-attempt-timeout", &[Retry, Timeout, RateLimit], &[Retry, RateLimit, Timeout]),
    ("wait-outside-total-timeout", &[Concurrency, Timeout], &[Timeout, Concurrency]),
    ("limit-inside-breaker", &[Breaker, RateLimit], &[RateLimit, Breaker]),
    ("rate-limit-inside-concurrency", &[Concurrency, RateLimit], &[RateLimit, Concurrency]),
    ("mark-outside-wait", &[Mark, RateLimit], &[RateLimit, Mark]),
    ("mark-outside-wait", &[Mark, Breaker], &[Breaker, Mark]),
    ("mark-outside-retry", &[Mark, Retry], &[Retry, Mark]),
    ("mark-outside-attempt-timeout", &[Mark, AttemptTimeout], &[AttemptTimeout, Mark]),
    ("mark-outside-claim", &[Mark, Claim], &[Claim, Mark]),
    ("fallback-inside-breaker", &[Breaker, Fallback], &[Fallback, Breaker]),
    ("fallback-inside-retry", &[Retry, Fallback], &[Fallback, Retry]),
    ("trace-inside", &[Retry, Trace], &[Trace, Retry]),
    ("trace-inside", &[Retry, Trace], &[Trace, Retry, Trace]),
    ("nested-retry", &[Retry, Retry], &[Retry]),
    ("nested-retry", &[Retry, Hedge], &[Hedge]),
    ("no-timeout", &[Concurrency], &[Timeout, Concurrency]),
    ("no-total-timeout", &[Retry, Timeout], &[Timeout, Retry, Timeout]),
    ("no-attempt-timeout", &[Timeout, Retry], &[Timeout, Retry, Timeout]),
    ("breaker-sees-no-timeout", &[Timeout, Breaker], &[Breaker, Timeout]),
    ("shed-over-nothing", &[LoadShed, Timeout], &[LoadShed, Concurrency]),
    ("claim-without-mark", &[Claim], &[Claim, Mark]),
    ("unknown-layer", &[Unknown], &[Plain]),
    ("opaque-layer", &[Opaque], &[Plain]),
];

fn stack(parts: &[Part]) -> Stack {
    Stack::new(parts.iter().copied().chain([Service]))
}

#[test]
fn each_rule_fires_on_the_wrong_order_and_not_on_the_right_one() {
    for (rule, wrong, right) in CASES {
        let findings = stack(wrong).findings();
        assert!(ids(&findings).contains(rule), "{rule}: {wrong:?}: {findings:?}");
        let findings = stack(right).findings();
        assert!(!ids(&findings).contains(rule), "{rule}: {right:?}: {findings:?}");
    }
    covers(stack_rules(), CASES.iter().map(|case| case.0));
}

#[test]
fn the_recommended_order_is_clean() {
    assert_eq!(Stack::recommended().findings(), []);
    let without_effects = [Trace, Timeout, Retry, RateLimit, Concurrency, Breaker, Timeout];
    assert_eq!(stack(&without_effects).findings(), []);
    assert_eq!(stack(&[Timeout]).findings(), []);
    assert_eq!(stack(&[Timeout, LoadShed, Buffer, Breaker, Timeout]).findings(), []);
}

/// Two neighbours in the wrong order are always found, but for the pairs in which it is no harm.
#[test]
fn two_neighbours_that_change_places_are_found() {
    let recommended: Vec<Part> = Stack::recommended().parts().collect();
    let mut silent = Vec::new();
    for at in 0..recommended.len() - 2 {
        let mut swapped = recommended.clone();
        swapped.swap(at, at + 1);
        if Stack::new(swapped).findings().is_empty() {
            silent.push((recommended[at], recommended[at + 1]));
        }
    }
    assert_eq!(silent, [(Trace, Version)], "the version that was resolved may be traced");
}

#[test]
fn a_finding_names_the_layers_that_it_means() {
    let stack = Stack::default()
        .with(Timeout, "whole call")
        .with(RateLimit, "per tenant")
        .with(Retry, "three times")
        .with(Timeout, "one attempt")
        .with(Service, "shop");
    let findings = stack.findings();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].what, "per tenant around three times");
    let line = findings[0].to_string();
    assert!(line.starts_with("error[rate-limit-outside-retry]: per tenant around"), "{line}");
    assert!(line.ends_with("put the rate limit inside the retry"), "{line}");
}

/// What can't be seen may be what is missing.
#[test]
fn nothing_is_missed_in_what_is_hidden() {
    for seen in [&[Claim, Timeout][..], &[Timeout, Retry], &[LoadShed], &[Timeout, Breaker]] {
        let hidden = Stack::new(seen.iter().copied().chain([Opaque]));
        assert_eq!(ids(&hidden.findings()), ["opaque-layer"], "{seen:?}");
        assert!(!stack(seen).findings().is_empty(), "{seen:?}");
    }
}
