//! Whole gateways: replies that wait in the store, agents that ask for something else.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    ChannelId, Content, Conversation, Effect, Env, Envelope, Sender,
    agent::Agent,
    channel::Capabilities,
    gateway::{Gateway, MessageState},
    records::Ledger,
    store::StateStore,
};
use serde_json::json;
use tokio::time::timeout;

use super::scene::{BEHIND_THE_EFFECT, KEYED, Point, tenant};
use crate::{
    agent::{RewordingAgent, ScriptedAgent},
    env::{ManualClock, SeededRng},
    fault::{Fault, FaultStore, Plan},
    platform::{Platform, Verdict},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
    trace::Trace,
};

/// Longer than a gateway takes for one message.
const LONG: Duration = Duration::from_secs(60);

/// One conversation, its platform, and the gateways that serve it one after the other.
struct Desk<'a> {
    store: Arc<dyn StateStore>,
    clock: &'a ManualClock,
    platform: Platform,
    remote: CountingRemote,
    effect: Effect,
}

impl<'a> Desk<'a> {
    fn new(store: Arc<dyn StateStore>, clock: &'a ManualClock, effect: Effect) -> Self {
        let kind = if effect.is_keyed() { RemoteKind::Keyed } else { RemoteKind::Unkeyed };
        let platform = Platform::new(ChannelId::new("desk").expect("a name"), Trace::default());
        Self { store, clock, platform, remote: CountingRemote::new(kind), effect }
    }

    async fn start(&self, agent: impl Agent, number: u64, plan: &Plan) -> Gateway {
        let env = Env::new(self.clock.clone(), SeededRng::new(number));
        let store = FaultStore::new(Arc::clone(&self.store), plan.clone());
        let skill = RemoteSkill::named("pay", self.effect, self.remote.clone()).expect("a name");
        let mut capabilities = Capabilities::default();
        capabilities.redelivers = true;
        let desk = self.platform.channel(capabilities, plan.power().clone());
        let gateway = Gateway::builder(env, store).channel(desk).agent(agent).skill(skill);
        gateway.start().await.expect("a gateway")
    }

    /// The first gateway dies at this point.
    async fn dies_at(&self, agent: impl Agent, (label, fault): Point) {
        let plan = Plan::default();
        plan.nth(label, 1, fault);
        let gateway = self.start(agent, 1, &plan).await;
        self.platform.deliver(said(), None);
        timeout(LONG, plan.power().lost()).await.expect("the point is met");
        // The store is out of reach, so the drain can't end: it only drops the tasks.
        let drained = gateway.drain(Duration::ZERO);
        drop(timeout(Duration::from_millis(50), drained).await);
    }

    /// The next gateway brings the message to its end; the platform delivers it again.
    async fn ends(&self, agent: impl Agent) -> MessageState {
        let gateway = self.start(agent, 2, &Plan::default()).await;
        let ticket = self.platform.deliver(said(), None);
        let message = match timeout(LONG, self.platform.verdict(ticket)).await {
            Ok(Verdict::Accepted { message, .. }) => message,
            other => panic!("a redelivery was not accepted: {other:?}"),
        };
        let end = timeout(LONG, gateway.settled(&tenant(), message)).await;
        let end = end.expect("the message comes to an end").expect("a status").state;
        gateway.drain(LONG).await.expect("nothing is left");
        end
    }

    async fn recorded(&self) -> Vec<&'static str> {
        let ledger = Ledger::new(Arc::clone(&self.store), tenant());
        let effects = ledger.all().await.expect("the ledger");
        effects.iter().map(|(_, _, record)| record.state.name()).collect()
    }
}

/// Ann's words; the platform gives them this id each time.
fn said() -> Envelope {
    let chat = Conversation::new(ChannelId::new("desk").expect("a name"), "c1");
    Envelope::new(tenant(), chat, Sender::new("ann"), Content::text("pay")).with_id("m1")
}

fn payer() -> ScriptedAgent {
    let agent = ScriptedAgent::new("payer").expect("a name").always();
    agent.call("pay", "pay", json!({ "to": "bob", "amount": 7 })).then_say("paid")
}

/// C5: a reply that was committed with its turn goes out once, by the next process.
pub async fn a_reply_goes_out_over_a_crash_behind_its_turn(
    store: Arc<dyn StateStore>,
    clock: &ManualClock,
) {
    let desk = Desk::new(store, clock, KEYED);
    desk.dies_at(payer(), ("turn", Fault::CrashAfter)).await;
    assert!(desk.platform.texts().is_empty(), "it went out before the crash");
    let other = ScriptedAgent::new("payer").expect("a name").always().then_say("made again");
    assert_eq!(desk.ends(other).await, MessageState::Done);
    assert_eq!(desk.platform.texts(), ["paid"], "replies");
    assert_eq!((desk.remote.effects_total(), desk.recorded().await), (1, vec!["done"]));
}

/// C13: an agent that asks for something else when it is run again is parked; one effect.
pub async fn an_agent_that_diverges_is_parked(store: Arc<dyn StateStore>, clock: &ManualClock) {
    let rewords = |n| {
        let env = Env::new(clock.clone(), SeededRng::new(n));
        RewordingAgent::new(payer(), env)
    };
    let desk = Desk::new(store, clock, KEYED);
    desk.dies_at(rewords(1), BEHIND_THE_EFFECT).await;
    assert_eq!(desk.remote.effects_total(), 1, "the effect is made");
    assert_eq!(desk.ends(rewords(2)).await, MessageState::Parked);
    assert_eq!((desk.remote.effects_total(), desk.platform.texts().len()), (1, 0), "in all");
    assert_eq!(desk.recorded().await, ["dispatching"], "the doubt is still to be seen");
}
