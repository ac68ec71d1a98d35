//! Effects: a process dies at each point, the next one goes on, and the remote counts.

mod doubts;
mod keys;
mod messages;
mod scene;
mod takeovers;

pub use self::{
    doubts::{
        a_claim_left_by_a_crash_is_run_once, a_doubt_whose_owner_does_not_know_stays_in_sight,
        a_key_past_its_retention_is_parked, a_keyed_effect_happens_once_over_a_crash,
        a_reconcilable_effect_happens_once_over_a_crash, a_settled_effect_is_replayed_over_a_crash,
        an_at_least_once_effect_happens_over_a_crash, an_at_most_once_effect_in_doubt_is_parked,
        an_effect_whose_claim_is_not_stored_never_runs, no_effect_is_left_unclassified,
    },
    keys::{a_key_with_other_arguments_is_refused, a_record_past_its_retention_counts_no_more},
    messages::{a_reply_goes_out_over_a_crash_behind_its_turn, an_agent_that_diverges_is_parked},
    takeovers::{
        a_clock_that_jumps_makes_no_second_effect, a_duplicate_in_flight_is_no_second_effect,
        a_zombie_settles_nothing_behind_a_takeover, an_answer_lost_by_the_store_is_read_back,
        one_of_many_takes_an_effect_over,
    },
};
