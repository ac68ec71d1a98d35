//! Partitions: who may write which conversations, fenced by a row's version.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{commit, row::Row};
use crate::{
    Conversation, Env, Error, ErrorKind, Result, TenantId,
    traits::store::{Guard, Key, Op, SharedStore, StateStoreExt, Txn, Version},
    words::planted::{Bug, planted},
};

/// How many partitions conversations are spread over. Fixed: rows are placed by it.
pub(crate) const PARTITIONS: u16 = 16;

/// Who owns a partition.
#[derive(Debug, Serialize, Deserialize)]
struct OwnerRow {
    owner: u64,
}

impl Row for OwnerRow {
    const NAME: &'static str = "partitions";
    const FORMAT: u8 = 1;
}

/// The right to write, as guards: when another gateway takes over, every commit loses.
#[derive(Clone, Debug)]
pub(crate) struct Fences(Arc<[(Key, Version)]>);

impl Fences {
    /// Takes all partitions over, whoever had them.
    ///
    /// A store that only one process opens has no living owner but us. The commits of a
    /// gateway that still runs on the same store lose from now on.
    pub(crate) async fn seize(store: &SharedStore, env: &Env) -> Result<Self> {
        let owner = OwnerRow { owner: env.next_u64() }.encode()?;
        let mut fences = Vec::with_capacity(PARTITIONS.into());
        for n in 0..PARTITIONS {
            let key = Key::system("pt").number(n.into()).build();
            let guard = match store.get(&key).await? {
                Some(entry) => Guard::VersionIs(key.clone(), entry.version),
                None => Guard::Absent(key.clone()),
            };
            let txn = Txn::new("seize").guard(guard).op(Op::put(key.clone(), owner.clone()));
            match commit::commit(&**store, txn).await? {
                commit::Known::Applied(applied) => fences.push((key, applied.version)),
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

    /// The guard of a partition: our fence still stands.
    pub(crate) fn guard(&self, partition: u16) -> Guard {
        let at = usize::from(partition % PARTITIONS);
        match self.0.get(at) {
            Some((key, _)) if planted(Bug::NoFence) => Guard::Exists(key.clone()),
            Some((key, version)) => Guard::VersionIs(key.clone(), *version),
            // Never reached: all partitions are seized at the start. It would lose every commit.
            None => Guard::VersionIs(Key::system("pt").build(), Version::new(0)),
        }
    }
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
