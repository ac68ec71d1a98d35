//! What it answers and does not do, or does late, or does for some and not for others.

use std::sync::MutexGuard;

use openclaw_core::store::{Commit, Guard, Op, Txn};
use tokio::task::yield_now;

use super::{NaiveStore, State};
use crate::flaws::Flaw;

impl NaiveStore {
    /// The state that a read sees.
    pub(super) fn as_read(&self) -> State {
        let mut state: MutexGuard<'_, State> = self.lock();
        state.reads += 1;
        let mut seen = state.clone();
        let back = self.is(Flaw::ReadsGoBack) && state.reads.is_multiple_of(3);
        if back || self.is(Flaw::ReadsAreStale) {
            seen.rows.clone_from(&seen.before);
        }
        seen
    }

    /// A commit whose answer can't be relied on.
    pub(super) async fn answered(&self, txn: &Txn) -> Commit {
        match (self.flaw, txn.label) {
            (Flaw::AnswersBeforeApplying, _) => {
                let mut state = self.lock();
                if let Some(late) = state.pending.take() {
                    drop(self.apply(&mut state, &late));
                }
                let answer = self.pretend(&mut state, txn);
                state.pending = Some(txn.clone());
                answer
            }
            (Flaw::LosesClaims, "claim")
            | (Flaw::LosesDispatchMarks, "dispatch")
            | (Flaw::LosesReceipts, "settle")
            | (Flaw::LosesTurns, "turn") => self.pretend(&mut self.lock(), txn),
            (Flaw::ClaimsIgnoreGuards, "claim")
            | (Flaw::SettlesIgnoreGuards, "settle")
            | (Flaw::TakeoversIgnoreGuards, "takeover") => {
                let unguarded = Txn::new(txn.label).ops(txn.ops.clone());
                self.apply(&mut self.lock(), &unguarded)
            }
            (Flaw::GuardsOnlyWhatItWrites, _) => {
                let writes = |guard: &Guard| {
                    let key = guard.key();
                    txn.ops.iter().any(|op| matches!(op, Op::Put { key: k, .. } | Op::Delete { key: k } if k == key))
                };
                let guards = txn.guards.iter().filter(|guard| writes(guard)).cloned();
                let fewer = guards.fold(Txn::new(txn.label).ops(txn.ops.clone()), Txn::guard);
                self.apply(&mut self.lock(), &fewer)
            }
            (Flaw::FloodsAreCut, _) => self.crowded(txn).await,
            (Flaw::NewestFirst, _) => self.queued(txn).await,
            _ => {
                let mut state = self.lock();
                let before = state.rows.clone();
                let answer = self.apply(&mut state, txn);
                state.before = before;
                answer
            }
        }
    }

    /// The answer, and nothing else.
    fn pretend(&self, state: &mut State, txn: &Txn) -> Commit {
        let mut copy = state.clone();
        let answer = self.apply(&mut copy, txn);
        if !self.is(Flaw::AnswersBeforeApplying) {
            state.version = copy.version;
        }
        answer
    }

    /// What comes on top of two hundred is answered and forgotten.
    async fn crowded(&self, txn: &Txn) -> Commit {
        let ticket = self.ticket();
        yield_now().await;
        let mut state = self.lock();
        let crowd = state.waiting.len();
        state.waiting.remove(&ticket);
        if crowd > 200 { self.pretend(&mut state, txn) } else { self.apply(&mut state, txn) }
    }

    /// Whoever came last is served first.
    async fn queued(&self, txn: &Txn) -> Commit {
        let ticket = self.ticket();
        loop {
            yield_now().await;
            let mut state = self.lock();
            if state.waiting.last() == Some(&ticket) {
                state.waiting.remove(&ticket);
                return self.apply(&mut state, txn);
            }
        }
    }

    fn ticket(&self) -> u64 {
        let mut state = self.lock();
        state.tickets += 1;
        let ticket = state.tickets;
        state.waiting.insert(ticket);
        ticket
    }
}
