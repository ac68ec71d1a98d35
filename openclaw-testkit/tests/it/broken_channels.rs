//! A law must be able to fail: each flaw of a channel is caught by the laws that name it.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use openclaw_core::Effect;
use openclaw_testkit::conformance::{
    Verdict,
    channel::{LAWS, check, check_all},
};

use crate::naive_channel::{Flaw, Naive};

const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(3_600) };

const CAUGHT: &[(Flaw, &[&str])] = &[
    (Flaw::AcceptsCountForTheEarlier, &["each_delivery_has_its_own_verdict"]),
    (
        Flaw::AcceptedComeAgain,
        &["an_accepted_message_never_comes_again", "receive_yields_what_was_said"],
    ),
    (Flaw::CloseForgetsWhatIsOut, &["what_was_out_at_the_close_comes_again"]),
    (Flaw::CloseTakesBackWhatIsOut, &["a_delivery_can_be_settled_after_the_close"]),
    (Flaw::ConnectsOnce, &["after_a_close_receive_gives_a_new_source"]),
    (Flaw::DeadLettersComeAgain, &["a_dead_letter_never_comes_again"]),
    (Flaw::DeclaredIsUnsupported, &["what_is_declared_is_supported"]),
    (Flaw::DropsAreForgotten, &["a_dropped_delivery_comes_again"]),
    (Flaw::EditsAreHeardAnyway, &["what_is_not_declared_is_unsupported"]),
    (Flaw::GivesMoreThanMax, &["next_gives_one_to_max"]),
    (Flaw::HangUpIsSilent, &["after_a_hang_up_receive_gives_a_new_source"]),
    (Flaw::HasNoHook, &["a_declared_hook_is_there"]),
    (Flaw::HealthIsSlow, &["health_answers_within_a_second"]),
    (Flaw::HookPosts, &["asking_a_hook_posts_nothing"]),
    (Flaw::HookSaysNo, &["a_hook_tells_the_truth_about_posts"]),
    (Flaw::HookSaysYes, &["a_hook_tells_the_truth_about_posts"]),
    (Flaw::IdsAreEqual, &["every_message_has_its_own_id"]),
    (Flaw::IdsAreNew, &["a_redelivered_message_keeps_its_id"]),
    (Flaw::KeysAreIgnored, &["a_keyed_post_is_heard_once"]),
    (Flaw::LosesSome, &["a_conversation_keeps_its_order"]),
    (Flaw::NameChanges, &["id_and_capabilities_never_change"]),
    (Flaw::NextLosesWhatItHeld, &["a_dropped_next_loses_nothing"]),
    (Flaw::NothingMeansEnd, &["next_waits_until_there_is_something"]),
    (Flaw::PostsGoElsewhere, &["a_post_is_heard_once"]),
    (Flaw::PostsTwice, &["a_post_is_heard_once", "rendered_parts_are_heard"]),
    (Flaw::RenderCountsBytes, &["rendered_parts_fit"]),
    (Flaw::RenderDropsTheTail, &["rendered_parts_lose_nothing"]),
    (Flaw::RenderIsMoody, &["rendering_is_pure"]),
    (Flaw::RenderMakesTooMany, &["a_text_that_is_too_long_is_cut_to_its_parts"]),
    (Flaw::RetriesAreHasty, &["a_retried_delivery_comes_again_but_not_early"]),
    (Flaw::SaysItTwice, &["a_conversation_keeps_its_order"]),
    (Flaw::SendsOutOfOrder, &["posts_are_heard_in_order"]),
    (Flaw::SwapsOrder, &["a_conversation_keeps_its_order"]),
    (Flaw::UndeclaredIsFine, &["what_is_not_declared_is_unsupported"]),
];

fn naive(flaw: Flaw) -> Naive {
    Naive(flaw, if flaw == Flaw::HasNoHook { Effect::Reconcilable } else { KEYED })
}

fn holds(law: &str, flaw: Flaw) -> bool {
    catch_unwind(AssertUnwindSafe(|| check(law, &naive(flaw)))).is_ok()
}

#[test]
fn a_channel_without_a_flaw_holds_every_law() {
    assert_eq!(check_all(&naive(Flaw::None)).held.len(), LAWS.len());
    let reconcilable = check_all(&Naive(Flaw::None, Effect::Reconcilable));
    assert_eq!(reconcilable.not_declared, [("a_keyed_post_is_heard_once", "keyed posts")]);
}

#[test]
fn every_flaw_is_caught_by_the_laws_that_name_it() {
    let missed: Vec<_> = CAUGHT
        .iter()
        .flat_map(|(flaw, laws)| laws.iter().map(move |law| (*flaw, *law)))
        .filter(|(flaw, law)| holds(law, *flaw))
        .collect();
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

#[test]
fn every_law_catches_a_flaw() {
    let named: BTreeSet<&str> = CAUGHT.iter().flat_map(|(_, laws)| laws.iter().copied()).collect();
    let laws: BTreeSet<&str> = LAWS.iter().map(|law| law.name()).collect();
    assert_eq!(named, laws);
}

#[test]
fn a_law_that_does_not_apply_says_why() {
    let posts = Naive(Flaw::None, Effect::AtMostOnce);
    let verdict = check("a_keyed_post_is_heard_once", &posts);
    assert_eq!(verdict, Verdict::NotDeclared("keyed posts"));
}

mod every_law_by_one_line {
    openclaw_testkit::channel_laws!(super::naive(super::Flaw::None));
}
