//! The plan itself: which rule holds when, and that a seed repeats.

use openclaw_core::store::{Commit, Key, MemoryStore, Op, StateStore, Txn};
use openclaw_testkit::{
    env::{SeededRng, test_env},
    fault::{Fault, FaultStore, Plan},
};

use super::MINUTE;

fn store(plan: &Plan) -> FaultStore<MemoryStore> {
    FaultStore::new(MemoryStore::new(test_env(1).clock()), plan.clone())
}

/// Which of so many commits were applied.
async fn applied(store: &FaultStore<MemoryStore>, label: &'static str, n: usize) -> Vec<bool> {
    let mut outcomes = Vec::new();
    for _ in 0..n {
        let put = Op::put(Key::system("fault").text("row").build(), "x");
        let outcome = store.commit(Txn::new(label).op(put)).await;
        outcomes.push(matches!(outcome, Ok(Commit::Applied(_))));
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn a_plan_without_rules_breaks_nothing() {
    let plan = Plan::default();
    assert_eq!(applied(&store(&plan), "note", 3).await, [true; 3]);
    assert!(plan.injected().is_empty() && plan.history().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rule_holds_for_every_for_some_or_for_one() {
    let plan = Plan::default();
    plan.fail("note");
    assert_eq!(applied(&store(&plan), "note", 3).await, [false; 3]);
    let plan = Plan::default();
    plan.fail_next("note", 2);
    assert_eq!(applied(&store(&plan), "note", 4).await, [false, false, true, true]);
    let plan = Plan::default();
    plan.fail_nth("note", 3);
    plan.fail_nth("note", 1);
    assert_eq!(applied(&store(&plan), "note", 4).await, [false, true, false, true]);
    let plan = Plan::default();
    plan.fail_nth("note", 1);
    plan.fail_nth("note", 3);
    let counted = "an operation counts for every rule, whatever became of it";
    assert_eq!(applied(&store(&plan), "note", 4).await, [false, true, false, true], "{counted}");
}

#[tokio::test(start_paused = true)]
async fn a_rule_holds_for_its_name_alone() {
    let plan = Plan::default();
    plan.fail("note");
    assert_eq!(applied(&store(&plan), "other", 2).await, [true; 2]);
    plan.fail("commit");
    assert_eq!(applied(&store(&plan), "other", 2).await, [false; 2]);
    plan.heal();
    plan.fail(Plan::ANY);
    assert_eq!(applied(&store(&plan), "other", 2).await, [false; 2]);
}

#[tokio::test(start_paused = true)]
async fn the_first_rule_that_fits_wins() {
    let plan = Plan::default();
    plan.chance("note", Fault::LoseRequest, 1.0);
    plan.next("note", 1, Fault::LoseAnswer);
    plan.fail("note");
    applied(&store(&plan), "note", 2).await;
    let met: Vec<Fault> = plan.history().into_iter().map(|(_, fault)| fault).collect();
    assert_eq!(met, [Fault::LoseAnswer, Fault::Fail], "chance comes last");
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_an_operation_can_not_have_never_happens() {
    let plan = Plan::default();
    for fault in [Fault::Panic, Fault::Duplicate, Fault::Reorder, Fault::Shuffle] {
        plan.every(Plan::ANY, fault);
    }
    assert_eq!(applied(&store(&plan), "note", 2).await, [true; 2]);
    assert!(plan.injected().is_empty(), "and is not said to have happened");
}

#[tokio::test(start_paused = true)]
async fn a_healed_plan_breaks_nothing_and_remembers() {
    let plan = Plan::default();
    plan.fail("note");
    plan.chance("note", Fault::LoseRequest, 1.0);
    plan.when("note", |plan| plan.fail("commit"));
    let store = store(&plan);
    applied(&store, "note", 1).await;
    plan.heal();
    assert_eq!(applied(&store, "note", 3).await, [true; 3]);
    assert_eq!(plan.injected()["fail"], 1);
    plan.when("note", |plan| plan.fail("commit"));
    plan.heal();
    assert_eq!(applied(&store, "note", 1).await, [true], "a cue is healed too");
}

#[tokio::test(start_paused = true)]
async fn a_cue_runs_once_and_before_the_operation_that_gives_it() {
    let plan = Plan::default();
    plan.when("note", |plan| plan.fail_next("commit", 1));
    assert_eq!(applied(&store(&plan), "other", 1).await, [true]);
    assert_eq!(applied(&store(&plan), "note", 3).await, [false, true, true]);
}

/// What a seed injects into a hundred commits.
async fn seeded(seed: u64) -> Vec<(String, Fault)> {
    let plan = Plan::seeded(SeededRng::new(seed));
    plan.chance("commit", Fault::Fail, 0.2);
    plan.chance("note", Fault::LoseAnswer, 0.2);
    plan.chance(Plan::ANY, Fault::Delay(MINUTE), 0.2);
    applied(&store(&plan), "note", 100).await;
    plan.history()
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_injects_the_same_sequence() {
    let first = seeded(7).await;
    assert_eq!(first, seeded(7).await);
    assert_ne!(first, seeded(8).await);
    let names: std::collections::BTreeSet<_> =
        first.iter().map(|(_, fault)| fault.name()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["delay", "fail", "lose_answer"]);
    let waits = first.iter().filter_map(|(_, fault)| match fault {
        Fault::Delay(wait) => Some(*wait),
        _ => None,
    });
    let waits: Vec<_> = waits.collect();
    assert!(waits.iter().all(|wait| !wait.is_zero() && *wait <= MINUTE), "{waits:?}");
    assert!(waits.windows(2).any(|two| two[0] != two[1]), "a seeded part of the longest wait");
}

#[tokio::test(start_paused = true)]
async fn chances_are_about_right() {
    let plan = Plan::seeded(SeededRng::new(1));
    plan.chance("note", Fault::Fail, 0.25);
    let broken = applied(&store(&plan), "note", 1000).await.iter().filter(|ok| !**ok).count();
    assert!((200..300).contains(&broken), "{broken} of 1000");
    assert_eq!(plan.injected()["fail"], broken as u64);
}
