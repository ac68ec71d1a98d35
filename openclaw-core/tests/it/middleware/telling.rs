//! Counts what a layer tells through tracing.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tracing::{Dispatch, Event, Metadata, Subscriber, span, subscriber::DefaultGuard};

/// Counts the events of one module, in this thread and while it lives.
pub(super) struct Telling {
    counter: Counter,
    _second: Dispatch,
    _guard: DefaultGuard,
}

impl Telling {
    /// Counts the events of modules with this word in their path.
    pub(super) fn of(word: &'static str) -> Self {
        let counter = Counter { word, events: Arc::default() };
        // With a second one alive, tracing asks them all who is interested, and not only the
        // thread that comes first: that may be another test's.
        let second = Dispatch::new(Counter { word, events: Arc::default() });
        let guard = tracing::subscriber::set_default(counter.clone());
        Self { counter, _second: second, _guard: guard }
    }

    pub(super) fn told(&self) -> u32 {
        self.counter.events.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Counter {
    word: &'static str,
    events: Arc<AtomicU32>,
}

impl Subscriber for Counter {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target().contains(self.word) {
            self.events.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
