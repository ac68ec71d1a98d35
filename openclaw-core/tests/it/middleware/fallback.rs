//! Answers instead of failures.

use std::sync::Arc;

use openclaw_core::{
    Call, Context, Effect, Error, ErrorKind, Happened, TenantId, middleware::FallbackLayer,
    policy::Assessment, skill::SkillManifest,
};
use tower::{Layer, ServiceExt, service_fn};

fn call(effect: Effect) -> Call<u32> {
    let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0").effect(effect);
    Call::skill(Context::new(TenantId::new("acme").unwrap()), &manifest, Arc::default()).map(|_| 7)
}

async fn ask(
    doubt: bool,
    effect: Effect,
    kind: ErrorKind,
    happened: Happened,
) -> Result<u32, ErrorKind> {
    let fails = service_fn(move |_: Call<u32>| {
        std::future::ready(Err::<u32, _>(Error::new(kind, "it failed").with_happened(happened)))
    });
    let mut layer = FallbackLayer::new(
        Assessment::is_transient,
        async |call: Call<u32>, outcome: Result<u32, Error>| {
            outcome.map_or(Ok(*call.payload()), Ok)
        },
    );
    if doubt {
        layer = layer.even_in_doubt();
    }
    layer.layer(fails).oneshot(call(effect)).await.map_err(|e| e.kind())
}

#[tokio::test]
async fn a_failure_is_replaced_when_it_is_meant_to_be() {
    let down = ErrorKind::Unavailable;
    assert_eq!(ask(false, Effect::AtMostOnce, down, Happened::No).await, Ok(7));
    let refused = ask(false, Effect::AtMostOnce, ErrorKind::NotFound, Happened::No).await;
    assert_eq!(refused, Err(ErrorKind::NotFound), "the predicate says no");
}

#[tokio::test]
async fn a_doubt_is_not_hidden_unless_asked_for() {
    let late = ErrorKind::Timeout;
    assert_eq!(ask(false, Effect::AtMostOnce, late, Happened::Maybe).await, Err(late));
    assert_eq!(ask(false, Effect::Pure, late, Happened::Maybe).await, Ok(7), "nothing to doubt");
    assert_eq!(ask(true, Effect::AtMostOnce, late, Happened::Maybe).await, Ok(7));
}

#[tokio::test]
async fn an_effect_that_happened_is_never_hidden() {
    let down = ErrorKind::Unavailable;
    for effect in [Effect::AtMostOnce, Effect::AtLeastOnce, Effect::Reconcilable] {
        for doubt in [false, true] {
            assert_eq!(ask(doubt, effect, down, Happened::Yes).await, Err(down), "{effect:?}");
        }
    }
    assert_eq!(ask(false, Effect::Pure, down, Happened::Yes).await, Ok(7), "nothing to hide");
}

#[tokio::test]
async fn a_success_is_left_alone() {
    let layer = FallbackLayer::new(
        |_: &Assessment| true,
        async |_: Call<u32>, _: Result<u32, Error>| Ok(0),
    );
    let well = service_fn(async |call: Call<u32>| Ok::<_, Error>(call.into_payload()));
    assert_eq!(layer.layer(well).oneshot(call(Effect::Pure)).await.unwrap(), 7);
}

mod laws {
    use openclaw_core::{Call, Error, policy::Assessment};
    use openclaw_testkit::{conformance::layer, layer_laws};

    use super::FallbackLayer;

    layer_laws!(
        "Fallback",
        layer::on::<Call<u64>, _>(|| FallbackLayer::new(
            |_: &Assessment| false,
            |_: Call<u64>, outcome: Result<u64, Error>| std::future::ready(outcome)
        ))
    );
}
