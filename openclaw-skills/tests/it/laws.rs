//! Typed skills, the wrappers around skills and the registry hold the laws of the trait.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use openclaw_core::{
    Call, Effect, Env, Error, ErrorKind, Result, SkillId,
    channel::Reconcile,
    records::EVERYBODY,
    skill::{RouteKey, Skill, SkillAnswer, SkillManifest},
};
use openclaw_skills::{
    Checked, Hook, Hooked, Schemas, SkillCx, Typed, TypedSkill,
    registry::{Range, Registry, Release},
    schemars, skill_fn,
};
use openclaw_testkit::{
    conformance::skill::{On, on},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;

use crate::registry_support::at_once;

#[derive(Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    #[schemars(length(min = 4, max = 40))]
    order: String,
}

#[derive(serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
struct Placed {
    echo: Order,
}

const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(3_600) };

async fn place(
    remote: CountingRemote,
    effect: Effect,
    cx: SkillCx,
    order: Order,
) -> Result<Placed> {
    let unreadable = |e| Error::new(ErrorKind::ServerError, "unreadable").with_source(e);
    let payload = serde_json::to_value(&order).map_err(unreadable)?;
    let answer = match effect {
        Effect::Pure => remote.read(&payload).await?,
        _ => remote.call(Some(cx.require_key()?.as_str()), &payload).await?,
    };
    serde_json::from_value(answer).map_err(unreadable)
}

fn manifest(effect: Effect) -> SkillManifest {
    SkillManifest::new(SkillId::new("order.place").expect("an id"), "1.0.0").effect(effect)
}

fn skill(effect: Effect, remote: CountingRemote) -> Arc<dyn Skill> {
    let manifest = manifest(effect);
    let hook = RemoteSkill::new(manifest.clone(), remote.clone());
    let f = move |cx, order| place(remote.clone(), effect, cx, order);
    let skill = skill_fn(manifest, f).expect("a skill");
    match effect {
        Effect::Reconcilable => Arc::new(skill.reconcile_with(hook)),
        _ => Arc::new(skill),
    }
}

/// A skill with fields of its own.
struct Place {
    effect: Effect,
    remote: CountingRemote,
    hook: Option<RemoteSkill>,
}

impl TypedSkill for Place {
    type Input = Order;
    type Output = Placed;

    fn manifest(&self) -> SkillManifest {
        manifest(self.effect)
    }

    async fn run(&self, cx: SkillCx, order: Order) -> Result<Placed> {
        place(self.remote.clone(), self.effect, cx, order).await
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        self.hook.as_ref().map(|hook| hook as &dyn Reconcile)
    }
}

fn structure(effect: Effect, remote: CountingRemote) -> Arc<dyn Skill> {
    let hook = (effect == Effect::Reconcilable)
        .then(|| RemoteSkill::new(manifest(effect), remote.clone()));
    Arc::new(Typed::new(Place { effect, remote, hook }).expect("a skill"))
}

/// A skill that checks nothing itself, held to the schemas of its manifest.
fn checked(effect: Effect, remote: CountingRemote) -> Arc<dyn Skill> {
    let schemas = skill(effect, remote.clone()).manifest().clone();
    let bare = RemoteSkill::new(schemas, remote);
    Arc::new(Checked::new(bare, &Schemas::new()).expect("a skill"))
}

#[derive(Debug)]
struct Listens;

#[async_trait]
impl Hook for Listens {
    async fn after(
        &self,
        _: &Call<Arc<serde_json::Value>>,
        _: Result<&SkillAnswer, &Error>,
    ) -> Result<()> {
        Err(Error::new(ErrorKind::Unavailable, "nobody takes it"))
    }
}

fn hooked(effect: Effect, remote: CountingRemote) -> Arc<dyn Skill> {
    Arc::new(Hooked::new(skill(effect, remote), Listens))
}

/// The same skill as a registry hands it out while it is tried.
fn tried(effect: Effect, remote: CountingRemote) -> Arc<dyn Skill> {
    let registry = Registry::new(Env::system());
    registry.publish(Release::of(skill(effect, remote)).draft()).expect("a new version");
    let id = SkillId::new("order.place").expect("an id");
    at_once(registry.canary(&id, "1.0.0", EVERYBODY, "carol")).expect("it is there");
    registry.resolve(&id, &Range::ANY, &RouteKey::new("c1")).expect("everybody meets it")
}

fn typed(effect: Effect) -> On {
    made(effect, skill)
}

fn made(effect: Effect, make: fn(Effect, CountingRemote) -> Arc<dyn Skill>) -> On {
    let kind = match effect {
        Effect::Keyed { .. } => RemoteKind::Keyed,
        _ => RemoteKind::Unkeyed,
    };
    on(kind, move |remote| make(effect, remote))
        .refused([
            json!(null),
            json!({}),
            json!({ "order": 7 }),
            json!({ "order": "order-".repeat(9) }),
            json!({ "order": "order-00000001", "more": "more-than-asked" }),
        ])
        .answers(|n, output| {
            let order = output.pointer("/echo/order").and_then(|order| order.as_str());
            order == Some(&format!("order-{n:08}"))
        })
}

mod keyed {
    openclaw_testkit::skill_laws!("skill_fn, Keyed", super::typed(super::KEYED));
}

mod registered {
    openclaw_testkit::skill_laws!("Registry, Keyed", super::made(super::KEYED, super::tried));
}

mod registered_reconcilable {
    use openclaw_core::Effect;

    openclaw_testkit::skill_laws!(
        "Registry, Reconcilable",
        super::made(Effect::Reconcilable, super::tried)
    );
}

mod registered_pure {
    use openclaw_core::Effect;

    openclaw_testkit::skill_laws!("Registry, Pure", super::made(Effect::Pure, super::tried));
}

mod pure {
    use openclaw_core::Effect;

    openclaw_testkit::skill_laws!("skill_fn, Pure", super::typed(Effect::Pure));
}

mod reconcilable {
    use openclaw_core::Effect;

    openclaw_testkit::skill_laws!("skill_fn, Reconcilable", super::typed(Effect::Reconcilable));
}

mod at_least_once {
    use openclaw_core::Effect;

    openclaw_testkit::skill_laws!("skill_fn, AtLeastOnce", super::typed(Effect::AtLeastOnce));
}

mod at_most_once {
    use openclaw_core::Effect;

    openclaw_testkit::skill_laws!("skill_fn, AtMostOnce", super::typed(Effect::AtMostOnce));
}

mod struct_form {
    mod keyed {
        use super::super::{KEYED, made, structure};

        openclaw_testkit::skill_laws!("Typed, Keyed", made(KEYED, structure));
    }

    mod pure {
        use openclaw_core::Effect;

        use super::super::{made, structure};

        openclaw_testkit::skill_laws!("Typed, Pure", made(Effect::Pure, structure));
    }

    mod reconcilable {
        use openclaw_core::Effect;

        use super::super::{made, structure};

        openclaw_testkit::skill_laws!("Typed, Reconcilable", made(Effect::Reconcilable, structure));
    }
}

mod checked_skill {
    mod keyed {
        use super::super::{KEYED, checked, made};

        openclaw_testkit::skill_laws!("Checked, Keyed", made(KEYED, checked));
    }

    mod pure {
        use openclaw_core::Effect;

        use super::super::{checked, made};

        openclaw_testkit::skill_laws!("Checked, Pure", made(Effect::Pure, checked));
    }

    mod reconcilable {
        use openclaw_core::Effect;

        use super::super::{checked, made};

        openclaw_testkit::skill_laws!("Checked, Reconcilable", made(Effect::Reconcilable, checked));
    }
}

mod hooked_skill {
    mod keyed {
        use super::super::{KEYED, hooked, made};

        openclaw_testkit::skill_laws!("Hooked, Keyed", made(KEYED, hooked));
    }

    mod pure {
        use openclaw_core::Effect;

        use super::super::{hooked, made};

        openclaw_testkit::skill_laws!("Hooked, Pure", made(Effect::Pure, hooked));
    }

    mod reconcilable {
        use openclaw_core::Effect;

        use super::super::{hooked, made};

        openclaw_testkit::skill_laws!("Hooked, Reconcilable", made(Effect::Reconcilable, hooked));
    }
}

mod composed_skill {
    use serde_json::Value;

    use super::*;
    use crate::support::Bare;

    /// Hands a skill the way to one other, without a gateway between them.
    #[derive(Debug)]
    struct Led<K> {
        inner: K,
        other: Arc<dyn Skill>,
    }

    #[async_trait]
    #[deny(clippy::missing_trait_methods)]
    impl<K: Skill> Skill for Led<K> {
        fn manifest(&self) -> &SkillManifest {
            self.inner.manifest()
        }

        async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
            self.inner.run(call.with_skills(Arc::new(Bare(vec![Arc::clone(&self.other)])))).await
        }

        fn validate(&self, input: &Value) -> Result<()> {
            self.inner.validate(input)
        }

        fn validate_output(&self, output: &Value) -> Result<()> {
            self.inner.validate_output(output)
        }

        fn reconcile(&self) -> Option<&dyn Reconcile> {
            self.inner.reconcile()
        }
    }

    fn composed(effect: Effect, remote: CountingRemote) -> Arc<dyn Skill> {
        let other = skill(effect, remote);
        let id = SkillId::new("order.ask").expect("an id");
        let manifest = SkillManifest::new(id, "1.0.0").calls(other.manifest().id.clone());
        let ask = async |cx: SkillCx, order: Order| {
            cx.ask::<Placed>("order.place", "place", &order).await
        };
        let inner = skill_fn(manifest, ask).expect("a skill");
        Arc::new(Led { inner, other })
    }

    openclaw_testkit::skill_laws!("composed, Pure", made(Effect::Pure, composed));
}
