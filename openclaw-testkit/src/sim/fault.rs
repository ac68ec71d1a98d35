//! What may go wrong in a run, and which of it does under a seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::Marks;
use crate::env::SeededRng;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $p:literal;)*) => {
        /// Something that a run may suffer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// Every fault there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name, as it is counted and switched.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How often it strikes where it may, when it is switched on.
            const fn probability(self) -> f64 {
                match self { $(Self::$name => $p,)* }
            }
        }
    };
}

faults! {
    /// A commit is refused, and the caller is told.
    StoreRefuses = "store_refuses", 0.03;
    /// A commit is applied, and nobody knows.
    StoreLosesAnswer = "store_loses_answer", 0.03;
    /// A commit is not applied, and nobody knows.
    StoreLosesRequest = "store_loses_request", 0.03;
    /// A commit takes up to two seconds.
    StoreSlow = "store_slow", 0.03;
    /// A commit takes up to a minute, and its answer is lost.
    StoreHangs = "store_hangs", 0.002;
    /// A read fails.
    StoreFailsRead = "store_fails_read", 0.03;
    /// The store is away for seconds.
    StoreAway = "store_away", 0.004;
    /// A commit of a process that died arrives after it.
    LateCommit = "late_commit", 0.5;
    /// A message is delivered twice at once.
    Duplicate = "duplicate", 0.1;
    /// A message is delivered again long after it was answered.
    LateDuplicate = "late_duplicate", 0.1;
    /// Messages of different conversations arrive in another order.
    Reorder = "reorder", 0.2;
    /// The platform does not hear an acknowledgement.
    LostAck = "lost_ack", 0.08;
    /// The platform hears an acknowledgement seconds later.
    SlowAck = "slow_ack", 0.08;
    /// A source fails between two messages.
    SourceFails = "source_fails", 0.02;
    /// A post surely does not go out.
    SendRefused = "send_refused", 0.06;
    /// A post does not go out, and not before a while.
    SendLimited = "send_limited", 0.05;
    /// A post goes out, and nobody knows.
    SendLosesAnswer = "send_loses_answer", 0.05;
    /// A post does not go out, and nobody knows.
    SendLosesRequest = "send_loses_request", 0.05;
    /// A post goes out, and the answer takes seconds.
    SendSlow = "send_slow", 0.05;
    /// A post goes out, and no answer comes.
    SendHangs = "send_hangs", 0.02;
    /// The channel panics before it sends.
    SendPanics = "send_panics", 0.02;
    /// A remote refuses before it does anything.
    RemoteRefuses = "remote_refuses", 0.06;
    /// A remote does it, and the answer is lost.
    RemoteLosesAnswer = "remote_loses_answer", 0.08;
    /// A remote does nothing, and nobody knows.
    RemoteLosesRequest = "remote_loses_request", 0.06;
    /// A remote answers seconds later.
    RemoteSlow = "remote_slow", 0.06;
    /// A remote does it, and no answer comes.
    RemoteHangs = "remote_hangs", 0.03;
    /// A skill panics after the effect.
    RemotePanics = "remote_panics", 0.02;
    /// A remote's look-up fails or does not know yet.
    LookUpFails = "look_up_fails", 0.3;
    /// A remote's look-up says that it will never know.
    LookUpBlind = "look_up_blind", 0.05;
    /// An agent fails.
    AgentFails = "agent_fails", 0.06;
    /// An agent panics.
    AgentPanics = "agent_panics", 0.03;
    /// An agent does not answer.
    AgentHangs = "agent_hangs", 0.02;
    /// An agent takes a second.
    AgentSlow = "agent_slow", 0.1;
    /// The machine's clock is set forward by minutes.
    ClockForward = "clock_forward", 0.15;
    /// The machine's clock is set back by minutes.
    ClockBack = "clock_back", 0.15;
    /// A process dies at a commit.
    KillAtCommit = "kill_at_commit", 0.5;
    /// A process dies at a send or a skill's effect.
    KillAtEffect = "kill_at_effect", 0.5;
    /// A process dies some time.
    Kill = "kill", 0.5;
    /// A process is stopped for longer than its successor needs, and goes on.
    Pause = "pause", 0.3;
    /// A second process starts while the first one runs.
    Takeover = "takeover", 0.3;
    /// A process is drained, with or without enough time.
    Drain = "drain", 0.3;
    /// Nothing runs for hours.
    LongOutage = "long_outage", 0.25;
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The faults that are switched on.
///
/// ```
/// use openclaw_testkit::sim::{Fault, Faults};
///
/// let storm = Faults::all().without(Fault::ClockBack);
/// assert!(storm.has(Fault::LostAck) && !storm.has(Fault::ClockBack));
/// assert_eq!(Faults::swarm(7), Faults::swarm(7), "the seed decides");
/// assert_ne!(Faults::swarm(7), Faults::swarm(8));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(BTreeSet<Fault>);

impl Faults {
    /// No fault at all.
    #[must_use]
    pub const fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// Every fault there is.
    #[must_use]
    pub fn all() -> Self {
        Self(Fault::ALL.iter().copied().collect())
    }

    /// A random subset, decided by the seed: rare combinations are met, too.
    #[must_use]
    pub fn swarm(seed: u64) -> Self {
        let rng = SeededRng::new(seed ^ 0x5741_524d);
        // How many there are differs as well: some runs have one fault, some nearly all.
        let share = [0.1, 0.3, 0.5, 0.7, 0.95].get(usize::try_from(rng.below(5)).unwrap_or(0));
        let share = share.copied().unwrap_or(0.5);
        let some: Self = Fault::ALL.iter().copied().filter(|_| rng.chance(share)).collect();
        // Whatever else goes wrong, somebody dies.
        let deaths = [Fault::Kill, Fault::KillAtCommit, Fault::KillAtEffect];
        rng.pick(&deaths).into_iter().fold(some, |faults, death| faults.with(*death))
    }

    /// Adds a fault.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.0.insert(fault);
        self
    }

    /// Leaves a fault out.
    #[must_use]
    pub fn without(mut self, fault: Fault) -> Self {
        self.0.remove(&fault);
        self
    }

    /// Is this fault switched on?
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// The faults, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Fault> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        Self(faults.into_iter().collect())
    }
}

/// Decides where a fault strikes: each has a stream of its own, so that one that is switched
/// off does not move the others.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    streams: Arc<BTreeMap<Fault, SeededRng>>,
    storm: Arc<AtomicBool>,
    marks: Marks,
}

impl Dice {
    pub(super) fn new(seed: u64, faults: &Faults, marks: Marks) -> Self {
        let rng = SeededRng::new(seed ^ 0x4449_4345);
        let streams = Fault::ALL.iter().map(|fault| (*fault, rng.split()));
        let streams = streams.filter(|(fault, _)| faults.has(*fault)).collect();
        Self { streams: Arc::new(streams), storm: Arc::new(AtomicBool::new(true)), marks }
    }

    /// Does it happen here and now?
    pub(super) fn strikes(&self, fault: Fault) -> bool {
        let strikes = self.storming()
            && self.streams.get(&fault).is_some_and(|rng| rng.chance(fault.probability()));
        if strikes {
            self.marks.hit(fault.name());
        }
        strikes
    }

    /// A number under `n` from the stream of this fault.
    pub(super) fn below(&self, fault: Fault, n: u64) -> u64 {
        self.streams.get(&fault).map_or(0, |rng| rng.below(n))
    }

    pub(super) fn storming(&self) -> bool {
        self.storm.load(Ordering::Relaxed)
    }

    /// From now on nothing goes wrong.
    pub(super) fn calm(&self) {
        self.storm.store(false, Ordering::Relaxed);
    }
}
