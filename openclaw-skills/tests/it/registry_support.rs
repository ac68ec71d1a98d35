//! The versions that the tests of the registry publish, and short ways to ask for them.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    task,
    time::Duration,
};

use openclaw_core::{
    Call, Context, Effect, Env, Error, ErrorKind, Result, SkillId, TenantId,
    skill::{RouteKey, Skill, SkillAnswer, SkillManifest},
    store::SharedStore,
};
use openclaw_skills::registry::{Registry, RegistryBuilder, RegistryEvent, Release};
use openclaw_testkit::remote::{CountingRemote, RemoteKind, RemoteSkill};
use serde_json::json;

pub(crate) const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(3_600) };

pub(crate) fn id(name: &str) -> SkillId {
    SkillId::new(name).expect("an id")
}

pub(crate) fn route(n: u64) -> RouteKey {
    RouteKey::new(format!("conversation-{n}"))
}

pub(crate) fn operators() -> TenantId {
    TenantId::new("operators").expect("an id")
}

/// A version of a skill over this remote.
pub(crate) fn over(version: &str, effect: Effect, remote: &CountingRemote) -> RemoteSkill {
    RemoteSkill::new(SkillManifest::new(id("pay"), version).effect(effect), remote.clone())
}

/// A version of `pay` that always works.
pub(crate) fn pay(version: &str) -> Release {
    Release::of(over(version, KEYED, &CountingRemote::new(RemoteKind::Keyed)))
}

/// The number that a route meets, or the code and the text of the refusal.
pub(crate) fn met(registry: &Registry, range: &str, route: &RouteKey) -> String {
    let found = range.parse().and_then(|range| registry.resolve(&id("pay"), &range, route));
    told(found)
}

pub(crate) fn told(found: Result<Arc<dyn Skill>>) -> String {
    match found {
        Ok(skill) => skill.manifest().version.to_string(),
        Err(e) => format!("{}: {}", e.kind(), e.message()),
    }
}

/// A registry that keeps its rollouts here, as one process has it.
pub(crate) async fn process(env: &Env, store: &SharedStore, versions: &[Number]) -> Registry {
    let registry = builder(env, store).open().await.expect("the store answers");
    publish(&registry, versions);
    registry
}

pub(crate) fn builder(env: &Env, store: &SharedStore) -> RegistryBuilder {
    Registry::builder(env.clone()).kept_in(Arc::clone(store), operators())
}

/// A version and whether it is a draft.
pub(crate) type Number = (&'static str, bool);

pub(crate) fn publish(registry: &Registry, versions: &[Number]) {
    for (version, draft) in versions {
        let release = if *draft { pay(version).draft() } else { pay(version) };
        registry.publish(release).expect("a new version");
    }
}

/// What a registry told, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<RegistryEvent>>>);

impl Heard {
    pub(crate) fn on(&self, builder: RegistryBuilder) -> RegistryBuilder {
        let heard = Arc::clone(&self.0);
        builder.watched(move |event| heard.lock().expect("no panic").push(event.clone()))
    }

    pub(crate) fn events(&self) -> Vec<RegistryEvent> {
        self.0.lock().expect("no panic").clone()
    }
}

/// Calls the version that this route meets.
pub(crate) async fn call(registry: &Registry, n: u64) -> Result<SkillAnswer> {
    let skill = registry.resolve(&id("pay"), &"*".parse()?, &route(n))?;
    run(&*skill, n).await
}

pub(crate) async fn run(skill: &dyn Skill, n: u64) -> Result<SkillAnswer> {
    let context = Context::new(TenantId::new("acme").map_err(odd)?);
    let key = openclaw_core::IdempotencyKey::of(
        openclaw_core::MessageId::from_u128(u128::from(n)),
        "pay",
    );
    let call = Call::skill(context, skill.manifest(), Arc::new(json!({ "n": n })));
    skill.run(call.with_key(key.map_err(odd)?)).await
}

fn odd(e: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unclassified, e.to_string())
}

/// The output of a future that waits for nobody.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut task::Context::from_waker(task::Waker::noop())) {
        task::Poll::Ready(output) => output,
        task::Poll::Pending => unreachable!("nothing is kept, so nothing is waited for"),
    }
}
