//! A law must be able to fail: each flaw of a model is caught by the laws that name it.

use openclaw_testkit::conformance::model::{LAWS, check, check_all};

use crate::{
    broken::{Caught, every_flaw_is_caught, every_law_catches_a_flaw, holds},
    naive_model::{Flaw, Naive},
};

const CAUGHT: &Caught<Flaw> = &[
    (Flaw::AsksTwice, &["a_call_is_one_request"]),
    (Flaw::BeginsUnpolled, &["a_dropped_call_is_one_request_at_most", "a_call_is_one_request"]),
    (Flaw::BreaksAreReplies, &["a_reply_that_breaks_is_an_error"]),
    (Flaw::CallsLoseTheirArguments, &["tool_calls_come_back_unchanged"]),
    (Flaw::CompleteRetries, &["a_refusal_is_not_tried_again"]),
    (Flaw::EndsOnce, &["an_ended_stream_stays_ended"]),
    (Flaw::ErrorsQuote, &["errors_quote_no_prompt"]),
    (Flaw::FinishesAnywhere, &["a_stream_is_finished_only_at_its_end"]),
    (Flaw::ForgetsToCount, &["tokens_are_counted"]),
    (Flaw::ForgetsTools, &["a_prompt_arrives_whole"]),
    (Flaw::IdChanges, &["an_id_never_changes"]),
    (Flaw::IgnoresDeadlines, &["silence_ends_at_the_deadline"]),
    (Flaw::MixesReplies, &["calls_side_by_side_keep_their_replies"]),
    (Flaw::OneAtATime, &["a_silent_call_holds_up_no_other"]),
    (Flaw::OnePiece, &["a_stream_comes_in_pieces"]),
    (Flaw::PiecesAreTrimmed, &["the_pieces_of_a_stream_join_to_its_reply"]),
    (Flaw::PiecesRepeat, &["the_pieces_of_a_stream_join_to_its_reply"]),
    (Flaw::RefusalsAreServerErrors, &["a_refusal_is_an_error_of_the_call"]),
    (Flaw::RepeatsWhenDropped, &["a_dropped_call_is_one_request_at_most"]),
    (Flaw::SendsEmptyPieces, &["the_pieces_of_a_stream_join_to_its_reply"]),
    (Flaw::StopsAreEnds, &["why_it_stopped_comes_back"]),
    (Flaw::StreamsCountNothing, &["stream_and_complete_agree", "tokens_are_counted"]),
    (Flaw::StreamsRefuseLate, &["a_refusal_is_an_error_of_the_call"]),
    (Flaw::TrimsWords, &["words_come_back_unchanged"]),
];

#[test]
fn a_model_without_a_flaw_holds_every_law() {
    assert_eq!(check_all(&Naive(Flaw::None)).held.len(), LAWS.len());
}

#[test]
fn every_flaw_is_caught_by_the_laws_that_name_it() {
    every_flaw_is_caught(CAUGHT, |law, flaw| holds(|| check(law, &Naive(flaw))));
}

#[test]
fn every_law_is_named_by_a_flaw() {
    every_law_catches_a_flaw(CAUGHT, LAWS.iter().map(|law| law.name()));
}

mod a_model_that_streams_by_default {
    openclaw_testkit::model_laws!("Model::stream by default", crate::naive_model::Plain);
}
