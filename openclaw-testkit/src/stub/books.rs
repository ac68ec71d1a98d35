//! What a stub was told, and what came.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    fault::TlsFailure,
    received::Received,
    reply::{Reply, status},
    report,
    rule::Entry,
};

/// Rules, and all that came.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) rules: Vec<Entry>,
    pub(super) received: Vec<Received>,
    /// Why requests were refused before any rule saw them.
    pub(super) broken: Vec<String>,
    pub(super) tls: Option<TlsFailure>,
    pub(super) handshakes: u64,
}

impl Books {
    /// Writes a request down and finds its reply: of the first rule that fits.
    pub(super) fn take(&mut self, mut request: Received) -> Reply {
        let fits = |rule: &Entry| rule.pattern.misses(&request).is_empty();
        let rule = self.rules.iter().position(fits);
        let entry = rule.and_then(|at| self.rules.get_mut(at));
        let reply = entry.map(|entry| {
            let reply = entry.next();
            request.effect = reply.has_effect(request.method());
            reply
        });
        let reply = reply.unwrap_or_else(|| {
            let (method, path) = (request.method(), request.path());
            let nearest = report::nearest_rule(&request, self);
            status(404).text(format!("No rule of the stub fits {method} {path}. {nearest}.\n"))
        });
        request.rule = rule;
        self.received.push(request);
        reply
    }
}

pub(super) fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}
