//! Calls of this process under one key: one leads, the others wait or are answered from memory.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use crate::{
    Call, Error, ErrorKind, Happened, IdempotencyKey, Result, TenantId, Timestamp,
    records::claims::failed_before, words::flag::Flag,
};

/// Who asks under which key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id {
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
pub(super) enum Found<P: Clone + PartialEq, R: Clone> {
    /// It goes first.
    Lead(Lead<P, R>),
    /// Another one runs: it tells an error that is not for good, or nothing at all.
    Join(Arc<Told>),
    /// It ended.
    Ended(End<R>),
    /// The key is another request's.
    Reused,
    /// There is no room.
    Full,
}

/// What those hear who wait for a call under way.
#[derive(Debug, Default)]
pub(super) struct Told {
    error: OnceLock<Error>,
    over: Flag,
}

impl Told {
    /// Waits for its end: an error that is not for good, or nothing, and whoever asks looks again.
    pub(super) async fn heard(&self) -> Option<Error> {
        self.over.wait().await;
        self.error.get().map(Error::duplicate)
    }
}

/// The calls in flight, and the ends of the latest ones.
#[derive(Debug)]
pub(super) struct Desk<P, R> {
    seats: Mutex<Seats<P, R>>,
    most: usize,
    recall: usize,
}

#[derive(Debug)]
struct Seats<P, R> {
    map: HashMap<Id, Seat<P, R>>,
    flying: usize,
    /// What is remembered, oldest first.
    order: VecDeque<(Id, u64)>,
    stamp: u64,
}

#[derive(Debug)]
struct Seat<P, R> {
    target: Arc<str>,
    payload: P,
    state: State<R>,
}

#[derive(Debug)]
enum State<R> {
    Flying(Option<Arc<Told>>),
    Ended { end: End<R>, until: Timestamp, stamp: u64 },
}

impl<P: Clone + PartialEq, R: Clone> Desk<P, R> {
    /// A desk for this many calls in flight and this many ends.
    pub(super) fn new(most: usize, recall: usize) -> Self {
        let seats = Seats { map: HashMap::new(), flying: 0, order: VecDeque::new(), stamp: 0 };
        Self { seats: Mutex::new(seats), most, recall: recall.max(1) }
    }

    fn seats(&self) -> MutexGuard<'_, Seats<P, R>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of this call, when it is remembered.
    pub(super) fn recall(&self, id: &Id, call: &Call<P>, now: Timestamp) -> Option<Found<P, R>> {
        let seats = self.seats();
        let seat = seats.map.get(id)?;
        let State::Ended { end, until, .. } = &seat.state else { return None };
        if *until <= now {
            return None;
        }
        Some(if seat.is_for(call) { Found::Ended(end.clone()) } else { Found::Reused })
    }

    /// Takes a seat.
    pub(super) fn enter(self: &Arc<Self>, id: &Id, call: &Call<P>, now: Timestamp) -> Found<P, R> {
        let mut seats = self.seats();
        let full = seats.flying >= self.most;
        let lead = || Lead { desk: Arc::clone(self), id: id.clone(), ended: false };
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
                if !seat.is_for(call) {
                    return Found::Reused;
                }
                match &mut seat.state {
                    State::Ended { end, .. } => Found::Ended(end.clone()),
                    State::Flying(others) => {
                        Found::Join(Arc::clone(others.get_or_insert_default()))
                    }
                }
            }
            Entry::Vacant(_) if full => Found::Full,
            Entry::Vacant(entry) => {
                entry.insert(Seat::of(call));
                seats.flying += 1;
                Found::Lead(lead())
            }
        }
    }

    /// Calls in flight, and ends that are remembered.
    pub(super) fn len(&self) -> (usize, usize) {
        let seats = self.seats();
        (seats.flying, seats.map.len().saturating_sub(seats.flying))
    }

    fn leave(&self, id: &Id, end: Option<(End<R>, Timestamp)>, error: Option<&Error>) {
        let mut seats = self.seats();
        let Some(seat) = seats.map.get_mut(id) else { return };
        let State::Flying(others) = &mut seat.state else { return };
        let others = others.take();
        if let (Some(others), Some(error)) = (&others, error) {
            others.error.get_or_init(|| error.duplicate());
        }
        seats.flying -= 1;
        match end {
            Some((end, until)) => seats.remember(id, end, until, self.recall),
            None => drop(seats.map.remove(id)),
        }
        drop(seats);
        if let Some(others) = others {
            others.over.raise();
        }
    }
}

impl<P, R> Seats<P, R> {
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
            let same = |seat: &Seat<P, R>| matches!(&seat.state, State::Ended { stamp: s, .. } if *s == stamp);
            if self.map.get(&oldest).is_some_and(same) {
                self.map.remove(&oldest);
            }
        }
    }
}

impl<P: Clone + PartialEq, R> Seat<P, R> {
    fn of(call: &Call<P>) -> Self {
        Self {
            target: Arc::clone(call.shared_target()),
            payload: call.payload().clone(),
            state: State::Flying(None),
        }
    }

    fn is_for(&self, call: &Call<P>) -> bool {
        *self.target == *call.target() && self.payload == *call.payload()
    }
}

impl Id {
    pub(super) fn of<P>(call: &Call<P>) -> Option<Self> {
        let key = call.key()?.clone();
        Some(Self { tenant: call.context().tenant().clone(), key })
    }
}

/// The seat of the call that goes first; dropped, the next one goes.
pub(super) struct Lead<P: Clone + PartialEq, R: Clone> {
    desk: Arc<Desk<P, R>>,
    id: Id,
    ended: bool,
}

impl<P: Clone + PartialEq, R: Clone> Lead<P, R> {
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

impl<P: Clone + PartialEq, R: Clone> Drop for Lead<P, R> {
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
        let desk = Arc::new(Desk::<(), u64>::new(10, 1024));
        for n in 0..1_000_000_u64 {
            let key = IdempotencyKey::of(MessageId::from_u128(n.into()), "refund").unwrap();
            let call = Call::skill(context.clone(), &manifest, Arc::default()).with_key(key);
            let call = call.map(|_| ());
            let id = Id::of(&call).unwrap();
            let Found::Lead(lead) = desk.enter(&id, &call, Timestamp::default()) else {
                panic!("a new key goes first");
            };
            // Every other one is dropped, as a caller that gives up.
            if n % 2 == 0 {
                lead.ended(End::Done(n), Timestamp::MAX);
            }
        }
        assert_eq!(desk.len(), (0, 1024));
        assert_eq!(desk.seats().order.len(), 1024);
    }
}
