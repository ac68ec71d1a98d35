//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of an HTTP client, each as a test of its own.
///
/// Takes an expression that makes an
/// [`HttpHarness`](crate::conformance::http::HttpHarness). Two clients in one file need a
/// module each.
#[macro_export]
macro_rules! http_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::http_laws!($harness);
        $crate::__law_summary! { http $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__http_laws! { __law_tests { http { $harness } } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __http_laws {
    ($then:ident $head:tt) => {
        $crate::$then! {
            $head
            request: Nothing method_path_and_query_arrive,
            request: Nothing headers_arrive,
            request: Nothing a_request_body_arrives_whole,
            request: Nothing one_send_is_one_request,
            request: Nothing sends_side_by_side_keep_their_answers,
            response: Nothing a_status_is_an_answer,
            response: Nothing response_headers_come_back,
            response: Nothing a_response_body_is_read_whole,
            response: Nothing a_head_comes_before_its_body,
            response: Nothing a_body_that_breaks_is_an_error,
            response: AnswersRedirects a_redirect_is_an_answer,
            response: FollowsRedirects a_followed_redirect_leaves_credentials_behind,
            response: MaxResponse a_body_over_the_limit_is_an_error_of_the_read,
            trouble: Nothing a_hang_up_may_have_happened,
            trouble: Nothing a_hang_up_is_not_tried_again,
            trouble: Nothing a_client_outlives_a_hang_up,
            trouble: Unreachable an_unreachable_server_has_read_nothing,
            trouble: Nothing errors_quote_no_request,
            time: Nothing silence_ends_at_the_deadline,
            time: Nothing nothing_is_sent_behind_the_deadline,
            time: Nothing a_caller_that_cancels_waits_no_longer,
            time: Nothing a_dropped_send_is_one_request_at_most,
            time: Nothing a_silent_server_holds_up_no_other_send,
        }
    };
}
