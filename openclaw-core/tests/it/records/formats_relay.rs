//! Rows of a newer program between replicas, and rows without a format number.

use std::time::Duration;

use openclaw_core::{
    ChannelId, ErrorKind,
    channel::Nonce,
    gateway::{Gateway, MessageState, Replica, ReplicaConfig},
    store::{Entry, Key, MemoryStore, Op, Prefix, StateStore as _, StateStoreExt as _, Txn},
};
use openclaw_testkit::{
    fault::{Fault, FaultStore, Plan, Power},
    platform::{Platform, Ticket, Verdict},
};
use tokio::time::{sleep, timeout};

use crate::support::{World, echo, envelope, tenant};

const MS: Duration = Duration::from_millis(1);
const CHATS: u64 = 40;

/// Every row of a table as a program one format further on, or one back, would have left it.
async fn rewrite(rows: &MemoryStore, found: &[(Key, Entry)], by: i8) {
    for (key, entry) in found {
        let mut value = entry.value.to_vec();
        value[0] = value[0].checked_add_signed(by).unwrap();
        rows.commit(Txn::new("rewrite").op(Op::put(key.clone(), value))).await.unwrap();
    }
}

async fn found(rows: &MemoryStore, prefix: &Prefix) -> Vec<(Key, Entry)> {
    rows.scan_all(prefix.clone()).await.unwrap()
}

fn values(rows: &[(Key, Entry)]) -> Vec<(&Key, &[u8])> {
    rows.iter().map(|(key, entry)| (key, &*entry.value)).collect()
}

/// Two replicas; every message comes in at the first one.
struct Pair {
    world: World,
    platform: Platform,
    elsewhere: Platform,
    replicas: [Replica; 2],
}

impl Pair {
    async fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let platform = Platform::new(ChannelId::new("desk").unwrap(), world.trace.clone());
        let elsewhere = Platform::new(ChannelId::new("desk").unwrap(), world.trace.clone());
        let join = async |name: &str, platform: &Platform| {
            let power = Power::on();
            let plan = Plan::new(power.clone());
            // An answer is on its way long enough to be seen.
            plan.delay("relayed", 7 * MS);
            let desk = platform.channel(world.capabilities.clone(), power);
            let store = FaultStore::new(world.rows.clone(), plan);
            let builder = Gateway::builder(world.env.clone(), store).channel(desk).agent(echo());
            builder.start_replica(ReplicaConfig::named(name)).await.unwrap()
        };
        let replicas = [join("a", &platform).await, join("b", &elsewhere).await];
        while replicas.iter().any(|replica| replica.partitions().len() != 8) {
            sleep(500 * MS).await;
        }
        Self { world, platform, elsewhere, replicas }
    }

    fn say(&self, n: u64) -> Ticket {
        let (place, id) = (format!("c{n}"), format!("m{n}"));
        self.platform.deliver(envelope(&place, Some(&id), &id), None)
    }

    /// Says something in every chat, and catches the first rows that come under this prefix.
    async fn catch(&self, prefix: &Prefix) -> (Vec<Ticket>, Vec<(Key, Entry)>) {
        let tickets = (0..CHATS).map(|n| self.say(n)).collect();
        for _ in 0..100 {
            let rows = found(&self.world.rows, prefix).await;
            if !rows.is_empty() {
                rewrite(&self.world.rows, &rows, 1).await;
                return (tickets, found(&self.world.rows, prefix).await);
            }
            sleep(MS).await;
        }
        panic!("no rows under {prefix:?}")
    }

    /// How many of these were accepted by now.
    async fn accepted(&self, tickets: &[Ticket]) -> usize {
        let mut accepted = 0;
        for ticket in tickets {
            let verdict = timeout(MS, self.platform.verdict(*ticket)).await;
            accepted += usize::from(matches!(verdict, Ok(Verdict::Accepted { .. })));
        }
        accepted
    }

    /// Rows of a newer program are left alone; once an older one is back, all are accepted.
    async fn waits_for_them(&self, prefix: &Prefix) {
        let (tickets, newer) = self.catch(prefix).await;
        sleep(5_000 * MS).await;
        let now = found(&self.world.rows, prefix).await;
        assert_eq!(values(&now), values(&newer), "left alone");
        let accepted = self.accepted(&tickets).await;
        let held = tickets.len() - accepted;
        assert!(accepted > 0 && held >= newer.len(), "{held} of {} wait", newer.len());
        rewrite(&self.world.rows, &now, -1).await;
        sleep(5_000 * MS).await;
        assert_eq!(self.accepted(&tickets).await, tickets.len());
        assert!(found(&self.world.rows, prefix).await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_message_for_another_replica_waits_where_it_is() {
    let pair = Pair::new(1).await;
    pair.waits_for_them(&Key::of(&tenant(), "fw").prefix()).await;
    assert_eq!(pair.replicas[1].partitions().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_newer_answer_of_another_replica_waits_where_it_is() {
    let pair = Pair::new(2).await;
    pair.waits_for_them(&Key::system("ha").prefix()).await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_whose_answer_stays_unreadable_comes_again_and_hears_of_the_first_time() {
    let pair = Pair::new(3).await;
    let answers = Key::system("ha").prefix();
    let (tickets, newer) = pair.catch(&answers).await;
    sleep(10_000 * MS).await;
    let accepted = pair.accepted(&tickets).await;
    assert_eq!(accepted, tickets.len() - newer.len(), "the others have theirs");
    sleep(20_000 * MS).await;
    let mut again = 0;
    for (n, ticket) in (0..).zip(&tickets) {
        let verdict = timeout(MS, pair.platform.verdict(*ticket)).await.expect("a verdict");
        if let Verdict::Retry { kind, .. } = verdict {
            assert_eq!(kind, ErrorKind::Unavailable);
            let second = pair.platform.verdict(pair.say(n)).await;
            let known = matches!(second, Verdict::Accepted { duplicate: true, .. });
            assert!(known, "m{n}: {second:?}");
            again += 1;
        }
    }
    assert_eq!(again, newer.len());
    sleep(1_000 * MS).await;
    let mut texts = pair.platform.texts();
    texts.extend(pair.elsewhere.texts());
    assert_eq!(texts.len(), tickets.len(), "each was answered once");
    assert!(found(&pair.world.rows, &answers).await.is_empty(), "nobody else would read them");
}

#[tokio::test(start_paused = true)]
async fn a_sender_whose_answer_ran_out_unread_comes_again() {
    let pair = Pair::new(4).await;
    let answers = Key::system("ha").prefix();
    let (tickets, lost) = pair.catch(&answers).await;
    // As the store does with them at the end of their time.
    for (key, _) in &lost {
        pair.world.rows.commit(Txn::new("ends").op(Op::delete(key.clone()))).await.unwrap();
    }
    sleep(330_000 * MS).await;
    let mut again = 0;
    for ticket in &tickets {
        let verdict = timeout(MS, pair.platform.verdict(*ticket)).await.expect("a verdict");
        again += usize::from(matches!(verdict, Verdict::Retry { .. }));
    }
    assert_eq!(again, lost.len());
}

#[tokio::test(start_paused = true)]
async fn a_nonce_counts_whatever_is_written_in_its_row() {
    let world = World::new(1);
    let run = world.start(|b| b.agent(echo())).await;
    let signed =
        |id| world.say_once("c1", Some(id), Nonce::new("hook", "n1", Duration::from_secs(300)));
    run.accepted(signed("m1")).await;
    let nonces = Key::of(&tenant(), "nc").prefix();
    let (key, _) = found(&world.rows, &nonces).await.remove(0);
    let put = Op::put_for(key, vec![9, 1, 2], Duration::from_secs(300));
    world.rows.commit(Txn::new("newer").op(put)).await.unwrap();
    let kept = found(&world.rows, &nonces).await;
    let again = world.platform.verdict(signed("m2")).await;
    assert_eq!(again, Verdict::Refused(ErrorKind::AuthenticationFailed));
    assert_eq!(values(&found(&world.rows, &nonces).await), values(&kept));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_found_whatever_is_written_in_its_mark() {
    let world = World::new(1);
    let first = world.start(|b| b.agent(echo())).await;
    first.plan.nth("turn", 1, Fault::CrashBefore);
    world.say("c1", "m1", "hello");
    first.dies().await;
    let marks = Key::system("tn").prefix();
    let (key, _) = found(&world.rows, &marks).await.remove(0);
    world.rows.commit(Txn::new("newer").op(Op::put(key, vec![9, 1, 2]))).await.unwrap();
    let kept = found(&world.rows, &marks).await;
    let second = world.start(|b| b.agent(echo())).await;
    let message = second.recovered();
    assert_eq!(message.turns, 1, "{message:?}");
    second.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["hello"]);
    assert_eq!(values(&found(&world.rows, &marks).await), values(&kept));
}
