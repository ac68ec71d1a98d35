//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of a model, each as a test of its own.
///
/// Takes an expression that makes a
/// [`ModelHarness`](crate::conformance::model::ModelHarness). Two models in one file need a
/// module each.
#[macro_export]
macro_rules! model_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::model_laws!($harness);
        $crate::__law_summary! { model $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__model_laws! { __law_tests { model { $harness } } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __model_laws {
    ($then:ident $head:tt) => {
        $crate::$then! {
            $head
            reply: Nothing an_id_never_changes,
            reply: Nothing a_call_is_one_request,
            reply: Prompts a_prompt_arrives_whole,
            reply: Nothing words_come_back_unchanged,
            reply: Tools tool_calls_come_back_unchanged,
            reply: Nothing why_it_stopped_comes_back,
            reply: Usage tokens_are_counted,
            reply: Nothing calls_side_by_side_keep_their_replies,
            stream: Nothing stream_and_complete_agree,
            stream: Nothing the_pieces_of_a_stream_join_to_its_reply,
            stream: Pieces a_stream_comes_in_pieces,
            stream: Nothing an_ended_stream_stays_ended,
            stream: Nothing a_stream_is_finished_only_at_its_end,
            trouble: Nothing a_refusal_is_an_error_of_the_call,
            trouble: Nothing a_refusal_is_not_tried_again,
            trouble: Nothing a_reply_that_breaks_is_an_error,
            trouble: Nothing errors_quote_no_prompt,
            trouble: Nothing a_silent_call_holds_up_no_other,
            trouble: Nothing a_dropped_call_is_one_request_at_most,
            trouble: Deadlines silence_ends_at_the_deadline,
        }
    };
}
