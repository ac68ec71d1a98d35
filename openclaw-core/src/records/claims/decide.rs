//! Looks at an effect under a lease of its own, and takes a person's word on one in doubt.

use std::sync::Arc;

use super::{Claim, Claims, Fence, Lease, LeaseRow, Place, open::Found};
use crate::{
    Error, ErrorKind, Happened, Result, Timestamp,
    records::{
        audit::{AuditAction, AuditEntry},
        ledger::{EffectRecord, Event},
        row::Row,
    },
    skill::SkillAnswer,
    store::Entry,
};

/// An effect as it is found, and who runs it.
pub(super) struct Looked {
    pub(super) record: EffectRecord,
    pub(super) entry: Entry,
    holder: Option<(LeaseRow, Entry)>,
    /// The store's own time.
    now: Timestamp,
}

impl Claims {
    /// What is recorded here and still counts.
    pub(crate) async fn look(&self, place: &Place) -> Result<Option<EffectRecord>> {
        Ok(self.looked(place).await?.map(|looked| looked.record))
    }

    /// Records what a person says of an effect in doubt: it happened, with this answer, or not.
    pub(crate) async fn decide(
        &self,
        mut place: Place,
        answer: Option<SkillAnswer>,
        by: Arc<str>,
    ) -> Result<()> {
        let missing = || {
            let why = "nothing is recorded under this key";
            Error::new(ErrorKind::NotFound, why).with_happened(Happened::No)
        };
        let Looked { record, entry, holder, now } =
            self.looked(&place).await?.ok_or_else(missing)?;
        let happened = if answer.is_some() { "it happened" } else { "it did not happen" };
        let decided = Event::Decided(answer);
        // An effect that is not in doubt says so before anybody's lease counts.
        record.state_after(decided.clone())?;
        if holder.as_ref().is_some_and(|(holder, _)| holder.until > now) {
            return Err(conflict("the effect is on its way"));
        }
        if let Fence::Leased(lease) = &mut place.fence {
            lease.version = holder.map(|(_, entry)| entry.version);
        }
        let mut claim = Claim::new(place, record.clone());
        let Found::Ours = self.take_over(&mut claim, record, &entry).await? else {
            return Err(conflict("the effect has just moved on"));
        };
        let action = AuditAction::EffectDecided;
        let note = AuditEntry::new(self.env.now(), action, claim.message, by).because(happened);
        self.step("decide", &mut claim, decided, &[note]).await?;
        // What did not happen may be asked for at once; else the lease just runs out.
        drop(self.release(&mut claim).await);
        Ok(())
    }

    pub(super) async fn looked(&self, place: &Place) -> Result<Option<Looked>> {
        let mut keys = vec![place.key.clone()];
        keys.extend(place.fence.lease().map(|Lease { key, .. }| key.clone()));
        let read = self.noted((*self.store).get_many(&keys).await.map_err(Error::from))?;
        self.time.told(read.as_of);
        let mut rows = read.value.into_iter();
        let (record, holder) = (rows.next().flatten(), rows.next().flatten());
        let Some(entry) = record else { return Ok(None) };
        let holder = match holder {
            Some(entry) => Some((LeaseRow::decode(&entry.value)?, entry)),
            None => None,
        };
        if holder.as_ref().is_some_and(|(holder, _)| holder.expired(read.as_of)) {
            return Ok(None);
        }
        let record = EffectRecord::decode(&entry.value)?;
        Ok(Some(Looked { record, entry, holder, now: read.as_of }))
    }
}

fn conflict(why: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, why).with_happened(Happened::No)
}
