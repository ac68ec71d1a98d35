//! Everything that is traced, at every level, as text.

use std::{
    fmt::{Debug, Write as _},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// A subscriber that writes down all it is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Capture {
    text: Arc<Mutex<String>>,
    spans: Arc<AtomicU64>,
}

impl Capture {
    pub(super) fn text(&self) -> String {
        self.text.lock().expect("not poisoned").clone()
    }

    fn note(&self, head: &str, fields: impl FnOnce(&mut Fields)) {
        let mut line = Fields(format!("{head}:"));
        fields(&mut line);
        let mut text = self.text.lock().expect("not poisoned");
        text.push_str(&line.0);
        text.push('\n');
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _written = write!(self.0, " {field}={value:?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _written = write!(self.0, " {field}={value}");
    }
}

impl Subscriber for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.note(span.metadata().name(), |fields| span.record(fields));
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.note("record", |fields| values.record(fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.note(event.metadata().target(), |fields| event.record(fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
