//! One direction of a connection: what is wrong with it, and what that means for its bytes.

use std::time::Duration;

use crate::env::SeededRng;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two directions")]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// How a connection is cut. Both its ends see the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// RST: reads fail with `ConnectionReset`.
    Reset,
    /// FIN: reads end, as if the other side had closed in good order.
    Finish,
}

/// Where a lane is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Bytes of this lane that pass.
    at: u64,
    how: Cut,
    /// Does the cut wait for a byte that it loses?
    waits: bool,
}

/// The faults of one lane.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    pub(super) latency: Duration,
    jitter: Option<(Duration, SeededRng)>,
    bandwidth: Option<u64>,
    slice: Option<(usize, Duration)>,
    cut: Option<Place>,
    pub(super) held: bool,
}

/// One change to the faults of a lane.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Latency(Duration),
    Jitter(Duration, SeededRng),
    Bandwidth(u64),
    Slice(usize, Duration),
    Cut { bytes: u64, how: Cut, more: bool },
    CutNow(Cut),
    Hold(bool),
    Clear,
}

impl Lane {
    /// Takes up a change; `passed` bytes of the lane are through.
    pub(super) fn apply(&mut self, edit: &Edit, passed: u64) {
        match edit {
            Edit::Latency(by) => self.latency = *by,
            Edit::Jitter(up_to, rng) => self.jitter = Some((*up_to, rng.split())),
            Edit::Bandwidth(rate) => self.bandwidth = Some((*rate).max(1)),
            Edit::Slice(bytes, pause) => self.slice = Some(((*bytes).max(1), *pause)),
            Edit::Cut { bytes, how, more } => {
                let at = if *more { passed.saturating_add(*bytes) } else { *bytes };
                self.cut = Some(Place { at, how: *how, waits: *bytes == 0 });
            }
            Edit::CutNow(how) => self.cut = Some(Place { at: 0, how: *how, waits: false }),
            Edit::Hold(held) => self.held = *held,
            Edit::Clear => *self = Self::default(),
        }
    }

    /// The lane of a new connection: the same faults, random numbers of its own.
    pub(super) fn branch(&self) -> Self {
        let jitter = self.jitter.as_ref().map(|(up_to, rng)| (*up_to, rng.split()));
        Self { jitter, ..self.clone() }
    }

    /// The cut that is due, with or without a byte in hand that it would lose.
    pub(super) fn cut(&self, passed: u64, in_hand: bool) -> Option<Cut> {
        let due = |place: &Place| passed >= place.at && (in_hand || !place.waits);
        self.cut.filter(due).map(|place| place.how)
    }

    /// How many of these bytes go out in one write.
    pub(super) fn piece(&self, bytes: usize, passed: u64) -> usize {
        const WRITES_A_SECOND: u64 = 50;
        let rate = self.bandwidth.map(|rate| size((rate / WRITES_A_SECOND).max(1)));
        let slice = self.slice.map(|(bytes, _)| bytes);
        let left = self.cut.map(|place| size(place.at.saturating_sub(passed)));
        [rate, slice, left].into_iter().flatten().fold(bytes, usize::min)
    }

    /// How long the lane is busy with so many bytes.
    pub(super) fn cost(&self, bytes: usize) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let rate = self.bandwidth.map_or(Duration::ZERO, |rate| {
            Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate)
        });
        rate.max(self.slice.map_or(Duration::ZERO, |(_, pause)| pause))
    }

    /// How much later than the latency the next bytes come.
    pub(super) fn jitter(&self) -> Duration {
        let nanos = |up_to: &Duration| u64::try_from(up_to.as_nanos()).unwrap_or(u64::MAX);
        let draw = |(up_to, rng): &(Duration, SeededRng)| {
            Duration::from_nanos(rng.below(nanos(up_to).saturating_add(1)))
        };
        self.jitter.as_ref().map_or(Duration::ZERO, draw)
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(edits: &[Edit]) -> Lane {
        let mut lane = Lane::default();
        edits.iter().for_each(|edit| lane.apply(edit, 100));
        lane
    }

    fn draws(lane: &Lane) -> Vec<Duration> {
        (0..50).map(|_| lane.jitter()).collect()
    }

    #[test]
    fn one_seed_draws_the_same_jitter_and_connections_differ() {
        let up_to = Duration::from_millis(20);
        let jittered = |seed| lane(&[Edit::Jitter(up_to, SeededRng::new(seed))]);
        let (a, b) = (jittered(7), jittered(7));
        let first = draws(&a.branch());
        assert_eq!(first, draws(&b.branch()));
        assert_ne!(first, draws(&a.branch()), "the next connection");
        assert_ne!(first, draws(&jittered(8).branch()), "another seed");
        assert!(first.iter().all(|late| *late <= up_to));
        assert!(first.iter().any(|late| *late > up_to / 2), "{first:?}");
    }

    #[test]
    fn a_piece_never_crosses_a_cut() {
        let cut = |bytes, more| lane(&[Edit::Cut { bytes, how: Cut::Reset, more }]);
        assert_eq!(cut(7, false).piece(50, 3), 4);
        assert_eq!(cut(7, true).piece(50, 103), 4);
        assert_eq!(cut(7, false).cut(6, true), None);
        assert_eq!(cut(7, false).cut(7, false), Some(Cut::Reset));
        assert_eq!(cut(0, false).cut(0, false), None, "it waits for the byte that it loses");
        assert_eq!(cut(0, false).cut(0, true), Some(Cut::Reset));
    }

    #[test]
    fn the_smallest_bound_makes_the_piece_and_the_largest_the_pause() {
        let rest = Duration::from_millis(30);
        let slow = lane(&[Edit::Bandwidth(1_000), Edit::Slice(5, rest)]);
        assert_eq!((slow.piece(50, 0), slow.piece(3, 0)), (5, 3));
        assert_eq!(slow.cost(5), rest);
        assert_eq!(slow.cost(100), Duration::from_millis(100));
        let slowest = lane(&[Edit::Bandwidth(0), Edit::Slice(0, Duration::ZERO)]);
        assert_eq!((slowest.piece(50, 0), slowest.cost(1)), (1, Duration::from_secs(1)));
        assert_eq!(lane(&[Edit::Bandwidth(1), Edit::Clear]).piece(50, 0), 50);
    }
}
