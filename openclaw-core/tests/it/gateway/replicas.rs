//! Several gateways on one store: each answers its share, and nobody's work is done twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use openclaw_core::{
    AgentId, ChannelId, Content, ErrorKind, MessageId,
    agent::{Agent, Answer, agent_fn},
    gateway::{Gateway, MessageState, Replica, ReplicaConfig},
    store::{Key, MemoryStore, Op, StateStore as _, StateStoreExt as _, Txn},
};
use openclaw_testkit::{
    fault::{Fault, FaultChannel, FaultStore, Plan, Power},
    platform::{Platform, Ticket, Verdict},
};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{World, echo, envelope, number, tenant};

/// Long enough for shares to settle, or for a dead replica's lease to end and its work to move.
const SETTLED: Duration = Duration::from_secs(10);
const CHATS: u64 = 40;

/// A replica with an entrance and an exit of its own.
struct Site {
    platform: Platform,
    power: Power,
    plan: Plan,
    replica: Replica,
}

async fn site(world: &World, name: &str, agent: impl Agent) -> Site {
    let power = Power::on();
    let plan = Plan::new(power.clone());
    let store: FaultStore<MemoryStore> = FaultStore::new(world.rows.clone(), plan.clone());
    let platform = Platform::new(ChannelId::new("desk").unwrap(), world.trace.clone());
    let desk = platform.channel(world.capabilities.clone(), power.clone());
    let builder = Gateway::builder(world.env.clone(), store).channel(desk).agent(agent);
    let replica = builder.start_replica(ReplicaConfig::named(name)).await.unwrap();
    Site { platform, power, plan, replica }
}

impl Site {
    fn say(&self, place: u64, n: u64) -> Ticket {
        let (place, id) = (format!("c{place}"), format!("c{place}-{n}"));
        self.platform.deliver(envelope(&place, Some(&id), &format!("{place} m-{n}")), None)
    }

    async fn accepted(&self, ticket: Ticket) -> MessageId {
        match timeout(Duration::from_secs(60), self.platform.verdict(ticket)).await {
            Ok(Verdict::Accepted { message, .. }) => message,
            other => panic!("not accepted: {other:?}"),
        }
    }

    async fn tell(&self, place: u64, n: u64) -> MessageId {
        self.accepted(self.say(place, n)).await
    }
}

/// The texts that all platforms were sent, by chat, in order.
fn shown(sites: &[&Site], place: u64) -> Vec<u64> {
    let chat = format!("c{place} ");
    let mut posts: Vec<_> = sites.iter().flat_map(|site| site.platform.posts()).collect();
    posts.sort_by_key(|post| post.at);
    let texts = posts.iter().map(|post| post.text.clone());
    texts.filter(|text| text.starts_with(&chat)).map(|text| number(&text)).collect()
}

async fn settled(sites: &[&Site]) {
    for _ in 0..100 {
        let mut all: Vec<u16> = sites.iter().flat_map(|site| site.replica.partitions()).collect();
        all.sort_unstable();
        let shares: Vec<usize> = sites.iter().map(|s| s.replica.partitions().len()).collect();
        let fair = shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1;
        if fair && all == (0..16).collect::<Vec<u16>>() {
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
    let shares: Vec<_> = sites.iter().map(|site| site.replica.partitions()).collect();
    panic!("the shares do not settle: {shares:?}");
}

#[tokio::test(start_paused = true)]
async fn replicas_share_the_partitions_and_a_newcomer_gets_its_part() {
    let world = World::new(1);
    let a = site(&world, "a", echo()).await;
    settled(&[&a]).await;
    let b = site(&world, "b", echo()).await;
    settled(&[&a, &b]).await;
    let c = site(&world, "c", echo()).await;
    settled(&[&a, &b, &c]).await;
    b.replica.drain(Duration::from_secs(5)).await.unwrap();
    settled(&[&a, &c]).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_at_the_wrong_door_is_answered_by_its_owner_once_and_in_order() {
    let world = World::new(2);
    let (a, b) = (site(&world, "a", echo()).await, site(&world, "b", echo()).await);
    settled(&[&a, &b]).await;
    for place in 0..CHATS {
        for n in 1..=4 {
            // Every second one comes in at the other door.
            let at = if n % 2 == 0 { &a } else { &b };
            at.tell(place, n).await;
        }
    }
    sleep(SETTLED).await;
    for place in 0..CHATS {
        assert_eq!(shown(&[&a, &b], place), [1, 2, 3, 4], "c{place}");
    }
    assert!(!a.platform.posts().is_empty() && !b.platform.posts().is_empty());
    a.replica.drain(SETTLED).await.unwrap();
    b.replica.drain(SETTLED).await.unwrap();
    for table in ["ho", "ha", "rp"] {
        let left = world.rows.scan_all(Key::system(table).prefix()).await.unwrap();
        assert!(left.is_empty(), "{table}: {left:?}");
    }
    let left = world.rows.scan_all(Key::of(&tenant(), "fw").prefix()).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_can_not_give_its_partitions_away_stops_in_time() {
    let world = World::new(11);
    let a = site(&world, "a", echo()).await;
    settled(&[&a]).await;
    a.plan.every("commit", Fault::Hang);
    let (deadline, since) = (Duration::from_secs(5), Instant::now());
    let drained = timeout(Duration::from_secs(60), a.replica.drain(deadline)).await;
    assert_eq!(drained.expect("it ends").unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(since.elapsed(), deadline);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_has_no_time_to_give_its_partitions_away_works_no_more() {
    let (world, ended) = (World::new(13), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&ended);
    let slow = agent_fn(AgentId::new("slow").unwrap(), move |_turn| {
        let count = Arc::clone(&count);
        async move {
            sleep(Duration::from_secs(1)).await;
            count.fetch_add(1, Ordering::Relaxed);
            Ok(Answer::text("late"))
        }
    });
    let a = site(&world, "a", slow).await;
    settled(&[&a]).await;
    for place in 0..4 {
        a.tell(place, 1).await;
    }
    let drained = a.replica.drain(Duration::ZERO).await;
    assert_eq!(drained.unwrap_err().kind(), ErrorKind::Timeout);
    sleep(SETTLED).await;
    assert_eq!((ended.load(Ordering::Relaxed), a.platform.posts().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_at_once_is_opened_less_and_less() {
    let (world, plan) = (World::new(12), Plan::default());
    plan.fail("next");
    let desk = world.platform.channel(world.capabilities.clone(), plan.power().clone());
    let builder = Gateway::builder(world.env.clone(), world.rows.clone());
    let builder = builder.channel(FaultChannel::new(desk, plan.clone())).agent(echo());
    let _replica = builder.start_replica(ReplicaConfig::named("a")).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    let opened = plan.injected()["fail"];
    assert!((5..=12).contains(&opened), "opened {opened} times");
}

#[tokio::test(start_paused = true)]
async fn the_same_message_at_two_doors_is_answered_once() {
    let world = World::new(3);
    let (a, b) = (site(&world, "a", echo()).await, site(&world, "b", echo()).await);
    settled(&[&a, &b]).await;
    for place in 0..CHATS {
        let (one, two) = (a.say(place, 1), b.say(place, 1));
        assert_eq!(a.accepted(one).await, b.accepted(two).await, "one message");
    }
    sleep(SETTLED).await;
    for place in 0..CHATS {
        assert_eq!(shown(&[&a, &b], place), [1]);
    }
}

/// An agent that takes its time.
fn slow() -> impl Agent {
    agent_fn(AgentId::new("slow").unwrap(), |turn| async move {
        sleep(Duration::from_secs(2)).await;
        Ok(Answer::text(&*turn.text()))
    })
}

#[tokio::test(start_paused = true)]
async fn the_work_of_a_dead_replica_moves_within_ten_seconds() {
    let world = World::new(4);
    let (a, b) = (site(&world, "a", slow()).await, site(&world, "b", slow()).await);
    settled(&[&a, &b]).await;
    for place in 0..CHATS {
        for n in 1..=2 {
            a.tell(place, n).await;
        }
    }
    a.power.cut();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(b.replica.partitions().len(), 16, "it has everything");
    sleep(Duration::from_secs(30)).await;
    for place in 0..CHATS {
        let texts = shown(&[&a, &b], place);
        assert_eq!(texts, [1, 2], "c{place}: nothing is lost, nothing comes twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_was_paused_past_its_lease_writes_nothing_and_starts_anew() {
    let world = World::new(5);
    let (a, b) = (site(&world, "a", slow()).await, site(&world, "b", slow()).await);
    settled(&[&a, &b]).await;
    for place in 0..CHATS {
        a.tell(place, 1).await;
    }
    a.power.pause();
    sleep(SETTLED).await;
    assert_eq!(b.replica.partitions().len(), 16);
    a.power.resume();
    settled(&[&a, &b]).await;
    for place in 0..CHATS {
        b.tell(place, 2).await;
    }
    sleep(SETTLED).await;
    for place in 0..CHATS {
        assert_eq!(shown(&[&a, &b], place), [1, 2], "c{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_has_ended_is_not_prolonged() {
    let world = World::new(8);
    let a = site(&world, "a", echo()).await;
    settled(&[&a]).await;
    let members = || async { world.rows.scan_all(Key::system("rp").prefix()).await.unwrap() };
    let before = members().await;
    sleep(SETTLED).await;
    assert_eq!(members().await[0].0, before[0].0, "the same member for as long as it renews");
    // Nothing of the process runs meanwhile; its store answers at once when it wakes.
    tokio::time::advance(SETTLED).await;
    settled(&[&a]).await;
    sleep(SETTLED).await;
    let after = members().await;
    assert!(after.len() == 1 && after[0].0 != before[0].0, "it joined anew: {after:?}");
    a.tell(1, 1).await;
}

#[tokio::test(start_paused = true)]
async fn tickets_that_nobody_takes_hide_no_others() {
    let world = World::new(9);
    let (a, b) = (site(&world, "a", echo()).await, site(&world, "b", echo()).await);
    settled(&[&a, &b]).await;
    // Of a partition that no replica has: more than one page of them.
    let strange = Key::system("ho").number(0).number(0).prefix();
    let real = b.say(1, 1);
    for n in 0..300_u64 {
        let key = Key::from_bytes([strange.as_bytes(), &n.to_be_bytes()].concat());
        let ticket = (tenant(), ChannelId::new("nowhere").unwrap(), 7_u64, n);
        let row = [&[1][..], &postcard::to_allocvec(&ticket).unwrap()].concat();
        world.rows.commit(Txn::new("strange").op(Op::put(key, row))).await.unwrap();
    }
    b.accepted(real).await;
    for place in 0..CHATS {
        a.tell(place, 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_of_a_newer_format_holds_its_partition_and_no_other() {
    let world = World::new(10);
    let (a, b) = (site(&world, "a", echo()).await, site(&world, "b", echo()).await);
    settled(&[&a, &b]).await;
    // First in line for half of the partitions, and for one that nobody has.
    let newer = |n: u64| Key::system("ho").number(n).number(0).build();
    let strange: Vec<u64> = (1..16).step_by(2).chain([99]).collect();
    for n in &strange {
        let put = Txn::new("newer").op(Op::put(newer(*n), vec![9, 1, 2]));
        world.rows.commit(put).await.unwrap();
    }
    let mut held = 0;
    for place in 0..CHATS {
        match a.platform.verdict(a.say(place, 1)).await {
            Verdict::Accepted { .. } => {}
            Verdict::Retry { .. } => held += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(held > 0, "nothing waited behind them");
    assert!(!b.platform.posts().is_empty(), "the other partitions waited, too");
    for n in strange {
        world.rows.commit(Txn::new("gone").op(Op::delete(newer(n)))).await.unwrap();
    }
    for place in 0..CHATS {
        a.tell(place, 1).await;
    }
    sleep(SETTLED).await;
    for place in 0..CHATS {
        assert_eq!(shown(&[&a, &b], place), [1], "c{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_loses_nothing_and_keeps_the_order() {
    let world = World::new(6);
    let mut sites = vec![site(&world, "a", slow()).await, site(&world, "b", slow()).await];
    settled(&[&sites[0], &sites[1]]).await;
    let mut sent = 0;
    for round in 0..3_u32 {
        sent += 1;
        for place in 0..CHATS {
            sites[sites.len() - 1].tell(place, sent).await;
        }
        sites.push(site(&world, &format!("n{round}"), slow()).await);
        sent += 1;
        for place in 0..CHATS {
            sites[sites.len() - 1].tell(place, sent).await;
        }
        let old = usize::try_from(round).unwrap();
        // What it could not finish, the others do.
        drop(sites[old].replica.drain(Duration::from_secs(1)).await);
    }
    sleep(Duration::from_secs(60)).await;
    let all: Vec<&Site> = sites.iter().collect();
    for place in 0..CHATS {
        assert_eq!(shown(&all, place), (1..=sent).collect::<Vec<u64>>(), "c{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn orders_go_to_the_owner_and_others_name_it() {
    let world = World::new(7);
    let (a, b) = (site(&world, "a", slow()).await, site(&world, "b", slow()).await);
    settled(&[&a, &b]).await;
    let (mut here, mut there) = (0, 0);
    for place in 0..CHATS {
        let id = a.tell(place, 1).await;
        match a.replica.gateway_of(&tenant(), id).await {
            Ok(gateway) => {
                here += 1;
                let end = gateway.settled(&tenant(), id).await.unwrap();
                assert_eq!(end.state, MessageState::Done);
                assert_eq!(end.reply, Some(Content::text(format!("c{place} m-1"))));
            }
            Err(e) => {
                there += 1;
                assert_eq!(e.kind(), ErrorKind::Unavailable);
                assert!(e.to_string().contains("replica=b"), "{e}");
                assert!(b.replica.gateway_of(&tenant(), id).await.is_ok());
            }
        }
    }
    assert!(here > 0 && there > 0, "{here} {there}");
    let nobody = a.replica.gateway_of(&tenant(), MessageId::from_u128(1)).await;
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_message_too_large_for_any_row_is_refused_at_every_door() {
    let world = World::new(9);
    let (a, b) = (site(&world, "a", echo()).await, site(&world, "b", echo()).await);
    settled(&[&a, &b]).await;
    let huge = "x".repeat(5 << 20);
    for place in 0..8 {
        let (chat, id) = (format!("c{place}"), format!("c{place}-0"));
        let ticket = a.platform.deliver(envelope(&chat, Some(&id), &huge), None);
        let verdict = a.platform.verdict(ticket).await;
        assert_eq!(verdict, Verdict::Refused(ErrorKind::ValidationError), "{chat}");
        a.tell(place, 1).await;
    }
    sleep(SETTLED).await;
    for place in 0..8 {
        assert_eq!(shown(&[&a, &b], place), [1], "what came behind it is answered");
    }
    let letters = world.rows.scan_all(Key::of(&tenant(), "dl").prefix()).await.unwrap();
    assert_eq!(letters.len(), 8, "each is kept, without its content");
}
