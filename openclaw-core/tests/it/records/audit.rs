//! The audit trail: one entry a decision, in its commit; what was changed afterwards is seen.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use openclaw_core::{
    Effect, ErrorKind,
    agent::{Resolution, Waiting},
    gateway::{GatewayBuilder, MessageState},
    records::{Anchor, AuditAction, AuditLog},
    store::{Entry, Key, Op, Prefix, ScanQuery, StateStore, Txn},
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    fault::{FaultAgent, Plan},
    remote::{Behaviour, CountingRemote, RemoteKind, RemoteSkill},
    trace::Event,
};
use serde_json::json;

use crate::support::{Run, World, echo, tenant};

fn trail() -> Prefix {
    Key::of(&tenant(), "au").prefix()
}

fn seals() -> Prefix {
    Key::of(&tenant(), "as").prefix()
}

fn log(world: &World) -> AuditLog {
    AuditLog::new(Arc::new(world.rows.clone()), tenant())
}

async fn rows(world: &World, prefix: Prefix) -> Vec<(Key, Entry)> {
    let all = ScanQuery::new(prefix).limit(NonZeroUsize::new(10_000).unwrap());
    world.rows.scan(all).await.unwrap().value.rows
}

async fn write(world: &World, op: Op) {
    world.rows.commit(Txn::new("tamper").op(op)).await.unwrap();
}

/// Entries under each of three seals.
const RANGE: usize = 200;

/// A trail under three seals, and its anchor.
async fn sealed() -> (World, Anchor) {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    run.kill().await;
    let entry = rows(&world, trail()).await[0].1.value.clone();
    let mut anchor = None;
    for seal in 1..=3 {
        while rows(&world, trail()).await.len() < seal * RANGE {
            write(&world, Op::append(trail(), entry.clone())).await;
        }
        anchor = log(&world).seal().await.unwrap();
    }
    assert_eq!(log(&world).seal().await.unwrap(), None, "nothing is open");
    (world, anchor.unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_untouched_trail_verifies() {
    let (world, anchor) = sealed().await;
    let report = log(&world).verify(Some(&anchor)).await.unwrap();
    assert!(report.is_ok(), "{report:?}");
    assert_eq!((report.sealed, report.open), (600, 0));
}

#[tokio::test(start_paused = true)]
async fn entries_behind_the_last_seal_are_counted_as_open() {
    let (world, anchor) = sealed().await;
    let entry = rows(&world, trail()).await[0].1.value.clone();
    write(&world, Op::append(trail(), entry)).await;
    let report = log(&world).verify(Some(&anchor)).await.unwrap();
    assert_eq!((report.is_ok(), report.sealed, report.open), (true, 600, 1));
}

/// What somebody does to the rows of a trail and to those of its seals.
type Change = fn(&[(Key, Entry)], &[(Key, Entry)]) -> Vec<Op>;

/// Changes a sealed trail; verifying it must show that.
async fn check(anchored: bool, change: Change) {
    let (world, anchor) = sealed().await;
    for op in change(&rows(&world, trail()).await, &rows(&world, seals()).await) {
        write(&world, op).await;
    }
    let report = log(&world).verify(anchored.then_some(&anchor)).await.unwrap();
    assert!(!report.is_ok(), "{report:?}");
}

/// The entry with its last byte changed.
fn changed(row: &(Key, Entry)) -> Vec<Op> {
    let mut value = row.1.value.to_vec();
    *value.last_mut().unwrap() ^= 1;
    vec![Op::put(row.0.clone(), value)]
}

fn deleted(row: &(Key, Entry)) -> Vec<Op> {
    vec![Op::delete(row.0.clone())]
}

/// The entry again, right behind itself.
fn inserted(row: &(Key, Entry)) -> Vec<Op> {
    let mut key = row.0.as_bytes().to_vec();
    key.push(0);
    vec![Op::put(Key::from_bytes(key), row.1.value.clone())]
}

#[tokio::test(start_paused = true)]
async fn a_changed_entry_is_seen() {
    let places: [Change; 4] = [
        |trail, _| changed(&trail[0]),
        |trail, _| changed(&trail[RANGE - 1]),
        |trail, _| changed(&trail[RANGE]),
        |trail, _| changed(&trail[3 * RANGE - 1]),
    ];
    for place in places {
        check(false, place).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_entry_is_seen() {
    let places: [Change; 4] = [
        |trail, _| deleted(&trail[0]),
        |trail, _| deleted(&trail[RANGE - 1]),
        |trail, _| deleted(&trail[RANGE]),
        |trail, _| deleted(&trail[3 * RANGE - 1]),
    ];
    for place in places {
        check(false, place).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_inserted_entry_is_seen() {
    let places: [Change; 3] = [
        |trail, _| inserted(&trail[0]),
        |trail, _| inserted(&trail[RANGE - 1]),
        |trail, _| inserted(&trail[3 * RANGE - 2]),
    ];
    for place in places {
        check(false, place).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_seal_is_seen() {
    check(false, |_, seals| deleted(&seals[0])).await;
    check(false, |_, seals| deleted(&seals[1])).await;
}

#[tokio::test(start_paused = true)]
async fn a_trail_whose_end_was_cut_off_is_seen_by_its_anchor() {
    let end: Change =
        |trail, seals| trail[2 * RANGE..].iter().chain(&seals[2..]).flat_map(deleted).collect();
    check(true, end).await;
}

#[tokio::test(start_paused = true)]
async fn a_trail_that_was_changed_and_sealed_anew_is_seen_by_its_anchor() {
    let (world, anchor) = sealed().await;
    let forged = rows(&world, seals()).await;
    let entry = &rows(&world, trail()).await[3];
    for op in forged.iter().chain([entry]).flat_map(deleted) {
        write(&world, op).await;
    }
    while log(&world).seal().await.unwrap().is_some() {}
    assert!(log(&world).verify(None).await.unwrap().is_ok(), "by itself it looks well");
    assert!(!log(&world).verify(Some(&anchor)).await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_seals_its_trails_from_time_to_time_and_at_its_end() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    let report = log(&world).verify(None).await.unwrap();
    assert_eq!((report.is_ok(), report.sealed, report.open), (true, 1, 0));
    run.ends(world.tell("c1", "m2", "hello").await, MessageState::Done).await;
    run.drain(Duration::from_secs(5)).await.unwrap();
    let report = log(&world).verify(None).await.unwrap();
    assert_eq!((report.is_ok(), report.sealed, report.open), (true, 2, 0));
}

/// What was decided about the only message, in order.
async fn decisions(run: &Run) -> Vec<AuditAction> {
    let entries = run.audit(&tenant()).entries().await.unwrap();
    entries.into_iter().map(|entry| entry.action).collect()
}

/// A gateway whose agent pays in every turn, by a remote that behaves like this.
fn paying(behaviour: &[Behaviour]) -> impl FnOnce(GatewayBuilder) -> GatewayBuilder {
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    remote.script(behaviour.iter().copied());
    let skill = RemoteSkill::named("pay", Effect::AtMostOnce, remote).unwrap();
    let agent = ScriptedAgent::new("payer").unwrap().always();
    let agent = agent.call("pay", "pay", json!({"amount": 7})).then_say("paid");
    move |b| b.agent(agent).skill(skill)
}

#[tokio::test(start_paused = true)]
async fn every_decision_has_one_entry() {
    use AuditAction as A;
    let scene = |script: ScriptedAgent| move |b: GatewayBuilder| b.agent(script);
    let mute = ScriptedAgent::new("mute").unwrap().always().then_nothing();
    let plan = Plan::default();
    plan.fail("handle");
    let broken = FaultAgent::new(echo(), plan);
    type Compose = Box<dyn FnOnce(GatewayBuilder) -> GatewayBuilder>;
    let stories: [(Compose, MessageState, &[A]); 5] = [
        (Box::new(|b| b.agent(echo())), MessageState::Done, &[A::Replied]),
        (Box::new(scene(mute)), MessageState::Done, &[A::Silent]),
        (Box::new(move |b| b.agent(broken)), MessageState::Dead, &[A::DeadLettered]),
        (Box::new(paying(&[])), MessageState::Done, &[A::EffectClaimed, A::EffectDone, A::Replied]),
        (
            Box::new(paying(&[Behaviour::LoseAnswer])),
            MessageState::Parked,
            &[A::EffectClaimed, A::EffectUnknown, A::Parked, A::Parked],
        ),
    ];
    for (compose, state, expected) in stories {
        let world = World::new(1);
        let run = world.start(compose).await;
        run.ends(world.tell("c1", "m1", "hello").await, state).await;
        assert_eq!(decisions(&run).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspension_and_its_resolution_have_their_entries() {
    let world = World::new(1);
    let waiting = Waiting::Question { text: "really?".into() };
    let agent = ScriptedAgent::new("asks").unwrap().always().then_wait(waiting);
    let run = world.start(|b| b.agent(agent)).await;
    let message = world.tell("c1", "m1", "hello").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    run.resolve(&tenant(), message, Resolution::new("ann", json!("yes"))).await.unwrap();
    run.ends(message, MessageState::Done).await;
    let expected = [AuditAction::Suspended, AuditAction::Resumed, AuditAction::Replied];
    assert_eq!(decisions(&run).await, expected);
    let entries = run.audit(&tenant()).entries().await.unwrap();
    assert_eq!(&*entries[1].subject, "ann");
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_in_the_commit_of_its_decision() {
    let world = World::new(1);
    let run = world.start(paying(&[Behaviour::LoseAnswer])).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Parked).await;
    run.decide(&tenant(), message, "pay", None, "ops").await.unwrap();
    run.replay(&tenant(), message, "ops").await.unwrap();
    run.ends(message, MessageState::Done).await;
    let mut decided = 0;
    for event in world.trace.events() {
        let Event::Commit { label, rows } = event else { continue };
        let entries = rows.iter().filter(|(key, _)| key == trail().as_bytes()).count();
        let decision =
            ["claim", "settle", "park", "shelve", "decide", "replay", "turn"].contains(&label);
        assert_eq!(entries, usize::from(decision), "{label}");
        assert!(rows.len() > entries, "{label} writes more than its entry");
        decided += entries;
    }
    assert_eq!(decisions(&run).await.len(), decided);
}

#[tokio::test(start_paused = true)]
async fn of_two_who_seal_at_once_one_is_told() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    run.plan.delay("seal", Duration::from_millis(5));
    let other = AuditLog::new(Arc::new(run.store.clone()), tenant());
    let (one, two) = tokio::join!(other.seal(), other.seal());
    let ((Ok(Some(_)), Err(e)) | (Err(e), Ok(Some(_)))) = (&one, &two) else {
        panic!("{one:?} {two:?}")
    };
    assert_eq!(e.kind(), ErrorKind::Conflict);
    assert!(log(&world).verify(None).await.unwrap().is_ok());
}
