//! Replicas: who is alive, by a lease, and who may own which partitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    commit::{self, Known},
    partitions::{Fences, OwnerRow, PARTITIONS, owner_key},
    row::Row,
};
use crate::{
    Result, Timestamp,
    traits::store::{
        Guard, Key, Op, Prefix, ScanQuery, SharedStore, StateStore as _, Txn, Version,
    },
};

/// A replica's sign of life.
#[derive(Debug, Serialize, Deserialize)]
struct MemberRow {
    name: Arc<str>,
    /// Dead from this moment on, by the store's time.
    until: Timestamp,
}

impl Row for MemberRow {
    const NAME: &'static str = "replicas";
    const FORMAT: u8 = 1;
}

/// A replica as others see it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: Arc<str>,
    until: Timestamp,
    version: Version,
}

/// Who owns what, and who is alive.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) as_of: Timestamp,
    /// By partition.
    pub(crate) owners: BTreeMap<u16, (u64, Version)>,
    pub(crate) members: BTreeMap<u64, Member>,
}

fn member_key(id: u64) -> Key {
    Key::system("rp").number(id).build()
}

impl View {
    /// Reads both tables. Guards settle what changes in between.
    pub(crate) async fn read(store: &SharedStore) -> Result<Self> {
        let (owners, as_of) = rows::<OwnerRow>(store, Key::system("pt").prefix()).await?;
        let (members, later) = rows::<MemberRow>(store, Key::system("rp").prefix()).await?;
        let owner = |(n, row, version): (u64, OwnerRow, Version)| {
            Some((u16::try_from(n).ok()?, (row.owner, version)))
        };
        let member =
            |(id, MemberRow { name, until }, version)| (id, Member { name, until, version });
        Ok(Self {
            as_of: as_of.max(later),
            owners: owners.into_iter().filter_map(owner).collect(),
            members: members.into_iter().map(member).collect(),
        })
    }

    /// Is this replica alive?
    pub(crate) fn is_alive(&self, id: u64) -> bool {
        self.members.get(&id).is_some_and(|member| member.until > self.as_of)
    }

    /// Who owns a partition, when somebody alive does.
    pub(crate) fn owner(&self, partition: u16) -> Option<u64> {
        self.owners.get(&partition).map(|(id, _)| *id).filter(|id| self.is_alive(*id))
    }

    /// Is the partition still ours under this fence?
    pub(crate) fn is_held(&self, partition: u16, fence: Version) -> bool {
        self.owners.get(&partition).is_some_and(|(_, version)| *version == fence)
    }

    /// Replicas that died and own nothing any more.
    pub(crate) fn gone(&self) -> Vec<u64> {
        let owns = |id: u64| self.owners.values().any(|(owner, _)| *owner == id);
        self.members.keys().copied().filter(|id| !self.is_alive(*id) && !owns(*id)).collect()
    }

    /// What one replica should take and give away, when it holds these.
    ///
    /// Everybody may own his share, rounded up; who has more gives away, and so does who has his
    /// share while another one has less than his, rounded down.
    pub(crate) fn moves(&self, me: u64, held: &BTreeSet<u16>) -> Moves {
        let mut counts: BTreeMap<u64, usize> = BTreeMap::from([(me, held.len())]);
        for id in self.members.keys().filter(|id| **id != me && self.is_alive(**id)) {
            let owned = (0..PARTITIONS).filter(|n| self.owner(*n) == Some(*id));
            counts.insert(*id, owned.count());
        }
        let all = usize::from(PARTITIONS);
        let (least, most) = (all / counts.len(), all.div_ceil(counts.len()));
        let free = |n: &u16| !held.contains(n) && self.owner(*n).is_none_or(|id| id == me);
        let mut claim: Vec<u16> = (0..PARTITIONS).filter(free).collect();
        // Each begins at another one, so that they seldom reach for the same.
        let rank = counts.keys().position(|id| *id == me).unwrap_or_default();
        let start = (rank * most).checked_rem(claim.len()).unwrap_or_default();
        claim.rotate_left(start);
        claim.truncate(most.saturating_sub(held.len()));
        let poor = counts.iter().any(|(id, count)| *id != me && *count < least);
        let keep = if poor && held.len() == most && claim.is_empty() { least } else { most };
        let release = held.iter().rev().copied().take(held.len().saturating_sub(keep)).collect();
        Moves { claim, release }
    }
}

/// What a replica does next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    pub(crate) claim: Vec<u16>,
    pub(crate) release: Vec<u16>,
}

/// Prolongs a replica's life, or begins it; `None` when others have declared it dead.
pub(crate) async fn renew(
    store: &SharedStore,
    (id, name): (u64, &Arc<str>),
    before: Option<Version>,
    until: Timestamp,
) -> Result<Option<Version>> {
    let key = member_key(id);
    let guard = match before {
        Some(version) => Guard::VersionIs(key.clone(), version),
        None => Guard::Absent(key.clone()),
    };
    let row = MemberRow { name: Arc::clone(name), until }.encode()?;
    let txn = Txn::new("renew").guard(guard).op(Op::put(key, row));
    Ok(match commit::commit(&**store, txn).await? {
        Known::Applied(applied) => Some(applied.version),
        Known::Lost { .. } => None,
    })
}

/// Takes a partition that nobody alive owns; `None` when somebody was faster, or came back.
pub(crate) async fn claim(
    store: &SharedStore,
    view: &View,
    partition: u16,
    me: u64,
) -> Result<Option<(Fences, Version)>> {
    let key = owner_key(partition);
    let mut txn = Txn::new("own");
    match view.owners.get(&partition) {
        None => txn = txn.guard(Guard::Absent(key.clone())),
        Some((owner, version)) => {
            txn = txn.guard(Guard::VersionIs(key.clone(), *version));
            if *owner != me {
                txn = txn.guard(match view.members.get(owner) {
                    Some(dead) => Guard::VersionIs(member_key(*owner), dead.version),
                    None => Guard::Absent(member_key(*owner)),
                });
            }
        }
    }
    txn = txn.op(Op::put(key, OwnerRow { owner: me }.encode()?));
    Ok(match commit::commit(&**store, txn).await? {
        Known::Applied(applied) => Some((Fences::of(partition, applied.version), applied.version)),
        Known::Lost { .. } => None,
    })
}

/// Gives a partition away, to whoever takes it next.
pub(crate) async fn release(store: &SharedStore, partition: u16, fences: &Fences) -> Result<()> {
    let nobody = OwnerRow { owner: 0 }.encode()?;
    let txn =
        Txn::new("disown").guard(fences.guard(partition)).op(Op::put(owner_key(partition), nobody));
    // Lost: somebody has it already.
    commit::commit(&**store, txn).await.map(drop)
}

/// Forgets replicas.
pub(crate) async fn forget(store: &SharedStore, view: &View, ids: &[u64]) -> Result<()> {
    for id in ids {
        let Some(member) = view.members.get(id) else { continue };
        let key = member_key(*id);
        let txn = Txn::new("forget")
            .guard(Guard::VersionIs(key.clone(), member.version))
            .op(Op::delete(key));
        commit::commit(&**store, txn).await?;
    }
    Ok(())
}

/// Ends a replica's life, so that nobody waits for its lease.
pub(crate) async fn leave(store: &SharedStore, id: u64) -> Result<()> {
    let txn = Txn::new("forget").op(Op::delete(member_key(id)));
    commit::commit(&**store, txn).await.map(drop)
}

/// When a lease that begins now ends.
pub(crate) fn until(view: &View, lease: Duration) -> Timestamp {
    view.as_of.after(lease)
}

/// The numbered rows of a small table, with the store's time.
async fn rows<R: Row>(
    store: &SharedStore,
    prefix: Prefix,
) -> Result<(Vec<(u64, R, Version)>, Timestamp)> {
    let page = store.scan(ScanQuery::new(prefix.clone())).await?;
    let mut rows = Vec::with_capacity(page.value.rows.len());
    for (key, entry) in page.value.rows {
        let number = key.behind(&prefix).and_then(|rest| rest.try_into().ok());
        let Some(number) = number.map(u64::from_be_bytes) else { continue };
        rows.push((number, R::decode(&entry.value)?, entry.version));
    }
    Ok((rows, page.as_of))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(members: &[u64], owners: &[(u16, u64)]) -> View {
        let now = Timestamp::from_millis(1000);
        let version = Version::new(1);
        let member = |id: &u64| {
            let until = if *id < 100 { now.after(Duration::from_secs(1)) } else { now };
            (*id, Member { name: "r".into(), until, version })
        };
        View {
            as_of: now,
            owners: owners.iter().map(|(n, id)| (*n, (*id, version))).collect(),
            members: members.iter().map(member).collect(),
        }
    }

    fn held(of: u64, owners: &[(u16, u64)]) -> BTreeSet<u16> {
        owners.iter().filter(|(_, id)| *id == of).map(|(n, _)| *n).collect()
    }

    #[test]
    fn one_alone_takes_everything_also_from_the_dead() {
        let owners: Vec<(u16, u64)> = (0..8).map(|n| (n, 200)).collect();
        let moves = view(&[1, 200], &owners).moves(1, &BTreeSet::new());
        assert_eq!((moves.claim.len(), moves.release.len()), (16, 0));
    }

    #[test]
    fn a_living_owner_keeps_what_he_has() {
        let owners: Vec<(u16, u64)> = (0..16).map(|n| (n, 2)).collect();
        let moves = view(&[1, 2], &owners).moves(1, &BTreeSet::new());
        assert_eq!(moves, Moves::default(), "it is given, not taken");
        let moves = view(&[1, 2], &owners).moves(2, &held(2, &owners));
        assert_eq!((moves.claim.len(), moves.release.len()), (0, 8));
    }

    #[test]
    fn any_number_of_replicas_comes_to_rest_with_fair_shares() {
        for count in 1..=20_u64 {
            let ids: Vec<u64> = (1..=count).collect();
            let mut owners: BTreeMap<u16, u64> = (0..16).map(|n| (n, 1)).collect();
            for round in 0..40 {
                let before = owners.clone();
                for id in &ids {
                    let now: Vec<(u16, u64)> = owners.iter().map(|(n, id)| (*n, *id)).collect();
                    let moves = view(&ids, &now).moves(*id, &held(*id, &now));
                    owners.extend(moves.release.iter().map(|n| (*n, 0)));
                    owners.extend(moves.claim.iter().map(|n| (*n, *id)));
                }
                if owners == before {
                    break;
                }
                assert!(round < 39, "{count} replicas never come to rest: {owners:?}");
            }
            let share = |id: &u64| owners.values().filter(|owner| *owner == id).count();
            let shares: Vec<usize> = ids.iter().map(share).collect();
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            assert!(most - least <= 1, "{count}: {shares:?}");
            assert_eq!(shares.iter().sum::<usize>(), 16);
        }
    }
}
