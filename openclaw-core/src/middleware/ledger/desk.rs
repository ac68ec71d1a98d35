//! Calls of this process under one key: one leads, the others wait or are answered from memory.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::{Arc, OnceLock},
};

use crate::{
    Call, Error, ErrorKind, Happened, IdempotencyKey, Result, Rng as _, SystemRng, TenantId,
    Timestamp,
    middleware::{
        by_hash::{Same, Seeded},
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

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
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
pub(super) enum Found<P: Clone + PartialEq, R: Clone, K: Kit = Native> {
    /// It goes first.
    Lead(Lead<P, R, K>),
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
    map: HashMap<Id, Seat<P, R, B>, BuildHasherDefault<Same>>,
    flying: usize,
    /// What is remembered, oldest first.
    order: VecDeque<(Id, u64)>,
    stamp: u64,
}

struct Seat<P, R, B> {
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
        let seats = Seats { map: HashMap::default(), flying: 0, order: VecDeque::new(), stamp: 0 };
        let seed = Seeded::new(SystemRng.next_u64());
        Self { seats: K::Lock::new(seats), seed, most, recall: recall.max(1) }
    }

    /// Who asks; `None` without a key.
    pub(super) fn id(&self, call: &Call<P>) -> Option<Id> {
        let (tenant, key) = (call.context().tenant(), call.key()?);
        let hash = self.seed.hash(&(tenant.as_str(), key.as_str()));
        Some(Id { hash, tenant: tenant.clone(), key: key.clone() })
    }

    /// The end of this call, when it is remembered.
    pub(super) fn recall(&self, id: &Id, call: &Call<P>, now: Timestamp) -> Option<Found<P, R, K>> {
        self.seats.with(|seats| {
            let seat = seats.map.get(id)?;
            let State::Ended { end, until, .. } = &seat.state else { return None };
            if *until <= now {
                return None;
            }
            Some(if seat.is_for(call) { Found::Ended(end.clone()) } else { Found::Reused })
        })
    }

    /// Takes a seat.
    pub(super) fn enter(
        self: &Arc<Self>,
        id: &Id,
        call: &Call<P>,
        now: Timestamp,
    ) -> Found<P, R, K> {
        let lead = || Lead { desk: Arc::clone(self), id: id.clone(), ended: false };
        self.seats.with(|seats| {
            let full = seats.flying >= self.most;
            match seats.map.entry(id.clone()) {
                Entry::Occupied(mut entry) => {
                    let seat = entry.get_mut();
                    if let State::Ended { until, .. } = &seat.state
                        && *until <= now
                    {
                        if full {
                            return Found::Full;
                        }
                        *seat = Seat::of(call);
                        seats.flying += 1;
                        return Found::Lead(lead());
                    }
                    seat.found(call)
                }
                Entry::Vacant(_) if full => Found::Full,
                Entry::Vacant(entry) => {
                    entry.insert(Seat::of(call));
                    seats.flying += 1;
                    Found::Lead(lead())
                }
            }
        })
    }

    /// Calls in flight, and ends that are remembered.
    pub(super) fn len(&self) -> (usize, usize) {
        self.seats.with(|seats| (seats.flying, seats.map.len().saturating_sub(seats.flying)))
    }

    fn leave(&self, id: &Id, end: Option<(End<R>, Timestamp)>, error: Option<&Error>) {
        let others = self.seats.with(|seats| {
            let State::Flying(others) = &mut seats.map.get_mut(id)?.state else { return None };
            let others = others.take();
            if let (Some(others), Some(error)) = (&others, error) {
                others.error.get_or_init(|| error.duplicate());
            }
            seats.flying -= 1;
            match end {
                Some((end, until)) => seats.remember(id, end, until, self.recall),
                None => drop(seats.map.remove(id)),
            }
            others
        });
        if let Some(others) = others {
            others.over.raise();
        }
    }
}

impl<P, R, B> Seats<P, R, B> {
    fn remember(&mut self, id: &Id, end: End<R>, until: Timestamp, most: usize) {
        self.stamp += 1;
        let stamp = self.stamp;
        if let Some(seat) = self.map.get_mut(id) {
            // Whoever waits looks again, and finds the end.
            seat.state = State::Ended { end, until, stamp };
        }
        self.order.push_back((id.clone(), stamp));
        while self.order.len() > most {
            let Some((oldest, stamp)) = self.order.pop_front() else { break };
            let same = |seat: &Seat<P, R, B>| matches!(&seat.state, State::Ended { stamp: s, .. } if *s == stamp);
            if self.map.get(&oldest).is_some_and(same) {
                self.map.remove(&oldest);
            }
        }
    }
}

impl<P: Clone + PartialEq, R: Clone, B: Bit> Seat<P, R, B> {
    fn of(call: &Call<P>) -> Self {
        Self {
            target: Arc::clone(call.shared_target()),
            payload: call.payload().clone(),
            state: State::Flying(None),
        }
    }

    /// What another call finds here.
    fn found<K: Kit<Bit = B>>(&mut self, call: &Call<P>) -> Found<P, R, K> {
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
pub(super) struct Lead<P: Clone + PartialEq, R: Clone, K: Kit = Native> {
    desk: Arc<Desk<P, R, K>>,
    id: Id,
    ended: bool,
}

impl<P: Clone + PartialEq, R: Clone, K: Kit> Lead<P, R, K> {
    /// It ended for good; remembered until then.
    pub(super) fn ended(mut self, end: End<R>, until: Timestamp) {
        self.ended = true;
        self.desk.leave(&self.id, Some((end, until)), None);
    }

    /// It failed, and may be asked for again.
    pub(super) fn failed(mut self, e: &Error) {
        self.ended = true;
        self.desk.leave(&self.id, None, Some(e));
    }
}

impl<P: Clone + PartialEq, R: Clone, K: Kit> Drop for Lead<P, R, K> {
    fn drop(&mut self) {
        if !self.ended {
            self.desk.leave(&self.id, None, None);
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
        let desk: Arc<Desk<(), u64>> = Arc::new(Desk::new(10, 1024));
        for n in 0..1_000_000_u64 {
            let key = IdempotencyKey::of(MessageId::from_u128(n.into()), "refund").unwrap();
            let call = Call::skill(context.clone(), &manifest, Arc::default()).with_key(key);
            let call = call.map(|_| ());
            let id = desk.id(&call).unwrap();
            let Found::Lead(lead) = desk.enter(&id, &call, Timestamp::default()) else {
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
