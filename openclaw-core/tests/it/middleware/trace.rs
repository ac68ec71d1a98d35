//! Spans of calls: what they tell, and what they never do.

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use openclaw_core::{
    Call, Context, Error, ErrorKind, TenantId, TraceParent, middleware::TraceLayer,
    skill::SkillManifest,
};
use openclaw_testkit::env::test_env;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Writes down every field of every span.
#[derive(Clone, Debug, Default)]
struct Book(Arc<Mutex<String>>);

impl Visit for Book {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0.lock().unwrap(), "{field}={value:?};").unwrap();
    }
}

impl Subscriber for Book {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("openclaw_core::middleware::trace")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn call(parent: Option<&str>) -> Call<Arc<Value>> {
    let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0");
    let mut context = Context::new(TenantId::new("acme").unwrap());
    if let Some(parent) = parent.and_then(TraceParent::parse) {
        context = context.with_trace(parent);
    }
    Call::skill(context, &manifest, Arc::new(json!({ "card": "4111" })))
}

async fn run(call: Call<Arc<Value>>) -> Option<TraceParent> {
    let seen = Arc::new(Mutex::new(None));
    let leaf = service_fn(async |call: Call<Arc<Value>>| {
        *seen.lock().unwrap() = call.context().trace().cloned();
        Err::<(), _>(Error::new(ErrorKind::Timeout, "the card 4111 did not answer"))
    });
    TraceLayer::new(test_env(1)).layer(leaf).oneshot(call).await.expect_err("it fails");
    seen.lock().unwrap().take()
}

#[tokio::test(flavor = "current_thread")]
async fn a_span_tells_head_and_outcome_and_no_payload() {
    let book = Book::default();
    let guard = tracing::subscriber::set_default(book.clone());
    let inner = run(call(Some(PARENT))).await.expect("a trace");
    drop(guard);
    let told = book.0.lock().unwrap().clone();
    for part in [
        "target=\"crm.find\"",
        "tenant=\"acme\"",
        "outcome=\"TIMEOUT\"",
        "happened=\"maybe\"",
        "ms=",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("4111"), "{told}");
    assert_eq!(inner.trace_id(), "0af7651916cd43dd8448eb211c80319c", "the trace goes on");
    assert_ne!(inner.span_id(), "b7ad6b7169203331", "under a span of its own");
    assert!(TraceParent::parse(&inner.to_string()).is_some());
    assert!(told.contains(inner.span_id()), "{told}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_call_without_a_trace_begins_one() {
    let guard = tracing::subscriber::set_default(Book::default());
    let inner = run(call(None)).await.expect("a trace");
    drop(guard);
    assert!(TraceParent::parse(&inner.to_string()).is_some(), "{inner}");
}

#[tokio::test(flavor = "current_thread")]
async fn where_nobody_listens_the_context_stays_as_it_is() {
    let guard = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::default());
    assert_eq!(run(call(Some(PARENT))).await.map(|t| t.to_string()).as_deref(), Some(PARENT));
    assert_eq!(run(call(None)).await, None);
    drop(guard);
}

mod laws {
    use openclaw_core::Call;
    use openclaw_testkit::{conformance::layer, layer_laws};

    use super::{TraceLayer, test_env};

    layer_laws!("Trace", layer::on::<Call<u64>, _>(|| TraceLayer::new(test_env(1))));
}
