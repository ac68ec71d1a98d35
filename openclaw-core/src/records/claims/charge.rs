//! Charges calls that have no record: what they are expected to cost is spent before they run.

use super::{
    Claims,
    budget::{Who, raced},
};
use crate::{
    Call, Error, Refusal, Result,
    records::{
        budgets::{Share, Wish},
        commit::Known,
    },
    store::{Op, StoreError},
    words::meter::Meter,
};

/// Lost races before a caller hears of them.
const RACES: usize = 5;

impl Claims {
    /// Makes a `Pure` call when its budgets have room for it.
    ///
    /// Nothing is recorded of it, so what nobody can tell counts as spent: a call that is dropped,
    /// a commit whose answer is lost. A call that surely was not made costs nothing; `alone` says
    /// that a refusal is its own, and not that of a call it made.
    pub(crate) async fn charged<P, T, F>(
        &self,
        who: Who<'_>,
        alone: bool,
        call: Call<P>,
        run: impl FnOnce(Call<P>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let wishes = self.budgets.wishes(who.tenant, who.payer, call.target());
        if wishes.is_empty() {
            return run(call).await;
        }
        let shares = self.charge(&who, &wishes).await?;
        let meter = Meter::default();
        let outcome = run(call.with_meter(meter.clone())).await;
        let refusal = outcome.as_ref().err().and_then(Error::refusal);
        let unmade = alone && refusal.is_some_and(Refusal::is_local);
        let spent = |share: &Share| {
            let silent = if unmade { 0 } else { share.reserved };
            meter.of(&share.account.unit).unwrap_or(silent)
        };
        self.correct(&who, &shares, spent).await;
        outcome
    }

    /// Spends what a call is expected to cost.
    async fn charge(&self, who: &Who<'_>, wishes: &[Wish]) -> Result<Vec<Share>> {
        for _ in 0..RACES {
            let held = self.held(who.tenant, wishes, None).await?;
            self.within(who, wishes, &held).await?;
            let shares: Vec<Share> = wishes.iter().map(|wish| wish.share(held.now)).collect();
            let ops = shares.iter().zip(wishes);
            let ops = ops.flat_map(|(share, wish)| share.charge(who.tenant, wish.most));
            match self.add(who, ops.collect()).await? {
                Known::Applied(_) => return Ok(shares),
                Known::Lost { guard, .. } if guard >= who.guards() => {}
                lost @ Known::Lost { .. } => return Err(self.lost(lost)),
            }
        }
        Err(raced())
    }

    /// Books what a call has spent instead of what it was expected to.
    async fn correct(&self, who: &Who<'_>, shares: &[Share], spent: impl Fn(&Share) -> u64) {
        let ops = shares.iter().flat_map(|share| share.correct(who.tenant, spent(share)));
        let ops: Vec<Op> = ops.collect();
        if !ops.is_empty() {
            // When the store does not take it, what was expected stays spent.
            drop(self.add(who, ops).await);
        }
    }

    /// Adds to sums, once: nothing could tell whether a lost answer was a yes.
    async fn add(&self, who: &Who<'_>, ops: Vec<Op>) -> Result<Known> {
        let txn = who.txn("charge").ops(ops);
        match (*self.store()).commit(txn).await {
            Err(e @ StoreError::OutcomeUnknown(_)) => {
                let e = Error::from(StoreError::Unavailable(e.to_string()));
                self.noted(Err(e))
            }
            outcome => self.noted(Known::of(outcome)),
        }
    }
}
