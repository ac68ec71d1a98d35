//! Canaries, roll-backs and shadows: sticky, monotone, kept over a restart, agreed on by processes.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    Effect, Env, ErrorKind, Happened, Touches,
    middleware::breaker::{BreakerConfig, Window},
    records::{AuditAction, AuditLog, EVERYBODY},
    skill::{RouteKey, SkillManifest, SkillSource as _},
    store::{MemoryStore, SharedStore},
};
use openclaw_skills::registry::{Registry, RegistryEvent, Release, Verdict, bucket};
use openclaw_testkit::{
    env::test_env,
    fault::{Fault, FaultStore, Plan, Power},
    remote::{Behaviour, CountingRemote, RemoteKind, RemoteSkill},
};
use proptest::prelude::*;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::registry_support::{
    Heard, KEYED, builder, call, id, met, operators, over, process, publish, route, run,
};

const TWO: &[(&str, bool)] = &[("1.0.0", false), ("1.1.0", true)];

fn memory(env: &Env) -> SharedStore {
    Arc::new(MemoryStore::new(env.clock()))
}

/// Of a thousand routes, those that meet the canary.
fn tried(registry: &Registry) -> Vec<u64> {
    (0..1_000).filter(|n| met(registry, "v1", &route(*n)) == "1.1.0").collect()
}

#[tokio::test(start_paused = true)]
async fn a_canary_has_its_part_of_the_routes_and_no_other_version_changes() {
    let registry = Registry::new(Env::system());
    publish(&registry, TWO);
    for (weight, least, most) in
        [(0, 0, 0), (500, 25, 80), (5_000, 440, 560), (EVERYBODY, 1_000, 1_000)]
    {
        registry.canary(&id("pay"), "1.1.0", weight, "carol").await.expect("it is there");
        let part = tried(&registry).len();
        assert!((least..=most).contains(&part), "{weight}: {part}");
        let below: Vec<u64> =
            (0..1_000).filter(|n| bucket(&id("pay"), &route(*n)) < weight).collect();
        assert_eq!(tried(&registry), below, "those whose bucket is below the weight");
        assert_eq!(met(&registry, "1.0.0", &route(1)), "1.0.0");
        assert_eq!(met(&registry, "~1.0", &route(1)), "1.0.0", "the canary is out of the range");
    }
}

#[tokio::test(start_paused = true)]
async fn a_canary_is_met_by_its_routes_only_even_when_it_was_published_for_everybody() {
    let registry = Registry::new(Env::system());
    publish(&registry, &[("1.0.0", false), ("1.1.0", false)]);
    assert_eq!(tried(&registry).len(), 1_000);
    registry.canary(&id("pay"), "1.1.0", 500, "carol").await.expect("it is there");
    assert!(tried(&registry).len() < 100);
    registry.withdraw(&id("pay"), "1.1.0", "a customer called", "carol").await.expect("it is");
    assert_eq!(tried(&registry), Vec::<u64>::new());
}

#[tokio::test(start_paused = true)]
async fn a_version_that_was_rolled_back_is_not_met_by_its_number_until_its_trial_ends() {
    let registry = Registry::new(Env::system());
    publish(&registry, TWO);
    registry.canary(&id("pay"), "1.1.0", 500, "carol").await.expect("it is there");
    assert_eq!(met(&registry, "1.1.0", &route(1)), "1.1.0", "on trial");
    registry.withdraw(&id("pay"), "1.1.0", "a customer called", "carol").await.expect("it is");
    let asked = registry.find(&id("pay"), Some("1.1.0"), &route(1)).expect_err("rolled back");
    assert_eq!((asked.kind(), asked.happened()), (ErrorKind::NotFound, Happened::No));
    assert_eq!(asked.public(), "this version of the skill was rolled back: ask for another one");
    assert!(asked.context().any(|pair| pair == ("because", "a customer called")), "{asked}");
    assert_eq!(met(&registry, "^1.1", &route(1)), met(&registry, "1.1.0", &route(1)));
    let begun = registry.exact(&id("pay"), "1.1.0").expect("calls that were begun end with it");
    assert_eq!(&*begun.manifest().version, "1.1.0");
    registry.abandon(&id("pay"), "carol").await.expect("it was tried");
    assert_eq!(met(&registry, "1.1.0", &route(1)), "1.1.0", "a draft as any other");
}

#[tokio::test(start_paused = true)]
async fn what_a_conversation_is_shown_is_what_its_calls_meet() {
    let registry = Registry::new(Env::system());
    publish(&registry, TWO);
    registry.canary(&id("pay"), "1.1.0", 5_000, "carol").await.expect("it is there");
    for n in 0..200 {
        let shown = registry.list(&route(n)).pop().expect("a skill");
        assert_eq!(shown.manifest().version.as_ref(), met(&registry, "*", &route(n)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_route_is_sticky_and_a_higher_weight_moves_nobody_off(
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        name in "[a-z.]{1,24}",
        low in 0_u16..=EVERYBODY,
        more in 0_u16..=EVERYBODY,
    ) {
        let (skill, route) = (id(&name), RouteKey::new(bytes));
        let high = low.saturating_add(more).min(EVERYBODY);
        let at = bucket(&skill, &route);
        prop_assert_eq!(at, bucket(&skill, &route));
        prop_assert!(at < EVERYBODY, "all of them are everybody");
        prop_assert!(at >= low || at < high, "who was on it stays on it");
    }

    #[test]
    fn raising_the_weight_of_a_registry_moves_nobody_off(
        steps in proptest::collection::vec(0_u16..=EVERYBODY, 2..6),
    ) {
        let mut steps = steps;
        steps.sort_unstable();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let registry = Registry::new(Env::system());
        publish(&registry, TWO);
        let mut before = Vec::new();
        for weight in steps {
            let skill = id("pay");
            let raised = registry.canary(&skill, "1.1.0", weight, "carol");
            runtime.block_on(raised).expect("it is there");
            let now: Vec<u64> =
                (0..100).filter(|n| met(&registry, "v1", &route(*n)) == "1.1.0").collect();
            prop_assert!(before.iter().all(|n| now.contains(n)), "{weight}: {before:?} {now:?}");
            before = now;
        }
    }
}

#[test]
fn parts_of_a_route_can_not_run_into_each_other() {
    let at = |skill: &str, route: &str| bucket(&id(skill), &RouteKey::new(route.to_owned()));
    let apart = (0..50).any(|n| at("ab", &format!("c{n}")) != at("a", &format!("bc{n}")));
    assert!(apart, "skill and route are told apart");
}

/// A canary over this remote beside a version that works, tried by everybody.
async fn trial(heard: &Heard, store: &SharedStore, env: &Env, remote: &CountingRemote) -> Registry {
    let mut config = BreakerConfig::default();
    (config.window, config.consecutive_failures) = (Some(Window::Count(50)), None);
    (config.failure_rate, config.minimum_calls) = (0.5, 10);
    let registry = heard.on(builder(env, store)).roll_back(config).open().await.expect("it opens");
    publish(&registry, &[("1.0.0", false)]);
    registry.publish(Release::of(over("1.1.0", KEYED, remote)).draft()).expect("a new version");
    registry.canary(&id("pay"), "1.1.0", EVERYBODY, "carol").await.expect("it is there");
    registry
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_fails_too_often_is_rolled_back_and_stays_so_over_a_restart() {
    let env = test_env(1);
    let (store, heard) = (memory(&env), Heard::default());
    let remote = CountingRemote::new(RemoteKind::Keyed);
    let registry = trial(&heard, &store, &env, &remote).await;
    remote.script(std::iter::repeat_n(Behaviour::FailBefore, 100));
    for n in 0..9 {
        call(&registry, n).await.expect_err("it fails");
        assert_eq!(met(&registry, "v1", &route(1)), "1.1.0", "{n}: too few to judge");
    }
    call(&registry, 9).await.expect_err("it fails");
    assert_eq!(met(&registry, "v1", &route(1)), "1.0.0", "rolled back at once");
    call(&registry, 10).await.expect("the version before works");
    assert!(registry.drain(Duration::from_secs(5)).await);
    let back = RegistryEvent::RolledBack {
        skill: id("pay"),
        version: "1.1.0".into(),
        why: "10 of 10 calls failed".into(),
    };
    assert_eq!(heard.events(), [back]);
    let log = AuditLog::new(Arc::clone(&store), operators()).entries().await.expect("it answers");
    let notes: Vec<(AuditAction, &str, &str)> =
        log.iter().map(|entry| (entry.action.clone(), &*entry.subject, &*entry.note)).collect();
    assert_eq!(
        notes,
        [
            (AuditAction::RolloutChanged, "carol", "pay 1.1.0: canary at 10000 of 10000"),
            (AuditAction::RolledBack, "registry", "pay 1.1.0: rolled back, 10 of 10 calls failed"),
        ]
    );

    let next = process(&env, &store, TWO).await;
    assert_eq!(met(&next, "v1", &route(1)), "1.0.0", "behind a restart");
    let raised = next.canary(&id("pay"), "1.1.0", 100, "carol").await.expect_err("by accident");
    assert_eq!(raised.kind(), ErrorKind::Conflict);
    next.promote(&id("pay"), "1.1.0", "carol").await.expect_err("nor is it promoted");
    next.abandon(&id("pay"), "carol").await.expect("on purpose");
    next.canary(&id("pay"), "1.1.0", EVERYBODY, "carol").await.expect("it is tried anew");
    assert_eq!(met(&next, "v1", &route(1)), "1.1.0");
}

#[tokio::test(start_paused = true)]
async fn successes_and_answers_do_not_roll_back() {
    let env = test_env(2);
    let (store, heard) = (memory(&env), Heard::default());
    let remote = CountingRemote::new(RemoteKind::Keyed);
    let registry = trial(&heard, &store, &env, &remote).await;
    remote.script((0..60).map(|n| match n % 3 {
        0 => Behaviour::FailBefore,
        _ => Behaviour::Answer,
    }));
    for n in 0..60 {
        drop(call(&registry, n).await);
    }
    assert_eq!(met(&registry, "v1", &route(1)), "1.1.0");
    assert_eq!(heard.events(), []);
}

#[tokio::test(start_paused = true)]
async fn calls_that_nobody_could_wait_for_speak_against_a_canary() {
    let env = test_env(3);
    let (store, heard) = (memory(&env), Heard::default());
    let remote = CountingRemote::new(RemoteKind::Keyed);
    let registry = trial(&heard, &store, &env, &remote).await;
    remote.script(std::iter::repeat_n(Behaviour::Hang, 20));
    for n in 0..10 {
        let limit = Duration::from_secs(31);
        tokio::time::timeout(limit, call(&registry, n)).await.expect_err("it hangs");
    }
    assert_eq!(met(&registry, "v1", &route(1)), "1.0.0");
}

#[tokio::test(start_paused = true)]
async fn callers_who_give_up_early_do_not_speak_against_a_canary() {
    let env = test_env(3);
    let (store, heard) = (memory(&env), Heard::default());
    let remote = CountingRemote::new(RemoteKind::Keyed);
    let registry = trial(&heard, &store, &env, &remote).await;
    remote.script(std::iter::repeat_n(Behaviour::Hang, 20));
    for n in 0..20 {
        let limit = Duration::from_secs(1);
        tokio::time::timeout(limit, call(&registry, n)).await.expect_err("it hangs");
    }
    assert_eq!(met(&registry, "v1", &route(1)), "1.1.0");
}

#[tokio::test(start_paused = true)]
async fn a_roll_back_that_the_store_does_not_take_counts_here_and_is_kept_later() {
    let env = test_env(4);
    let (rows, heard) = (MemoryStore::new(env.clock()), Heard::default());
    let plan = Plan::new(Power::on());
    let store: SharedStore = Arc::new(FaultStore::new(rows.clone(), plan.clone()));
    let remote = CountingRemote::new(RemoteKind::Keyed);
    let registry = trial(&heard, &store, &env, &remote).await;
    remote.script(std::iter::repeat_n(Behaviour::FailBefore, 100));
    plan.fail("rollout");
    for n in 0..10 {
        call(&registry, n).await.expect_err("it fails");
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(heard.events().iter().any(|event| matches!(event, RegistryEvent::NotKept { .. })));
    registry.refresh().await.expect("the store can be read");
    assert_eq!(met(&registry, "v1", &route(1)), "1.0.0", "what the store has does not undo it");
    plan.heal();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let other: SharedStore = Arc::new(rows);
    assert_eq!(met(&process(&env, &other, TWO).await, "v1", &route(1)), "1.0.0");
}

/// A call of the canary that takes ten seconds, after which nine others fail and one more does.
async fn failed_beside_a_slow_call(registry: &Registry, remote: &CountingRemote) -> JoinHandle<()> {
    remote.script([Behaviour::AnswerLate(Duration::from_secs(10))]);
    remote.script(std::iter::repeat_n(Behaviour::FailBefore, 10));
    let slow = registry.clone();
    let slow = tokio::spawn(async move { drop(call(&slow, 100).await) });
    tokio::time::sleep(Duration::from_secs(1)).await;
    for n in 0..10 {
        call(registry, n).await.expect_err("it fails");
    }
    assert_eq!(met(registry, "v1", &route(1)), "1.0.0");
    slow
}

#[tokio::test(start_paused = true)]
async fn a_call_of_an_old_trial_does_not_speak_against_a_new_one() {
    let env = test_env(8);
    let (store, heard) = (memory(&env), Heard::default());
    let remote = CountingRemote::new(RemoteKind::Keyed);
    let registry = trial(&heard, &store, &env, &remote).await;
    let slow = failed_beside_a_slow_call(&registry, &remote).await;
    registry.abandon(&id("pay"), "carol").await.expect("the remote is mended");
    registry.canary(&id("pay"), "1.1.0", EVERYBODY, "carol").await.expect("tried again");
    slow.await.expect("it ends");
    assert_eq!(met(&registry, "v1", &route(1)), "1.1.0");
    assert!(registry.drain(Duration::from_secs(5)).await);
    assert_eq!(met(&process(&env, &store, TWO).await, "v1", &route(1)), "1.1.0");
    assert_eq!(heard.events().len(), 1, "{:?}", heard.events());
}

/// A canary that failed, and whose roll-back the store has not taken.
async fn owing(plan: &Plan, store: &SharedStore, env: &Env) -> Registry {
    let remote = CountingRemote::new(RemoteKind::Keyed);
    let registry = trial(&Heard::default(), store, env, &remote).await;
    remote.script(std::iter::repeat_n(Behaviour::FailBefore, 10));
    plan.fail("rollout");
    for n in 0..10 {
        call(&registry, n).await.expect_err("it fails");
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    registry
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_orders_later_calls_off_a_roll_back_that_was_not_kept() {
    let env = test_env(9);
    let plan = Plan::new(Power::on());
    let store: SharedStore = Arc::new(FaultStore::new(MemoryStore::new(env.clock()), plan.clone()));
    let registry = owing(&plan, &store, &env).await;
    plan.heal();
    let raised = registry.canary(&id("pay"), "1.1.0", EVERYBODY, "carol").await;
    assert_eq!(raised.expect_err("by accident").kind(), ErrorKind::Conflict);
    registry.abandon(&id("pay"), "carol").await.expect("the store answers");
    registry.canary(&id("pay"), "1.1.0", EVERYBODY, "carol").await.expect("tried again");
    assert_eq!(met(&registry, "v1", &route(1)), "1.1.0");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(met(&registry, "v1", &route(1)), "1.1.0");
    assert_eq!(met(&process(&env, &store, TWO).await, "v1", &route(1)), "1.1.0");
}

#[tokio::test(start_paused = true)]
async fn a_roll_back_on_its_way_is_not_kept_over_what_an_operator_ordered_meanwhile() {
    let env = test_env(10);
    let plan = Plan::new(Power::on());
    let store: SharedStore = Arc::new(FaultStore::new(MemoryStore::new(env.clock()), plan.clone()));
    let registry = owing(&plan, &store, &env).await;
    plan.heal();
    plan.next("rollout", 1, Fault::Delay(Duration::from_secs(30)));
    // The next attempt has read the row, and its commit is on its way.
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(plan.injected().get("delay"), Some(&1));
    registry.abandon(&id("pay"), "carol").await.expect("the store answers");
    registry.canary(&id("pay"), "1.1.0", EVERYBODY, "carol").await.expect("tried again");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(met(&registry, "v1", &route(1)), "1.1.0");
    assert_eq!(met(&process(&env, &store, TWO).await, "v1", &route(1)), "1.1.0");
}

#[tokio::test(start_paused = true)]
async fn a_ramp_on_its_way_does_not_undo_a_roll_back_that_came_meanwhile() {
    let env = test_env(13);
    let plan = Plan::new(Power::on());
    let store: SharedStore = Arc::new(FaultStore::new(MemoryStore::new(env.clock()), plan.clone()));
    let remote = CountingRemote::new(RemoteKind::Keyed);
    let registry = trial(&Heard::default(), &store, &env, &remote).await;
    plan.next("rollout", 1, Fault::Delay(Duration::from_secs(10)));
    plan.fail_next("rollout", 5);
    let ramp = registry.clone();
    let ramp = tokio::spawn(async move { ramp.canary(&id("pay"), "1.1.0", 9_000, "carol").await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    remote.script(std::iter::repeat_n(Behaviour::FailBefore, 10));
    for n in 0..10 {
        call(&registry, n).await.expect_err("it fails");
    }
    ramp.await.expect("it ends").expect("the store has heard of nothing else");
    assert_eq!(met(&registry, "v1", &route(1)), "1.0.0");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(met(&process(&env, &store, TWO).await, "v1", &route(1)), "1.0.0");
}

#[tokio::test(start_paused = true)]
async fn a_roll_back_is_kept_when_whoever_ordered_it_leaves() {
    let env = test_env(11);
    let plan = Plan::new(Power::on());
    let store: SharedStore = Arc::new(FaultStore::new(MemoryStore::new(env.clock()), plan.clone()));
    let registry = process(&env, &store, TWO).await;
    registry.canary(&id("pay"), "1.1.0", EVERYBODY, "carol").await.expect("it is there");
    plan.delay("rollout", Duration::from_secs(30));
    let skill = id("pay");
    let ordered = registry.withdraw(&skill, "1.1.0", "a customer called", "dave");
    tokio::time::timeout(Duration::from_secs(1), ordered).await.expect_err("it takes longer");
    assert!(registry.drain(Duration::from_secs(60)).await);
    assert_eq!(met(&process(&env, &store, TWO).await, "v1", &route(1)), "1.0.0");
    let log = AuditLog::new(store, operators()).entries().await.expect("it answers");
    let last = log.last().expect("an entry");
    assert_eq!((&last.action, &*last.subject), (&AuditAction::RolledBack, "dave"));
}

#[tokio::test(start_paused = true)]
async fn whoever_orders_a_roll_back_hears_that_the_store_did_not_take_it() {
    let env = test_env(12);
    let plan = Plan::new(Power::on());
    let store: SharedStore = Arc::new(FaultStore::new(MemoryStore::new(env.clock()), plan.clone()));
    let (one, two) = (process(&env, &store, TWO).await, process(&env, &store, TWO).await);
    one.canary(&id("pay"), "1.1.0", EVERYBODY, "carol").await.expect("it is there");
    plan.fail_next("rollout", 1);
    // The second one has not heard of the canary: its order is for the store all the same.
    let ordered = two.withdraw(&id("pay"), "1.1.0", "a customer called", "dave").await;
    assert_eq!(ordered.expect_err("the store failed").kind(), ErrorKind::Unavailable);
    assert!(two.drain(Duration::from_secs(60)).await);
    one.refresh().await.expect("the store answers");
    assert_eq!(met(&one, "v1", &route(1)), "1.0.0");
}

#[tokio::test(start_paused = true)]
async fn two_processes_agree_and_neither_undoes_the_other() {
    let env = test_env(5);
    let store = memory(&env);
    let (one, two) = (process(&env, &store, TWO).await, process(&env, &store, TWO).await);
    one.canary(&id("pay"), "1.1.0", 5_000, "carol").await.expect("it is there");
    assert_eq!(tried(&two), Vec::<u64>::new(), "it has not looked yet");
    two.refresh().await.expect("the store answers");
    assert_eq!(tried(&one), tried(&two), "one conversation, one version, in any process");
    two.withdraw(&id("pay"), "1.1.0", "a customer called", "dave").await.expect("it is tried");
    // The first one has not looked, and goes on with its ramp.
    let raised = one.canary(&id("pay"), "1.1.0", 8_000, "carol").await.expect_err("too late");
    assert_eq!(raised.kind(), ErrorKind::Conflict);
    assert!(raised.context().any(|pair| pair == ("because", "a customer called")));
    one.refresh().await.expect("the store answers");
    assert_eq!(tried(&one), Vec::<u64>::new());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_follows_hears_of_a_change() {
    let env = test_env(6);
    let store = memory(&env);
    let (one, two) = (process(&env, &store, TWO).await, process(&env, &store, TWO).await);
    one.promote(&id("pay"), "1.1.0", "carol").await.expect("it is there");
    let following = two.follow(Duration::from_secs(5));
    tokio::time::timeout(Duration::from_secs(6), following).await.expect_err("it goes on");
    assert_eq!(met(&two, "v1", &route(1)), "1.1.0");
}

#[tokio::test(start_paused = true)]
async fn what_operators_decided_counts_behind_a_restart() {
    let env = test_env(7);
    let store = memory(&env);
    let three: &[(&str, bool)] = &[("1.0.0", false), ("1.1.0", true), ("2.0.0", false)];
    let first = process(&env, &store, three).await;
    first.promote(&id("pay"), "1.1.0", "carol").await.expect("it is there");
    first.retire(&id("pay"), "2.0.0", Some("pay ^1"), "carol").await.expect("it is there");
    let second = process(&env, &store, three).await;
    assert_eq!(met(&second, "*", &route(1)), "1.1.0");
    assert!(met(&second, "v2", &route(1)).ends_with("use pay ^1"));
    assert_eq!(second.rollout(&id("pay")), first.rollout(&id("pay")));
}

#[tokio::test(start_paused = true)]
async fn only_one_version_is_tried_at_a_time() {
    let registry = Registry::new(Env::system());
    publish(&registry, &[("1.0.0", false), ("1.1.0", true), ("1.2.0", true)]);
    registry.canary(&id("pay"), "1.1.0", 100, "carol").await.expect("the first one");
    let second = registry.canary(&id("pay"), "1.2.0", 100, "carol").await.expect_err("the second");
    assert_eq!(second.kind(), ErrorKind::Conflict);
    let heavy = registry.canary(&id("pay"), "1.1.0", 10_001, "carol").await.expect_err("too much");
    assert_eq!(heavy.kind(), ErrorKind::ValidationError);
    let absent = registry.canary(&id("pay"), "9.0.0", 1, "carol").await.expect_err("not there");
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    registry.promote(&id("pay"), "1.1.0", "carol").await.expect("it is there");
    registry.canary(&id("pay"), "1.2.0", 100, "carol").await.expect("the first one is promoted");
}

/// Runs calls beside a shadow, and gives what was told of it.
async fn beside(shadow: Release, answers: u64) -> (Vec<RegistryEvent>, u64) {
    let remote = CountingRemote::new(RemoteKind::Keyed);
    let told = beside_of(over("1.0.0", Effect::Pure, &remote), shadow, answers).await;
    (told, remote.calls_total())
}

/// The same, beside this version.
async fn beside_of(serving: RemoteSkill, shadow: Release, answers: u64) -> Vec<RegistryEvent> {
    let heard = Heard::default();
    let registry = heard.on(Registry::builder(Env::system())).open().await.expect("it opens");
    registry.publish(Release::of(serving)).expect("a new version");
    registry.publish(shadow.draft()).expect("a new version");
    registry.shadow(&id("pay"), Some("2.0.0"), "carol").await.expect("it is there");
    for n in 0..answers {
        call(&registry, n).await.expect("it works");
    }
    assert!(registry.drain(Duration::from_secs(60)).await);
    heard.events()
}

fn shadowed(verdict: Verdict) -> RegistryEvent {
    RegistryEvent::Shadowed {
        skill: id("pay"),
        shadow: "2.0.0".into(),
        beside: "1.0.0".into(),
        verdict,
    }
}

#[tokio::test(start_paused = true)]
async fn a_shadow_is_compared_and_never_answers() {
    let same = CountingRemote::new(RemoteKind::Keyed);
    let (told, calls) = beside(Release::of(over("2.0.0", Effect::Pure, &same)), 1).await;
    assert_eq!((told, calls, same.calls_total()), (vec![shadowed(Verdict::Same)], 1, 1));

    let other = CountingRemote::new(RemoteKind::Keyed).answering(|_, _| json!({"effect": 99}));
    let (told, _) = beside(Release::of(over("2.0.0", Effect::Pure, &other)), 1).await;
    assert_eq!(told, [shadowed(Verdict::Differs { pointer: "/effect".to_owned() })]);

    let broken = CountingRemote::new(RemoteKind::Keyed);
    broken.script([Behaviour::FailBefore]);
    let (told, _) = beside(Release::of(over("2.0.0", Effect::Pure, &broken)), 1).await;
    assert_eq!(told, [shadowed(Verdict::Fails { kind: ErrorKind::Unavailable })]);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_with_effects_never_reaches_its_remote() {
    for effect in [KEYED, Effect::AtLeastOnce, Effect::AtMostOnce, Effect::Reconcilable] {
        let remote = CountingRemote::new(RemoteKind::Keyed);
        let (told, _) = beside(Release::of(over("2.0.0", effect, &remote)), 3).await;
        assert_eq!(told, vec![shadowed(Verdict::Accepts); 3], "{effect:?}");
        assert_eq!(remote.calls_total(), 0, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shadow_does_nothing_that_the_version_beside_it_may_not() {
    let pure = |number: &str| SkillManifest::new(id("pay"), number).effect(Effect::Pure);
    let serving = || pure("1.0.0").touches(Touches::READS_PRIVATE).permission("crm:read");
    let private = || pure("2.0.0").touches(Touches::READS_PRIVATE);
    for (shadow, verdict, calls) in [
        (private().touches(Touches::READS_PRIVATE | Touches::EGRESS), Verdict::Wider, 0),
        (private().permission("crm:write"), Verdict::Wider, 0),
        (private().permission("crm:read"), Verdict::Same, 1),
        (pure("2.0.0"), Verdict::Same, 1),
    ] {
        let remote = CountingRemote::new(RemoteKind::Keyed);
        let release = Release::of(RemoteSkill::new(shadow, remote.clone()));
        let serving = RemoteSkill::new(serving(), CountingRemote::new(RemoteKind::Keyed));
        let told = beside_of(serving, release, 1).await;
        assert_eq!((told, remote.calls_total()), (vec![shadowed(verdict)], calls));
    }
}

#[tokio::test(start_paused = true)]
async fn shadows_are_bounded_and_nobody_waits_for_them() {
    let heard = Heard::default();
    let making = heard.on(Registry::builder(Env::system())).shadows(2);
    let registry = making.open().await.expect("it opens");
    let slow = CountingRemote::new(RemoteKind::Keyed);
    slow.script(std::iter::repeat_n(Behaviour::Hang, 10));
    let quick = CountingRemote::new(RemoteKind::Keyed);
    registry.publish(Release::of(over("1.0.0", Effect::Pure, &quick))).expect("a new version");
    registry.publish(Release::of(over("2.0.0", Effect::Pure, &slow)).draft()).expect("a version");
    registry.shadow(&id("pay"), Some("2.0.0"), "carol").await.expect("it is there");
    let began = tokio::time::Instant::now();
    for n in 0..5 {
        call(&registry, n).await.expect("it works");
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(heard.events(), vec![shadowed(Verdict::Skipped); 3]);
    assert!(registry.drain(Duration::from_secs(60)).await);
    let late = Verdict::Fails { kind: ErrorKind::Timeout };
    assert_eq!(heard.events().split_off(3), vec![shadowed(late); 2]);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_ends_when_it_is_taken_away() {
    let registry = Registry::new(Env::system());
    publish(&registry, TWO);
    let stable = registry.resolve(&id("pay"), &"v1".parse().expect("a range"), &route(1));
    registry.shadow(&id("pay"), Some("1.1.0"), "carol").await.expect("it is there");
    registry.shadow(&id("pay"), None, "carol").await.expect("it was there");
    run(&*stable.expect("a version"), 1).await.expect("it works");
    assert_eq!(registry.rollout(&id("pay")).shadow, None);
}
