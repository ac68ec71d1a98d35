//! The flaws that a store may have, and the laws that must catch them.

/// Something that a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    AbsentAreLeftOut,
    AddsToText,
    AddsToTheExpired,
    AnswersBeforeApplying,
    AnyVersionHolds,
    AppendsAsText,
    AppendsByArrival,
    BatchesAnswerBackwards,
    BatchesStopAtALoss,
    BoundsAreIgnored,
    ChecksTheFirstGuard,
    ChecksTheLastGuardFirst,
    ChecksThenActs,
    ClaimsIgnoreGuards,
    ConflictsApplyAnyway,
    ConflictsHideTheRow,
    CursorsAreIncluded,
    CursorsIgnoreTheDirection,
    CursorsNeedARow,
    DeleteLeavesAnEmptyRow,
    EmptyIsAbsent,
    EqualValuesKeepVersions,
    ExistsIsIgnored,
    ExpiredAreRead,
    ExpiredAreScanned,
    ExpiredFillPages,
    ExpiredHoldGuards,
    ExpiresEarly,
    ExpiresLate,
    FactsChange,
    FloodsAreCut,
    ForgetsExpiryAtRestart,
    GuardsOnlyWhatItWrites,
    GuardsSeeTheOperations,
    KeysAreCut,
    KeysAreText,
    KeysIgnoreCase,
    LogRestarts,
    LongBatchesAreCut,
    LosesClaims,
    LosesDispatchMarks,
    LosesItsLastRow,
    LosesReceipts,
    LosesTurns,
    LostSumsKeepTheRest,
    NewestFirst,
    NothingEverFollows,
    OldExpiryStays,
    OperationsRunBackwards,
    PlacesStartAnew,
    PrefixesOfFfAreEmpty,
    RaisesAreForgotten,
    RaisesAreIgnored,
    RaisesAreOffByOne,
    RaisesBeyondTheHighest,
    RaisesLower,
    ReadsAreNoSnapshot,
    ReadsAreSorted,
    ReadsAreStale,
    ReadsGoBack,
    ReverseIsIgnored,
    ScansAreByLength,
    ScansEndBehindThePrefix,
    ScansHaveNoEnd,
    SettlesIgnoreGuards,
    ShowsPieces,
    SumsWrap,
    TakeoversIgnoreGuards,
    TakesAnyBatch,
    TakesAnyKey,
    TakesAnyValue,
    TenantsShareRows,
    TimeGoesBack,
    TimeRestarts,
    TimeStandsStill,
    TimesWrap,
    TornBatch,
    TouchIsIgnored,
    TouchMakesRows,
    TouchMovesTheVersion,
    TouchOnlyLengthens,
    TouchRevives,
    ValuesEndAtZero,
    VersionsAreDifferentInARead,
    VersionsCountInTheRow,
    VersionsRestart,
    VersionsStandStill,
}

impl Flaw {
    /// Is it one of commits that are answered as if nothing were wrong?
    pub(crate) const fn is_of_answers(self) -> bool {
        matches!(
            self,
            Self::AnswersBeforeApplying
                | Self::ClaimsIgnoreGuards
                | Self::FloodsAreCut
                | Self::GuardsOnlyWhatItWrites
                | Self::LosesClaims
                | Self::LosesDispatchMarks
                | Self::LosesReceipts
                | Self::LosesTurns
                | Self::NewestFirst
                | Self::ReadsAreStale
                | Self::ReadsGoBack
                | Self::SettlesIgnoreGuards
                | Self::TakeoversIgnoreGuards
        )
    }
}

/// Each flaw with laws that must catch it.
pub(crate) const CAUGHT: &[(Flaw, &[&str])] = &[
    (Flaw::AbsentAreLeftOut, &["get_many_answers_in_order"]),
    (Flaw::AddsToText, &["an_add_that_makes_no_number_is_a_conflict"]),
    (Flaw::AddsToTheExpired, &["an_expired_row_is_absent_for_operations"]),
    (
        Flaw::AnyVersionHolds,
        &["version_guard_holds_for_one_version", "compare_and_swap_loses_no_update"],
    ),
    (
        Flaw::AppendsAsText,
        &["appended_keys_are_prefix_version_and_place", "a_log_is_in_the_order_of_its_commits"],
    ),
    (
        Flaw::AppendsByArrival,
        &["a_log_grows_only_at_its_end", "a_log_grows_only_at_its_end_between_threads"],
    ),
    (Flaw::BatchesAnswerBackwards, &["commit_many_answers_each_in_order"]),
    (Flaw::BatchesStopAtALoss, &["commit_many_answers_each_in_order"]),
    (
        Flaw::BoundsAreIgnored,
        &["a_sum_outside_its_bound_is_a_conflict", "adds_from_many_lose_nothing"],
    ),
    (
        Flaw::ChecksTheFirstGuard,
        &["a_failing_last_guard_changes_nothing", "transfers_keep_the_sum"],
    ),
    (Flaw::ChecksTheLastGuardFirst, &["a_conflict_tells_which_guard_lost_against_what"]),
    (
        Flaw::ChecksThenActs,
        &[
            "one_of_many_claims_wins",
            "compare_and_swap_loses_no_update",
            "compare_and_swap_holds_between_threads",
        ],
    ),
    (
        Flaw::ConflictsApplyAnyway,
        &["a_failing_last_guard_changes_nothing", "exists_guard_needs_a_row"],
    ),
    (Flaw::ConflictsHideTheRow, &["a_conflict_tells_which_guard_lost_against_what"]),
    (Flaw::CursorsAreIncluded, &["a_cursor_needs_no_row", "pages_join_to_the_whole"]),
    (Flaw::CursorsIgnoreTheDirection, &["a_cursor_may_stand_outside_the_prefix"]),
    (
        Flaw::CursorsNeedARow,
        &["a_cursor_needs_no_row", "paging_under_writers_keeps_the_stable_rows"],
    ),
    (
        Flaw::DeleteLeavesAnEmptyRow,
        &["absent_guard_loses_against_a_row", "touch_and_delete_make_no_row"],
    ),
    (Flaw::EmptyIsAbsent, &["an_empty_value_is_a_row"]),
    (Flaw::EqualValuesKeepVersions, &["random_transactions_agree_with_the_model"]),
    (Flaw::ExistsIsIgnored, &["exists_guard_needs_a_row", "guards_alone_are_checked"]),
    (Flaw::ExpiredAreRead, &["an_expired_row_is_not_read", "no_time_is_over_at_once"]),
    (Flaw::ExpiredAreScanned, &["an_expired_row_is_not_read"]),
    (Flaw::ExpiredFillPages, &["an_expired_row_is_not_read"]),
    (Flaw::ExpiredHoldGuards, &["an_expired_row_is_absent_for_guards"]),
    (Flaw::ExpiresEarly, &["a_row_lives_until_its_instant"]),
    (Flaw::ExpiresLate, &["a_row_lives_until_its_instant", "expiring_rows_agree_with_the_model"]),
    (Flaw::FactsChange, &["capabilities_are_facts"]),
    (
        Flaw::ForgetsExpiryAtRestart,
        &["a_reopened_store_has_every_row", "time_goes_on_after_a_reopening"],
    ),
    (Flaw::GuardsSeeTheOperations, &["guards_look_before_the_operations"]),
    (Flaw::KeysAreCut, &["a_key_over_480_bytes_is_refused"]),
    (Flaw::KeysAreText, &["scans_are_in_bytewise_order"]),
    (Flaw::KeysIgnoreCase, &["scans_are_in_bytewise_order", "tenants_never_see_each_other"]),
    (Flaw::LogRestarts, &["a_log_goes_on_after_a_reopening"]),
    (Flaw::LongBatchesAreCut, &["commit_many_of_many_loses_none"]),
    (Flaw::LosesItsLastRow, &["a_reopened_store_has_every_row"]),
    (Flaw::LostSumsKeepTheRest, &["a_sum_outside_its_bound_is_a_conflict"]),
    (Flaw::NothingEverFollows, &["pages_join_to_the_whole"]),
    (Flaw::OldExpiryStays, &["a_write_forgets_the_old_expiry"]),
    (Flaw::OperationsRunBackwards, &["operations_apply_in_order", "adds_sum_up_from_zero"]),
    (Flaw::PlacesStartAnew, &["appended_keys_are_prefix_version_and_place"]),
    (Flaw::PrefixesOfFfAreEmpty, &["a_prefix_of_ff_bytes_has_an_end"]),
    (Flaw::RaisesAreForgotten, &["a_raise_outlives_a_reopening"]),
    (
        Flaw::RaisesAreIgnored,
        &["a_raised_store_gives_out_higher_versions", "a_raised_log_goes_on_behind_its_rows"],
    ),
    (Flaw::RaisesAreOffByOne, &["a_raised_store_gives_out_higher_versions"]),
    (Flaw::RaisesBeyondTheHighest, &["a_raise_over_the_highest_is_refused"]),
    (Flaw::RaisesLower, &["a_raise_never_lowers"]),
    (Flaw::ReadsAreNoSnapshot, &["readers_never_see_half_a_commit", "transfers_keep_the_sum"]),
    (Flaw::ReadsAreSorted, &["get_many_answers_in_order"]),
    (Flaw::ReverseIsIgnored, &["scans_are_in_bytewise_order"]),
    (Flaw::ScansAreByLength, &["scans_are_in_bytewise_order"]),
    (Flaw::ScansEndBehindThePrefix, &["a_scan_stays_inside_its_prefix"]),
    (Flaw::ScansHaveNoEnd, &["a_scan_stays_inside_its_prefix", "tenants_never_see_each_other"]),
    (
        Flaw::ShowsPieces,
        &[
            "readers_never_see_half_a_commit",
            "a_dropped_commit_is_whole_or_nothing",
            "a_full_batch_applies_whole",
        ],
    ),
    (Flaw::SumsWrap, &["an_add_that_makes_no_number_is_a_conflict"]),
    (Flaw::TakesAnyBatch, &["a_batch_over_the_limit_is_refused"]),
    (
        Flaw::TakesAnyKey,
        &["a_key_over_480_bytes_is_refused", "an_appended_key_over_480_bytes_is_refused"],
    ),
    (Flaw::TakesAnyValue, &["a_value_over_the_limit_is_refused"]),
    (Flaw::TenantsShareRows, &["tenants_never_see_each_other"]),
    (
        Flaw::TimeGoesBack,
        &["the_time_of_a_store_never_goes_back", "an_expired_row_never_comes_back"],
    ),
    (Flaw::TimeRestarts, &["time_goes_on_after_a_reopening"]),
    (Flaw::TimesWrap, &["the_longest_time_is_for_ever"]),
    (Flaw::TornBatch, &["a_failing_last_guard_changes_nothing"]),
    (Flaw::TouchIsIgnored, &["touch_sets_the_time_from_now"]),
    (Flaw::TouchMakesRows, &["touch_and_delete_make_no_row"]),
    (Flaw::TouchMovesTheVersion, &["touch_keeps_the_version"]),
    (Flaw::TouchOnlyLengthens, &["touch_sets_the_time_from_now"]),
    (Flaw::TouchRevives, &["an_expired_row_is_absent_for_operations"]),
    (Flaw::ValuesEndAtZero, &["values_are_any_bytes"]),
    (
        Flaw::VersionsAreDifferentInARead,
        &["versions_grow_with_every_write", "one_commit_has_one_version"],
    ),
    (
        Flaw::VersionsCountInTheRow,
        &["a_version_is_never_used_twice", "a_row_replaced_in_one_commit_has_a_new_version"],
    ),
    (Flaw::VersionsRestart, &["versions_go_on_after_a_reopening"]),
    (Flaw::VersionsStandStill, &["versions_grow_with_every_write"]),
    // Histories, leases, load.
    (
        Flaw::ReadsAreStale,
        &["histories_are_linearizable", "histories_with_lost_answers_are_linearizable"],
    ),
    (
        Flaw::ReadsGoBack,
        &["histories_are_linearizable", "a_cross_key_transfer_history_is_linearizable"],
    ),
    (Flaw::GuardsOnlyWhatItWrites, &["histories_are_linearizable"]),
    (
        Flaw::ChecksThenActs,
        &[
            "histories_are_linearizable",
            "histories_between_threads_are_linearizable",
            "a_cross_key_transfer_history_is_linearizable",
        ],
    ),
    (Flaw::ReadsAreNoSnapshot, &["histories_are_linearizable"]),
    (
        Flaw::ShowsPieces,
        &[
            "histories_are_linearizable",
            "histories_with_dropped_commits_are_linearizable",
            "a_call_dropped_anywhere_leaves_the_store_whole",
        ],
    ),
    (Flaw::ConflictsApplyAnyway, &["histories_are_linearizable"]),
    (Flaw::AnyVersionHolds, &["a_zombie_writes_nothing_behind_a_takeover"]),
    (Flaw::TouchMovesTheVersion, &["a_heartbeat_keeps_the_fence"]),
    (Flaw::TouchIsIgnored, &["a_heartbeat_keeps_the_fence"]),
    (Flaw::TimeGoesBack, &["a_lease_has_one_holder_whatever_the_clock_does"]),
    (Flaw::NewestFirst, &["no_writer_starves_among_many"]),
    (Flaw::FloodsAreCut, &["a_flood_is_applied_or_refused_and_never_lost"]),
    // Effects.
    (
        Flaw::LosesClaims,
        &[
            "an_effect_whose_claim_is_not_stored_never_runs",
            "a_claim_left_by_a_crash_is_run_once",
            "an_answer_lost_by_the_store_is_read_back",
            "a_key_with_other_arguments_is_refused",
        ],
    ),
    (
        Flaw::LosesDispatchMarks,
        &[
            "a_keyed_effect_happens_once_over_a_crash",
            "a_key_past_its_retention_is_parked",
            "a_reconcilable_effect_happens_once_over_a_crash",
            "a_doubt_whose_owner_does_not_know_stays_in_sight",
            "an_at_least_once_effect_happens_over_a_crash",
            "an_at_most_once_effect_in_doubt_is_parked",
            "no_effect_is_left_unclassified",
            "an_agent_that_diverges_is_parked",
        ],
    ),
    (
        Flaw::LosesReceipts,
        &["a_settled_effect_is_replayed_over_a_crash", "an_answer_lost_by_the_store_is_read_back"],
    ),
    (
        Flaw::AnswersBeforeApplying,
        &["a_settled_effect_is_replayed_over_a_crash", "a_claim_left_by_a_crash_is_run_once"],
    ),
    (Flaw::LosesTurns, &["a_reply_goes_out_over_a_crash_behind_its_turn"]),
    (Flaw::SettlesIgnoreGuards, &["a_zombie_settles_nothing_behind_a_takeover"]),
    (Flaw::TakeoversIgnoreGuards, &["one_of_many_takes_an_effect_over"]),
    (Flaw::ClaimsIgnoreGuards, &["a_duplicate_in_flight_is_no_second_effect"]),
    (Flaw::TimeGoesBack, &["a_clock_that_jumps_makes_no_second_effect"]),
    (
        Flaw::TimeStandsStill,
        &["a_record_past_its_retention_counts_no_more", "the_time_of_a_store_never_goes_back"],
    ),
];
