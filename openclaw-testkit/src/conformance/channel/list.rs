//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of a channel, each as a test of its own.
///
/// Takes an expression that makes a
/// [`ChannelHarness`](crate::conformance::channel::ChannelHarness). Two channels in one file
/// need a module each.
#[macro_export]
macro_rules! channel_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::channel_laws!($harness);
        $crate::__law_summary! { channel $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__channel_laws! { __channel_tests { $harness } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __channel_tests {
    ({ $harness:expr } $($room:ident: $need:ident $law:ident,)*) => {$(
        #[test]
        fn $law() {
            $crate::conformance::channel::check(stringify!($law), &$harness);
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __channel_laws {
    ($then:ident $head:tt) => {
        $crate::$then! {
            $head
            identity: Nothing id_and_capabilities_never_change,
            identity: Nothing health_answers_within_a_second,
            identity: Nothing a_declared_hook_is_there,
            receive: Receiving receive_yields_what_was_said,
            receive: Receiving a_conversation_keeps_its_order,
            receive: Receiving next_gives_one_to_max,
            receive: Receiving next_waits_until_there_is_something,
            receive: Receiving a_dropped_next_loses_nothing,
            receive: Receiving every_message_has_its_own_id,
            receive: Receiving after_a_close_receive_gives_a_new_source,
            receive: HangUps after_a_hang_up_receive_gives_a_new_source,
            settle: Receiving an_accepted_message_never_comes_again,
            settle: Receiving a_dead_letter_never_comes_again,
            settle: Receiving a_delivery_can_be_settled_after_the_close,
            settle: Redelivery a_dropped_delivery_comes_again,
            settle: Redelivery a_retried_delivery_comes_again_but_not_early,
            settle: Redelivery each_delivery_has_its_own_verdict,
            settle: Redelivery what_was_out_at_the_close_comes_again,
            settle: Redelivery a_redelivered_message_keeps_its_id,
            send: Nothing a_post_is_heard_once,
            send: Nothing posts_are_heard_in_order,
            send: Nothing what_is_not_declared_is_unsupported,
            send: Nothing what_is_declared_is_supported,
            send: KeyedPosts a_keyed_post_is_heard_once,
            send: Hook a_hook_tells_the_truth_about_posts,
            send: Hook asking_a_hook_posts_nothing,
            render: Nothing rendering_is_pure,
            render: MaxText rendered_parts_fit,
            render: MaxText rendered_parts_lose_nothing,
            render: MaxText a_text_that_is_too_long_is_cut_to_its_parts,
            render: Nothing rendered_parts_are_heard,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __channel_table {
    ({} $($room:ident: $need:ident $law:ident,)*) => {
        /// Every law of a channel.
        pub const LAWS: &[Law] = &[$(Law {
            name: stringify!($law),
            need: Need::$need,
            run: |line| Box::pin($law(line)),
        },)*];

        $(pub use self::$room::$law;)*
    };
}
