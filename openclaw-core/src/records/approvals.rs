//! The approval slot: a claim consumes an approval in its own commit.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{commit, row::Row};
use crate::{
    Digest, Error, ErrorKind, Result, TenantId, Timestamp,
    store::{Guard, Key, Op, SharedStore, Txn, Version},
    words::planted::{Bug, planted},
};

/// What became of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApprovalState {
    /// Granted, not used yet.
    Granted,
    /// Used by one claim.
    Consumed,
}

/// A person's yes to exactly one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Approval {
    /// The digest of what may be done: [`Approval::digest_of`].
    pub digest: Digest,
    /// Who said yes.
    pub by: Arc<str>,
    /// Until when it counts.
    pub expires: Timestamp,
    /// Whether it was used.
    pub state: ApprovalState,
}

impl Row for Approval {
    const NAME: &'static str = "approvals";
    const FORMAT: u8 = 1;
}

impl Approval {
    /// A yes that was not used yet.
    #[must_use]
    pub fn granted(digest: Digest, by: impl Into<Arc<str>>, expires: Timestamp) -> Self {
        Self { digest, by: by.into(), expires, state: ApprovalState::Granted }
    }

    /// The digest that an approval is bound to: skill, version and exact arguments.
    #[must_use]
    pub fn digest_of(skill: &str, version: &str, input: &serde_json::Value) -> Digest {
        let arguments = Digest::of_json("openclaw.arguments", input);
        Digest::of(
            "openclaw.approval",
            [skill.as_bytes(), version.as_bytes(), arguments.as_bytes()],
        )
    }
}

/// The approvals of a tenant.
#[derive(Clone, Debug)]
pub struct Approvals {
    store: SharedStore,
    tenant: TenantId,
}

/// The guard and the operation by which a claim consumes an approval.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: Arc<str>,
    pub(crate) guard: Guard,
    pub(crate) op: Op,
}

impl Approvals {
    /// The approvals of this tenant in this store.
    #[must_use]
    pub fn new(store: SharedStore, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    fn key(&self, id: &str) -> Key {
        Key::of(&self.tenant, "ap").text(id).build()
    }

    /// Records an approval under a new id.
    ///
    /// # Errors
    /// `CONFLICT` when the id is taken.
    pub async fn grant(&self, id: &str, approval: &Approval) -> Result<()> {
        let key = self.key(id);
        let txn = Txn::new("approve")
            .guard(Guard::Absent(key.clone()))
            .op(Op::put(key, approval.encode()?));
        match commit::commit(&*self.store, txn).await? {
            commit::Known::Applied(_) => Ok(()),
            commit::Known::Lost { .. } => {
                Err(Error::new(ErrorKind::Conflict, "this approval id is taken")
                    .with("approval", id))
            }
        }
    }

    /// Reads an approval.
    ///
    /// # Errors
    /// The store does not answer, or the row can't be read.
    pub async fn get(&self, id: &str) -> Result<Option<Approval>> {
        Ok(commit::read(&*self.store, &self.key(id)).await?.map(|(approval, _)| approval))
    }

    /// The slot by which a claim consumes this approval for exactly this digest.
    ///
    /// Nothing is written here: the claim's commit checks that nobody used it in between.
    pub(crate) async fn slot(&self, id: &str, digest: &Digest, now: Timestamp) -> Result<Slot> {
        let refuse =
            |why: &'static str| Error::new(ErrorKind::ApprovalRequired, why).with("approval", id);
        let key = self.key(id);
        let found: Option<(Approval, Version)> = commit::read(&*self.store, &key).await?;
        let (approval, version) = found.ok_or_else(|| refuse("there is no such approval"))?;
        if approval.state != ApprovalState::Granted {
            return Err(refuse("the approval was used before"));
        }
        if approval.digest != *digest && !planted(Bug::ApprovalUnbound) {
            return Err(refuse("the approval is for another request"));
        }
        if approval.expires <= now && !planted(Bug::ApprovalExpired) {
            return Err(refuse("the approval has expired"));
        }
        let mut used = Approval { state: ApprovalState::Consumed, ..approval };
        if planted(Bug::ApprovalReused) {
            used.state = ApprovalState::Granted;
        }
        let op = Op::put(key.clone(), used.encode()?);
        Ok(Slot { id: id.into(), guard: Guard::VersionIs(key, version), op })
    }
}
