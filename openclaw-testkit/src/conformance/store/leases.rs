//! Leases: fields of a record, judged by the store's time, fenced by its version.

use std::time::Duration;

use openclaw_core::{
    Clock, Timestamp,
    store::{Commit, Entry, Guard, Key, Op, StateStore, StateStoreExt, Version},
};

use super::steps::{apply, group, key, lose, put, row, shown, texts, txn};
use crate::env::{ManualClock, SeededRng};

const LEASE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3_600);

/// A lease as records keep it: who, and until when.
struct Lease {
    holder: u64,
    until: Timestamp,
    fence: Version,
}

impl Lease {
    fn of(entry: &Entry) -> Self {
        let text = shown(entry);
        let (holder, until) = text.split_once(' ').expect("a lease");
        let until = Timestamp::from_millis(until.parse().expect("a date"));
        Self { holder: holder.parse().expect("a holder"), until, fence: entry.version }
    }
}

/// Takes the lease when it is free by the store's own time.
async fn take(store: &dyn StateStore, lease: &Key, holder: u64) -> Option<Lease> {
    let read = store.get_many(std::slice::from_ref(lease)).await.expect("a read");
    let found = read.value.into_iter().flatten().next();
    let guard = match &found {
        Some(entry) if Lease::of(entry).until > read.as_of => return None,
        Some(entry) => Guard::VersionIs(lease.clone(), entry.version),
        None => Guard::Absent(lease.clone()),
    };
    let until = read.as_of.after(LEASE);
    let put = Op::put(lease.clone(), format!("{holder} {}", until.as_millis()));
    match store.commit(txn().guard(guard).op(put)).await.expect("a commit") {
        Commit::Applied(applied) => Some(Lease { holder, until, fence: applied.version }),
        Commit::Conflict(_) => None,
    }
}

/// Whose lease was taken over can't write with its old version, whatever its clock says.
pub async fn a_zombie_writes_nothing_behind_a_takeover(
    store: &dyn StateStore,
    clock: &ManualClock,
) {
    let jumps: [fn(Timestamp) -> Timestamp; 4] = [
        |now| now,
        |now| now.after(HOUR),
        |now| Timestamp::from_millis(now.as_millis().saturating_sub(3_600_000)),
        |_| Timestamp::from_millis(1),
    ];
    for (n, jump) in (0..).zip(jumps) {
        let (lease, work) = (key(&format!("lease {n}")), key(&format!("work {n}")));
        let zombie = take(store, &lease, 1).await.expect("a free lease");
        let write = |fence: Version, what: &'static str| {
            txn().guard(Guard::VersionIs(lease.clone(), fence)).op(Op::put(work.clone(), what))
        };
        apply(store, write(zombie.fence, "in time")).await;
        assert!(take(store, &lease, 2).await.is_none(), "a living lease was taken");
        clock.advance(LEASE);
        let heir = take(store, &lease, 2).await.expect("a lease that has run out");
        assert!(heir.fence > zombie.fence, "the heir's fence {} is no greater", heir.fence);
        // Now the first one goes on, on a machine with a clock of its own.
        let now = clock.now();
        clock.set(jump(now));
        let lost = lose(store, write(zombie.fence, "late")).await;
        assert_eq!(lost.current.map(|row| row.version), Some(heir.fence), "against the heir");
        apply(store, write(heir.fence, "heir")).await;
        let left = store.get(&work).await.expect("a read").expect("the work");
        assert_eq!(shown(&left), "heir", "clock jump {n}");
        // The store's time has gone on, if the clock had.
        clock.set(now.max(clock.now()));
    }
}

/// A heartbeat by `Touch` keeps lease and fence alive, and ends with them.
pub async fn a_heartbeat_keeps_the_fence(store: &dyn StateStore, clock: &ManualClock) {
    let (alive, work) = (key("alive"), key("work"));
    let claim =
        || txn().guard(Guard::Absent(alive.clone())).op(Op::put_for(alive.clone(), "me", LEASE));
    let fence = apply(store, claim()).await.version;
    let beat = || txn().guard(Guard::VersionIs(alive.clone(), fence));
    let touch = || Op::Touch { key: alive.clone(), ttl: Some(LEASE) };
    for n in 0..5 {
        clock.advance(LEASE / 2);
        apply(store, beat().op(touch()).op(Op::put(work.clone(), n.to_string()))).await;
        let entry = row(store, &alive).await.expect("a lease that is kept alive");
        assert_eq!(entry.version, fence, "a heartbeat moved the fence");
        lose(store, claim()).await;
    }
    clock.advance(LEASE);
    lose(store, beat().op(touch())).await;
    apply(store, txn().op(touch())).await;
    let heir = apply(store, claim()).await.version;
    assert!(heir > fence, "a fence came back: {heir} behind {fence}");
    lose(store, beat().op(Op::put(work.clone(), "zombie"))).await;
    assert_eq!(row(store, &work).await.map(|e| shown(&e)).as_deref(), Some("4"));
}

/// Leases by the store's time have one holder at a time, however its clock jumps.
pub async fn a_lease_has_one_holder_whatever_the_clock_does(
    store: &dyn StateStore,
    clock: &ManualClock,
) {
    let (lease, log) = (key("jumping"), group("fences"));
    let (rng, mut holders, mut last) =
        (SeededRng::new(9), Vec::<Lease>::new(), Timestamp::default());
    for step in 0..120 {
        jump(clock, &rng);
        let as_of = put_mark(store).await;
        assert!(as_of >= last, "step {step}: the store's time went back from {last} to {as_of}");
        last = as_of;
        if let Some(taken) = take(store, &lease, rng.below(4)).await {
            let ended = holders.iter().all(|older| older.until.after(LEASE) <= taken.until);
            assert!(ended, "step {step}: a lease was given before an older one had ended");
            holders.push(taken);
        }
        let now = row(store, &lease).await.map(|entry| Lease::of(&entry));
        for held in &holders {
            let write = txn()
                .guard(Guard::VersionIs(lease.clone(), held.fence))
                .op(Op::append(log.clone(), format!("{:020}", held.fence.get())));
            let applied = matches!(store.commit(write).await, Ok(Commit::Applied(_)));
            let holds = now.as_ref().is_some_and(|now| now.fence == held.fence);
            assert_eq!(
                applied, holds,
                "step {step}: a write of {} under {}",
                held.holder, held.fence
            );
        }
    }
    let fences = texts(store, &log).await;
    assert!(holders.len() > 3, "only {} leases were given", holders.len());
    assert!(fences.is_sorted(), "an older fence wrote behind a newer one: {fences:?}");
}

/// Any commit: it tells the store's time.
async fn put_mark(store: &dyn StateStore) -> Timestamp {
    put(store, &key("mark"), "x").await;
    apply(store, txn().op(Op::put(key("mark"), "y"))).await.as_of
}

fn jump(clock: &ManualClock, rng: &SeededRng) {
    let now = clock.now().as_millis();
    let back = |ms: u64| clock.set(Timestamp::from_millis(now.saturating_sub(ms)));
    match rng.below(8) {
        0 => back(3_600_000),
        1 => back(rng.below(60_000)),
        2 => clock.advance(HOUR),
        _ => clock.advance(Duration::from_millis(rng.below(20_000))),
    }
}
