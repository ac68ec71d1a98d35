//! What is counted together, and the rows in which it is kept.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Holder, Period, Window};
use crate::{
    Error, ErrorKind, Happened, MessageId, Result, TenantId, Timestamp,
    records::row::Row,
    store::{Entry, Key, Prefix},
    words::env::date_of,
};

/// What is counted together: the calls of some skills, in one unit, by one period, for somebody.
///
/// It is written `micro_usd of shop.* per day of agent clerk`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Account {
    /// The unit.
    pub unit: Arc<str>,
    /// The pattern of its skills.
    pub skill: Arc<str>,
    /// When it begins anew.
    pub per: Period,
    /// Whose it is, within the tenant.
    pub holder: Holder,
}

/// A number that the store adds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sum {
    /// Reserved and spent together: what a limit bounds.
    Held,
    /// Spent.
    Spent,
}

impl Sum {
    const fn name(self) -> &'static str {
        match self {
            Self::Held => "h",
            Self::Spent => "s",
        }
    }
}

impl Account {
    /// A tenant's account for some skills, in one unit, by one period.
    #[must_use]
    pub fn new(unit: impl Into<Arc<str>>, skill: impl Into<Arc<str>>, per: Period) -> Self {
        Self { unit: unit.into(), skill: skill.into(), per, holder: Holder::Tenant }
    }

    /// The same for this holder.
    #[must_use]
    pub fn held_by(mut self, holder: Holder) -> Self {
        self.holder = holder;
        self
    }

    /// Where a sum of its window up to then is kept.
    pub(crate) fn sum(&self, tenant: &TenantId, until: Timestamp, sum: Sum) -> Key {
        let key = Key::of(tenant, "bg").time(self.filed(until)).text(self.per.name());
        let key = key.text(&self.unit).text(&self.skill);
        let key = match self.holder.name() {
            Some(name) => key.text(self.holder.scope().name()).text(&name),
            None => key,
        };
        key.text(sum.name()).build()
    }

    /// Where it is noted what was decided about its window up to then.
    pub(crate) fn note(&self, tenant: &TenantId, until: Timestamp) -> Key {
        let key = Key::of(tenant, "bn").time(self.filed(until)).text(self.per.name());
        let key = key.text(&self.unit).text(&self.skill);
        match self.holder.name() {
            Some(name) => key.text(self.holder.scope().name()).text(&name).build(),
            None => key.build(),
        }
    }

    /// The run that has this account as long as it goes on: its one window has no end.
    pub(crate) const fn run(&self) -> Option<MessageId> {
        match (&self.holder, self.per) {
            (Holder::Run(run), Period::Ever) => Some(*run),
            _ => None,
        }
    }

    /// The date under which its window up to then is kept: its end, or the beginning of its run.
    pub(crate) fn filed(&self, until: Timestamp) -> Timestamp {
        self.run().map_or(until, date_of)
    }

    /// The account and the end of the window in a sum's key.
    pub(crate) fn in_key(key: &Key, prefix: &Prefix) -> Option<(Self, Timestamp)> {
        let (filed, rest) = key.behind(prefix)?.split_first_chunk::<8>()?;
        let (per, rest) = part(rest)?;
        let (unit, rest) = part(rest)?;
        let (skill, rest) = part(rest)?;
        let (scope, rest) = part(rest)?;
        let account = Self::new(unit, skill, Period::named(per)?);
        let filed = Timestamp::from_millis(u64::from_be_bytes(*filed));
        // Behind the skills of a tenant's account is the name of the sum, and no more.
        if rest.is_empty() {
            return Some((account, filed));
        }
        let (name, _) = part(rest)?;
        let account = account.held_by(Holder::named(scope, name)?);
        let until = account.run().map_or(filed, |_run| Timestamp::MAX);
        Some((account, until))
    }

    /// The window of this account that ends then.
    pub(super) fn window(&self, until: Timestamp) -> Window {
        self.per.window(Timestamp::from_millis(until.as_millis().saturating_sub(1)))
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, skill, per, holder } = self;
        write!(f, "{unit} of {skill} per {per} of {holder}")
    }
}

/// All notes of a tenant.
pub(super) fn note_rows(tenant: &TenantId) -> Prefix {
    Key::of(tenant, "bn").prefix()
}

/// All sums of a tenant, in the order of the dates of their windows.
pub(crate) fn sum_rows(tenant: &TenantId) -> Prefix {
    Key::of(tenant, "bg").prefix()
}

fn part(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (part, behind) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
    Some((std::str::from_utf8(part).ok()?, behind))
}

/// A sum as it was read; nothing is 0.
pub(crate) fn sum_of(entry: Option<&Entry>) -> Result<i64> {
    entry.map_or(Ok(0), |entry| sum(&entry.value))
}

/// A sum from its row.
pub(crate) fn sum(value: &[u8]) -> Result<i64> {
    let bytes = value.try_into().map_err(|_other_size| {
        Error::new(ErrorKind::ServerError, "a row of budgets is damaged")
            .with_happened(Happened::No)
    })?;
    Ok(i64::from_be_bytes(bytes))
}

/// What was decided about one window of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NoteRow {
    /// When a call was first refused.
    pub(crate) refused: Option<Timestamp>,
    /// What operators have added to what was spent.
    pub(crate) adjusted: i64,
    /// Tells one writing of this row from another.
    pub(crate) nonce: u64,
}

impl Row for NoteRow {
    const NAME: &'static str = "budget notes";
    const FORMAT: u8 = 1;
}
