//! A law must be able to fail: each flaw is caught by the laws that name it.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
};

use openclaw_skills::conformance::{authorize, secret_provider};

use super::{naive_authorize, naive_provider};

/// Flaws, each with laws that must catch it.
type Caught<F> = [(F, &'static [&'static str])];

fn every_flaw_is_caught<F: Copy + Debug, T>(caught: &Caught<F>, check: impl Fn(&str, F) -> T) {
    let holds = |law: &str, flaw| catch_unwind(AssertUnwindSafe(|| check(law, flaw))).is_ok();
    let named = caught.iter().flat_map(|(flaw, laws)| laws.iter().map(move |law| (*flaw, *law)));
    let missed: Vec<_> = named.filter(|(flaw, law)| holds(law, *flaw)).collect();
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

fn every_law_catches_a_flaw<F>(caught: &Caught<F>, laws: impl Iterator<Item = &'static str>) {
    let named: BTreeSet<&str> = caught.iter().flat_map(|(_, laws)| laws.iter().copied()).collect();
    assert_eq!(named, laws.collect(), "laws that are named (left), and laws that there are");
}

const PROVIDERS: &Caught<naive_provider::Flaw> = {
    use naive_provider::Flaw;
    &[
        (Flaw::BreaksAloud, &["a_broken_place_shows_no_secret"]),
        (Flaw::Cuts, &["a_secret_that_is_too_long_is_refused_whole"]),
        (Flaw::DropsBreakIt, &["a_dropped_fetch_leaves_no_trace"]),
        (Flaw::ErrorsQuote, &["errors_show_no_secret"]),
        (Flaw::IdsArePrefixes, &["ids_are_told_apart"]),
        (Flaw::MissingIsABreakdown, &["a_secret_that_is_not_there_is_not_found"]),
        (
            Flaw::MissingIsEmpty,
            &[
                "a_secret_that_is_not_there_is_not_found",
                "a_missing_secret_is_named_by_its_reference",
            ],
        ),
        (Flaw::Mixes, &["fetches_side_by_side_keep_their_secrets"]),
        (Flaw::OddIsAPanic, &["odd_ids_are_answered"]),
        (
            Flaw::Remembers,
            &[
                "a_new_secret_is_seen_at_the_next_fetch",
                "a_rotated_secret_is_seen_behind_its_time",
                "a_refused_secret_is_read_anew_at_once",
                "a_secret_that_is_gone_is_not_remembered",
            ],
        ),
        (Flaw::ShowsItself, &["nothing_shows_a_secret"]),
        (Flaw::Trims, &["a_secret_is_what_was_put"]),
    ]
};

const AUTHORIZERS: &Caught<naive_authorize::Flaw> = {
    use naive_authorize::Flaw;
    &[
        (Flaw::AppendsHeaders, &["signing_again_adds_nothing"]),
        (Flaw::AsksTwice, &["a_refusal_is_one_question_at_most"]),
        (
            Flaw::BelievesLateRefusals,
            &["a_late_refusal_keeps_what_is_valid", "many_refusals_of_one_are_one_question"],
        ),
        (
            Flaw::DropsBreakIt,
            &["a_dropped_caller_leaves_no_trace", "callers_side_by_side_are_all_signed"],
        ),
        (Flaw::DropsTheQuery, &["nothing_else_changes"]),
        (Flaw::ErrorsQuote, &["errors_show_no_secret"]),
        (Flaw::GoesElsewhere, &["nothing_else_changes"]),
        (Flaw::IgnoresCancellation, &["it_ends_when_its_call_is_cancelled"]),
        (Flaw::IgnoresDeadlines, &["it_waits_no_longer_than_its_call"]),
        (Flaw::IgnoresRefusals, &["a_refused_credential_is_replaced"]),
        (Flaw::LeavesHalf, &["without_credentials_there_is_an_error"]),
        (Flaw::NamesAtRandom, &["a_credential_has_one_name"]),
        (Flaw::SaysMaybe, &["without_credentials_there_is_an_error"]),
        (Flaw::ShowsItsHeader, &["what_is_added_is_not_shown"]),
        (Flaw::ShowsItself, &["nothing_shows_a_secret"]),
        (Flaw::SignsForAnybody, &["a_strangers_request_is_left_alone"]),
        (Flaw::SignsNothing, &["a_request_is_signed"]),
    ]
};

#[test]
fn those_without_a_flaw_hold_every_law() {
    let provider = secret_provider::check_all(&naive_provider::Flaw::None);
    assert_eq!(provider.held.len(), secret_provider::LAWS.len());
    let authorize = authorize::check_all(&naive_authorize::Flaw::None);
    assert_eq!(authorize.held.len(), authorize::LAWS.len());
}

#[test]
fn every_flaw_is_caught_by_the_laws_that_name_it() {
    every_flaw_is_caught(PROVIDERS, |law, flaw| secret_provider::check(law, &flaw));
    every_flaw_is_caught(AUTHORIZERS, |law, flaw| authorize::check(law, &flaw));
}

#[test]
fn every_law_is_named_by_a_flaw() {
    every_law_catches_a_flaw(PROVIDERS, secret_provider::LAWS.iter().map(|law| law.name()));
    every_law_catches_a_flaw(AUTHORIZERS, authorize::LAWS.iter().map(|law| law.name()));
}
