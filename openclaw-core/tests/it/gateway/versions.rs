//! Which version of a skill a call meets: by its route at first, by its record from then on.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use openclaw_core::{
    AgentId, Effect, Error, ErrorKind, Result, SkillId,
    agent::{Agent, Answer, agent_fn},
    gateway::MessageState,
    records::{
        Approval, Approvals, BudgetConfig, BudgetCost, BudgetLimit, Budgets, EffectState, Ledger,
        Period,
    },
    skill::{RouteKey, Skill, SkillManifest, SkillRequest, SkillSource},
};
use openclaw_testkit::{
    fault::Fault,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;

use crate::support::{World, tenant};

const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(86_400) };

/// A range and a route.
type Asked = (Option<String>, RouteKey);

/// Versions of the skill `pay`, each with a remote of its own; the last one is met by new calls.
#[derive(Clone, Debug)]
struct Shelf {
    versions: Arc<Mutex<Vec<(RemoteSkill, CountingRemote)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Shelf {
    fn new(version: &str, effect: Effect) -> Self {
        let shelf = Self { versions: Arc::default(), asked: Arc::default() };
        shelf.add(version, effect);
        shelf
    }

    fn add(&self, version: &str, effect: Effect) {
        let remote = CountingRemote::new(RemoteKind::Keyed);
        let manifest = SkillManifest::new(SkillId::new("pay").unwrap(), version).effect(effect);
        let skill = RemoteSkill::new(manifest, remote.clone());
        self.versions.lock().unwrap().push((skill, remote));
    }

    fn drop_first(&self) {
        self.versions.lock().unwrap().remove(0);
    }

    /// How often each version that is still here was called.
    fn calls(&self) -> Vec<u64> {
        self.versions.lock().unwrap().iter().map(|(_, remote)| remote.calls_total()).collect()
    }
}

impl SkillSource for Shelf {
    fn list(&self, _: &RouteKey) -> Vec<Arc<dyn Skill>> {
        let last = self.versions.lock().unwrap().last().cloned();
        last.into_iter().map(|(skill, _)| Arc::new(skill) as Arc<dyn Skill>).collect()
    }

    fn find(&self, id: &SkillId, range: Option<&str>, route: &RouteKey) -> Result<Arc<dyn Skill>> {
        self.asked.lock().unwrap().push((range.map(Into::into), route.clone()));
        let missing = || Error::new(ErrorKind::NotFound, "not on the shelf");
        self.list(route).pop().filter(|skill| skill.manifest().id == *id).ok_or_else(missing)
    }

    fn exact(&self, id: &SkillId, version: &str) -> Option<Arc<dyn Skill>> {
        let versions = self.versions.lock().unwrap();
        let is_it = |skill: &RemoteSkill| {
            skill.manifest().id == *id && *skill.manifest().version == *version
        };
        let found = versions.iter().find(|(skill, _)| is_it(skill))?;
        Some(Arc::new(found.0.clone()))
    }
}

/// Pays once, under an approval when one is named.
fn payer(approval: Option<&'static str>) -> impl Agent {
    agent_fn(AgentId::new("payer").unwrap(), move |mut turn| async move {
        let pay = SkillId::new("pay").unwrap();
        let mut request = SkillRequest::new(pay, "pay", json!(7)).version("^1");
        if let Some(approval) = approval {
            request = request.approved(approval);
        }
        turn.call(request).await?;
        Ok(Answer::text("paid"))
    })
}

struct Till {
    world: World,
    shelf: Shelf,
    approval: Option<&'static str>,
    budgets: Budgets,
}

impl Till {
    fn new(effect: Effect) -> Self {
        let limit = BudgetLimit::new("payments", Period::Ever, 1);
        let config = BudgetConfig::new([BudgetCost::new("payments", 1)], [limit]);
        let budgets = Budgets::new(config).unwrap();
        Self { world: World::new(5), shelf: Shelf::new("1.0.0", effect), approval: None, budgets }
    }

    async fn approved(mut self) -> Self {
        let digest = Approval::digest_of(&tenant(), "pay", "1.0.0", &json!(7));
        let expires = self.world.env.now().after(Duration::from_secs(60));
        let approvals = Approvals::new(Arc::new(self.world.rows.clone()), tenant());
        approvals.grant("a1", &Approval::granted(digest, "carol", expires)).await.unwrap();
        self.approval = Some("a1");
        self
    }

    /// A process that dies at this commit, then one that finds the shelf as `change` left it.
    async fn dies(&self, label: &str, fault: Fault, change: impl FnOnce(&Shelf)) -> MessageState {
        let compose = |builder: openclaw_core::gateway::GatewayBuilder| {
            let builder = builder.agent(payer(self.approval)).budgets(self.budgets.clone());
            builder.skills(self.shelf.clone())
        };
        let first = self.world.start(compose).await;
        first.plan.nth(label, 1, fault);
        self.world.say("c1", "m1", "pay");
        first.dies().await;
        change(&self.shelf);
        let second = self.world.start(compose).await;
        let message = self.world.tell("c1", "m1", "pay").await;
        second.end(message).await.state
    }

    /// What is still reserved.
    async fn reserved(&self) -> i64 {
        let (store, env) = (Arc::new(self.world.rows.clone()), self.world.env.clone());
        let balances = self.budgets.accounts(store, env, tenant()).balances().await.unwrap();
        balances.iter().map(|balance| balance.reserved).sum()
    }

    async fn recorded(&self) -> (Option<Arc<str>>, EffectState) {
        let ledger = Ledger::new(Arc::new(self.world.rows.clone()), tenant());
        let (_, _, record) = ledger.all().await.unwrap().pop().unwrap();
        (record.version, record.state)
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_begun_ends_with_the_version_of_its_record() {
    for (label, fault, calls) in [
        ("claim", Fault::CrashAfter, [1, 0]),
        ("dispatch", Fault::CrashAfter, [1, 0]),
        ("settle", Fault::CrashBefore, [2, 0]),
        ("settle", Fault::CrashAfter, [1, 0]),
    ] {
        let till = Till::new(KEYED);
        let state = till.dies(label, fault, |shelf| shelf.add("1.1.0", KEYED)).await;
        assert_eq!((state, till.shelf.calls()), (MessageState::Done, calls.to_vec()), "{label}");
        assert_eq!(till.recorded().await.0.as_deref(), Some("1.0.0"), "{label}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_begun_meets_the_version_of_today() {
    let till = Till::new(KEYED);
    let state = till.dies("claim", Fault::CrashBefore, |shelf| shelf.add("1.1.0", KEYED)).await;
    assert_eq!((state, till.shelf.calls()), (MessageState::Done, vec![0, 1]));
    assert_eq!(till.recorded().await.0.as_deref(), Some("1.1.0"));
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_is_taken_over_when_its_version_is_gone() {
    let till = Till::new(Effect::AtMostOnce);
    let next = |shelf: &Shelf| {
        shelf.add("1.1.0", KEYED);
        shelf.drop_first();
    };
    let state = till.dies("claim", Fault::CrashAfter, next).await;
    assert_eq!((state, till.shelf.calls()), (MessageState::Done, vec![1]));
    let (version, state) = till.recorded().await;
    assert_eq!((version.as_deref(), state.name()), (Some("1.1.0"), "done"));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_is_parked_when_its_version_is_gone() {
    let till = Till::new(KEYED);
    let next = |shelf: &Shelf| {
        shelf.add("1.1.0", KEYED);
        shelf.drop_first();
    };
    let state = till.dies("dispatch", Fault::CrashAfter, next).await;
    assert_eq!((state, till.shelf.calls()), (MessageState::Parked, vec![0]));
    assert_eq!(till.recorded().await.1.name(), "parked");
    assert_eq!(till.reserved().await, 1, "it may have happened");
}

#[tokio::test(start_paused = true)]
async fn an_approval_of_one_version_lets_no_other_run() {
    let till = Till::new(KEYED).approved().await;
    let next = |shelf: &Shelf| {
        shelf.add("1.1.0", KEYED);
        shelf.drop_first();
    };
    let state = till.dies("claim", Fault::CrashAfter, next).await;
    assert_eq!((state, till.shelf.calls()), (MessageState::Parked, vec![0]));
    assert_eq!(till.recorded().await.1.name(), "claimed", "in sight, and never sent");
    assert_eq!(till.reserved().await, 0, "it may wait for good");
}

#[tokio::test(start_paused = true)]
async fn what_is_done_answers_from_its_record_when_its_skill_is_gone() {
    let till = Till::new(KEYED);
    let state = till.dies("settle", Fault::CrashAfter, Shelf::drop_first).await;
    assert_eq!((state, till.world.platform.texts()), (MessageState::Done, vec!["paid".to_owned()]));
    assert_eq!(till.recorded().await.1.name(), "done");
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_is_parked_when_its_skill_is_gone() {
    let till = Till::new(KEYED);
    let state = till.dies("dispatch", Fault::CrashAfter, Shelf::drop_first).await;
    assert_eq!((state, till.recorded().await.1.name()), (MessageState::Parked, "parked"));
}

#[tokio::test(start_paused = true)]
async fn what_was_approved_is_parked_when_its_skill_is_gone() {
    let till = Till::new(KEYED).approved().await;
    let state = till.dies("claim", Fault::CrashAfter, Shelf::drop_first).await;
    assert_eq!((state, till.recorded().await.1.name()), (MessageState::Parked, "claimed"));
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_ends_as_its_look_up_when_its_skill_is_gone() {
    let till = Till::new(KEYED);
    let state = till.dies("claim", Fault::CrashAfter, Shelf::drop_first).await;
    assert_eq!((state, till.recorded().await.1.name()), (MessageState::Dead, "claimed"));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_calls_itself_pure_does_not_run_over_a_doubt() {
    let till = Till::new(Effect::AtMostOnce);
    let next = |shelf: &Shelf| {
        shelf.add("1.1.0", Effect::Pure);
        shelf.drop_first();
    };
    let state = till.dies("dispatch", Fault::CrashAfter, next).await;
    assert_eq!((state, till.shelf.calls()), (MessageState::Parked, vec![0]));
}

#[tokio::test(start_paused = true)]
async fn the_source_is_asked_by_range_and_conversation() {
    let till = Till::new(KEYED);
    let run = till.world.start(|b| b.agent(payer(None)).skills(till.shelf.clone())).await;
    for (place, id) in [("c1", "m1"), ("c1", "m2"), ("c2", "m3")] {
        run.ends(till.world.tell(place, id, "pay").await, MessageState::Done).await;
    }
    let asked = till.shelf.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|(range, _)| range.as_deref() == Some("^1")), "{asked:?}");
    assert_eq!(asked[0].1, asked[1].1, "one conversation, one route");
    assert_ne!(asked[0].1, asked[2].1, "another conversation, another route");
}

#[tokio::test(start_paused = true)]
async fn a_skill_that_was_added_by_itself_hides_the_one_of_the_source() {
    let till = Till::new(KEYED);
    let own = CountingRemote::new(RemoteKind::Keyed);
    let skill = RemoteSkill::named("pay", KEYED, own.clone()).unwrap();
    let agent = agent_fn(AgentId::new("lister").unwrap(), |mut turn| async move {
        let shown: Vec<String> = turn.skills().iter().map(|m| m.id.to_string()).collect();
        turn.skill("pay", "pay", json!(7)).await?;
        Ok(Answer::text(shown.join(",")))
    });
    let compose = |b: openclaw_core::gateway::GatewayBuilder| {
        b.agent(agent).skill(skill).skills(till.shelf.clone())
    };
    let run = till.world.start(compose).await;
    run.ends(till.world.tell("c1", "m1", "pay").await, MessageState::Done).await;
    assert_eq!((own.calls_total(), till.shelf.calls()), (1, vec![0]));
    assert_eq!(till.world.platform.texts(), ["pay"]);
}
