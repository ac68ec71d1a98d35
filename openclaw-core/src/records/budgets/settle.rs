//! What becomes of a reservation when it is known what became of its effect.

use super::{Share, share::reserves};
use crate::{
    Happened, TenantId,
    records::ledger::{EffectRecord, EffectState},
    store::Op,
    words::{
        meter::Meter,
        planted::{Bug, planted},
    },
};

/// What a record has spent from now on, and the operations that say so in the accounts.
pub(crate) type Booked = (Vec<Share>, Vec<Op>);

/// Books what an effect has reserved when it moves on to this state; `None` when it stays reserved.
///
/// What is claimed is only given back when the call is `over`: its next try needs it.
pub(crate) fn booked(
    costs: &[Share],
    tenant: &TenantId,
    next: &EffectState,
    over: bool,
    meter: Option<&Meter>,
) -> Option<Booked> {
    let happened = match next {
        EffectState::Done { .. } => true,
        EffectState::Failed { happened, .. } => *happened != Happened::No,
        EffectState::Claimed { .. } if over => false,
        _ => return None,
    };
    settled(costs, tenant, happened, meter)
}

/// Books what an effect has reserved whose record goes; an outcome that nobody knows is spent.
pub(crate) fn forgotten(record: &EffectRecord, tenant: &TenantId) -> Vec<Op> {
    let happened = record.state.is_in_doubt();
    settled(&record.costs, tenant, happened, None).map(|(_, ops)| ops).unwrap_or_default()
}

fn settled(
    costs: &[Share],
    tenant: &TenantId,
    happened: bool,
    meter: Option<&Meter>,
) -> Option<Booked> {
    if !reserves(costs) {
        return None;
    }
    let mut costs = costs.to_vec();
    let mut ops = Vec::new();
    for share in costs.iter_mut().filter(|share| share.reserved > 0) {
        let silent = if happened { share.reserved } else { 0 };
        let said = meter.and_then(|meter| meter.of(&share.account.unit));
        let spent = said.unwrap_or(silent);
        ops.extend(share.settle(tenant, spent));
    }
    if !happened && planted(Bug::BudgetLeaked) {
        ops.clear();
    }
    Some((costs, ops))
}
