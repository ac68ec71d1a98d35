//! Guarded calls: those of an agent in a whole gateway, on the memory store.

use std::{
    hint::black_box,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use openclaw_benches::Outcome;
use openclaw_core::{
    AgentId, ChannelId, Content, Conversation, Effect, Env, Envelope, Sender, SkillId, TenantId,
    agent::{Answer, Budget, Turn, agent_fn},
    channel::Capabilities,
    gateway::{Gateway, GatewayConfig},
    skill::SkillRequest,
    store::MemoryStore,
};
use openclaw_skills::registry::{Registry, Release};
use openclaw_testkit::{
    fault::Power,
    platform::{Platform, Verdict},
    trace::Trace,
};

use super::{
    drive::{Cost, Effort, finish, measure},
    shelf,
};

const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(3_600) };

type Costs = Vec<(&'static str, Cost)>;

/// What calls cost: pure ones, recorded ones, and pure ones by way of a registry.
pub(crate) async fn costs(pure: Effort, recorded: Effort) -> Outcome<Costs> {
    let mut costs = Vec::new();
    for (name, effect, effort, through) in [
        ("guarded_pure", Effect::Pure, pure, false),
        ("guarded_pure_registry", Effect::Pure, pure, true),
        ("guarded_keyed", KEYED, recorded, false),
    ] {
        let cost = in_a_turn(effect, effort, through).await?;
        costs.push((name, cost.ok_or("the turn measured nothing")?));
    }
    Ok(costs)
}

async fn in_a_turn(effect: Effect, effort: Effort, through: bool) -> Outcome<Option<Cost>> {
    let found: Arc<Mutex<Option<Cost>>> = Arc::default();
    let agent = {
        let found = Arc::clone(&found);
        agent_fn(AgentId::new("bench")?, move |mut turn| {
            let found = Arc::clone(&found);
            async move {
                let cost = calls(&mut turn, effort);
                *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(cost);
                Ok(Answer::Silent)
            }
        })
    };
    let env = Env::system();
    let store = MemoryStore::new(env.clock());
    let platform = Platform::new(ChannelId::new("desk")?, Trace::default());
    let mut config = GatewayConfig::default();
    config.budget = Budget::default().skill_calls(u32::MAX);
    config.turn_timeout = Duration::from_secs(600);
    let builder = Gateway::builder(env.clone(), store)
        .channel(platform.channel(Capabilities::default(), Power::on()))
        .agent(agent)
        .config(config);
    let skill = shelf::place(effect, "1.0.0")?;
    let builder = if through {
        let registry = Registry::new(env);
        registry.publish(Release::of(skill))?;
        builder.skills(registry)
    } else {
        builder.skill(skill)
    };
    let gateway = builder.start().await?;
    let (tenant, chat) = (TenantId::new("acme")?, Conversation::new(ChannelId::new("desk")?, "c1"));
    let envelope = Envelope::new(tenant.clone(), chat, Sender::new("ann"), Content::text("go"));
    match platform.verdict(platform.deliver(envelope.with_id("m1"), None)).await {
        Verdict::Accepted { message, .. } => drop(gateway.settled(&tenant, message).await?),
        other => return Err(format!("the message did not come in: {other:?}").into()),
    }
    gateway.drain(Duration::from_secs(5)).await?;
    let cost = *found.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(cost)
}

/// Calls under a new operation each; nothing in the memory store waits for anybody.
fn calls(turn: &mut Turn, effort: Effort) -> Cost {
    let Ok(id) = SkillId::new("order.total") else { return Cost::default() };
    let request = SkillRequest::new(id, "total", shelf::input());
    let mut n = 0_u64;
    measure(effort, || {
        n += 1;
        let mut request = request.clone();
        request.operation = format!("total-{n}").into();
        // The runtime would have the task yield now and then, and nobody is there to go on.
        let call = tokio::task::unconstrained(turn.call(request));
        let called = finish(call);
        assert!(black_box(called).is_ok(), "it can't fail");
    })
}
