//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of a store, each as a test of its own.
///
/// Takes an expression that makes a [`StoreHarness`](crate::conformance::store::StoreHarness).
/// Two stores in one file need a module each.
///
/// ```
/// # mod tests {
/// mod my_store {
///     use openclaw_core::store::MemoryStore;
///     use openclaw_testkit::conformance::store::on;
///
///     openclaw_testkit::store_laws!(on(MemoryStore::new));
/// }
/// # }
/// ```
#[macro_export]
macro_rules! store_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::store_laws!($harness);
        $crate::__law_summary! { store $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__store_laws! { __store_tests { $harness } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_tests {
    ({ $harness:expr } $($room:ident: $shape:ident $law:ident,)*) => {$(
        #[test]
        fn $law() {
            $crate::conformance::store::check(stringify!($law), &$harness);
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_laws {
    ($then:ident $head:tt) => {
        $crate::$then! {
            $head
            guards: plain absent_guard_loses_against_a_row,
            guards: plain exists_guard_needs_a_row,
            guards: plain version_guard_holds_for_one_version,
            guards: plain a_conflict_tells_which_guard_lost_against_what,
            guards: plain guards_look_before_the_operations,
            guards: plain guards_alone_are_checked,
            guards: plain one_of_many_claims_wins,
            guards: plain compare_and_swap_loses_no_update,
            guards: shared compare_and_swap_holds_between_threads,
            guards: plain transfers_keep_the_sum,
            versions: plain versions_grow_with_every_write,
            versions: plain a_version_is_never_used_twice,
            versions: plain a_row_replaced_in_one_commit_has_a_new_version,
            versions: plain touch_keeps_the_version,
            versions: plain touch_and_delete_make_no_row,
            versions: plain one_commit_has_one_version,
            versions: raising a_raised_store_gives_out_higher_versions,
            versions: raising a_raised_log_goes_on_behind_its_rows,
            versions: raising a_raise_never_lowers,
            versions: raising a_raise_over_the_highest_is_refused,
            atomic: plain a_failing_last_guard_changes_nothing,
            atomic: plain a_full_batch_applies_whole,
            atomic: plain operations_apply_in_order,
            atomic: plain readers_never_see_half_a_commit,
            atomic: plain a_dropped_commit_is_whole_or_nothing,
            atomic: plain commit_many_answers_each_in_order,
            atomic: plain commit_many_of_many_loses_none,
            append: plain appended_keys_are_prefix_version_and_place,
            append: plain a_log_is_in_the_order_of_its_commits,
            append: plain a_log_grows_only_at_its_end,
            append: shared a_log_grows_only_at_its_end_between_threads,
            add: plain adds_sum_up_from_zero,
            add: plain a_sum_outside_its_bound_is_a_conflict,
            add: plain an_add_that_makes_no_number_is_a_conflict,
            add: plain adds_from_many_lose_nothing,
            scans: plain scans_are_in_bytewise_order,
            scans: plain pages_join_to_the_whole,
            scans: plain a_cursor_needs_no_row,
            scans: plain a_cursor_may_stand_outside_the_prefix,
            scans: plain a_scan_stays_inside_its_prefix,
            scans: plain a_prefix_of_ff_bytes_has_an_end,
            scans: plain paging_under_writers_keeps_the_stable_rows,
            scans: plain get_many_answers_in_order,
            scans: plain tenants_never_see_each_other,
            limits: plain a_key_over_480_bytes_is_refused,
            limits: plain an_appended_key_over_480_bytes_is_refused,
            limits: plain a_value_over_the_limit_is_refused,
            limits: plain a_batch_over_the_limit_is_refused,
            limits: plain an_empty_value_is_a_row,
            limits: plain values_are_any_bytes,
            limits: plain capabilities_are_facts,
            expiry: timed a_row_lives_until_its_instant,
            expiry: timed an_expired_row_is_not_read,
            expiry: timed an_expired_row_is_absent_for_guards,
            expiry: timed an_expired_row_is_absent_for_operations,
            expiry: timed touch_sets_the_time_from_now,
            expiry: timed a_write_forgets_the_old_expiry,
            expiry: timed the_longest_time_is_for_ever,
            expiry: plain no_time_is_over_at_once,
            expiry: timed the_time_of_a_store_never_goes_back,
            expiry: timed an_expired_row_never_comes_back,
            snapshot: freezing a_snapshot_sees_no_later_commit,
            snapshot: freezing a_snapshot_shows_rows_as_they_were,
            snapshot: freezing a_snapshot_is_paged_whole_under_writers,
            snapshot: freezing a_snapshot_shows_no_half_of_a_commit,
            snapshot: freezing_shared a_snapshot_shows_no_half_of_a_commit_between_threads,
            snapshot: freezing a_snapshot_takes_nothing,
            snapshot: freezing a_snapshot_answers_guards_and_its_highest_version,
            snapshot: freezing each_snapshot_is_a_moment_of_its_own,
            snapshot: freezing a_dropped_snapshot_leaves_nothing_behind,
            snapshot: freezing_timed time_stands_still_in_a_snapshot,
            model: plain random_transactions_agree_with_the_model,
            model: timed expiring_rows_agree_with_the_model,
            reopen: durable a_reopened_store_has_every_row,
            reopen: durable versions_go_on_after_a_reopening,
            reopen: durable a_log_goes_on_after_a_reopening,
            reopen: outliving a_raise_outlives_a_reopening,
            reopen: clocked time_goes_on_after_a_reopening,
            histories: plain histories_are_linearizable,
            histories: shared histories_between_threads_are_linearizable,
            histories: shared histories_with_lost_answers_are_linearizable,
            histories: plain histories_with_dropped_commits_are_linearizable,
            histories: plain a_cross_key_transfer_history_is_linearizable,
            leases: timed a_zombie_writes_nothing_behind_a_takeover,
            leases: timed a_heartbeat_keeps_the_fence,
            leases: timed a_lease_has_one_holder_whatever_the_clock_does,
            hygiene: plain a_call_dropped_anywhere_leaves_the_store_whole,
            hygiene: plain no_writer_starves_among_many,
            hygiene: plain a_flood_is_applied_or_refused_and_never_lost,
            effects: acting an_effect_whose_claim_is_not_stored_never_runs,
            effects: acting a_claim_left_by_a_crash_is_run_once,
            effects: acting a_keyed_effect_happens_once_over_a_crash,
            effects: acting a_key_past_its_retention_is_parked,
            effects: acting a_reconcilable_effect_happens_once_over_a_crash,
            effects: acting a_doubt_whose_owner_does_not_know_stays_in_sight,
            effects: acting an_at_least_once_effect_happens_over_a_crash,
            effects: acting an_at_most_once_effect_in_doubt_is_parked,
            effects: acting a_settled_effect_is_replayed_over_a_crash,
            effects: acting no_effect_is_left_unclassified,
            effects: acting a_reply_goes_out_over_a_crash_behind_its_turn,
            effects: acting a_zombie_settles_nothing_behind_a_takeover,
            effects: acting one_of_many_takes_an_effect_over,
            effects: acting an_answer_lost_by_the_store_is_read_back,
            effects: acting a_key_with_other_arguments_is_refused,
            effects: acting a_duplicate_in_flight_is_no_second_effect,
            effects: acting a_clock_that_jumps_makes_no_second_effect,
            effects: acting a_record_past_its_retention_counts_no_more,
            effects: acting an_agent_that_diverges_is_parked,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_table {
    ({} $($room:ident: $shape:ident $law:ident,)*) => {
        /// Every law of a store.
        pub const LAWS: &[Law] = &[$(Law { name: stringify!($law), run: shape!($shape, $law) },)*];

        $(pub use self::$room::$law;)*
    };
}
