//! A model's faults, counted by the model inside.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use openclaw_core::{
    Call, Happened, ModelId, Result,
    model::{Model, ModelReply, Prompt},
};
use openclaw_testkit::fault::{Fault, FaultModel, Plan};

use super::{MINUTE, after, context, failed, hangs, injected, once};

/// Says hello, and counts how often it was asked.
#[derive(Debug)]
struct Parrot(ModelId, Arc<AtomicU32>);

#[async_trait::async_trait]
impl Model for Parrot {
    fn id(&self) -> &ModelId {
        &self.0
    }

    async fn complete(&self, _: Call<Arc<Prompt>>) -> Result<ModelReply> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(ModelReply::text("hello"))
    }
}

/// The count of requests, and the model that meets the plan.
fn parrot(plan: &Plan) -> (Arc<AtomicU32>, FaultModel<Parrot>) {
    let asked = Arc::default();
    let inner = Parrot(ModelId::new("parrot").unwrap(), Arc::clone(&asked));
    (asked, FaultModel::new(inner, plan.clone()))
}

fn call(model: &dyn Model) -> Call<Arc<Prompt>> {
    Call::model(context(), model, Arc::default())
}

/// Reads a stream to its end.
async fn stream(model: &dyn Model) -> Result<String> {
    let mut stream = model.stream(call(model)).await?;
    let mut text = String::new();
    while let Some(piece) = stream.next().await? {
        text.push_str(&piece);
    }
    assert_eq!(stream.finish().await?.text, text);
    Ok(text)
}

#[tokio::test(start_paused = true)]
async fn a_request_fails_or_loses_a_half_of_itself() {
    for (fault, happened, count) in [
        (Fault::Fail, Happened::No, 0),
        (Fault::LoseRequest, Happened::Maybe, 0),
        (Fault::LoseAnswer, Happened::Maybe, 1),
    ] {
        for op in ["complete", "stream"] {
            let plan = once(op, fault);
            let (asked, model) = parrot(&plan);
            let outcome = match op {
                "complete" => model.complete(call(&model)).await.map(|reply| reply.text),
                _ => stream(&model).await,
            };
            failed(outcome, happened);
            assert_eq!(asked.load(Ordering::SeqCst), count, "{op}: {fault:?}");
            injected(&plan, fault);
            assert_eq!(stream(&model).await.unwrap(), "hello");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_request_is_asked_twice() {
    let plan = Plan::default();
    plan.every("parrot", Fault::Duplicate);
    let (asked, model) = parrot(&plan);
    assert_eq!(model.complete(call(&model)).await.unwrap().text, "hello");
    assert_eq!(stream(&model).await.unwrap(), "hello");
    assert_eq!((asked.load(Ordering::SeqCst), plan.injected()["duplicate"]), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_late_hangs_panics_or_crashes() {
    let (asked, model) = parrot(&once("complete", Fault::Delay(MINUTE)));
    after(MINUTE, model.complete(call(&model))).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let (asked, model) = parrot(&once("complete", Fault::Hang));
    hangs(model.complete(call(&model))).await;
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let (_, model) = parrot(&once("stream", Fault::Panic));
    assert!(tokio::spawn(async move { stream(&model).await }).await.unwrap_err().is_panic());
    for (fault, count) in [(Fault::CrashBefore, 0), (Fault::CrashAfter, 1)] {
        let plan = once("complete", fault);
        let (asked, model) = parrot(&plan);
        hangs(model.complete(call(&model))).await;
        assert_eq!((asked.load(Ordering::SeqCst), plan.power().is_on()), (count, false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_breaks_stalls_or_never_finishes() {
    let plan = Plan::default();
    plan.fail_nth("next", 2);
    let (_, model) = parrot(&plan);
    let mut broken = model.stream(call(&model)).await.unwrap();
    assert_eq!(broken.next().await.unwrap().as_deref(), Some("hello"));
    failed(broken.next().await, Happened::No);
    let (_, model) = parrot(&once("next", Fault::Delay(MINUTE)));
    after(MINUTE, stream(&model)).await.unwrap();
    let (_, model) = parrot(&once("finish", Fault::Hang));
    hangs(stream(&model)).await;
}
