//! Calls of this process under one key: one leads, the others wait or are answered from memory.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use hashbrown::{HashTable, hash_table::Entry};

use crate::{
    Call, Error, ErrorKind, Happened, IdempotencyKey, Result, Rng as _, SystemRng, TenantId,
    Timestamp,
    middleware::{
        by_hash::Seeded,
        kit::{Kit, Lock, Native},
    },
    records::claims::failed_before,
    words::flag::{Bit, Flag},
};

/// Who asks under which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id {
    /// Of the other two; it is asked for several times.
    hash: u64,
    tenant: TenantId,
    key: IdempotencyKey,
}

/// How a call ended for good.
#[derive(Clone, Debug)]
pub(super) enum End<R> {
    Done(R),
    Failed { kind: ErrorKind, message: Arc<str>, happened: Happened },
}

impl<R> End<R> {
    pub(super) fn into_outcome(self) -> Result<R> {
        match self {
            Self::Done(answer) => Ok(answer),
            Self::Failed { kind, message, happened } => {
                Err(failed_before(kind, &message, happened))
            }
        }
    }
}

/// What a call finds at the desk.
pub(super) enum Found<'a, P: Clone + PartialEq, R: Clone, K: Kit = Native> {
    /// It goes first.
    Lead(Lead<'a, P, R, K>),
    /// Another one runs: it tells an error that is not for good, or nothing at all.
    Join(Arc<Told<K::Bit>>),
    /// It ended.
    Ended(End<R>),
    /// The key is another request's.
    Reused,
    /// There is no room.
    Full,
}

/// What those hear who wait for a call under way.
#[derive(Debug, Default)]
pub(super) struct Told<B> {
    error: OnceLock<Error>,
    over: Flag<B>,
}

impl<B: Bit> Told<B> {
    /// Waits for its end: an error that is not for good, or nothing, and whoever asks looks again.
    pub(super) async fn heard(&self) -> Option<Error> {
        self.over.wait().await;
        self.error.get().map(Error::duplicate)
    }
}

/// The calls in flight, and the ends of the latest ones.
pub(super) struct Desk<P, R, K: Kit = Native> {
    seats: K::Lock<Seats<P, R, K::Bit>>,
    seed: Seeded,
    most: usize,
    recall: usize,
}

struct Seats<P, R, B> {
    table: HashTable<Seat<P, R, B>>,
    flying: usize,
    /// Hashes and stamps of what is remembered, oldest first.
    order: VecDeque<(u64, u64)>,
    stamp: u64,
}

struct Seat<P, R, B> {
    id: Id,
    target: Arc<str>,
    payload: P,
    state: State<R, B>,
}

enum State<R, B> {
    Flying(Option<Arc<Told<B>>>),
    Ended { end: End<R>, until: Timestamp, stamp: u64 },
}

impl<P: Clone + PartialEq, R: Clone, K: Kit> Desk<P, R, K> {
    /// A desk for this many calls in flight and this many ends.
    pub(super) fn new(most: usize, recall: usize) -> Self {
        let seats = Seats { table: HashTable::new(), flying: 0, order: VecDeque::new(), stamp: 0 };
        let seed = Seeded::new(SystemRng.next_u64());
        Self { seats: K::Lock::new(seats), seed, most, recall: recall.max(1) }
    }

    /// Who asks; `None` without a key.
    pub(super) fn id(&self, call: &Call<P>) -> Option<Id> {
        let (tenant, key) = (call.context().tenant(), call.key()?);
        let hash = self.seed.hash(&(tenant.as_str(), key.as_str()));
        Some(Id { hash, tenant: tenant.clone(), key: key.clone() })
    }

    /// The end of this call, when it is remembered. The time matters to what has ended only.
    pub(super) fn recall(
        &self,
        id: &Id,
        call: &Call<P>,
        now: impl FnOnce() -> Timestamp,
    ) -> Option<Found<'_, P, R, K>> {
        self.seats.with(|seats| {
            let seat = seats.table.find(id.hash, |seat| seat.id == *id)?;
            let State::Ended { end, until, .. } = &seat.state else { return None };
            if *until <= now() {
                return None;
            }
            Some(if seat.is_for(call) { Found::Ended(end.clone()) } else { Found::Reused })
        })
    }

    /// Takes a seat. The time matters to what has ended only.
    pub(super) fn enter<'a>(
        &'a self,
        id: &'a Id,
        call: &Call<P>,
        now: impl FnOnce() -> Timestamp,
    ) -> Found<'a, P, R, K> {
        let lead = || Lead { desk: self, id, ended: false };
        self.seats.with(|seats| {
            let full = seats.flying >= self.most;
            match seats.table.entry(id.hash, |seat| seat.id == *id, |seat| seat.id.hash) {
                Entry::Occupied(mut entry) => {
                    let seat = entry.get_mut();
                    if let State::Ended { until, .. } = &seat.state
                        && *until <= now()
                    {
                        if full {
                            return Found::Full;
                        }
                        *seat = Seat::of(id, call);
                        seats.flying += 1;
                        return Found::Lead(lead());
                    }
                    seat.found(call)
                }
                Entry::Vacant(_) if full => Found::Full,
                Entry::Vacant(entry) => {
                    entry.insert(Seat::of(id, call));
                    seats.flying += 1;
                    Found::Lead(lead())
                }
            }
        })
    }

    /// Calls in flight, and ends that are remembered.
    pub(super) fn len(&self) -> (usize, usize) {
        self.seats.with(|seats| (seats.flying, seats.table.len().saturating_sub(seats.flying)))
    }

    fn leave(&self, id: &Id, end: Option<(End<R>, Timestamp)>, error: Option<&Error>) {
        let others = self.seats.with(|seats| {
            let mut seat = seats.table.find_entry(id.hash, |seat| seat.id == *id).ok()?;
            let State::Flying(others) = &mut seat.get_mut().state else { return None };
            let others = others.take();
            if let (Some(others), Some(error)) = (&others, error) {
                others.error.get_or_init(|| error.duplicate());
            }
            seats.flying -= 1;
            match end {
                Some((end, until)) => {
                    // Whoever waits looks again, and finds the end.
                    seats.stamp += 1;
                    seat.get_mut().state = State::Ended { end, until, stamp: seats.stamp };
                    seats.remember(id.hash, self.recall);
                }
                None => drop(seat.remove()),
            }
            others
        });
        if let Some(others) = others {
            others.over.raise();
        }
    }
}

impl<P, R, B> Seats<P, R, B> {
    /// Remembers what ended last, and forgets the oldest above so many.
    fn remember(&mut self, hash: u64, most: usize) {
        self.order.push_back((hash, self.stamp));
        while self.order.len() > most {
            let Some((hash, oldest)) = self.order.pop_front() else { break };
            let is_oldest = |seat: &Seat<P, R, B>| matches!(seat.state, State::Ended { stamp, .. } if stamp == oldest);
            if let Ok(seat) = self.table.find_entry(hash, is_oldest) {
                seat.remove();
            }
        }
    }
}

impl<P: Clone + PartialEq, R: Clone, B: Bit> Seat<P, R, B> {
    fn of(id: &Id, call: &Call<P>) -> Self {
        Self {
            id: id.clone(),
            target: Arc::clone(call.shared_target()),
            payload: call.payload().clone(),
            state: State::Flying(None),
        }
    }

    /// What another call finds here.
    fn found<'a, K: Kit<Bit = B>>(&mut self, call: &Call<P>) -> Found<'a, P, R, K> {
        if !self.is_for(call) {
            return Found::Reused;
        }
        match &mut self.state {
            State::Ended { end, .. } => Found::Ended(end.clone()),
            State::Flying(others) => Found::Join(Arc::clone(others.get_or_insert_default())),
        }
    }

    fn is_for(&self, call: &Call<P>) -> bool {
        *self.target == *call.target() && self.payload == *call.payload()
    }
}

/// The seat of the call that goes first; dropped, the next one goes.
pub(super) struct Lead<'a, P: Clone + PartialEq, R: Clone, K: Kit = Native> {
    desk: &'a Desk<P, R, K>,
    id: &'a Id,
    ended: bool,
}

impl<P: Clone + PartialEq, R: Clone, K: Kit> Lead<'_, P, R, K> {
    /// It ended for good; remembered until then.
    pub(super) fn ended(mut self, end: End<R>, until: Timestamp) {
        self.ended = true;
        self.desk.leave(self.id, Some((end, until)), None);
    }

    /// It failed, and may be asked for again.
    pub(super) fn failed(mut self, e: &Error) {
        self.ended = true;
        self.desk.leave(self.id, None, Some(e));
    }
}

impl<P: Clone + PartialEq, R: Clone, K: Kit> Drop for Lead<'_, P, R, K> {
    fn drop(&mut self) {
        if !self.ended {
            self.desk.leave(self.id, None, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, MessageId, skill::SkillManifest};

    #[test]
    fn a_million_keys_leave_only_what_is_recalled() {
        let manifest = SkillManifest::new("shop.refund".parse().unwrap(), "1.0.0");
        let context = Context::new(TenantId::new("acme").unwrap());
        let desk: Desk<(), u64> = Desk::new(10, 1024);
        for n in 0..1_000_000_u64 {
            let key = IdempotencyKey::of(MessageId::from_u128(n.into()), "refund").unwrap();
            let call = Call::skill(context.clone(), &manifest, Arc::default()).with_key(key);
            let call = call.map(|_| ());
            let id = desk.id(&call).unwrap();
            let Found::Lead(lead) = desk.enter(&id, &call, Timestamp::default) else {
                panic!("a new key goes first");
            };
            // Every other one is dropped, as a caller that gives up.
            if n % 2 == 0 {
                lead.ended(End::Done(n), Timestamp::MAX);
            }
        }
        assert_eq!(desk.len(), (0, 1024));
        assert_eq!(desk.seats.with(|seats| seats.order.len()), 1024);
    }
}
