//! A law must be able to fail: each flaw of an HTTP client is caught by the laws that name it.

use openclaw_testkit::conformance::http::{LAWS, check, check_all};

use crate::{
    broken::{Caught, every_flaw_is_caught, every_law_catches_a_flaw, holds},
    naive_http::{Flaw, Naive},
};

const CAUGHT: &Caught<Flaw> = &[
    (Flaw::BeginsUnpolled, &["a_dropped_send_is_one_request_at_most", "one_send_is_one_request"]),
    (Flaw::BodiesAreCut, &["a_request_body_arrives_whole"]),
    (Flaw::BreaksAreEnds, &["a_body_that_breaks_is_an_error"]),
    (Flaw::BreaksDidNotHappen, &["a_body_that_breaks_is_an_error"]),
    (Flaw::DiesWithItsConnection, &["a_client_outlives_a_hang_up"]),
    (Flaw::ErrorsQuoteTheAddress, &["errors_quote_no_request"]),
    (Flaw::ErrorsQuoteTheBody, &["errors_quote_no_request"]),
    (Flaw::FollowsRedirects, &["a_redirect_is_an_answer"]),
    (Flaw::FollowsWithCredentials, &["a_followed_redirect_leaves_credentials_behind"]),
    (Flaw::HangUpsDidNotHappen, &["a_hang_up_may_have_happened"]),
    (Flaw::HeadersComeOnce, &["headers_arrive"]),
    (Flaw::IgnoresCancels, &["a_caller_that_cancels_waits_no_longer"]),
    (Flaw::IgnoresDeadlines, &["silence_ends_at_the_deadline"]),
    (Flaw::IgnoresItsLimit, &["a_body_over_the_limit_is_an_error_of_the_read"]),
    (Flaw::LateCallsAreSent, &["nothing_is_sent_behind_the_deadline"]),
    (Flaw::LosesTheQuery, &["method_path_and_query_arrive"]),
    (Flaw::MixesAnswers, &["sends_side_by_side_keep_their_answers"]),
    (Flaw::OneAtATime, &["a_silent_server_holds_up_no_other_send"]),
    (Flaw::ReadsOnePiece, &["a_response_body_is_read_whole"]),
    (Flaw::RepeatsWhenDropped, &["a_dropped_send_is_one_request_at_most"]),
    (Flaw::ResponseHeadersComeOnce, &["response_headers_come_back"]),
    (Flaw::RetriesHangUps, &["a_hang_up_is_not_tried_again"]),
    (Flaw::RetriesStatuses, &["one_send_is_one_request"]),
    (Flaw::StatusesAreErrors, &["a_status_is_an_answer"]),
    (Flaw::TheLimitFailsTheSend, &["a_body_over_the_limit_is_an_error_of_the_read"]),
    (Flaw::UnreachableIsMaybe, &["an_unreachable_server_has_read_nothing"]),
    (Flaw::WaitsForTheBody, &["a_head_comes_before_its_body"]),
];

#[test]
fn a_client_without_a_flaw_holds_every_law() {
    let report = check_all(&Naive(Flaw::None));
    let left = "a_followed_redirect_leaves_credentials_behind";
    assert_eq!(report.not_declared, [(left, "redirects to another origin")]);
    assert_eq!(report.held.len() + 1, LAWS.len());
}

#[test]
fn every_flaw_is_caught_by_the_laws_that_name_it() {
    every_flaw_is_caught(CAUGHT, |law, flaw| holds(|| check(law, &Naive(flaw))));
}

#[test]
fn every_law_is_named_by_a_flaw() {
    every_law_catches_a_flaw(CAUGHT, LAWS.iter().map(|law| law.name()));
}

mod every_law_by_one_line {
    use super::{Flaw, Naive};

    openclaw_testkit::http_laws!(Naive(Flaw::None));
}
