//! A whole gateway with every seam under one plan: it keeps its promise, and a seed repeats.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use openclaw_core::{
    ChannelId, Content, Conversation, Digest, Effect, Env, Envelope, MessageId, Sender, TenantId,
    channel::Capabilities,
    gateway::{Gateway, MessageState},
    store::MemoryStore,
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    env::{SeededRng, test_env},
    fault::{Fault, FaultAgent, FaultChannel, FaultSkill, FaultStore, Plan},
    platform::{Platform, Verdict},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
    trace::Trace,
};
use serde_json::json;
use tokio::task::JoinSet;

use super::MINUTE;

const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(86_400) };

const SEEDS: u64 = 20;

/// What may happen anywhere, and does somewhere.
const FAULTS: [Fault; 6] = [
    Fault::Fail,
    Fault::LoseAnswer,
    Fault::LoseRequest,
    Fault::Delay(Duration::from_secs(2)),
    Fault::Duplicate,
    Fault::Reorder,
];

/// What outlives the gateway.
struct Town {
    tenant: TenantId,
    trace: Trace,
    platform: Platform,
    bank: CountingRemote,
    rows: MemoryStore,
    plan: Plan,
}

impl Town {
    fn new(seed: u64) -> (Self, Env) {
        let (env, trace) = (test_env(seed), Trace::default());
        let platform = Platform::new(ChannelId::new("desk").unwrap(), trace.clone());
        platform.honour_keys();
        let town = Self {
            tenant: TenantId::new("acme").unwrap(),
            rows: MemoryStore::new(env.clock()),
            bank: CountingRemote::new(RemoteKind::Keyed),
            plan: Plan::seeded(SeededRng::new(seed)),
            trace,
            platform,
        };
        (town, env)
    }

    async fn start(&self, env: Env) -> Gateway {
        let plan = || self.plan.clone();
        let mut capabilities = Capabilities::default();
        (capabilities.redelivers, capabilities.post) = (true, KEYED);
        let desk = self.platform.channel(capabilities, plan().power().clone());
        let payer = ScriptedAgent::new("payer").unwrap().always();
        let payer = payer.call("pay", "pay", json!({"for": "{text}"})).then_say("{text}: {}");
        let pay = RemoteSkill::named("pay", KEYED, self.bank.clone()).unwrap();
        let store = FaultStore::new(self.rows.clone(), plan()).traced(self.trace.clone());
        let gateway = Gateway::builder(env, store)
            .channel(FaultChannel::new(desk, plan()))
            .agent(FaultAgent::new(payer, plan()))
            .skill(FaultSkill::new(pay, plan()));
        gateway.start().await.unwrap()
    }

    /// From now on anything may go wrong, until the plan is healed.
    fn storm(&self) {
        for fault in FAULTS {
            self.plan.chance(Plan::ANY, fault, 0.03);
        }
    }

    /// Says it until it is accepted.
    async fn say(&self, n: u32) -> MessageId {
        let place = Conversation::new(ChannelId::new("desk").unwrap(), format!("c{}", n % 3));
        let said = Content::text(format!("m-{n}"));
        let envelope = Envelope::new(self.tenant.clone(), place, Sender::new("ann"), said);
        let envelope = envelope.with_id(format!("m-{n}"));
        loop {
            let ticket = self.platform.deliver(envelope.clone(), None);
            match self.platform.verdict(ticket).await {
                Verdict::Accepted { message, .. } => return message,
                Verdict::Retry { after, .. } => tokio::time::sleep(after).await,
                Verdict::Abandoned => tokio::time::sleep(Duration::from_secs(1)).await,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Plays a seed: what happened, and what was injected.
async fn play(seed: u64) -> (Digest, BTreeSet<&'static str>) {
    let (town, env) = Town::new(seed);
    let gateway = town.start(env).await;
    town.storm();
    let (town, mut said) = (Arc::new(town), JoinSet::new());
    for n in 0..12 {
        let town = Arc::clone(&town);
        said.spawn(async move { (n, town.say(n).await) });
    }
    let said = said.join_all().await;
    town.plan.heal();
    for (n, message) in said {
        let end = tokio::time::timeout(MINUTE * 600, gateway.settled(&town.tenant, message));
        let end = end.await.expect("it comes to an end").unwrap();
        let posts = town.platform.posts();
        let answers = posts.iter().filter(|post| post.reply_to == Some(message)).count();
        match end.state {
            MessageState::Done => assert_eq!(answers, 1, "seed {seed}, message {n}"),
            _ => assert_eq!(answers, 0, "seed {seed}, message {n}: {:?}", end.state),
        }
    }
    assert_eq!((town.bank.duplicates(), town.bank.keys_reused()), (0, 0), "seed {seed}");
    (town.trace.digest(), town.plan.injected().into_keys().collect())
}

#[tokio::test(start_paused = true)]
async fn a_gateway_keeps_its_promise_under_faults_at_every_seam() {
    let (mut digests, mut injected) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..SEEDS {
        let (digest, faults) = play(seed).await;
        digests.insert(digest);
        injected.extend(faults);
    }
    assert_eq!(digests.len() as u64, SEEDS, "different seeds give different runs");
    assert_eq!(injected, FAULTS.map(Fault::name).into_iter().collect(), "each fault was met");
}

#[test]
fn a_seed_repeats_the_whole_run() {
    let run = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(7))
    };
    assert_eq!(run(), run());
}
