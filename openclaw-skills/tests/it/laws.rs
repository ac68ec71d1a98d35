//! A typed skill holds the laws of its trait, whatever its effect.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    Effect, Error, ErrorKind, Result, SkillId,
    skill::{Skill, SkillManifest},
};
use openclaw_skills::{SkillCx, schemars, skill_fn};
use openclaw_testkit::{
    conformance::skill::{On, on},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;

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

fn skill(effect: Effect, remote: CountingRemote) -> Arc<dyn Skill> {
    let manifest = SkillManifest::new(SkillId::new("order.place").expect("an id"), "1.0.0");
    let manifest = manifest.effect(effect);
    let hook = RemoteSkill::new(manifest.clone(), remote.clone());
    let f = move |cx, order| place(remote.clone(), effect, cx, order);
    let skill = skill_fn(manifest, f).expect("a skill");
    match effect {
        Effect::Reconcilable => Arc::new(skill.reconcile_with(hook)),
        _ => Arc::new(skill),
    }
}

fn typed(effect: Effect) -> On {
    let kind = match effect {
        Effect::Keyed { .. } => RemoteKind::Keyed,
        _ => RemoteKind::Unkeyed,
    };
    on(kind, move |remote| skill(effect, remote))
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
