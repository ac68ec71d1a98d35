//! Delivery: parts in order, pauses, deferrals, and what becomes of a part that can't go out.

use std::time::Duration;

use openclaw_core::{
    Effect, ErrorKind,
    channel::Reconciled,
    gateway::{GatewayConfig, MessageState},
};
use tokio::time::Instant;

use crate::support::{Run, World, echo, tenant};
use openclaw_testkit::platform::{Sending, Ticket};

/// A world whose platform takes ten characters a message.
fn narrow() -> World {
    let mut world = World::new(1);
    world.capabilities.max_text = std::num::NonZeroUsize::new(10);
    world
}

async fn start(world: &World) -> Run {
    world.start(|b| b.agent(echo())).await
}

/// Says something, and checks how it ends.
async fn ends(world: &World, run: &Run, id: &str, text: &str, state: MessageState) {
    run.ends(world.tell("c1", id, text).await, state).await;
}

/// The whole seconds between the requests.
fn gaps(world: &World) -> Vec<u64> {
    let requests = world.platform.requests();
    requests.windows(2).map(|two| (two[1] - two[0]).as_secs()).collect()
}

const LONG: &str = "one two three four five six";

#[tokio::test(start_paused = true)]
async fn a_long_reply_goes_out_in_parts_in_order() {
    let world = narrow();
    let run = start(&world).await;
    ends(&world, &run, "m1", LONG, MessageState::Done).await;
    let posts = world.platform.posts();
    assert!(posts.len() > 1 && posts.iter().all(|post| post.text.chars().count() <= 10));
    assert_eq!(world.platform.texts().concat(), LONG);
    let keys: std::collections::BTreeSet<&str> = posts.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(keys.len(), posts.len(), "each part has a key of its own");
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_too_many_parts_ends_with_a_mark() {
    let mut world = narrow();
    world.capabilities.max_parts = 3;
    let run = start(&world).await;
    ends(&world, &run, "m1", &"0123456789".repeat(20), MessageState::Done).await;
    let texts = world.platform.texts();
    assert_eq!((texts.len(), texts[2].ends_with("[…]")), (3, true), "{texts:?}");
}

#[tokio::test(start_paused = true)]
async fn only_the_part_that_was_refused_is_sent_again() {
    let world = narrow();
    world.platform.script([Sending::Take, Sending::Refuse(ErrorKind::Unavailable)]);
    let run = start(&world).await;
    ends(&world, &run, "m1", LONG, MessageState::Done).await;
    assert_eq!(world.platform.texts().concat(), LONG);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_refused_again_and_again_ends_as_a_dead_letter() {
    let world = World::new(1);
    world.platform.script(std::iter::repeat_n(Sending::Refuse(ErrorKind::Unavailable), 5));
    let run = start(&world).await;
    let message = world.tell("c1", "m1", "hello").await;
    run.ends(message, MessageState::Dead).await;
    assert_eq!(gaps(&world), [1, 2, 4, 8]);
    let letter = run.dead_letters(&tenant()).show(message).await.unwrap().unwrap();
    assert_eq!((letter.is_reply, letter.attempts, letter.kind), (true, 5, ErrorKind::Unavailable));
    ends(&world, &run, "m2", "next", MessageState::Done).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_no_attempt_can_help_ends_at_once() {
    let world = World::new(1);
    world.platform.script([Sending::Refuse(ErrorKind::PermissionDenied)]);
    let run = start(&world).await;
    ends(&world, &run, "m1", "hello", MessageState::Dead).await;
    assert_eq!(world.platform.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_short_wait_is_met_to_the_second() {
    let world = World::new(1);
    world.platform.script([Sending::Limit(Duration::from_secs(20))]);
    let run = start(&world).await;
    ends(&world, &run, "m1", "hello", MessageState::Done).await;
    assert_eq!(gaps(&world), [20]);
    assert!(!world.trace.commits().contains(&"defer"), "it is kept in memory");
}

const YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

#[tokio::test(start_paused = true)]
async fn a_platform_that_asks_for_years_mutes_no_conversation() {
    let world = World::new(1);
    world.platform.script([Sending::Limit(YEARS)]);
    let run = start(&world).await;
    let message = world.tell("c1", "m1", "hello").await;
    run.ends(message, MessageState::Dead).await;
    let letter = run.dead_letters(&tenant()).show(message).await.unwrap().unwrap();
    assert_eq!((letter.attempts, letter.kind), (1, ErrorKind::RateLimited));
    assert!(letter.reason.contains("315360000 s"), "{}", letter.reason);
    ends(&world, &run, "m2", "next", MessageState::Done).await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_asks_for_years_is_asked_again_after_a_day() {
    let mut world = World::new(1);
    world.capabilities.post = Effect::Reconcilable;
    world.platform.script([Sending::LoseAnswer]);
    world.platform.reconcile_as([Reconciled::NotYetKnown { retry_after: YEARS }]);
    let run = start(&world).await;
    let message = world.tell("c1", "m1", "hello").await;
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn deferred_replies_come_back_a_few_at_a_time() {
    const CHATS: usize = 10;
    let world = World::new(1);
    let limited = std::iter::repeat_n(Sending::Limit(Duration::from_secs(600)), CHATS);
    let second = Duration::from_secs(1);
    world.platform.script(limited.chain(std::iter::repeat_n(Sending::Late(second), CHATS)));
    let mut config = GatewayConfig::default();
    config.sends = 2;
    let run = world.start(|b| b.agent(echo()).config(config)).await;
    let tickets: Vec<Ticket> =
        (0..CHATS).map(|n| world.say(&format!("c{n}"), &format!("m{n}"), "hello")).collect();
    for ticket in tickets {
        run.ends(run.accepted(ticket).await, MessageState::Done).await;
    }
    let requests = world.platform.requests();
    assert_eq!(requests.len(), 2 * CHATS);
    let crowd = requests[CHATS..].windows(3).filter(|three| three[2] - three[0] < second).count();
    assert_eq!(crowd, 0, "three at once: {requests:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_surely_not_sent_goes_out_after_a_crash_in_the_pause() {
    let world = World::new(1);
    world.platform.script([Sending::Limit(Duration::from_secs(20))]);
    let first = start(&world).await;
    let message = world.tell("c1", "m1", "hello").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    first.kill().await;
    let second = start(&world).await;
    assert_eq!(second.recovered().in_doubt, 0);
    second.ends(message, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

/// A reply that the platform wants in an hour; the reply of the next message is behind it.
async fn deferred(world: &World) -> (Run, [Ticket; 2]) {
    world.platform.script([Sending::Limit(Duration::from_secs(3600))]);
    let mut config = GatewayConfig::default();
    config.sends = 1;
    let run = world.start(|b| b.agent(echo()).config(config)).await;
    let tickets = [world.say("c1", "m1", "first"), world.say("c1", "m2", "second")];
    tokio::time::sleep(Duration::from_secs(600)).await;
    (run, tickets)
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_is_kept_in_the_store_and_closes_only_its_own_lane() {
    let world = World::new(1);
    let since = Instant::now();
    let (run, tickets) = deferred(&world).await;
    let commits = world.trace.commits();
    let kept = commits.iter().filter(|label| matches!(**label, "attempt" | "defer")).count();
    assert_eq!(kept, 1, "the failed attempt and the date are one commit");
    run.ends(world.tell("c2", "m3", "elsewhere").await, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["elsewhere"], "one send at a time, and it is free");
    for ticket in tickets {
        run.ends(run.accepted(ticket).await, MessageState::Done).await;
    }
    assert_eq!(world.platform.texts(), ["elsewhere", "first", "second"]);
    let hour = Duration::from_secs(3600);
    assert!(world.platform.posts()[1].at - since >= hour, "not before its date");
}

#[tokio::test(start_paused = true)]
async fn a_lane_beside_a_deferred_reply_starts_at_once() {
    let world = World::new(1);
    world.platform.script([Sending::Limit(Duration::from_secs(3600))]);
    let mut config = GatewayConfig::default();
    config.sends = 1;
    let run = world.start(|b| b.agent(echo()).config(config)).await;
    world.say("c1", "m1", "first");
    run.ends(world.tell("c2", "m2", "elsewhere").await, MessageState::Done).await;
    assert!(world.platform.posts()[0].at.elapsed() < Duration::from_secs(60));
    assert_eq!(world.platform.texts(), ["elsewhere"]);
}

#[tokio::test(start_paused = true)]
async fn the_date_of_a_deferred_reply_outlives_the_process() {
    let world = World::new(1);
    let since = Instant::now();
    let (first, tickets) = deferred(&world).await;
    first.kill().await;
    let second = start(&world).await;
    assert_eq!(second.recovered().replies, 2);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.platform.texts(), Vec::<String>::new(), "its date has not come");
    for ticket in tickets {
        second.ends(second.accepted(ticket).await, MessageState::Done).await;
    }
    assert_eq!(world.platform.texts(), ["first", "second"]);
    let waited = world.platform.posts()[0].at - since;
    assert!(waited >= Duration::from_secs(3600), "{waited:?}");
    assert!(waited < Duration::from_secs(3700), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_parked_part_parks_the_rest_of_its_reply_and_the_next_reply_goes_on() {
    let world = narrow();
    world.platform.script([Sending::Take, Sending::LoseAnswer]);
    let run = start(&world).await;
    let long = world.say("c1", "m1", LONG);
    ends(&world, &run, "m2", "next", MessageState::Done).await;
    run.ends(run.accepted(long).await, MessageState::Parked).await;
    let texts = world.platform.texts();
    assert_eq!((texts.len(), texts[2].as_str()), (3, "next"), "{texts:?}");
}

/// How a send that meets this ends on a platform that can't be asked.
async fn unanswered(sending: Sending) -> (MessageState, usize) {
    let world = World::new(1);
    world.platform.script([sending]);
    let run = start(&world).await;
    let end = run.end(world.tell("c1", "m1", "hello").await).await;
    ends(&world, &run, "m2", "next", MessageState::Done).await;
    (end.state, world.platform.requests().len() - 1)
}

#[tokio::test(start_paused = true)]
async fn a_send_whose_outcome_nobody_knows_is_parked_and_not_repeated() {
    for sending in [Sending::LoseAnswer, Sending::LoseRequest, Sending::Hang, Sending::Panic] {
        let requests = usize::from(sending != Sending::Panic);
        let end = unanswered(sending).await;
        assert_eq!(end, (MessageState::Parked, requests.max(1)), "{sending:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_asked_in_vain_for_hours_is_given_up() {
    let mut world = World::new(1);
    world.capabilities.post = Effect::Reconcilable;
    world.platform.script([Sending::LoseAnswer]);
    let later = Reconciled::NotYetKnown { retry_after: Duration::from_secs(120) };
    world.platform.reconcile_as(std::iter::repeat_n(later, 1000));
    let run = start(&world).await;
    ends(&world, &run, "m1", "hello", MessageState::Parked).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_is_still_an_answer() {
    let world = World::new(1);
    world.platform.script([Sending::Late(Duration::from_secs(29))]);
    let run = start(&world).await;
    ends(&world, &run, "m1", "hello", MessageState::Done).await;
    assert_eq!(world.platform.requests().len(), 1);
}
