//! A registry behind a gateway: versions under crashes, canaries that move, whole runs of a seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use openclaw_core::{
    Call, Effect, Env, Result,
    channel::Reconcile,
    records::EVERYBODY,
    skill::{Skill, SkillAnswer, SkillManifest},
};
use openclaw_skills::registry::{Registry, Release};
use openclaw_testkit::{
    agent::ScriptedAgent,
    flow::TestGateway,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
    sim::{Sim, Workload},
};
use serde_json::{Value, json};

use crate::registry_support::{KEYED, at_once, id, over};

fn payer() -> ScriptedAgent {
    let agent = ScriptedAgent::new("payer").expect("an id").always();
    agent.call("pay", "pay", json!({"text": "{text}"})).then_say("paid")
}

#[tokio::test(start_paused = true)]
async fn a_call_that_a_canary_began_ends_with_it_behind_its_roll_back() {
    let registry = Registry::new(Env::system());
    let (stable, tried) =
        (CountingRemote::new(RemoteKind::Keyed), CountingRemote::new(RemoteKind::Keyed));
    registry.publish(Release::of(over("1.0.0", KEYED, &stable))).expect("a new version");
    registry.publish(Release::of(over("1.1.0", KEYED, &tried)).draft()).expect("a new version");
    registry.canary(&id("pay"), "1.1.0", EVERYBODY, "carol").await.expect("it is there");
    let skills = registry.clone();
    let compose = move |builder: openclaw_core::gateway::GatewayBuilder| {
        builder.agent(payer()).skills(skills.clone())
    };
    let mut gateway = TestGateway::builder().gateway(compose).start().await.expect("it starts");

    gateway.crash_in_skill("pay");
    gateway.user("alice").says("one").expect_crash().await.expect("between effect and receipt");
    registry.withdraw(&id("pay"), "1.1.0", "a customer called", "carol").await.expect("it is");
    gateway.restart().await.expect("it starts");
    gateway.user("alice").waits().expect_reply("paid").await.expect("the turn goes on");
    assert_eq!((tried.calls_total(), tried.effects_total()), (2, 1), "once, by the one version");
    assert_eq!(stable.calls_total(), 0);

    gateway.user("alice").says("two").expect_reply("paid").await.expect("a new turn");
    assert_eq!((tried.calls_total(), stable.calls_total()), (2, 1));
}

/// Which versions were run under which key.
type Seen = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

/// A version that notes the keys it is run under.
#[derive(Debug)]
struct Noted {
    skill: RemoteSkill,
    seen: Seen,
}

#[async_trait]
impl Skill for Noted {
    fn manifest(&self) -> &SkillManifest {
        self.skill.manifest()
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        if let Some(key) = call.key() {
            let version = self.manifest().version.to_string();
            let mut seen = self.seen.lock().expect("no panic");
            seen.entry(key.as_str().to_owned()).or_default().insert(version);
        }
        self.skill.run(call).await
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        Skill::reconcile(&self.skill)
    }
}

/// What operators do between two lives of a gateway, by their number.
fn operate(registry: &Registry, life: u32) {
    let pay = id("pay");
    let done = match life % 6 {
        1 => at_once(registry.canary(&pay, "1.1.0", 5_000, "carol")),
        2 => at_once(registry.canary(&pay, "1.1.0", EVERYBODY, "carol")),
        3 => at_once(registry.withdraw(&pay, "1.1.0", "a customer called", "carol")),
        4 => at_once(registry.abandon(&pay, "carol")),
        5 => at_once(registry.promote(&pay, "1.1.0", "carol")),
        _ => at_once(registry.deprecate(&pay, "1.1.0", (None, None), "carol")),
    };
    done.expect("each step fits the one before");
}

#[test]
fn no_key_ever_meets_two_versions_whatever_crashes_and_whatever_is_moved() {
    let (mut keys, mut versions, mut crashes) = (0, BTreeSet::new(), 0);
    for (seed, effect) in
        (0..24).zip([KEYED, Effect::Reconcilable, Effect::AtLeastOnce].into_iter().cycle())
    {
        let seen = Seen::default();
        let kind = if effect.is_keyed() { RemoteKind::Keyed } else { RemoteKind::Unkeyed };
        let remote = CountingRemote::new(kind);
        let registry = Registry::new(Env::system());
        for version in ["1.0.0", "1.1.0"] {
            let skill = over(version, effect, &remote);
            let release = Release::of(Noted { skill, seen: Arc::clone(&seen) });
            registry.publish(release.draft()).expect("a new version");
        }
        at_once(registry.promote(&id("pay"), "1.0.0", "carol")).expect("it is there");
        let life = Mutex::new(0);
        let report = Sim::new(seed)
            .gateway(move |builder| {
                let mut life = life.lock().expect("no panic");
                *life += 1;
                operate(&registry, *life);
                builder.agent(payer()).skills(registry.clone())
            })
            .workload(Workload::texts(|_, n| format!("order {n}")).messages(40))
            .run();
        assert!(report.is_ok(), "{report}");
        crashes += report.crashes;
        let seen = seen.lock().expect("no panic");
        for (key, met) in seen.iter() {
            assert_eq!(met.len(), 1, "seed {seed}: {key} met {met:?}");
            versions.extend(met.clone());
        }
        keys += seen.len();
    }
    assert!(keys > 200 && crashes > 20, "{keys} keys, {crashes} crashes");
    assert_eq!(versions.len(), 2, "both versions were met");
}
