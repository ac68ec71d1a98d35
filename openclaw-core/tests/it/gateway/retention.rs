//! What is finished goes at its time, and not before; what is not, stays.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    AgentId, ChannelId, Effect, ErrorKind, MessageId,
    agent::{Agent, Answer, Resolution, Waiting, agent_fn},
    gateway::{Gateway, GatewayBuilder, GatewayConfig, MessageState, Replica, ReplicaConfig},
    records::{Approval, Approvals, AuditAction, Inventory, Retention, Swept},
    skill::SkillAnswer,
    store::{Key, Op, SharedStore, StateStore as _, StateStoreExt as _, Txn},
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    fault::{Fault, FaultAgent, FaultStore, Plan, Power},
    platform::{Platform, Sending},
    remote::{Behaviour, CountingRemote, RemoteKind, RemoteSkill},
    trace::Event,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{Run, World, echo, envelope, tenant};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A world whose platform repeats itself for an hour at most.
fn world() -> World {
    let mut world = World::new(1);
    world.capabilities.redelivery_horizon = HOUR;
    world
}

/// Everything is kept for two hours, and swept only when a test asks for it.
fn config() -> GatewayConfig {
    let mut config = GatewayConfig::default();
    let keep = Some(2 * HOUR);
    (config.retention.messages, config.retention.dead_letters) = (keep, keep);
    config.retention.every = 10_000 * HOUR;
    config.seal_every = MINUTE;
    config
}

fn with(change: impl FnOnce(&mut Retention)) -> GatewayConfig {
    let mut config = config();
    change(&mut config.retention);
    config
}

/// How many rows a table has.
async fn rows(world: &World, table: &'static str) -> usize {
    world.rows.scan_all(Key::of(&tenant(), table).prefix()).await.unwrap().len()
}

async fn tables<const N: usize>(world: &World, names: [&'static str; N]) -> [usize; N] {
    let mut counts = [0; N];
    for (count, name) in counts.iter_mut().zip(names) {
        *count = rows(world, name).await;
    }
    counts
}

fn counts(swept: Swept) -> (u64, u64, u64, u64, u64) {
    (swept.messages, swept.effects, swept.letters, swept.sessions, swept.audit)
}

async fn sweep(run: &Run) -> (u64, u64, u64, u64, u64) {
    counts(run.sweep().await.unwrap())
}

fn payer() -> ScriptedAgent {
    let agent = ScriptedAgent::new("payer").unwrap().always();
    agent.call("pay", "pay", json!({"to": "bob"})).then_say("paid")
}

fn paying(remote: &CountingRemote) -> impl Fn(GatewayBuilder) -> GatewayBuilder + use<> {
    let remote = remote.clone();
    move |builder| {
        let skill = RemoteSkill::named("pay", Effect::AtMostOnce, remote.clone()).unwrap();
        builder.agent(payer()).skill(skill).config(config())
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_at_its_time_with_its_dedupe_row_and_its_effects() {
    let world = world();
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let run = world.start(paying(&remote)).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Done).await;
    let all = ["dn", "dd", "fx"];
    sleep(2 * HOUR - MINUTE).await;
    assert_eq!(sweep(&run).await, (0, 0, 0, 0, 0), "not before its time");
    assert_eq!(tables(&world, all).await, [1, 1, 1]);
    assert_eq!(world.tell("c1", "m1", "pay").await, message, "it is a duplicate all the while");
    sleep(2 * MINUTE).await;
    assert_eq!(sweep(&run).await, (1, 1, 0, 0, 0));
    assert_eq!(tables(&world, all).await, [0, 0, 0]);
    assert!(run.status(&tenant(), message).await.unwrap().is_none());
    // C12: what comes again behind the retention is a new message.
    let again = world.tell("c1", "m1", "pay").await;
    assert_ne!(again, message);
    run.ends(again, MessageState::Done).await;
    assert_eq!(remote.effects_total(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_no_turn_asked_for_goes_behind_its_own_time() {
    let world = world();
    let run = world.start(|b| b.agent(echo()).config(config())).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    let approvals = Approvals::new(Arc::new(world.rows.clone()), tenant());
    let digest = Approval::digest_of(&tenant(), "pay", "1.0.0", &json!(7));
    let granted = Approval::granted(digest, "carol", world.env.now().after(HOUR));
    approvals.grant("a1", &granted).await.unwrap();
    sleep(3 * HOUR - MINUTE).await;
    assert_eq!(run.sweep().await.unwrap().approvals, 0, "not before its time");
    assert!(approvals.get("a1").await.unwrap().is_some());
    sleep(2 * MINUTE).await;
    assert_eq!(run.sweep().await.unwrap().approvals, 1);
    assert!(approvals.get("a1").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_sweeps_by_itself() {
    let world = world();
    let config = with(|keep| keep.every = MINUTE);
    let run = world.start(|b| b.agent(echo()).config(config)).await;
    let message = world.tell("c1", "m1", "hello").await;
    run.ends(message, MessageState::Done).await;
    sleep(2 * HOUR - 2 * MINUTE).await;
    assert_eq!(tables(&world, ["dn", "dd"]).await, [1, 1]);
    sleep(4 * MINUTE).await;
    assert_eq!(tables(&world, ["dn", "dd"]).await, [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_time_than_the_platform_repeats_itself_is_refused() {
    let world = world();
    let start = async |keep: Option<Duration>, every: Duration| {
        let desk = world.platform.channel(world.capabilities.clone(), Default::default());
        let builder = Gateway::builder(world.env.clone(), world.rows.clone()).channel(desk);
        let config = with(|retention| (retention.messages, retention.every) = (keep, every));
        builder.agent(echo()).config(config).start().await
    };
    let refused = start(Some(HOUR - MINUTE), HOUR).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ValidationError);
    let words = refused.to_string();
    for word in ["retention.messages", "desk", "redelivery_horizon", "3600s", "3540s"] {
        assert!(words.contains(word), "{word} is not in {words:?}");
    }
    let refused = start(None, Duration::ZERO).await.unwrap_err();
    assert!(refused.to_string().contains("retention.every"), "{refused}");
    for keep in [None, Some(HOUR)] {
        start(keep, HOUR).await.unwrap().drain(MINUTE).await.unwrap();
    }
}

/// An echo that fails three times, and then works.
fn frail() -> impl Agent {
    let plan = Plan::default();
    plan.fail_next("handle", 3);
    FaultAgent::new(echo(), plan)
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_purged_at_its_time_and_its_id_is_known_for_as_long_again() {
    let world = world();
    let run = world.start(|b| b.agent(frail()).config(config())).await;
    let message = world.tell("c1", "m1", "hello").await;
    run.ends(message, MessageState::Dead).await;
    sleep(2 * HOUR - MINUTE).await;
    assert_eq!(sweep(&run).await, (0, 0, 0, 0, 0));
    sleep(2 * MINUTE).await;
    assert_eq!(sweep(&run).await, (0, 0, 1, 0, 0));
    assert_eq!(tables(&world, ["dl", "dn", "dd"]).await, [0, 1, 1]);
    assert!(run.status(&tenant(), message).await.unwrap().is_none());
    let entries = run.audit(&tenant()).entries().await.unwrap();
    let last = entries.last().unwrap();
    assert_eq!((last.action.clone(), &*last.subject), (AuditAction::Purged, "retention"));
    assert_eq!(last.message, message);
    assert_eq!(world.tell("c1", "m1", "hello").await, message, "still a duplicate");
    sleep(2 * HOUR).await;
    assert_eq!(sweep(&run).await, (1, 0, 0, 0, 0));
    assert_eq!(tables(&world, ["dl", "dn", "dd"]).await, [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_an_operator_purged_leaves_nothing_for_ever() {
    let world = world();
    let run = world.start(|b| b.agent(frail()).config(config())).await;
    let message = world.tell("c1", "m1", "hello").await;
    run.ends(message, MessageState::Dead).await;
    assert!(run.purge(&tenant(), message, "ops").await.unwrap());
    assert!(run.status(&tenant(), message).await.unwrap().is_none());
    assert_eq!(world.tell("c1", "m1", "hello").await, message, "a duplicate");
    sleep(2 * HOUR).await;
    assert_eq!(sweep(&run).await, (1, 0, 0, 0, 0));
    assert_eq!(tables(&world, ["dl", "dn", "dd"]).await, [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_parked_letter_with_an_unknown_effect_never_goes() {
    let world = world();
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    remote.script([Behaviour::LoseAnswer]);
    let config = with(|keep| keep.parked = Some(2 * HOUR));
    let compose = paying(&remote);
    let run = world.start(|b| compose(b).config(config)).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Parked).await;
    sleep(1_000 * HOUR).await;
    assert_eq!(sweep(&run).await, (0, 0, 0, 0, 0));
    assert_eq!(tables(&world, ["pk", "dd", "fx"]).await, [1, 1, 1]);
    // Once a person has decided, time counts again.
    run.decide(&tenant(), message, "pay", Some(SkillAnswer::done(json!(1))), "ops").await.unwrap();
    assert_eq!(sweep(&run).await, (0, 0, 1, 0, 0));
    sleep(2 * HOUR).await;
    assert_eq!(sweep(&run).await, (1, 1, 0, 0, 0));
    assert_eq!(tables(&world, ["pk", "dd", "dn", "fx"]).await, [0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_in_doubt_never_goes_by_time() {
    let world = world();
    world.platform.script([Sending::LoseAnswer]);
    let config = with(|keep| keep.parked = Some(2 * HOUR));
    let run = world.start(|b| b.agent(echo()).config(config)).await;
    let message = world.tell("c1", "m1", "hello").await;
    run.ends(message, MessageState::Parked).await;
    sleep(1_000 * HOUR).await;
    assert_eq!(sweep(&run).await, (0, 0, 0, 0, 0));
    assert_eq!(tables(&world, ["pk", "dd"]).await, [1, 1]);
    assert!(run.purge(&tenant(), message, "ops").await.unwrap(), "a person may");
}

#[tokio::test(start_paused = true)]
async fn a_parked_letter_stays_unless_the_host_says_otherwise() {
    let world = world();
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    remote.script([Behaviour::LoseAnswer]);
    let run = world.start(paying(&remote)).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Parked).await;
    run.decide(&tenant(), message, "pay", Some(SkillAnswer::done(json!(1))), "ops").await.unwrap();
    sleep(1_000 * HOUR).await;
    assert_eq!(sweep(&run).await, (0, 0, 0, 0, 0));
    assert_eq!(tables(&world, ["pk", "dd", "fx"]).await, [1, 1, 1]);
}

/// Asks a person at "ask"; writes into its session what it hears at "note"; else it reads it.
fn notes() -> impl Agent {
    agent_fn(AgentId::new("notes").unwrap(), |turn| async move {
        match &*turn.text() {
            "ask" if turn.resolution().is_none() => {
                Ok(Answer::Suspended(Waiting::Question { text: "well?".into() }))
            }
            "note" => {
                turn.set_session(json!("noted"));
                Ok(Answer::Silent)
            }
            _ => Ok(Answer::text(turn.session().to_string())),
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_when_its_conversation_was_idle_for_its_time() {
    let world = world();
    let config = with(|keep| keep.sessions = Some(8 * HOUR));
    let run = world.start(|b| b.agent(notes()).config(config)).await;
    for place in ["idle", "read", "waits"] {
        let note = world.tell(place, &format!("{place}-1"), "note").await;
        run.ends(note, MessageState::Done).await;
    }
    let waits = world.tell("waits", "waits-2", "ask").await;
    sleep(4 * HOUR).await;
    let read = world.tell("read", "read-2", "what?").await;
    run.ends(read, MessageState::Done).await;
    sleep(5 * HOUR).await;
    assert_eq!(rows(&world, "se").await, 3);
    let (_, _, _, sessions, _) = sweep(&run).await;
    assert_eq!(sessions, 1, "one is idle; one was read in between, and one waits");
    let idle = world.tell("idle", "idle-3", "what?").await;
    assert_eq!(run.end(idle).await.reply.unwrap().to_text(), "null");
    let answer = Resolution::new("ops", Value::Null);
    run.resolve(&tenant(), waits, answer).await.unwrap();
    assert_eq!(run.end(waits).await.reply.unwrap().to_text(), "\"noted\"");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_writes_its_session_while_it_is_swept_wins() {
    let world = world();
    let config = with(|keep| keep.sessions = Some(8 * HOUR));
    let run = world.start(|b| b.agent(notes()).config(config)).await;
    let note = world.tell("c1", "m1", "note").await;
    run.ends(note, MessageState::Done).await;
    sleep(9 * HOUR).await;
    // The message itself goes first; the second commit is the session's.
    run.plan.nth("sweep", 2, Fault::Delay(MINUTE));
    let (swept, _) = tokio::join!(run.sweep(), async {
        sleep(Duration::from_secs(1)).await;
        let note = world.tell("c1", "m2", "note").await;
        run.ends(note, MessageState::Done).await;
    });
    assert_eq!(counts(swept.unwrap()), (1, 0, 0, 0, 0));
    assert_eq!(rows(&world, "se").await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_is_sent_again_while_it_is_swept_wins() {
    let world = world();
    let run = world.start(|b| b.agent(frail()).config(config())).await;
    let message = world.tell("c1", "m1", "hello").await;
    run.ends(message, MessageState::Dead).await;
    sleep(3 * HOUR).await;
    run.plan.next("sweep", 1, Fault::Delay(MINUTE));
    let (swept, _) = tokio::join!(run.sweep(), async {
        sleep(Duration::from_secs(1)).await;
        run.replay(&tenant(), message, "ops").await.unwrap();
        run.ends(message, MessageState::Done).await;
    });
    assert!(swept.unwrap().is_empty());
    assert_eq!(tables(&world, ["dl", "dn", "dd"]).await, [0, 1, 1]);
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_sealed_range_goes_at_its_time_and_the_rest_verifies() {
    let world = world();
    let config = with(|keep| keep.audit = Some(10 * HOUR));
    let run = world.start(|b| b.agent(echo()).config(config)).await;
    let log = run.audit(&tenant());
    let mut anchors = Vec::new();
    for n in 0..6 {
        for m in 0..40 {
            let message = world.tell(&format!("c{m}"), &format!("m{n}-{m}"), "hello").await;
            run.ends(message, MessageState::Done).await;
        }
        anchors.extend(log.seal().await.unwrap());
        sleep(3 * HOUR).await;
    }
    let before = log.verify(anchors.last()).await.unwrap();
    assert!(before.is_ok() && before.removed == 0, "{before:?}");
    // Ranges of 18, 15, 12, 9, 6 and 3 hours: three are old enough.
    let (_, _, _, _, audit) = sweep(&run).await;
    assert_eq!(audit, 120);
    let after = log.verify(anchors.last()).await.unwrap();
    assert!(after.is_ok(), "{after:?}");
    assert_eq!((after.removed, after.sealed, after.open), (120, 120, 1));
    assert_eq!(log.entries().await.unwrap().len(), 121);
    let inventory = Inventory::of(&(Arc::new(world.rows.clone()) as SharedStore)).await.unwrap();
    assert!(inventory.is_sound(), "{inventory}");
    let note = log.entries().await.unwrap().pop().unwrap();
    assert_eq!((note.action, &*note.subject), (AuditAction::Purged, "retention"));
    for (n, anchor) in anchors.iter().enumerate() {
        let report = log.verify(Some(anchor)).await.unwrap();
        assert_eq!(report.is_ok(), n >= 2, "{n}: {report:?}");
    }
    assert!(log.seal().await.unwrap().is_some());
    assert!(log.verify(anchors.last()).await.unwrap().is_ok());
    // What is removed by hand is seen, at the new beginning too.
    let first = world.rows.scan_all(Key::of(&tenant(), "au").prefix()).await.unwrap().remove(0).0;
    change(&world, Op::delete(first)).await;
    assert!(!log.verify(None).await.unwrap().is_ok());
}

/// Messages with effects, and a trail of them: all old.
async fn full(world: &World, compose: &(impl Fn(GatewayBuilder) -> GatewayBuilder + Sync)) {
    let run = world.start(compose).await;
    for n in 0..70 {
        let message = world.tell("c1", &format!("m{n}"), "pay").await;
        run.ends(message, MessageState::Done).await;
        // Time for seals: a range goes when a later one stands behind it.
        sleep(MINUTE).await;
    }
    run.drain(MINUTE).await.unwrap();
    sleep(50 * HOUR).await;
}

fn everything(remote: &CountingRemote) -> impl Fn(GatewayBuilder) -> GatewayBuilder + use<> {
    let compose = paying(remote);
    move |builder| {
        compose(builder).config(with(|keep| {
            (keep.sessions, keep.audit) = (Some(2 * HOUR), Some(2 * HOUR));
        }))
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_is_cut_at_any_commit_leaves_nothing_half() {
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let compose = everything(&remote);
    for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LoseAnswer, Fault::LoseRequest] {
        for nth in 1..=8 {
            let world = world();
            full(&world, &compose).await;
            let run = world.start(&compose).await;
            run.plan.nth("sweep", nth, fault);
            tokio::select! {
                biased;
                _ = run.sweep() => {}
                () = run.power.lost() => {}
            }
            assert!(!run.plan.history().is_empty(), "{fault:?} at {nth} was never met");
            let [done, seen, effects] = tables(&world, ["dn", "dd", "fx"]).await;
            assert_eq!((done, effects), (seen, seen), "{fault:?} at {nth}: whole messages");
            run.kill().await;
            let next = world.start(&compose).await;
            let report = next.audit(&tenant()).verify(None).await.unwrap();
            assert!(report.is_ok(), "{fault:?} at {nth}: {report:?}");
            sweep(&next).await;
            assert_eq!(tables(&world, ["dn", "dd", "fx"]).await, [0, 0, 0], "{fault:?} at {nth}");
            let report = next.audit(&tenant()).verify(None).await.unwrap();
            assert!(report.is_ok(), "{fault:?} at {nth}: {report:?}");
            next.kill().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_leaves_the_writer_room() {
    let world = world();
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let compose = everything(&remote);
    full(&world, &compose).await;
    let run = world.start(&compose).await;
    world.trace.clear();
    let began = tokio::time::Instant::now();
    // Each commit takes 20 ms: the pauses are three times as long.
    run.plan.delay("sweep", Duration::from_millis(20));
    run.sweep().await.unwrap();
    let commits = world.trace.rows();
    let sweeps: Vec<usize> =
        commits.iter().filter(|(label, _)| *label == "sweep").map(|(_, ops)| *ops).collect();
    assert!(sweeps.iter().sum::<usize>() > 210, "{sweeps:?}");
    assert!(sweeps.iter().all(|ops| *ops <= 64), "{sweeps:?}");
    let least = Duration::from_millis(80) * u32::try_from(sweeps.len()).unwrap();
    assert!(began.elapsed() >= least, "{:?} for {sweeps:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_message_with_more_effects_than_a_commit_holds_goes_in_pieces() {
    let world = world();
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let skill = RemoteSkill::named("pay", Effect::AtMostOnce, remote.clone()).unwrap();
    let busy = agent_fn(AgentId::new("busy").unwrap(), |mut turn| async move {
        for n in 0..150 {
            turn.skill("pay", &format!("pay-{n}"), json!({"n": n})).await?;
        }
        Ok(Answer::Silent)
    });
    let mut config = config();
    config.budget.skill_calls = 200;
    let run = world.start(|b| b.agent(busy).skill(skill).config(config)).await;
    for id in ["m1", "m2"] {
        let message = world.tell("c1", id, "pay").await;
        run.ends(message, MessageState::Done).await;
    }
    sleep(3 * HOUR).await;
    world.trace.clear();
    assert_eq!(sweep(&run).await, (2, 300, 0, 0, 0));
    assert!(world.trace.rows().iter().all(|(_, ops)| *ops <= 64), "{:?}", world.trace.rows());
    assert_eq!(tables(&world, ["dn", "dd", "fx"]).await, [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_was_taken_over_sweeps_nothing() {
    let world = world();
    let first = world.start(|b| b.agent(echo()).config(config())).await;
    for n in 0..3 {
        let message = world.tell("c1", &format!("m{n}"), "hello").await;
        first.ends(message, MessageState::Done).await;
    }
    sleep(3 * HOUR).await;
    let _second = world.start(|b| b.agent(echo()).config(config())).await;
    assert!(first.sweep().await.is_err());
    assert_eq!(tables(&world, ["dn", "dd"]).await, [3, 3]);
    assert!(!first.health().await.live);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_leaps_ahead_removes_nothing_while_the_gateway_runs() {
    use openclaw_core::{Env, store::MemoryStore};
    use openclaw_testkit::env::{EPOCH, ManualClock, SeededRng};

    let clock = ManualClock::new(EPOCH);
    let env = Env::new(clock.clone(), SeededRng::new(1));
    let mut world = world();
    (world.env, world.rows) = (env.clone(), MemoryStore::new(env.clock()));
    let run = world.start(|b| b.agent(echo()).config(config())).await;
    let message = world.tell("c1", "m1", "hello").await;
    run.ends(message, MessageState::Done).await;
    clock.advance(100_000 * HOUR);
    assert_eq!(sweep(&run).await, (0, 0, 0, 0, 0));
    sleep(2 * HOUR).await;
    assert_eq!(sweep(&run).await, (1, 0, 0, 0, 0), "as much time has really passed");
}

#[tokio::test(start_paused = true)]
async fn a_store_stays_bounded_however_long_it_is_used() {
    let world = world();
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let compose = paying(&remote);
    let config = with(|keep| {
        (keep.sessions, keep.audit, keep.every) = (Some(2 * HOUR), Some(2 * HOUR), 10 * MINUTE);
    });
    let run = world.start(|b| compose(b).config(config)).await;
    let mut most = 0;
    for n in 0..600 {
        let message = world.tell(&format!("c{}", n % 200), &format!("m{n}"), "pay").await;
        run.ends(message, MessageState::Done).await;
        sleep(MINUTE).await;
        if n % 50 == 49 {
            let counts = tables(&world, ["dn", "dd", "fx", "se", "au", "as", "lv", "dl"]).await;
            most = most.max(counts.iter().sum());
        }
    }
    // Those of 130 minutes, each with three rows, three entries and a seal, and some of the trail's
    // own; without a sweep 4,200 rows were left.
    assert!((840..1_100).contains(&most), "{most} rows");
}

#[tokio::test(start_paused = true)]
async fn an_effect_in_doubt_keeps_its_message() {
    let world = world();
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    remote.script([Behaviour::Answer, Behaviour::Answer, Behaviour::LoseAnswer]);
    let run = world.start(paying(&remote)).await;
    let mut messages = Vec::new();
    for id in ["m1", "m2", "m3"] {
        let message = world.tell("c1", id, "pay").await;
        run.end(message).await;
        messages.push(message);
    }
    let effect = |message: MessageId| Key::of(&tenant(), "fx").id(message).text("pay").build();
    // No message ends like this; but if one did, its doubt must stay to be seen.
    let doubt = world.rows.get(&effect(messages[2])).await.unwrap().unwrap().value;
    change(&world, Op::put(effect(messages[0]), doubt)).await;
    sleep(3 * HOUR).await;
    assert_eq!(sweep(&run).await, (1, 1, 0, 0, 0));
    let left = run.ledger(&tenant()).of_turn(messages[0]).await.unwrap();
    assert!(left[0].1.state.is_in_doubt(), "{left:?}");
    assert_eq!(world.tell("c1", "m1", "pay").await, messages[0]);
    // What can't be read stays, too, and does not stop the sweep.
    change(&world, Op::put(effect(messages[0]), &b"\xff"[..])).await;
    assert_eq!(sweep(&run).await, (0, 0, 0, 0, 0));
    assert_eq!(tables(&world, ["dn", "pk", "dd", "fx"]).await, [1, 1, 2, 2]);
}

/// Changes a row behind the gateway's back.
async fn change(world: &World, op: Op) {
    world.rows.commit(Txn::new("harm").op(op)).await.unwrap();
}

/// A replica on the rows of this world, with a platform of its own.
async fn replica(world: &World, name: &str) -> (Platform, Replica) {
    let store = FaultStore::new(world.rows.clone(), Plan::default()).traced(world.trace.clone());
    let platform = Platform::new(ChannelId::new("desk").unwrap(), world.trace.clone());
    let desk = platform.channel(world.capabilities.clone(), Power::on());
    let config = with(|keep| {
        (keep.messages, keep.every) = (Some(2 * MINUTE), MINUTE / 6);
    });
    let builder = Gateway::builder(world.env.clone(), store).channel(desk).agent(echo());
    let replica = builder.config(config).start_replica(ReplicaConfig::named(name)).await.unwrap();
    (platform, replica)
}

#[tokio::test(start_paused = true)]
async fn one_of_several_replicas_sweeps_for_all() {
    let mut world = world();
    world.capabilities.redelivery_horizon = MINUTE;
    let (a, first) = replica(&world, "a").await;
    let (b, second) = replica(&world, "b").await;
    sleep(MINUTE).await;
    assert!(!first.partitions().is_empty() && !second.partitions().is_empty());
    for n in 0..60 {
        let at = if n % 2 == 0 { &a } else { &b };
        at.deliver(envelope(&format!("c{n}"), Some(&format!("m{n}")), "hello"), None);
    }
    sleep(MINUTE).await;
    assert_eq!(tables(&world, ["dn", "dd"]).await, [60, 60]);
    world.trace.clear();
    sleep(2 * MINUTE).await;
    assert_eq!(tables(&world, ["dn", "dd"]).await, [0, 0]);
    let commits = world.trace.rows();
    let sweeps: Vec<usize> =
        commits.iter().filter(|(label, _)| *label == "sweep").map(|(_, ops)| *ops).collect();
    assert_eq!(sweeps.iter().sum::<usize>(), 120, "each row once: {sweeps:?}");
    assert!(sweeps.len() <= 4, "not a commit for each partition: {sweeps:?}");
    let lost = |event: &Event| matches!(event, Event::Conflict { label } if *label == "sweep");
    assert!(!world.trace.events().iter().any(lost), "nobody else tries");
}
