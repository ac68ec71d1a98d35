//! A law must be able to fail: each flaw of an agent is caught by the laws that name it.

use openclaw_core::{
    AgentId, Env,
    agent::{Agent, Answer, Waiting, agent_fn},
};
use openclaw_testkit::{
    agent::{RewordingAgent, ScriptedAgent},
    conformance::agent::{LAWS, check, check_all, on},
    env::{ManualClock, SeededRng},
};
use serde_json::json;

use crate::{
    broken::{Caught, every_flaw_is_caught, every_law_catches_a_flaw, holds},
    naive_agent::{Flaw, naive},
};

const CAUGHT: &Caught<Flaw> = &[
    (Flaw::AnswersByChance, &["the_same_turn_has_the_same_answer"]),
    (Flaw::AsksForEver, &["a_failing_skill_is_not_asked_for_ever", "a_failed_call_is_no_panic"]),
    (Flaw::BeginsUnpolled, &["a_turn_begins_when_it_is_polled"]),
    (Flaw::ErrorsQuoteTheSession, &["errors_quote_no_words"]),
    (Flaw::ErrorsQuoteTheWords, &["errors_quote_no_words"]),
    (Flaw::FailsAtHello, &["an_agent_answers"]),
    (Flaw::GoesOnWhenDropped, &["a_dropped_turn_asks_for_nothing_more"]),
    (Flaw::IdChanges, &["an_id_never_changes"]),
    (Flaw::InventsSkills, &["only_skills_that_exist_are_called"]),
    (Flaw::MixesTurns, &["turns_side_by_side_keep_their_answers"]),
    (Flaw::NamesOneForTwo, &["an_operation_is_asked_for_with_one_input"]),
    (Flaw::NamesTheAttempt, &["a_later_attempt_asks_for_the_same"]),
    (Flaw::NamesWithBlanks, &["operations_have_lawful_names"]),
    (Flaw::OneAtATime, &["a_silent_skill_holds_up_no_other_turn"]),
    (Flaw::PanicsAtFailures, &["a_failed_call_is_no_panic"]),
    (Flaw::PanicsAtJobs, &["a_started_job_is_no_panic"]),
    (Flaw::PanicsAtOddSessions, &["odd_sessions_are_no_panic"]),
    (Flaw::PanicsAtSilence, &["odd_words_are_no_panic"]),
    (Flaw::RemembersByItself, &["memory_lives_in_the_session"]),
    (Flaw::RewordsByChance, &["a_later_attempt_asks_for_the_same"]),
    (Flaw::SuspendsForEver, &["a_suspended_turn_comes_back"]),
];

#[test]
fn an_agent_without_a_flaw_holds_every_law() {
    assert_eq!(check_all(&naive(Flaw::None)).held.len(), LAWS.len());
}

#[test]
fn every_flaw_is_caught_by_the_laws_that_name_it() {
    every_flaw_is_caught(CAUGHT, |law, flaw| holds(|| check(law, &naive(flaw))));
}

#[test]
fn every_law_is_named_by_a_flaw() {
    every_law_catches_a_flaw(CAUGHT, LAWS.iter().map(|law| law.name()));
}

fn desk() -> ScriptedAgent {
    ScriptedAgent::new("desk")
        .unwrap()
        .when_begins("refund")
        .call("order.lookup", "lookup", json!({ "said": "{text}" }))
        .call("refund.create", "refund", json!({ "order": "{}", "turn": "{turn}" }))
        .then_say("Refunded: {}, {}")
        .when("ask a person")
        .then_wait(Waiting::Question { text: "Shall we?".into() })
}

fn clerk() -> impl Agent {
    agent_fn(AgentId::new("clerk").unwrap(), |mut turn| async move {
        let text = turn.text().into_owned();
        if text == "ask a person" && turn.resolution().is_none() {
            return Ok(Answer::Suspended(Waiting::Question { text: "Shall we?".into() }));
        }
        if let Some(order) = text.strip_prefix("refund order ") {
            let order = json!({ "order": order });
            turn.skill("order.lookup", "lookup", order.clone()).await?;
            turn.skill("refund.create", "refund", order).await?;
        }
        Ok(Answer::text(text))
    })
}

#[test]
fn an_agent_that_changes_its_words_is_caught() {
    let agent = || RewordingAgent::new(desk(), Env::new(ManualClock::default(), SeededRng::new(1)));
    let harness = on(agent).steady().calling(["refund order 1042"]);
    assert!(!holds(|| check("a_later_attempt_asks_for_the_same", &harness)));
}

mod a_scripted_agent {
    use super::{desk, on};

    openclaw_testkit::agent_laws!(
        "ScriptedAgent",
        on(desk)
            .steady()
            .calling(["refund order 1042", "refund order 1043"])
            .suspending("ask a person")
    );
}

mod an_agent_of_a_function {
    use super::{clerk, on};

    openclaw_testkit::agent_laws!(
        "agent_fn",
        on(clerk)
            .steady()
            .calling(["refund order 1042", "refund order 1043"])
            .suspending("ask a person")
    );
}
