//! The first format of effects, without versions and costs: rows of jobs keep it.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{EffectRecord, EffectState};
use crate::Effect;

/// A record of format 1: it did not keep the version of the skill.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EffectRecordV1 {
    pub(super) target: Arc<str>,
    pub(super) fingerprint: [u8; 16],
    #[serde(with = "crate::words::json::embedded")]
    pub(super) request: Arc<Value>,
    pub(super) effect: Effect,
    pub(super) approval: Option<Arc<str>>,
    pub(super) state: EffectState,
}

impl From<EffectRecordV1> for EffectRecord {
    fn from(old: EffectRecordV1) -> Self {
        let EffectRecordV1 { target, fingerprint, request, effect, approval, state } = old;
        Self {
            target,
            fingerprint,
            request,
            effect,
            approval,
            version: None,
            state,
            breach: None,
            costs: Vec::new(),
        }
    }
}

/// Writes a record in the first format: the calls of jobs chose no version.
pub(crate) fn serialize<S: Serializer>(record: &EffectRecord, s: S) -> Result<S::Ok, S::Error> {
    let EffectRecord {
        target,
        fingerprint,
        request,
        effect,
        approval,
        version: _,
        state,
        breach: _,
        costs: _,
    } = record.clone();
    EffectRecordV1 { target, fingerprint, request, effect, approval, state }.serialize(s)
}

/// Reads what [`serialize`] wrote.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<EffectRecord, D::Error> {
    EffectRecordV1::deserialize(d).map(EffectRecord::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        Timestamp,
        records::{Account, Period, Share, row::Row as _},
    };

    fn old(state: EffectState) -> EffectRecordV1 {
        EffectRecordV1 {
            target: "shop.refund".into(),
            fingerprint: [7; 16],
            request: Arc::new(json!({"order": "1042"})),
            effect: Effect::AtMostOnce,
            approval: Some("a-1".into()),
            state,
        }
    }

    #[test]
    fn a_record_of_the_first_format_is_read() -> crate::Result<()> {
        let old = old(EffectState::Claimed { tries: 3 });
        let row = [&[1], &postcard::to_stdvec(&old).unwrap()[..]].concat();
        let read = EffectRecord::decode(&row)?;
        assert_eq!((&*read.target, read.approval.as_deref()), ("shop.refund", Some("a-1")));
        assert_eq!((read.version, read.state), (None, old.state));
        Ok(())
    }

    #[test]
    fn the_costs_of_a_record_before_holders_are_its_tenant_s() -> crate::Result<()> {
        let share = |unit: &'static str, reserved: u64, spent: u64| {
            (unit, "shop.*", Period::Month, Timestamp::from_millis(77), reserved, spent)
        };
        let shares = [share("usd", 300, 0), share("calls", 0, 1)];
        let mut record = EffectRecord::from(old(EffectState::NEW));
        let rest = postcard::to_stdvec(&record).unwrap();
        let costs = postcard::to_stdvec(&shares[..]).unwrap();
        let read = EffectRecord::decode(&[&[2], &costs[..], &rest[..]].concat())?;
        record.costs = shares
            .map(|(unit, skill, per, until, reserved, spent)| {
                let account = Account::new(unit, skill, per);
                Share { account, until, reserved, spent }
            })
            .into();
        assert_eq!(read.costs, record.costs);
        assert_eq!(EffectRecord::decode(&read.encode()?)?.costs, record.costs);
        assert_eq!(read.encode()?, record.encode()?);
        Ok(())
    }
}
