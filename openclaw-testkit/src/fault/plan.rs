//! What goes wrong, where, and how often: by script, by seed, or both.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Fault, Power};
use crate::env::SeededRng;

/// What goes wrong at the seams of one process. Clones are the same plan.
///
/// Every operation has names: that of its method (`"send"`), that of what is called (`"desk"`),
/// and [`Plan::ANY`]; a store's commit has the label of its transaction (`"admit"`). The
/// wrappers list them.
///
/// A rule holds for every operation of a name ([`every`](Self::every)), for the next few
/// ([`next`](Self::next)), for one of them ([`nth`](Self::nth)), or with a probability
/// ([`chance`](Self::chance)). Of several rules that fit the one that was written first wins;
/// chance comes behind all others.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), openclaw_core::store::StoreError> {
/// use openclaw_core::{Env, store::{Key, MemoryStore, Op, StateStore, StateStoreExt, StoreError, Txn}};
/// use openclaw_testkit::{env::test_env, fault::{Fault, FaultStore, Plan}};
///
/// let rows = MemoryStore::new(test_env(1).clock());
/// let plan = Plan::default();
/// let store = FaultStore::new(rows.clone(), plan.clone());
/// let key = Key::system("doc").text("greeting").build();
/// plan.nth("note", 1, Fault::LoseAnswer);
/// let lost = store.commit(Txn::new("note").op(Op::put(key.clone(), "hello"))).await;
/// assert!(matches!(lost, Err(StoreError::OutcomeUnknown(_))));
/// assert!(rows.get(&key).await?.is_some(), "only the answer was lost");
/// assert_eq!(plan.injected()["lose_answer"], 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Plan {
    power: Power,
    state: Arc<Mutex<State>>,
}

struct State {
    rules: Vec<Rule>,
    odds: Vec<(String, Fault, f64)>,
    cues: Vec<(String, Cue)>,
    rng: SeededRng,
    history: Vec<(String, Fault)>,
}

type Cue = Box<dyn FnOnce(&Plan) + Send>;

struct Rule {
    op: String,
    /// Operations that go well before it holds.
    skip: u64,
    /// Operations that it still holds for.
    times: u64,
    fault: Fault,
}

impl Plan {
    /// The name that every operation has.
    pub const ANY: &str = "*";

    /// A plan without faults, for a process on this power.
    #[must_use]
    pub fn new(power: Power) -> Self {
        let state = State {
            rules: Vec::new(),
            odds: Vec::new(),
            cues: Vec::new(),
            rng: SeededRng::new(0),
            history: Vec::new(),
        };
        Self { power, state: Arc::new(Mutex::new(state)) }
    }

    /// A plan whose chances this stream decides; there are none until [`Plan::chance`].
    #[must_use]
    pub fn seeded(rng: SeededRng) -> Self {
        let plan = Self::default();
        plan.seed(rng);
        plan
    }

    /// The plug that a crash pulls, and that every operation hangs on.
    #[must_use]
    pub const fn power(&self) -> &Power {
        &self.power
    }

    /// Has this stream decide the chances from now on.
    pub fn seed(&self, rng: SeededRng) {
        self.state().rng = rng;
    }

    /// Breaks every operation of this name like this.
    pub fn every(&self, op: impl Into<String>, fault: Fault) {
        self.rule(op.into(), 0, u64::MAX, fault);
    }

    /// Breaks the next `n` operations of this name like this.
    pub fn next(&self, op: impl Into<String>, n: u64, fault: Fault) {
        self.rule(op.into(), 0, n, fault);
    }

    /// Breaks the `n`-th operation of this name from now, counted from 1.
    pub fn nth(&self, op: impl Into<String>, n: u64, fault: Fault) {
        self.rule(op.into(), n.saturating_sub(1), 1, fault);
    }

    /// Breaks operations of this name like this with this probability.
    ///
    /// A delay is then a seeded part of the one given.
    pub fn chance(&self, op: impl Into<String>, fault: Fault, p: f64) {
        self.state().odds.push((op.into(), fault, p));
    }

    /// Runs this at the next operation of this name, before its own fault is looked up.
    pub fn when(&self, op: impl Into<String>, cue: impl FnOnce(&Self) + Send + 'static) {
        self.state().cues.push((op.into(), Box::new(cue)));
    }

    /// [`Fault::Fail`] at every operation of this name.
    pub fn fail(&self, op: impl Into<String>) {
        self.every(op, Fault::Fail);
    }

    /// [`Fault::Fail`] at the next `n` operations of this name.
    pub fn fail_next(&self, op: impl Into<String>, n: u64) {
        self.next(op, n, Fault::Fail);
    }

    /// [`Fault::Fail`] at the `n`-th operation of this name from now, counted from 1.
    pub fn fail_nth(&self, op: impl Into<String>, n: u64) {
        self.nth(op, n, Fault::Fail);
    }

    /// [`Fault::Delay`] at every operation of this name.
    pub fn delay(&self, op: impl Into<String>, by: Duration) {
        self.every(op, Fault::Delay(by));
    }

    /// Ends all faults; what was injected stays on record, and a cut power stays cut.
    pub fn heal(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.odds.clear();
        state.cues.clear();
    }

    /// How often each fault was injected, by its name.
    #[must_use]
    pub fn injected(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for (_, fault) in &self.state().history {
            *counts.entry(fault.name()).or_default() += 1;
        }
        counts
    }

    /// Every fault that was injected, with its operation, in order.
    #[must_use]
    pub fn history(&self) -> Vec<(String, Fault)> {
        self.state().history.clone()
    }

    /// Is there no rule at all?
    pub(super) fn is_calm(&self) -> bool {
        let state = self.state();
        state.rules.is_empty() && state.odds.is_empty() && state.cues.is_empty()
    }

    /// Decides about one operation with these names; on record it has the first.
    pub(super) fn meet(&self, names: &[&str], can: fn(Fault) -> bool) -> Option<Fault> {
        let fits = |op: &str| op == Self::ANY || names.contains(&op);
        let due: Vec<_> = self.state().cues.extract_if(.., |(op, _)| fits(op)).collect();
        for (_, cue) in due {
            cue(self);
        }
        let mut state = self.state();
        let fault = state.rule(fits, can).or_else(|| state.luck(fits, can))?;
        let op = names.first().copied().unwrap_or(Self::ANY).to_owned();
        state.history.push((op, fault));
        Some(fault)
    }

    /// A number under `n` from the plan's stream; 0 when `n` is 0.
    pub(super) fn below(&self, n: usize) -> usize {
        let n = u64::try_from(n).unwrap_or(u64::MAX);
        usize::try_from(self.state().rng.below(n)).unwrap_or_default()
    }

    fn rule(&self, op: String, skip: u64, times: u64, fault: Fault) {
        self.state().rules.push(Rule { op, skip, times, fault });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first rule that is due; those that are not come nearer.
    fn rule(&mut self, fits: impl Fn(&str) -> bool, can: fn(Fault) -> bool) -> Option<Fault> {
        let mut due = None;
        for rule in self.rules.iter_mut().filter(|rule| fits(&rule.op) && can(rule.fault)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if due.is_none() && rule.times > 0 {
                rule.times -= 1;
                due = Some(rule.fault);
            }
        }
        self.rules.retain(|rule| rule.times > 0);
        due
    }

    fn luck(&self, fits: impl Fn(&str) -> bool, can: fn(Fault) -> bool) -> Option<Fault> {
        let mut odds = self.odds.iter().filter(|(op, fault, _)| fits(op) && can(*fault));
        let (_, fault, _) = odds.find(|(_, _, p)| self.rng.chance(*p))?;
        Some(match fault {
            Fault::Delay(most) => {
                let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
                Fault::Delay(Duration::from_millis(1 + self.rng.below(most)))
            }
            other => *other,
        })
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new(Power::on())
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("power", &self.power.is_on())
            .field("injected", &self.injected())
            .finish_non_exhaustive()
    }
}
