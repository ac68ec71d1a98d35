//! Two versions on one store: a row with a newer format number is named, and left alone.

use std::{collections::BTreeMap, sync::Arc};

use openclaw_core::{
    AgentId, Effect, Error, ErrorKind, Result,
    agent::{Agent, Answer, agent_fn},
    gateway::{Gateway, MessageState, ReplicaConfig},
    records::{Approval, Approvals},
    store::{Key, MemoryStore, Op, Prefix, StateStore as _, StateStoreExt as _, Txn},
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    fault::Fault,
    platform::Verdict,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;
use tokio::time::{Duration, sleep};

use crate::support::{World, echo, tenant};

const WHILE: Duration = Duration::from_secs(30);

fn table(name: &'static str) -> Prefix {
    Key::of(&tenant(), name).prefix()
}

/// Every row of a table as a program one format further on, or one back, would have left it.
async fn rewrite(rows: &MemoryStore, prefix: &Prefix, by: i8) {
    let found = rows.scan_all(prefix.clone()).await.unwrap();
    assert!(!found.is_empty(), "no rows under {prefix:?}");
    for (key, entry) in found {
        let mut value = entry.value.to_vec();
        value[0] = value[0].checked_add_signed(by).unwrap();
        rows.commit(Txn::new("rewrite").op(Op::put(key, value))).await.unwrap();
    }
}

type Rows = BTreeMap<Key, Vec<u8>>;

async fn dump(rows: &MemoryStore, prefix: &Prefix) -> Rows {
    let found = rows.scan_all(prefix.clone()).await.unwrap();
    found.into_iter().map(|(key, entry)| (key, entry.value.to_vec())).collect()
}

/// The error names the table, the number, and the one that is known.
fn named<T: std::fmt::Debug>(outcome: Result<T>, table: &str) {
    let e = outcome.expect_err("a row of a newer format was read");
    assert_eq!(e.kind(), ErrorKind::ServerError, "{e}");
    assert!(e.message().contains(table), "{e:?} does not name {table}");
    let context: BTreeMap<&str, &str> = e.context().collect();
    let number = |name| context.get(name).and_then(|n| n.parse::<u8>().ok()).unwrap();
    assert_eq!(number("format"), number("known") + 1, "{e:?}");
}

/// An agent that remembers what it heard.
fn remembers() -> impl Agent {
    agent_fn(AgentId::new("memory").unwrap(), |turn| async move {
        turn.set_session(json!(turn.text()));
        Ok(Answer::text(&*turn.text()))
    })
}

#[tokio::test(start_paused = true)]
async fn a_newer_memory_holds_its_conversation_and_no_other() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(remembers())).await;
    run.ends(world.tell("c1", "m1", "one").await, MessageState::Done).await;
    rewrite(&world.rows, &table("se"), 1).await;
    let kept = dump(&world.rows, &table("se")).await;
    let held = world.tell("c1", "m2", "two").await;
    run.ends(world.tell("c2", "m3", "three").await, MessageState::Done).await;
    sleep(WHILE).await;
    let status = run.status(&tenant(), held).await.unwrap().unwrap();
    assert_eq!(status.state, MessageState::Queued, "{status:?}");
    let now = dump(&world.rows, &table("se")).await;
    assert!(kept.iter().all(|(key, row)| now.get(key) == Some(row)), "a newer row was changed");
    // The program that knows the format comes back.
    for (key, row) in kept {
        let old = [&[row[0] - 1], &row[1..]].concat();
        world.rows.commit(Txn::new("back").op(Op::put(key, old))).await.unwrap();
    }
    run.ends(held, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["one", "three", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_newer_effect_is_not_made_again() {
    let world = World::new(1);
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let skill = || RemoteSkill::named("pay", Effect::AtLeastOnce, remote.clone()).unwrap();
    let payer = ScriptedAgent::new("payer").unwrap().when("pay").call("pay", "pay", json!(7));
    let payer = payer.then_say("paid").when("hello").then_say("hello");
    let first = world.start(|b| b.agent(payer.clone()).skill(skill())).await;
    first.plan.nth("settle", 1, Fault::CrashBefore);
    world.say("c1", "m1", "pay");
    first.dies().await;
    rewrite(&world.rows, &table("fx"), 1).await;
    let kept = dump(&world.rows, &table("fx")).await;
    let second = world.start(|b| b.agent(payer).skill(skill())).await;
    let message = world.tell("c1", "m1", "pay").await;
    named(second.ledger(&tenant()).of_turn(message).await, "effects");
    second.ends(world.tell("c2", "m2", "hello").await, MessageState::Done).await;
    sleep(WHILE).await;
    assert_eq!(remote.effects_total(), 1, "nobody knows what became of the first one");
    assert_eq!(dump(&world.rows, &table("fx")).await, kept);
    let state = second.status(&tenant(), message).await.unwrap().unwrap().state;
    assert_eq!(state, MessageState::Queued, "in sight, and not given up");
    rewrite(&world.rows, &table("fx"), -1).await;
    second.ends(message, MessageState::Done).await;
    assert_eq!(remote.effects_total(), 2, "at least once");
}

#[tokio::test(start_paused = true)]
async fn an_effect_from_before_breaches_were_kept_answers_from_its_record() {
    let world = World::new(1);
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let skill = || RemoteSkill::named("pay", Effect::AtMostOnce, remote.clone()).unwrap();
    let payer = ScriptedAgent::new("payer").unwrap().when("pay").call("pay", "pay", json!(7));
    let payer = payer.then_say("paid");
    let first = world.start(|b| b.agent(payer.clone()).skill(skill())).await;
    first.plan.nth("turn", 1, Fault::CrashBefore);
    world.say("c1", "m1", "pay");
    first.dies().await;
    let (key, entry) = world.rows.scan_all(table("fx")).await.unwrap().remove(0);
    let [3, fields @ .., 0] = &entry.value[..] else { panic!("{:?}", entry.value) };
    let old = [&[2], fields].concat();
    world.rows.commit(Txn::new("old").op(Op::put(key, old))).await.unwrap();
    let second = world.start(|b| b.agent(payer).skill(skill())).await;
    let message = world.tell("c1", "m1", "pay").await;
    second.ends(message, MessageState::Done).await;
    assert_eq!((world.platform.texts(), remote.effects_total()), (vec!["paid".to_owned()], 1));
    let (_, record) = second.ledger(&tenant()).of_turn(message).await.unwrap().remove(0);
    assert_eq!((record.state.name(), record.breach), ("done", None));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_does_not_start_over_newer_work() {
    let world = World::new(1);
    let first = world.start(|b| b.agent(echo())).await;
    first.plan.nth("turn", 1, Fault::CrashBefore);
    world.say("c1", "m1", "hello");
    first.dies().await;
    for (prefix, name) in
        [(table("lv"), "live messages"), (Key::system("pt").prefix(), "partitions")]
    {
        rewrite(&world.rows, &prefix, 1).await;
        let kept = dump(&world.rows, &prefix).await;
        let starts =
            || Gateway::builder(world.env.clone(), world.rows.clone()).agent(echo()).start();
        named(starts().await.map(|_| ()), name);
        named(starts().await.map(|_| ()), name);
        assert_eq!(dump(&world.rows, &prefix).await, kept, "{name}");
        rewrite(&world.rows, &prefix, -1).await;
    }
    let second = world.start(|b| b.agent(echo())).await;
    second.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_a_newer_program_has_seen_is_not_acknowledged() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    rewrite(&world.rows, &table("dd"), 1).await;
    let kept = dump(&world.rows, &table("dd")).await;
    let again = world.platform.verdict(world.say("c1", "m1", "hello")).await;
    assert!(matches!(again, Verdict::Retry { kind: ErrorKind::ServerError, .. }), "{again:?}");
    assert_eq!(dump(&world.rows, &table("dd")).await, kept);
    run.ends(world.tell("c2", "m2", "hi").await, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello", "hi"]);
}

#[tokio::test(start_paused = true)]
async fn a_newer_end_is_named_to_who_asks_for_it() {
    let world = World::new(1);
    let fails = agent_fn(AgentId::new("fails").unwrap(), |turn| async move {
        match &*turn.text() {
            "no" => Err(Error::new(ErrorKind::Unsupported, "never")),
            text => Ok(Answer::text(text)),
        }
    });
    let run = world.start(|b| b.agent(fails)).await;
    let done = world.tell("c1", "m1", "yes").await;
    run.ends(done, MessageState::Done).await;
    let dead = world.tell("c2", "m2", "no").await;
    run.ends(dead, MessageState::Dead).await;
    for (name, message, called) in [("dn", done, "done messages"), ("dl", dead, "dead letters")] {
        rewrite(&world.rows, &table(name), 1).await;
        let kept = dump(&world.rows, &table(name)).await;
        named(run.status(&tenant(), message).await, called);
        if name == "dl" {
            named(run.replay(&tenant(), dead, "ann").await, called);
        }
        assert_eq!(dump(&world.rows, &table(name)).await, kept);
    }
    rewrite(&world.rows, &table("au"), 1).await;
    named(run.audit(&tenant()).entries().await, "the audit trail");
    run.ends(world.tell("c3", "m3", "yes").await, MessageState::Done).await;
}

#[tokio::test(start_paused = true)]
async fn a_newer_parked_letter_stays_where_it_is() {
    let world = World::new(1);
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let skill = || RemoteSkill::named("pay", Effect::AtMostOnce, remote.clone()).unwrap();
    let payer = ScriptedAgent::new("payer").unwrap().when("pay").call("pay", "pay", json!(7));
    let payer = payer.then_say("paid");
    let first = world.start(|b| b.agent(payer.clone()).skill(skill())).await;
    first.plan.nth("settle", 1, Fault::CrashBefore);
    world.say("c1", "m1", "pay");
    first.dies().await;
    let second = world.start(|b| b.agent(payer).skill(skill())).await;
    let message = world.tell("c1", "m1", "pay").await;
    second.ends(message, MessageState::Parked).await;
    rewrite(&world.rows, &table("pk"), 1).await;
    let kept = dump(&world.rows, &table("pk")).await;
    named(second.status(&tenant(), message).await, "dead letters");
    named(second.replay(&tenant(), message, "ann").await, "dead letters");
    named(second.purge(&tenant(), message, "ann").await, "dead letters");
    assert_eq!(dump(&world.rows, &table("pk")).await, kept);
    assert_eq!(remote.effects_total(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_newer_seal_is_a_problem_of_its_trail() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    let trail = run.audit(&tenant());
    assert!(trail.seal().await.unwrap().is_some());
    rewrite(&world.rows, &table("as"), 1).await;
    let kept = dump(&world.rows, &table("as")).await;
    let report = trail.verify(None).await.unwrap();
    assert!(!report.is_ok() && report.problems[0].contains("audit seals"), "{report:?}");
    run.ends(world.tell("c1", "m2", "hi").await, MessageState::Done).await;
    named(trail.seal().await, "audit seals");
    assert_eq!(dump(&world.rows, &table("as")).await, kept);
}

#[tokio::test(start_paused = true)]
async fn a_newer_approval_is_named_and_left_alone() {
    let world = World::new(1);
    let approvals = Approvals::new(Arc::new(world.rows.clone()), tenant());
    let digest = Approval::digest_of(&tenant(), "shop.refund", "1.0.0", &json!({}));
    let until = world.env.now().after(WHILE);
    approvals.grant("a-1", &Approval::granted(digest, "ann", until)).await.unwrap();
    rewrite(&world.rows, &table("ap"), 1).await;
    let kept = dump(&world.rows, &table("ap")).await;
    named(approvals.get("a-1").await, "approvals");
    assert_eq!(dump(&world.rows, &table("ap")).await, kept);
}

#[tokio::test(start_paused = true)]
async fn a_replica_acts_on_nothing_beside_newer_ones() {
    let world = World::new(1);
    let join = |name: &str| {
        let builder = Gateway::builder(world.env.clone(), world.rows.clone()).agent(echo());
        builder.start_replica(ReplicaConfig::named(name))
    };
    let older = join("older").await.unwrap();
    sleep(WHILE).await;
    assert_eq!(older.partitions().len(), 16);
    // A newer one joins: its sign of life has another format.
    let signs = Key::system("rp").prefix();
    let [(_, entry)] = &world.rows.scan_all(signs.clone()).await.unwrap()[..] else {
        panic!("one replica")
    };
    let newer = Key::system("rp").number(77).build();
    let sign = [&[entry.value[0] + 1], &entry.value[1..]].concat();
    let put = Txn::new("join").op(Op::put(newer.clone(), sign.clone()));
    world.rows.commit(put).await.unwrap();
    sleep(WHILE).await;
    assert_eq!(older.partitions(), [0_u16; 0], "it can't tell what is whose any more");
    named(join("another").await.map(|_| ()), "replicas");
    assert_eq!(world.rows.get(&newer).await.unwrap().unwrap().value, sign);
    world.rows.commit(Txn::new("leave").op(Op::delete(newer))).await.unwrap();
    sleep(WHILE).await;
    assert_eq!(older.partitions().len(), 16, "alone again");
}
