//! The crash matrix of sends and of admissions.

use std::time::Duration;

use openclaw_core::{
    Effect,
    channel::Reconciled,
    gateway::{MessageState, Recovered},
};
use openclaw_testkit::{fault::Fault, platform::Verdict};

use crate::support::{Run, World, echo};

const DAY: Duration = Duration::from_secs(86_400);
const KEYED: Effect = Effect::Keyed { retention: DAY };

/// Where the process dies.
type Point = (&'static str, Fault, &'static str);

const BEFORE_THE_TURN: Point = ("C0", Fault::CrashBefore, "turn");
const BEHIND_THE_TURN: Point = ("C1", Fault::CrashAfter, "turn");
const BEFORE_THE_MARK: Point = ("C1, not dispatched", Fault::CrashBefore, "dispatch");
const BEHIND_THE_MARK: Point = ("C2", Fault::CrashAfter, "dispatch");
const BEHIND_THE_SEND: Point = ("C3", Fault::CrashBefore, "done");
const BEHIND_THE_RECEIPT: Point = ("C4", Fault::CrashAfter, "done");

const POINTS: [Point; 6] = [
    BEFORE_THE_TURN,
    BEHIND_THE_TURN,
    BEFORE_THE_MARK,
    BEHIND_THE_MARK,
    BEHIND_THE_SEND,
    BEHIND_THE_RECEIPT,
];

fn world(effect: Effect) -> World {
    let mut world = World::new(5);
    world.capabilities.post = effect;
    if matches!(effect, Effect::Keyed { .. }) {
        world.platform.honour_keys();
    }
    world
}

/// Lets a process die at this point, and starts another one after a while.
async fn again(world: &World, point: Point, away: Duration) -> (Run, openclaw_core::MessageId) {
    let first = world.start(|b| b.agent(echo())).await;
    first.plan.nth(point.2, 1, point.1);
    world.say("c1", "m1", "hello");
    first.dies().await;
    tokio::time::sleep(away).await;
    let second = world.start(|b| b.agent(echo())).await;
    // The platform delivers again what was not acknowledged, or what it is not sure of.
    let message = world.tell("c1", "m1", "hello").await;
    (second, message)
}

/// Posts that the platform took, and how the message ended.
async fn end(effect: Effect, point: Point, away: Duration) -> (usize, MessageState) {
    let world = world(effect);
    let (run, message) = again(&world, point, away).await;
    let state = run.end(message).await.state;
    (world.platform.posts().len(), state)
}

async fn check(effect: Effect, points: &[Point], expected: impl Fn(&str) -> (usize, MessageState)) {
    for point in points {
        let found = end(effect, *point, Duration::ZERO).await;
        assert_eq!(found, expected(point.0), "{}", point.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_keyed_send_arrives_once_at_every_point() {
    check(KEYED, &POINTS, |_| (1, MessageState::Done)).await;
}

#[tokio::test(start_paused = true)]
async fn a_reconcilable_send_arrives_once_at_every_point() {
    check(Effect::Reconcilable, &POINTS, |_| (1, MessageState::Done)).await;
}

#[tokio::test(start_paused = true)]
async fn an_at_least_once_send_arrives_twice_only_when_its_receipt_is_missing() {
    let expected = |name: &str| (if name == "C3" { 2 } else { 1 }, MessageState::Done);
    check(Effect::AtLeastOnce, &POINTS, expected).await;
}

#[tokio::test(start_paused = true)]
async fn an_at_most_once_send_in_doubt_is_parked_and_never_repeated() {
    let expected = |name: &str| match name {
        "C2" => (0, MessageState::Parked),
        "C3" => (1, MessageState::Parked),
        _ => (1, MessageState::Done),
    };
    check(Effect::AtMostOnce, &POINTS, expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_pure_send_needs_no_mark_and_is_repeated() {
    let points = [BEFORE_THE_TURN, BEHIND_THE_TURN, BEHIND_THE_SEND, BEHIND_THE_RECEIPT];
    let expected = |name: &str| (if name == "C3" { 2 } else { 1 }, MessageState::Done);
    check(Effect::Pure, &points, expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_says_what_it_found() {
    let expected = [(1, 0, 0), (0, 1, 0), (0, 1, 0), (0, 1, 1), (0, 1, 1), (0, 0, 0)];
    for (point, (turns, replies, in_doubt)) in POINTS.into_iter().zip(expected) {
        let world = world(KEYED);
        let (run, _) = again(&world, point, Duration::ZERO).await;
        let Recovered { turns: t, replies: r, in_doubt: d, waiting, .. } = *run.recovered();
        assert_eq!((t, r, d, waiting), (turns, replies, in_doubt, 0), "{}", point.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_whose_key_may_be_forgotten_is_not_repeated() {
    let found = end(KEYED, BEHIND_THE_SEND, DAY).await;
    assert_eq!(found, (1, MessageState::Parked));
}

#[tokio::test(start_paused = true)]
async fn what_the_platform_does_not_know_yet_is_asked_again() {
    let world = world(Effect::Reconcilable);
    let later = || Reconciled::NotYetKnown { retry_after: Duration::from_secs(3) };
    world.platform.reconcile_as([later(), later()]);
    let (run, message) = again(&world, BEHIND_THE_SEND, Duration::ZERO).await;
    let since = tokio::time::Instant::now();
    run.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.posts().len(), 1);
    assert!(since.elapsed() >= Duration::from_secs(6), "it asks no sooner than it was told");
}

#[tokio::test(start_paused = true)]
async fn what_the_platform_never_knows_is_parked_in_the_end() {
    let world = world(Effect::Reconcilable);
    let later = Reconciled::NotYetKnown { retry_after: Duration::from_secs(3) };
    world.platform.reconcile_as(std::iter::repeat_n(later, 2000));
    let (run, message) = again(&world, BEHIND_THE_SEND, Duration::ZERO).await;
    run.ends(message, MessageState::Parked).await;
    assert_eq!(world.platform.posts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_platform_can_not_know_is_parked() {
    let world = world(Effect::Reconcilable);
    world.platform.reconcile_as([Reconciled::CannotKnow]);
    let (run, message) = again(&world, BEHIND_THE_SEND, Duration::ZERO).await;
    run.ends(message, MessageState::Parked).await;
    assert_eq!(world.platform.posts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_not_durable_is_taken_when_it_comes_again() {
    let world = world(Effect::AtMostOnce);
    let first = world.start(|b| b.agent(echo())).await;
    first.plan.nth("admit", 1, Fault::CrashBefore);
    let ticket = world.say("c1", "m1", "hello");
    first.dies().await;
    assert_eq!(world.platform.peek(ticket), Some(Verdict::Abandoned));
    let second = world.start(|b| b.agent(echo())).await;
    assert_eq!(second.recovered().turns, 0);
    second.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_durable_is_a_duplicate_when_it_comes_again() {
    let world = world(Effect::AtMostOnce);
    let first = world.start(|b| b.agent(echo())).await;
    first.plan.nth("admit", 1, Fault::CrashAfter);
    world.say("c1", "m1", "hello");
    first.dies().await;
    let second = world.start(|b| b.agent(echo())).await;
    assert_eq!(second.recovered().turns, 1);
    let ticket = world.say("c1", "m1", "hello");
    let Verdict::Accepted { message, duplicate: true } = world.platform.verdict(ticket).await
    else {
        panic!("not a duplicate");
    };
    second.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_whose_commits_lose_their_answers_arrives_once() {
    for label in ["turn", "dispatch", "done"] {
        for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
            let world = world(Effect::AtMostOnce);
            let run = world.start(|b| b.agent(echo())).await;
            run.plan.nth(label, 1, fault);
            run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
            assert_eq!(world.platform.texts(), ["hello"], "{fault:?} at {label}");
        }
    }
}
