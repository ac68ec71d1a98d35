//! The crash matrix of skill calls: a process dies at each point, the next one goes on.

use std::time::Duration;

use openclaw_core::{
    Effect, Env, Timestamp,
    agent::Agent,
    gateway::{GatewayBuilder, MessageState},
    records::Ledger,
};
use openclaw_testkit::{
    agent::{RewordingAgent, ScriptedAgent},
    env::{EPOCH, PausedClock, SeededRng, test_env},
    fault::Fault,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;

use crate::support::{World, tenant};

const DAY: Duration = Duration::from_secs(86_400);
const KEYED: Effect = Effect::Keyed { retention: DAY };

/// A crash point: its name, where the process dies, and what the ledger shows then.
struct Point {
    name: &'static str,
    label: &'static str,
    fault: Fault,
    stored: Option<&'static str>,
}

const fn point(
    name: &'static str,
    fault: Fault,
    label: &'static str,
    stored: Option<&'static str>,
) -> Point {
    Point { name, label, fault, stored }
}

/// Before the claim, behind it, before and behind the dispatch mark, behind the effect,
/// behind the receipt, before and behind the end of the turn.
const POINTS: [Point; 8] = [
    point("C0", Fault::CrashBefore, "claim", None),
    point("C1", Fault::CrashAfter, "claim", Some("claimed")),
    point("C1, not dispatched", Fault::CrashBefore, "dispatch", Some("claimed")),
    point("C2", Fault::CrashAfter, "dispatch", Some("dispatching")),
    point("C3", Fault::CrashBefore, "settle", Some("dispatching")),
    point("C4", Fault::CrashAfter, "settle", Some("done")),
    point("C4, turn not stored", Fault::CrashBefore, "turn", Some("done")),
    point("C5", Fault::CrashAfter, "turn", Some("done")),
];

/// How it ended: effects at the remote, the message, the ledger, the replies.
type End = (u64, MessageState, Option<&'static str>, usize);

const fn done(effects: u64) -> End {
    (effects, MessageState::Done, Some("done"), 1)
}

const fn parked(effects: u64, ledger: &'static str) -> End {
    (effects, MessageState::Parked, Some(ledger), 0)
}

fn payer() -> ScriptedAgent {
    let agent = ScriptedAgent::new("payer").unwrap().always();
    agent.call("pay", "pay", json!({"to": "bob", "amount": 7})).then_say("paid")
}

fn remote(effect: Effect) -> CountingRemote {
    let honours = matches!(effect, Effect::Keyed { .. });
    CountingRemote::new(if honours { RemoteKind::Keyed } else { RemoteKind::Unkeyed })
}

/// What the ledger keeps of the only operation there was.
async fn ledger(world: &World) -> Option<&'static str> {
    let ledger = Ledger::new(std::sync::Arc::new(world.rows.clone()), tenant());
    let effects = ledger.all().await.unwrap();
    assert!(effects.len() <= 1, "{effects:?}");
    effects.first().map(|(_, _, record)| record.state.name())
}

/// Lets a process die at this point and another one go on after a while.
async fn run(effect: Effect, point: &Point, agent: impl Agent + Clone, away: Duration) -> End {
    let env = test_env(3);
    run_by([env.clone(), env], effect, point, agent, away).await
}

/// The same, where each process has its own clock.
async fn run_by(
    envs: [Env; 2],
    effect: Effect,
    point: &Point,
    agent: impl Agent + Clone,
    away: Duration,
) -> End {
    let mut world = World::new(3);
    let [env, heir] = envs;
    world.env = env;
    let remote = remote(effect);
    let skill = || RemoteSkill::named("pay", effect, remote.clone()).unwrap();
    let compose = |builder: GatewayBuilder| builder.agent(agent.clone()).skill(skill());
    let first = world.start(compose).await;
    first.plan.nth(point.label, 1, point.fault);
    world.say("c1", "m1", "pay");
    first.dies().await;
    assert_eq!(ledger(&world).await, point.stored, "{} stored", point.name);
    tokio::time::sleep(away).await;
    world.env = heir;
    let second = world.start(compose).await;
    let end = second.end(world.tell("c1", "m1", "pay").await).await;
    let replies = world.platform.posts().len();
    (remote.effects_total(), end.state, ledger(&world).await, replies)
}

/// Checks every point of the matrix for one class.
async fn check(effect: Effect, expected: impl Fn(&str) -> End) {
    for point in POINTS {
        let end = run(effect, &point, payer(), Duration::ZERO).await;
        assert_eq!(end, expected(point.name), "{}", point.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_keyed_effect_happens_once_at_every_point() {
    check(KEYED, |_| done(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_reconcilable_effect_happens_once_at_every_point() {
    check(Effect::Reconcilable, |_| done(1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_at_least_once_effect_may_happen_twice_only_when_its_receipt_is_missing() {
    check(Effect::AtLeastOnce, |name| done(if name == "C3" { 2 } else { 1 })).await;
}

#[tokio::test(start_paused = true)]
async fn an_at_most_once_effect_in_doubt_is_parked_and_never_repeated() {
    let expected = |name: &str| match name {
        "C2" => parked(0, "parked"),
        "C3" => parked(1, "parked"),
        _ => done(1),
    };
    check(Effect::AtMostOnce, expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_pure_call_keeps_no_record_and_runs_again() {
    let point = point("C3", Fault::CrashBefore, "turn", None);
    let end = run(Effect::Pure, &point, payer(), Duration::ZERO).await;
    assert_eq!(end, (0, MessageState::Done, None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_remote_may_have_forgotten_is_not_sent_again() {
    for (point, effects) in [(&POINTS[3], 0), (&POINTS[4], 1)] {
        let end = run(KEYED, point, payer(), DAY).await;
        assert_eq!(end, parked(effects, "parked"), "{}", point.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_within_its_retention_is_sent_again() {
    let almost = DAY - Duration::from_secs(60);
    assert_eq!(run(KEYED, &POINTS[4], payer(), almost).await, done(1));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_as_old_as_the_store_says_whatever_the_clocks_show() {
    let almost = DAY - Duration::from_secs(60);
    for wrong in [-7_200_000, 7_200_000] {
        let clock = EPOCH.as_millis().saturating_add_signed(wrong);
        for wrong_first in [true, false] {
            let envs = || {
                let clock = PausedClock::new(Timestamp::from_millis(clock));
                let mut envs = [Env::new(clock, SeededRng::new(3)), test_env(4)];
                envs.rotate_left(usize::from(!wrong_first));
                envs
            };
            let end = run_by(envs(), KEYED, &POINTS[4], payer(), almost).await;
            assert_eq!(end, done(1), "the remote knows the key: {wrong} {wrong_first}");
            let end = run_by(envs(), KEYED, &POINTS[4], payer(), DAY).await;
            assert_eq!(end, parked(1, "parked"), "it may not: {wrong} {wrong_first}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_words_its_request_anew_is_parked_without_a_second_effect() {
    for effect in [KEYED, Effect::Reconcilable, Effect::AtLeastOnce, Effect::AtMostOnce] {
        for (point, effects) in [(1, 0), (3, 0), (4, 1), (5, 1), (6, 1)] {
            let point = &POINTS[point];
            let agent = RewordingAgent::new(payer(), test_env(9));
            let end = run(effect, point, agent, Duration::ZERO).await;
            let stored = point.stored.unwrap();
            assert_eq!(end, parked(effects, stored), "{effect:?} at {}", point.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_effect_in_doubt_that_is_not_asked_for_again_parks_the_turn() {
    for (point, effects) in [(&POINTS[3], 0), (&POINTS[4], 1)] {
        let world = World::new(3);
        let remote = remote(KEYED);
        let skill = || RemoteSkill::named("pay", KEYED, remote.clone()).unwrap();
        let first = world.start(|b| b.agent(payer()).skill(skill())).await;
        first.plan.nth(point.label, 1, point.fault);
        world.say("c1", "m1", "pay");
        first.dies().await;
        let silent = ScriptedAgent::new("payer").unwrap().otherwise("never mind");
        let second = world.start(|b| b.agent(silent).skill(skill())).await;
        second.ends(world.tell("c1", "m1", "pay").await, MessageState::Parked).await;
        assert_eq!((remote.effects_total(), world.platform.posts().len()), (effects, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_changes_nothing() {
    let labels = ["admit", "claim", "dispatch", "settle", "turn", "done"];
    for effect in [KEYED, Effect::Reconcilable, Effect::AtLeastOnce, Effect::AtMostOnce] {
        for label in labels {
            for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
                let world = World::new(3);
                let remote = remote(effect);
                let skill = RemoteSkill::named("pay", effect, remote.clone()).unwrap();
                let run = world.start(|b| b.agent(payer()).skill(skill)).await;
                run.plan.nth(label, 1, fault);
                let message = world.tell("c1", "m1", "pay").await;
                run.ends(message, MessageState::Done).await;
                let counts = (remote.effects_total(), world.platform.posts().len());
                assert_eq!(counts, (1, 1), "{effect:?}: {fault:?} at {label}");
                assert_eq!(ledger(&world).await, Some("done"));
            }
        }
    }
}
