//! A replica's life: its lease, its share, and its end.

use std::{collections::BTreeSet, sync::Arc};

use tokio::time::{Instant, sleep, timeout_at};

use super::{Core, Shard, lock};
use crate::{
    Result,
    records::replicas::{self, View},
    store::Version,
};

/// How often a lease is renewed in its span.
const RENEWALS: u32 = 6;

/// A membership: it ends with its lease, and the process may join again.
#[derive(Debug)]
pub(super) struct Member {
    id: u64,
    version: Version,
    /// Before this moment the lease was renewed, by our own clock.
    renewed: Instant,
}

/// Joins, and takes what is free.
pub(super) async fn join(core: &Arc<Core>) -> Result<Member> {
    let mut member = enter(core).await?;
    tick(core, &mut member).await?;
    Ok(member)
}

async fn enter(core: &Arc<Core>) -> Result<Member> {
    loop {
        let id = core.parts.env.next_u64().max(1);
        let renewed = Instant::now();
        let view = View::read(&core.parts.store).await?;
        let until = replicas::until(&view, core.config.lease);
        let me = (id, &core.config.name);
        if let Some(version) = replicas::renew(&core.parts.store, me, None, until).await? {
            *lock(&core.member) = Some(id);
            core.lease.set(renewed + core.config.lease);
            return Ok(Member { id, version, renewed });
        }
    }
}

/// Renews the lease, takes and gives partitions, for as long as the replica is there.
pub(super) async fn live(core: Arc<Core>, mut member: Member) {
    loop {
        sleep(core.config.lease / RENEWALS).await;
        let end = member.renewed + core.config.lease;
        match timeout_at(end, tick(&core, &mut member)).await {
            Ok(Ok(true)) => {}
            // The store is away; the lease may still hold.
            Ok(Err(e)) if Instant::now() < end => not_renewed(&core, &e),
            Ok(Ok(false) | Err(_)) | Err(_) => {
                outlived(&core).await;
                member = enter_again(&core).await;
            }
        }
    }
}

async fn enter_again(core: &Arc<Core>) -> Member {
    loop {
        match enter(core).await {
            Ok(member) => return member,
            Err(e) => not_renewed(core, &e),
        }
        sleep(core.config.lease / RENEWALS).await;
    }
}

fn not_renewed(core: &Core, error: &crate::Error) {
    tracing::warn!(replica = %core.config.name, %error, "the lease can't be renewed");
}

/// The lease is over: whatever is ours may be somebody else's by now.
async fn outlived(core: &Core) {
    tracing::error!(replica = %core.config.name, "silent for longer than its lease: it starts anew");
    // Others may have declared us dead before our own clock does.
    core.lease.set(Instant::now());
    let all: Vec<u16> = lock(&core.shards).keys().copied().collect();
    for partition in all {
        core.drop_shard(partition).await;
    }
}

/// One renewal, and what follows from who is there; false when the lease was over before it.
///
/// A lease that has ended is not prolonged, although nobody may have noticed: whoever did has
/// taken partitions over, and settled what we were about to do.
async fn tick(core: &Arc<Core>, member: &mut Member) -> Result<bool> {
    let store = &core.parts.store;
    let end = member.renewed + core.config.lease;
    let before = Instant::now();
    let view = View::read(store).await?;
    let until = replicas::until(&view, core.config.lease);
    let me = (member.id, &core.config.name);
    let Some(version) = replicas::renew(store, me, Some(member.version), until).await? else {
        return Ok(false);
    };
    if Instant::now() >= end {
        return Ok(false);
    }
    let lost: Vec<u16> = {
        let shards = lock(&core.shards);
        let lost = |(n, shard): &(&u16, &Shard)| !view.is_held(**n, shard.fence);
        shards.iter().filter(lost).map(|(n, _)| *n).collect()
    };
    for partition in lost {
        core.drop_shard(partition).await;
    }
    (member.version, member.renewed) = (version, before);
    core.lease.set(before + core.config.lease);
    if core.stopping.is_up() {
        return Ok(true);
    }
    let held: BTreeSet<u16> = lock(&core.shards).keys().copied().collect();
    let moves = view.moves(member.id, &held);
    for partition in moves.claim {
        if let Some((fences, fence)) = replicas::claim(store, &view, partition, member.id).await? {
            let shard = Shard { fences: fences.clone(), fence, gateway: None, leaving: false };
            lock(&core.shards).insert(partition, shard);
            let core = Arc::clone(core);
            let opening = Arc::clone(&core);
            core.tasks.spawn(async move { opening.open(partition, fences, fence).await });
        }
    }
    for partition in moves.release {
        let leaves = lock(&core.shards)
            .get_mut(&partition)
            .filter(|shard| shard.gateway.is_some())
            .is_some_and(|shard| !std::mem::replace(&mut shard.leaving, true));
        if leaves {
            let core = Arc::clone(core);
            let leaving = Arc::clone(&core);
            core.tasks.spawn(async move {
                let span = leaving.config.hand_over;
                if let Err(e) = leaving.give_away(partition, span).await {
                    tracing::warn!(partition, error = %e, "a partition was given away unfinished");
                }
            });
        }
    }
    replicas::forget(store, &view, &view.gone()).await?;
    Ok(true)
}
