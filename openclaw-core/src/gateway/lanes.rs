//! Lanes: FIFO inside a conversation, one in flight, fair over conversations and tenants.
//!
//! A pure data structure: no clock, no lock, no task. Whoever holds it starts what `take`
//! gives and reports the end with `done`.

use std::collections::{HashMap, VecDeque};

use crate::{
    TenantId,
    store::Key,
    words::planted::{Bug, planted},
};

/// The bounds of a set of lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Items in one lane, the running one included.
    pub(super) depth: usize,
    /// Lanes that run at once.
    pub(super) running: usize,
}

/// A lane has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

#[derive(Debug)]
struct Lane<T> {
    tenant: TenantId,
    items: VecDeque<T>,
    reserved: usize,
    busy: bool,
    /// Its item waits elsewhere; nothing behind it may start.
    held: bool,
}

/// Lanes of `T`, one a conversation.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    lanes: HashMap<Key, Lane<T>>,
    /// Lanes that may start, by tenant.
    ready: HashMap<TenantId, VecDeque<Key>>,
    /// Tenants with a lane that may start, in turn.
    turn: VecDeque<TenantId>,
    bounds: Bounds,
    queued: usize,
    running: usize,
    /// Items of held lanes that ask for a place.
    wanted: usize,
    /// Items in and behind held lanes.
    held: usize,
}

impl<T> Lanes<T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            lanes: HashMap::new(),
            ready: HashMap::new(),
            turn: VecDeque::new(),
            bounds,
            queued: 0,
            running: 0,
            wanted: 0,
            held: 0,
        }
    }

    /// Items that wait or run, held ones and reserved rooms included.
    pub(super) const fn depth(&self) -> usize {
        self.queued + self.running + self.held
    }

    /// Is nothing running, and nothing that may start?
    pub(super) const fn is_idle(&self) -> bool {
        self.queued + self.running == 0
    }

    /// Keeps a room in a lane for an item that is being made durable.
    pub(super) fn reserve(&mut self, tenant: &TenantId, key: &Key) -> Result<(), Full> {
        let lane = self.lane(tenant, key);
        let used = lane.items.len() + lane.reserved + usize::from(lane.busy);
        if used >= self.bounds.depth {
            return Err(Full);
        }
        self.lane(tenant, key).reserved += 1;
        self.queued += 1;
        Ok(())
    }

    /// Gives a reserved room back.
    pub(super) fn release(&mut self, key: &Key) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.reserved = lane.reserved.saturating_sub(1);
        self.queued = self.queued.saturating_sub(1);
        self.forget_if_empty(key);
    }

    /// Puts an item into its reserved room.
    pub(super) fn fill(&mut self, tenant: &TenantId, key: &Key, item: T) {
        self.release(key);
        self.push(tenant, key, item);
    }

    /// Adds an item without a reservation: what is durable already is never shed.
    pub(super) fn push(&mut self, tenant: &TenantId, key: &Key, item: T) {
        self.add(tenant, key, |items| items.push_back(item));
    }

    /// Adds an item in front of those that wait: a resolution has priority.
    pub(super) fn push_front(&mut self, tenant: &TenantId, key: &Key, item: T) {
        self.add(tenant, key, |items| items.push_front(item));
    }

    fn add(&mut self, tenant: &TenantId, key: &Key, put: impl FnOnce(&mut VecDeque<T>)) {
        let lane = self.lane(tenant, key);
        let (was_ready, held) = (!lane.items.is_empty(), lane.held);
        put(&mut lane.items);
        let startable = !lane.busy && !was_ready;
        *if held { &mut self.held } else { &mut self.queued } += 1;
        if startable {
            self.make_ready(tenant.clone(), key.clone());
        }
    }

    /// The next item that may start; its lane is busy until `done`.
    pub(super) fn take(&mut self) -> Option<(Key, T)> {
        // Whoever stepped aside was there before.
        if self.running + self.wanted >= self.bounds.running {
            return None;
        }
        let tenant = self.turn.pop_front()?;
        let ready = self.ready.get_mut(&tenant)?;
        let key = ready.pop_front()?;
        if ready.is_empty() {
            self.ready.remove(&tenant);
        } else {
            self.turn.push_back(tenant);
        }
        let lane = self.lanes.get_mut(&key)?;
        let backwards = planted(Bug::LaneBackwards);
        let item = if backwards { lane.items.pop_back() } else { lane.items.pop_front() }?;
        lane.busy = true;
        self.queued = self.queued.saturating_sub(1);
        self.running += 1;
        Some((key, item))
    }

    /// The item of this lane has ended: the next one may start.
    pub(super) fn done(&mut self, key: &Key) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if !lane.busy || lane.held {
            return;
        }
        lane.busy = false;
        self.running = self.running.saturating_sub(1);
        if lane.items.is_empty() {
            self.forget_if_empty(key);
        } else {
            let tenant = lane.tenant.clone();
            self.make_ready(tenant, key.clone());
        }
    }

    /// The item of this lane waits elsewhere: it gives its place up, and nothing behind it starts.
    pub(super) fn hold(&mut self, key: &Key) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.busy && !lane.held) else {
            return;
        };
        lane.held = true;
        let behind = lane.items.len();
        self.running = self.running.saturating_sub(1);
        self.queued = self.queued.saturating_sub(behind);
        self.held += behind + 1;
    }

    /// Asks for the next place that is free, for the item of a held lane.
    pub(super) const fn want(&mut self) {
        self.wanted += 1;
    }

    /// The item of a held lane goes on in the place that it asked for, once there is one, or
    /// `at_once` to come to its end.
    pub(super) fn resume_wanted(&mut self, key: &Key, at_once: bool) -> bool {
        if self.running >= self.bounds.running && !at_once {
            return false;
        }
        self.wanted = self.wanted.saturating_sub(1);
        self.resume(key);
        true
    }

    /// The item of a held lane goes on: `done` ends it.
    fn resume(&mut self, key: &Key) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.held) else { return };
        lane.held = false;
        let behind = lane.items.len();
        self.held = self.held.saturating_sub(behind + 1);
        self.running += 1;
        self.queued += behind;
    }

    fn lane(&mut self, tenant: &TenantId, key: &Key) -> &mut Lane<T> {
        self.lanes.entry(key.clone()).or_insert_with(|| Lane {
            tenant: tenant.clone(),
            items: VecDeque::new(),
            reserved: 0,
            busy: false,
            held: false,
        })
    }

    fn make_ready(&mut self, tenant: TenantId, key: Key) {
        let lanes = self.ready.entry(tenant.clone()).or_default();
        if lanes.is_empty() {
            self.turn.push_back(tenant);
        }
        lanes.push_back(key);
    }

    fn forget_if_empty(&mut self, key: &Key) {
        let empty = |lane: &Lane<T>| lane.items.is_empty() && lane.reserved == 0 && !lane.busy;
        if self.lanes.get(key).is_some_and(empty) {
            self.lanes.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn key(name: &str) -> Key {
        Key::system("lane").text(name).build()
    }

    fn lanes(depth: usize, running: usize) -> Lanes<u32> {
        Lanes::new(Bounds { depth, running })
    }

    #[test]
    fn one_in_flight_and_in_order() {
        let mut lanes = lanes(10, 10);
        (1..=3).for_each(|n| lanes.push(&tenant("t"), &key("a"), n));
        for n in 1..=3 {
            assert_eq!(lanes.take().map(|(_, n)| n), Some(n));
            assert_eq!(lanes.take(), None, "the lane is busy");
            lanes.done(&key("a"));
        }
        assert!(lanes.is_idle() && lanes.lanes.is_empty(), "an idle lane is forgotten");
    }

    #[test]
    fn a_flood_in_one_lane_does_not_starve_another() {
        let mut lanes = lanes(1000, 1);
        (0..100).for_each(|n| lanes.push(&tenant("t"), &key("flood"), n));
        lanes.push(&tenant("t"), &key("quiet"), 777);
        let mut order = Vec::new();
        for _ in 0..3 {
            let (key, n) = lanes.take().unwrap();
            order.push(n);
            lanes.done(&key);
        }
        assert_eq!(order, [0, 777, 1]);
    }

    #[test]
    fn a_tenant_with_many_lanes_does_not_starve_another_tenant() {
        let mut lanes = lanes(10, 1);
        (0..50).for_each(|n| lanes.push(&tenant("big"), &key(&format!("b{n}")), n));
        lanes.push(&tenant("small"), &key("s"), 777);
        let first: Vec<u32> = (0..2)
            .map(|_| {
                let (key, n) = lanes.take().unwrap();
                lanes.done(&key);
                n
            })
            .collect();
        assert!(first.contains(&777), "{first:?}");
    }

    #[test]
    fn a_full_lane_refuses_and_a_released_room_is_free_again() {
        let mut lanes = lanes(2, 10);
        let (t, a) = (tenant("t"), key("a"));
        lanes.reserve(&t, &a).unwrap();
        lanes.reserve(&t, &a).unwrap();
        assert_eq!(lanes.reserve(&t, &a), Err(Full));
        lanes.release(&a);
        lanes.fill(&t, &a, 1);
        assert_eq!(lanes.depth(), 1);
        lanes.reserve(&t, &a).unwrap();
        assert_eq!(lanes.reserve(&t, &a), Err(Full));
    }

    #[test]
    fn a_resolution_goes_first() {
        let mut lanes = lanes(10, 10);
        let (t, a) = (tenant("t"), key("a"));
        lanes.push(&t, &a, 1);
        lanes.push_front(&t, &a, 0);
        assert_eq!(lanes.take().map(|(_, n)| n), Some(0));
    }

    #[test]
    fn a_held_lane_gives_its_place_up_and_keeps_its_order() {
        let mut lanes = lanes(10, 1);
        let t = tenant("t");
        (1..=2).for_each(|n| lanes.push(&t, &key("a"), n));
        assert_eq!(lanes.take().map(|(_, n)| n), Some(1));
        lanes.hold(&key("a"));
        lanes.push(&t, &key("a"), 3);
        assert!(lanes.is_idle(), "nothing runs and nothing may start");
        assert_eq!(lanes.depth(), 3, "but all of it is on hand");
        lanes.push(&t, &key("b"), 9);
        assert_eq!(lanes.take().map(|(_, n)| n), Some(9), "its place is free for others");
        lanes.done(&key("b"));
        lanes.resume(&key("a"));
        assert_eq!(lanes.take(), None, "it runs again");
        lanes.done(&key("a"));
        for n in 2..=3 {
            assert_eq!(lanes.take().map(|(_, n)| n), Some(n));
            lanes.done(&key("a"));
        }
        assert_eq!(lanes.depth(), 0);
    }

    #[test]
    fn whoever_stepped_aside_gets_the_next_place() {
        let mut lanes = lanes(10, 1);
        for (name, item) in [("a", 1), ("b", 2), ("c", 3)] {
            lanes.reserve(&tenant("t"), &key(name)).unwrap();
            lanes.fill(&tenant("t"), &key(name), item);
        }
        assert_eq!(lanes.take(), Some((key("a"), 1)));
        lanes.hold(&key("a"));
        assert_eq!(lanes.take(), Some((key("b"), 2)), "its place is free meanwhile");
        lanes.want();
        assert!(!lanes.resume_wanted(&key("a"), false), "no more run than the bound");
        lanes.done(&key("b"));
        assert_eq!(lanes.take(), None, "the place is the first one's");
        assert!(lanes.resume_wanted(&key("a"), false));
        lanes.done(&key("a"));
        assert_eq!(lanes.take(), Some((key("c"), 3)));
    }

    #[test]
    fn no_more_run_than_the_bound() {
        let mut lanes = lanes(10, 2);
        (0..5).for_each(|n| lanes.push(&tenant("t"), &key(&n.to_string()), n));
        assert!(lanes.take().is_some() && lanes.take().is_some());
        assert_eq!(lanes.take(), None);
    }
}
