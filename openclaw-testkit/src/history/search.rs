//! The search for an order: Wing and Gong's, which never looks twice at the same rows behind the
//! same calls.

use std::collections::HashSet;

use super::{
    Call, places,
    state::{Model, State},
};

/// Rows that are looked at before the search gives up.
const MOST: usize = 1 << 20;

/// No order was found.
#[derive(Debug)]
pub(super) struct Stuck {
    /// The longest one that explains the answers of its calls.
    pub(super) order: Vec<usize>,
    /// All were tried.
    pub(super) sure: bool,
}

/// A set of calls.
type Calls = u128;

struct Search<'a> {
    model: Model<'a>,
    /// What comes first is tried first: what was answered first, and last what nobody heard of.
    turns: Vec<usize>,
    /// The calls that were answered.
    answered: Calls,
    seen: HashSet<(Calls, State)>,
    order: Vec<usize>,
    longest: Vec<usize>,
}

/// Is there an order that explains every answer?
pub(super) fn order(calls: &[Call]) -> Result<(), Stuck> {
    let mut turns: Vec<usize> = (0..calls.len()).collect();
    turns.sort_by_key(|at| calls.get(*at).and_then(|call| call.to).unwrap_or(u64::MAX));
    let answered = calls.iter().zip(0..).filter(|(call, _)| call.to.is_some());
    let mut search = Search {
        answered: answered.fold(0, |all, (_, at)| all | one(at)),
        model: Model { calls, places: places(calls) },
        turns,
        seen: HashSet::new(),
        order: Vec::new(),
        longest: Vec::new(),
    };
    if calls.len() > 128 {
        return Err(Stuck { order: Vec::new(), sure: false });
    }
    let begin = search.model.begin();
    if search.goes_on(0, &begin) {
        return Ok(());
    }
    Err(Stuck { order: search.longest, sure: search.seen.len() < MOST })
}

const fn one(at: usize) -> Calls {
    1 << (at % 128)
}

impl Search<'_> {
    /// Is there an order of the calls that are left?
    fn goes_on(&mut self, done: Calls, state: &State) -> bool {
        if done & self.answered == self.answered {
            return true;
        }
        if self.seen.len() >= MOST || !self.seen.insert((done, state.clone())) {
            return false;
        }
        for turn in 0..self.turns.len() {
            let Some(at) = self.next(turn, done) else { continue };
            let Some(next) = self.model.after(state, at) else { continue };
            self.order.push(at);
            if self.order.len() > self.longest.len() {
                self.longest.clone_from(&self.order);
            }
            if self.goes_on(done | one(at), &next) {
                return true;
            }
            self.order.pop();
        }
        false
    }

    /// The call of this turn, when it may be the next one: it began before any other had ended.
    fn next(&self, turn: usize, done: Calls) -> Option<usize> {
        let left = |at: &usize| done & one(*at) == 0;
        let at = self.turns.get(turn).copied().filter(left)?;
        // Turns are in the order of answers: the first that is left ended first.
        let first = self.turns.iter().copied().find(left)?;
        let end = self.model.calls.get(first)?.to.unwrap_or(u64::MAX);
        (self.model.calls.get(at)?.from < end).then_some(at)
    }
}
