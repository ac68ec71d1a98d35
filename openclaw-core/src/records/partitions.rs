//! Partitions: who may write which conversations, fenced by a row's version.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{commit, row::Row};
use crate::{
    Conversation, Env, Error, ErrorKind, Result, TenantId,
    store::unfinished_marks,
    traits::store::{Guard, Key, Op, SharedStore, StateStore as _, Txn, Version},
    words::planted::{Bug, planted},
};

/// How many partitions conversations are spread over. Fixed: rows are placed by it.
pub(crate) const PARTITIONS: u16 = 16;

/// Who owns a partition; nobody has the number 0.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OwnerRow {
    pub(crate) owner: u64,
}

impl Row for OwnerRow {
    const NAME: &'static str = "partitions";
    const FORMAT: u8 = 1;
}

/// The row that says who owns a partition. Its version is the fence.
pub(crate) fn owner_key(partition: u16) -> Key {
    Key::system("pt").number(partition.into()).build()
}

/// The right to write, as guards: when another gateway takes over, every commit loses.
#[derive(Clone, Debug)]
pub(crate) struct Fences(Arc<[Option<(Key, Version)>]>);

impl Fences {
    /// Takes all partitions over, whoever had them.
    ///
    /// A store that only one process opens has no living owner but us. The commits of a
    /// gateway that still runs on the same store lose from now on.
    pub(crate) async fn seize(store: &SharedStore, env: &Env) -> Result<Self> {
        let owner = OwnerRow { owner: env.next_u64() }.encode()?;
        let mut fences = Vec::with_capacity(PARTITIONS.into());
        for n in 0..PARTITIONS {
            let key = owner_key(n);
            let [copying, restoring] = unfinished_marks();
            let read = store.get_many(&[key.clone(), copying, restoring]).await?;
            let mut rows = read.value.into_iter();
            let owned = rows.next().flatten();
            refuse_unfinished(rows.flatten().next().is_some())?;
            let guard = match owned {
                Some(entry) => {
                    // A newer program's row is not ours to replace.
                    OwnerRow::decode(&entry.value)?;
                    Guard::VersionIs(key.clone(), entry.version)
                }
                None => Guard::Absent(key.clone()),
            };
            let txn = Txn::new("seize").guard(guard).op(Op::put(key.clone(), owner.clone()));
            match commit::commit(&**store, txn).await? {
                commit::Known::Applied(applied) => fences.push(Some((key, applied.version))),
                commit::Known::Lost { .. } => {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        "another gateway starts on this store",
                    ));
                }
            }
        }
        Ok(Self(fences.into()))
    }

    /// The right to one partition, whose row was put with this version.
    pub(crate) fn of(partition: u16, version: Version) -> Self {
        let fence = |n| (n == partition).then(|| (owner_key(n), version));
        Self((0..PARTITIONS).map(fence).collect())
    }

    /// Is this partition ours?
    pub(crate) fn holds(&self, partition: u16) -> bool {
        self.get(partition).is_some()
    }

    /// Are all partitions ours?
    pub(crate) fn is_whole(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }

    fn get(&self, partition: u16) -> Option<&(Key, Version)> {
        self.0.get(usize::from(partition % PARTITIONS))?.as_ref()
    }

    /// The guard of a partition: our fence still stands.
    pub(crate) fn guard(&self, partition: u16) -> Guard {
        match self.get(partition) {
            Some((key, _)) if planted(Bug::NoFence) => Guard::Exists(key.clone()),
            Some((key, version)) => Guard::VersionIs(key.clone(), *version),
            // Not ours: the commit loses.
            None => Guard::VersionIs(Key::system("pt").build(), Version::new(0)),
        }
    }

    /// The guard of one of our partitions, for what belongs to none.
    pub(crate) fn any(&self) -> Guard {
        let ours = (0..PARTITIONS).find(|n| self.holds(*n));
        self.guard(ours.unwrap_or_default())
    }
}

/// Refuses a store that a copy or a restore has not filled yet: nothing is to run on half of it.
pub(crate) async fn check_finished(store: &SharedStore) -> Result<()> {
    let read = store.get_many(&unfinished_marks()).await?;
    refuse_unfinished(read.value.iter().any(Option::is_some))
}

fn refuse_unfinished(marked: bool) -> Result<()> {
    if !marked {
        return Ok(());
    }
    let why = "the store holds an unfinished copy or restore: run that again until it is done";
    Err(Error::new(ErrorKind::Conflict, why))
}

/// The partition of a conversation: FNV-1a over tenant, channel, account, place and thread.
pub(crate) fn partition_of(tenant: &TenantId, conversation: &Conversation) -> u16 {
    let thread = conversation.thread.as_deref().unwrap_or_default();
    let parts = [
        tenant.as_str(),
        conversation.channel.as_str(),
        &conversation.account,
        &conversation.id,
        thread,
    ];
    let hash = parts
        .iter()
        .flat_map(|part| part.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    // The high bits of FNV are the better mixed ones.
    u16::try_from((hash >> 32) % u64::from(PARTITIONS)).unwrap_or_default()
}
