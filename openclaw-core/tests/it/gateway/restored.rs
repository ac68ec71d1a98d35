//! A gateway on a restored store: nothing runs by itself, and what may have happened is in sight.

use std::{io::Cursor, num::NonZeroUsize, sync::Arc, time::Duration};

use openclaw_core::{
    AgentId, Effect, ErrorKind, MessageId,
    agent::{Agent, Answer, Resolution, Waiting, agent_fn},
    gateway::{Gateway, GatewayBuilder, MessageState, ReplicaConfig},
    records::{
        AuditAction, AuditLog, DeadLetter, Inventory, Ledger, Restore, RestoreError, Restored,
        Unfinished,
    },
    skill::SkillAnswer,
    store::{Backup, BackupFile, MemoryStore, SharedStore},
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    fault::{Fault, FaultStore, Plan},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
    trace::Trace,
};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::{Run, World, echo, tenant};

const HOUR: Duration = Duration::from_secs(3_600);

async fn backup(world: &World) -> BackupFile {
    let mut bytes = Vec::new();
    Backup::new(world.rows.clone()).write(&mut bytes).await.unwrap();
    BackupFile::read(Cursor::new(bytes), world.env.clock()).unwrap()
}

/// The same platform and the same time, over what a backup holds.
async fn restored(world: &World, file: BackupFile, how: Unfinished) -> (World, Restored) {
    let rows = MemoryStore::new(world.env.clock());
    let restored = Restore::new(file, rows.clone()).unfinished(how).run().await.unwrap();
    let trace = Trace::default();
    let (platform, capabilities) = (world.platform.clone(), world.capabilities.clone());
    (World { env: world.env.clone(), trace, rows, platform, capabilities }, restored)
}

async fn letters(run: &Run) -> Vec<DeadLetter> {
    let some = NonZeroUsize::new(100).unwrap();
    run.dead_letters(&tenant()).parked(None, some).await.unwrap()
}

fn payer() -> ScriptedAgent {
    let agent = ScriptedAgent::new("payer").unwrap().always();
    agent.call("pay", "pay", json!({"to": "bob", "amount": 7})).then_say("paid")
}

/// A message whose payment was cut at one point, a backup of that moment, and what came of it.
struct Past {
    world: World,
    remote: CountingRemote,
    file: BackupFile,
    message: MessageId,
    /// Payments, once the first life has come to its end.
    paid: u64,
}

fn compose(remote: &CountingRemote) -> impl Fn(GatewayBuilder) -> GatewayBuilder + use<> {
    let remote = remote.clone();
    move |builder| {
        let skill = RemoteSkill::named("pay", Effect::AtMostOnce, remote.clone()).unwrap();
        builder.agent(payer()).skill(skill)
    }
}

impl Past {
    async fn cut(label: &str, fault: Fault) -> Self {
        let world = World::new(3);
        let remote = CountingRemote::new(RemoteKind::Unkeyed);
        let first = world.start(compose(&remote)).await;
        first.plan.nth(label, 1, fault);
        world.say("c1", "m1", "pay");
        first.dies().await;
        let file = backup(&world).await;
        // The world goes on behind the backup.
        tokio::time::sleep(HOUR).await;
        let second = world.start(compose(&remote)).await;
        let message = world.tell("c1", "m1", "pay").await;
        second.end(message).await;
        second.kill().await;
        let paid = remote.effects_total();
        Self { world, remote, file, message, paid }
    }

    async fn restart(&self, how: Unfinished) -> (World, Run, Restored) {
        let (world, restored) = restored(&self.world, self.file.clone(), how).await;
        let run = world.start(compose(&self.remote)).await;
        (world, run, restored)
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_was_under_way_runs_by_itself() {
    for (label, fault, effects) in [
        ("claim", Fault::CrashBefore, 0),
        ("claim", Fault::CrashAfter, 1),
        ("dispatch", Fault::CrashAfter, 1),
        ("settle", Fault::CrashBefore, 1),
        ("settle", Fault::CrashAfter, 0),
        ("turn", Fault::CrashBefore, 0),
        ("turn", Fault::CrashAfter, 0),
        ("done", Fault::CrashBefore, 0),
    ] {
        let at = format!("{label}, {fault:?}");
        let past = Past::cut(label, fault).await;
        let posts = past.world.platform.posts().len();
        let (_, run, restored) = past.restart(Unfinished::Park).await;
        assert_eq!((restored.aside.messages, restored.aside.effects), (1, effects), "{at}");
        assert!(run.recovered().is_empty(), "{at}");
        tokio::time::sleep(HOUR).await;
        assert_eq!(past.remote.effects_total(), past.paid, "{at}: it was paid again");
        assert_eq!(past.world.platform.posts().len(), posts, "{at}: it was answered again");
        let letters = letters(&run).await;
        let [letter] = &letters[..] else { panic!("{at}: {letters:?}") };
        assert_eq!(letter.id, past.message, "{at}");
        assert!(letter.reason.contains("restored from a backup of"), "{at}: {}", letter.reason);
        assert!(run.purge(&tenant(), letter.id, "ops").await.unwrap(), "{at}");
        run.drain(HOUR).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_decides_and_nothing_is_paid_twice() {
    for (label, fault) in [
        ("claim", Fault::CrashAfter),
        ("dispatch", Fault::CrashBefore),
        ("dispatch", Fault::CrashAfter),
        ("settle", Fault::CrashBefore),
    ] {
        let at = format!("{label}, {fault:?}");
        let past = Past::cut(label, fault).await;
        let (_, run, _) = past.restart(Unfinished::Park).await;
        let (who, message) = (tenant(), past.message);
        // A replay without a look: at most once means that it asks a person first.
        run.replay(&who, message, "ops").await.unwrap();
        run.ends(message, MessageState::Parked).await;
        assert_eq!(past.remote.effects_total(), past.paid, "{at}: it was paid again");
        let answer = SkillAnswer::done(json!({"seen": "at the bank"}));
        run.decide(&who, message, "pay", Some(answer), "ops").await.unwrap();
        run.replay(&who, message, "ops").await.unwrap();
        run.ends(message, MessageState::Done).await;
        assert_eq!(past.remote.effects_total(), past.paid, "{at}: it was paid again");
        assert_eq!(past.world.platform.texts().last().map(String::as_str), Some("paid"), "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_in_the_backup_answers_the_replay() {
    let past = Past::cut("settle", Fault::CrashAfter).await;
    let (_, run, _) = past.restart(Unfinished::Park).await;
    run.replay(&tenant(), past.message, "ops").await.unwrap();
    run.ends(past.message, MessageState::Done).await;
    assert_eq!((past.remote.effects_total(), past.paid), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_nobody_worked_on_since_may_go_on() {
    let world = World::new(3);
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let first = world.start(compose(&remote)).await;
    first.plan.nth("claim", 1, Fault::CrashAfter);
    world.say("c1", "m1", "pay");
    first.dies().await;
    let file = backup(&world).await;
    let (there, report) = restored(&world, file, Unfinished::Resume).await;
    assert_eq!(report.aside, openclaw_core::records::Aside::default());
    let run = there.start(compose(&remote)).await;
    let message = there.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(remote.effects_total(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_done_decided_and_seen_is_still_known() {
    let world = World::new(5);
    let run = world.start(|b| b.agent(echo())).await;
    for n in 0..5 {
        let id = format!("m{n}");
        run.ends(world.tell("c1", &id, &id).await, MessageState::Done).await;
    }
    run.drain(HOUR).await.unwrap();
    let (there, report) = restored(&world, backup(&world).await, Unfinished::Park).await;
    assert_eq!((report.inventory.total.finished, report.aside.messages), (5, 0));
    assert!(report.inventory.is_sound(), "{}", report.inventory);
    let trail = &report.inventory.trails[&tenant()];
    assert_eq!((trail.sealed, trail.open), (5, 0));
    let run = there.start(|b| b.agent(echo())).await;
    // The platform delivers one of them again, and then a new one.
    let posts = there.platform.posts().len();
    there.tell("c1", "m3", "m3").await;
    run.ends(there.tell("c1", "m9", "m9").await, MessageState::Done).await;
    assert_eq!(there.platform.posts().len(), posts + 1, "a duplicate was answered");
    run.drain(HOUR).await.unwrap();
    let log = AuditLog::new(Arc::new(there.rows.clone()), tenant());
    let verified = log.verify(None).await.unwrap();
    assert!(verified.is_ok() && verified.sealed == 6, "{verified:?}");
}

/// "wait" waits for a person, "hold" for a permit.
fn desk(gate: &Arc<Semaphore>) -> impl Agent + use<> {
    let gate = Arc::clone(gate);
    agent_fn(AgentId::new("desk").unwrap(), move |turn| {
        let gate = Arc::clone(&gate);
        async move {
            match &*turn.text() {
                "wait" => Ok(turn.resolution().map_or_else(
                    || Answer::Suspended(Waiting::Question { text: "really?".into() }),
                    |resolution| Answer::text(format!("{} says so", resolution.by)),
                )),
                "hold" => {
                    gate.acquire().await.unwrap().forget();
                    Ok(Answer::text("held"))
                }
                text => Ok(Answer::text(text)),
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_gateway_at_work_is_backed_up_and_its_report_names_what_was_under_way() {
    let (world, gate) = (World::new(7), Arc::new(Semaphore::new(0)));
    let run = world.start(|b| b.agent(desk(&gate))).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    let waits = world.tell("c2", "m2", "wait").await;
    let held = world.tell("c3", "m3", "hold").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let file = backup(&world).await;
    gate.add_permits(1);
    run.ends(held, MessageState::Done).await;
    let late = world.tell("c4", "m4", "behind the backup").await;
    run.ends(late, MessageState::Done).await;
    run.kill().await;

    let before = Inventory::of(&(Arc::new(file.clone()) as SharedStore)).await.unwrap();
    let total = &before.total;
    assert_eq!((total.finished, total.turns, total.suspended), (1, 1, 1), "{before}");
    let (there, report) = restored(&world, file, Unfinished::Park).await;
    assert_eq!(report.inventory.tenants[&tenant()].parked, 2);
    assert_eq!(report.inventory.total.unfinished(), 0);
    let said = report.to_string();
    for line in ["2 unfinished messages are parked", "1 finished", "2 parked", "tenant acme"] {
        assert!(said.contains(line), "{line:?} is not in:\n{said}");
    }
    let posts = there.platform.posts().len();
    let run = there.start(|b| b.agent(desk(&gate))).await;
    tokio::time::sleep(HOUR).await;
    assert_eq!(there.platform.posts().len(), posts);
    assert!(run.status(&tenant(), late).await.unwrap().is_none(), "it was acknowledged later");
    // A suspended turn waits again, and its answer counts.
    run.replay(&tenant(), waits, "ops").await.unwrap();
    run.resolve(&tenant(), waits, Resolution::new("bob", json!(true))).await.unwrap();
    run.ends(waits, MessageState::Done).await;
    assert_eq!(there.platform.texts().last().map(String::as_str), Some("bob says so"));
    let entries = run.audit(&tenant()).entries().await.unwrap();
    let parked = entries.iter().filter(|entry| entry.action == AuditAction::Parked);
    assert_eq!(parked.filter(|entry| &*entry.subject == "restore").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn letters_and_effects_that_lay_there_say_that_they_may_have_gone_on() {
    let past = Past::cut("settle", Fault::CrashBefore).await;
    // Its first life ended with a parked letter: back that up, too.
    let file = backup(&past.world).await;
    let (there, report) = restored(&past.world, file, Unfinished::Park).await;
    assert_eq!((report.aside.messages, report.aside.letters), (0, 1));
    let run = there.start(compose(&past.remote)).await;
    let letters = letters(&run).await;
    let reason = &letters[0].reason;
    assert!(
        reason.starts_with("it may have happened") && reason.contains("; restored"),
        "{reason}"
    );
    let effects = Ledger::new(Arc::new(there.rows.clone()), tenant()).all().await.unwrap();
    assert_eq!(effects[0].2.state.name(), "parked");
}

#[tokio::test(start_paused = true)]
async fn no_gateway_starts_on_half_a_restore() {
    let past = Past::cut("dispatch", Fault::CrashAfter).await;
    for (label, nth) in [("copy", 1), ("copy", 2), ("restore", 1), ("restore", 2)] {
        let rows = MemoryStore::new(past.world.env.clock());
        let plan = Plan::default();
        plan.nth(label, nth, if label == "copy" { Fault::LoseAnswer } else { Fault::Fail });
        let to = FaultStore::new(rows.clone(), plan);
        let cut = Restore::new(past.file.clone(), to).run().await;
        assert!(matches!(cut, Err(RestoreError::Copy(_) | RestoreError::Aside(_))), "{cut:?}");
        let builder =
            || compose(&past.remote)(Gateway::builder(past.world.env.clone(), rows.clone()));
        let refused = builder().start().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{label} {nth}: {refused}");
        let refused = builder().start_replica(ReplicaConfig::named("r1")).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{label} {nth}: {refused}");
        assert!(refused.to_string().contains("unfinished copy or restore"), "{refused}");
        let report = Restore::new(past.file.clone(), rows.clone()).run().await.unwrap();
        assert!(report.resumed);
        let gateway = builder().start().await.unwrap();
        assert!(gateway.recovered().is_empty());
        gateway.drain(HOUR).await.unwrap();
    }
}
