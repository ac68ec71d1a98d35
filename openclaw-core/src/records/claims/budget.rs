//! Reserves what a call is expected to cost, in the commit of its claim, or refuses it.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use super::{Claim, Claims};
use crate::{
    Error, MessageId, Payer, Reason, Refusal, Result, TenantId, Timestamp,
    records::{
        audit::{AuditAction, AuditEntry},
        budgets::{NoteRow, Share, Wish, booked, sum_of},
        commit::{self, Known, unchanged},
        ledger::EffectState,
        row::Row as _,
    },
    store::{Entry, Guard, Key, Op, Txn},
    words::planted::{Bug, planted},
};

/// The name in refusals.
const NAME: &str = "budgets";

/// Lost races before a caller hears of them.
const RACES: usize = 5;

/// What a claim reserves, and the operations that do it.
#[derive(Debug, Default)]
pub(crate) struct Reserved {
    pub(crate) costs: Vec<Share>,
    pub(crate) ops: Vec<Op>,
}

/// What is held in some accounts, beside a row that was read with it.
pub(super) struct Held {
    sums: Vec<i64>,
    row: Option<Entry>,
    pub(super) now: Timestamp,
}

impl Claims {
    /// What the claim of this effect reserves. Nothing when it is recorded under its key, unless it
    /// `replaces` a record that counts no more.
    pub(super) async fn reserved(&self, claim: &Claim, replaces: bool) -> Result<Reserved> {
        let who = Who::from(claim);
        let wishes = self.budgets.wishes(who.tenant, who.payer, &claim.record.target);
        if wishes.is_empty() {
            return Ok(Reserved::default());
        }
        // Boxed: every claim would carry the room for it.
        Box::pin(async move {
            let held = self.held(who.tenant, &wishes, Some(&claim.key)).await?;
            if held.row.is_some() && !replaces {
                return Ok(Reserved::default());
            }
            self.within(&who, &wishes, &held).await?;
            Ok(reservation(who.tenant, &wishes, held.now))
        })
        .await
    }

    /// What a call reserves whose record is not a claim.
    pub(crate) async fn reserving(&self, who: &Who<'_>, target: &str) -> Result<Reserved> {
        let wishes = self.budgets.wishes(who.tenant, who.payer, target);
        if wishes.is_empty() {
            return Ok(Reserved::default());
        }
        let held = self.held(who.tenant, &wishes, None).await?;
        self.within(who, &wishes, &held).await?;
        Ok(reservation(who.tenant, &wishes, held.now))
    }

    /// Reserves what a claim that was found has not reserved, or in a window that is over.
    pub(super) async fn reserve_again(&self, claim: &mut Claim) -> Result<()> {
        if !matches!(claim.record.state, EffectState::Claimed { .. }) {
            return Ok(());
        }
        let over = |share: &Share| share.reserved > 0 && share.until <= self.time.now();
        if claim.record.reserves() && !claim.record.costs.iter().any(over) {
            return Ok(());
        }
        let payer = claim.payer.as_deref();
        let wishes = self.budgets.wishes(&claim.tenant, payer, &claim.record.target);
        if wishes.is_empty() && !claim.record.reserves() {
            return Ok(());
        }
        Box::pin(self.reserve_anew(claim, wishes)).await
    }

    async fn reserve_anew(&self, claim: &mut Claim, wishes: Vec<Wish>) -> Result<()> {
        for _ in 0..RACES {
            let held = self.held(&claim.tenant, &wishes, Some(&claim.key)).await?;
            let (mut costs, mut ops) = (claim.record.costs.clone(), Vec::new());
            for share in costs.iter_mut().filter(|share| share.until <= held.now) {
                ops.extend(share.settle(&claim.tenant, 0));
            }
            let kept = |wish: &Wish| {
                costs.iter().any(|share| share.account == wish.account && share.reserved > 0)
            };
            let mut left = Held { sums: Vec::new(), row: None, now: held.now };
            let mut wanted = Vec::new();
            for (wish, sum) in wishes.iter().zip(held.sums).filter(|(wish, _)| !kept(wish)) {
                wanted.push(wish.clone());
                left.sums.push(sum);
            }
            self.within(&(&*claim).into(), &wanted, &left).await?;
            let reserved = reservation(&claim.tenant, &wanted, left.now);
            costs.retain(|share| share.reserved > 0 || share.spent > 0);
            costs.extend(reserved.costs);
            ops.extend(reserved.ops);
            if ops.is_empty() {
                return Ok(());
            }
            if self.book(claim, "reserve", costs, ops).await? {
                return Ok(());
            }
        }
        Err(raced())
    }

    /// Gives back what a claim has reserved whose call has ended, and which surely did nothing.
    pub(crate) async fn give_back(&self, claim: &mut Claim) -> Result<()> {
        let state = &claim.record.state;
        let (costs, meter) = (&claim.record.costs, claim.meter.as_ref());
        let Some((costs, ops)) = booked(costs, &claim.tenant, state, true, meter) else {
            return Ok(());
        };
        Box::pin(self.book(claim, "giveback", costs, ops)).await.map(drop)
    }

    /// Writes these costs of a record, with the operations that say so in the accounts; false
    /// when one of them found no room.
    async fn book(
        &self,
        claim: &mut Claim,
        label: &'static str,
        costs: Vec<Share>,
        ops: Vec<Op>,
    ) -> Result<bool> {
        let state = claim.record.state.clone();
        let row = claim.row(&costs, &state)?;
        let txn = Txn::new(label)
            .guard(claim.fence.guard())
            .guard(unchanged(claim.key.clone(), claim.version))
            .op(Op::put(claim.key.clone(), row))
            .ops(ops);
        let guards = txn.guards.len();
        claim.stale = true;
        match self.commit(txn).await? {
            Known::Applied(applied) => {
                (claim.stale, claim.version) = (false, applied.version);
                claim.record.costs = costs;
                if claim.record.reserves() {
                    claim.meter.get_or_insert_default();
                }
                Ok(true)
            }
            Known::Lost { guard, .. } if guard >= guards => {
                claim.stale = false;
                Ok(false)
            }
            lost @ Known::Lost { .. } => Err(self.lost(lost)),
        }
    }

    /// Reads what is held in the present windows of these accounts.
    pub(super) async fn held(
        &self,
        tenant: &TenantId,
        wishes: &[Wish],
        beside: Option<&Key>,
    ) -> Result<Held> {
        // The windows of our own clock, until the store tells its time.
        let mut now = self.env.now();
        loop {
            let mut keys: Vec<Key> = wishes.iter().map(|wish| wish.held(tenant, now)).collect();
            keys.extend(beside.cloned());
            let read = self.noted((*self.store).get_many(&keys).await.map_err(Error::from))?;
            let as_of = read.as_of;
            self.time.told(as_of);
            if wishes.iter().any(|wish| wish.held(tenant, as_of) != wish.held(tenant, now)) {
                now = as_of;
                continue;
            }
            let mut rows = read.value;
            let row = rows.split_off(wishes.len()).pop().flatten();
            let sums = rows.iter().map(|row| sum_of(row.as_ref())).collect::<Result<_>>()?;
            return Ok(Held { sums, row, now: as_of });
        }
    }

    /// Refuses what does not fit into its accounts, until all of them may have room.
    pub(super) async fn within(&self, who: &Who<'_>, wishes: &[Wish], held: &Held) -> Result<()> {
        let full = |(wish, sum): &(&Wish, &i64)| !wish.has_room(**sum);
        if planted(Bug::BudgetUnbound) {
            return Ok(());
        }
        let full: Vec<&Wish> =
            wishes.iter().zip(&held.sums).filter(full).map(|(wish, _)| wish).collect();
        // What has no room for good, else what renews last: until then a repeat is in vain.
        let worst = |wish: &&&Wish| (wish.may_come(), Reverse(wish.share(held.now).until));
        let Some(worst) = full.iter().min_by_key(worst) else { return Ok(()) };
        for wish in &full {
            // The refusal stands when it can't be noted.
            drop(self.note(who, wish, held.now).await);
        }
        Err(refused(worst, held.now))
    }

    /// Has the audit trail say that a budget is spent: once in each of its windows.
    async fn note(&self, who: &Who<'_>, wish: &Wish, now: Timestamp) -> Result<()> {
        let key = wish.note(who.tenant, now);
        let found = commit::read::<NoteRow>(&*self.store, &key).await;
        let (guard, note) = match self.noted(found)? {
            Some((NoteRow { refused: Some(_), .. }, _)) => return Ok(()),
            Some((note, version)) => (unchanged(key.clone(), version), note),
            None => (Guard::Absent(key.clone()), NoteRow::default()),
        };
        let row = NoteRow { refused: Some(now), nonce: self.env.next_u64(), ..note };
        let action = AuditAction::BudgetSpent;
        let entry = AuditEntry::new(self.env.now(), action, who.message, Arc::clone(&who.subject))
            .because(told(wish, now));
        let put = Op::put(key, row.encode()?);
        let txn = who.txn("overspent").guard(guard).op(put).op(entry.append(who.tenant)?);
        // Whoever was faster has noted it.
        self.commit(txn).await.map(drop)
    }
}

/// Whose call it is: for its budgets, and for the audit trail.
pub(crate) struct Who<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) payer: Option<&'a Payer>,
    pub(crate) message: MessageId,
    pub(crate) subject: Arc<str>,
    /// A fence that somebody else holds. A call that is refused has no lease.
    pub(crate) fence: Option<&'a Guard>,
}

impl Who<'_> {
    /// A commit of it.
    pub(super) fn txn(&self, label: &'static str) -> Txn {
        self.fence.cloned().into_iter().fold(Txn::new(label), Txn::guard)
    }

    /// The guards of such a commit.
    pub(super) fn guards(&self) -> usize {
        usize::from(self.fence.is_some())
    }
}

impl<'a> From<&'a Claim> for Who<'a> {
    fn from(claim: &'a Claim) -> Self {
        let Claim { tenant, payer, message, fence, subject, .. } = claim;
        let (payer, subject) = (payer.as_deref(), Arc::clone(subject));
        Self { tenant, payer, message: *message, subject, fence: fence.held() }
    }
}

fn reservation(tenant: &TenantId, wishes: &[Wish], now: Timestamp) -> Reserved {
    let mut reserved = Reserved::default();
    for wish in wishes {
        let share = wish.share(now);
        let most = if planted(Bug::BudgetUnbound) { u64::MAX } else { wish.most };
        reserved.ops.push(share.reserve(tenant, most));
        reserved.costs.push(share);
    }
    reserved
}

/// When waiting makes room for it; `None` when it never does.
fn renews(wish: &Wish, now: Timestamp) -> Option<Timestamp> {
    wish.may_come().then(|| wish.share(now).until)
}

/// What is spent, in words for operators.
fn told(wish: &Wish, now: Timestamp) -> String {
    let Wish { account, amount, most } = wish;
    let renews = renews(wish, now).map_or_else(String::new, |at| format!("; renews {at}"));
    format!("{amount} more are over {most} {account}{renews}")
}

fn refused(wish: &Wish, now: Timestamp) -> Error {
    let refusal = Refusal::new(Reason::BudgetSpent, NAME).with_detail(told(wish, now));
    let holder = &wish.account.holder;
    let scope = holder.scope().name();
    let named = |e: Error| match holder.name() {
        Some(name) => e.with("scope", scope).with(scope, name),
        None => e.with("scope", scope),
    };
    match renews(wish, now) {
        Some(at) => named(refusal.with_retry_after(at.since(now)).into()).with("renews", at),
        // Waiting does not help: whoever retries would do so for nothing.
        None => named(refusal.exhausted().into()),
    }
}

/// Others took the room each time it was seen.
pub(super) fn raced() -> Error {
    Refusal::new(Reason::BudgetSpent, NAME)
        .with_detail("others were faster at the end of a budget")
        .with_retry_after(Duration::from_secs(1))
        .into()
}
