//! The plan of one run: everything that the seed decides beforehand, as data that can be cut.

use std::{collections::BTreeSet, time::Duration};

use openclaw_core::{
    ChannelId, Content, Conversation, Effect, Envelope, Sender, TenantId,
    channel::{Capabilities, Nonce, Ordering},
    gateway::{AckPolicy, GatewayConfig},
};

use super::{Cut, Fault, Faults, Workload, clerk::RETENTION};
use crate::env::SeededRng;

/// The tenants of a run: each has conversations and ids of the same names.
pub(super) const TENANTS: [&str; 2] = ["acme", "beta"];

/// The channels of a run.
pub(super) const CHANNELS: [&str; 3] = ["desk", "live", "web"];

/// Something extra that its sender does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trick {
    /// Offers it twice at once.
    Twice,
    /// Offers it again so much later.
    Later(Duration),
    /// Sends another text under its id, once it is accepted.
    Reuse,
    /// Sends another message under its nonce, once it is accepted.
    Replay,
}

/// One message of one person.
#[derive(Clone, Debug)]
pub(super) struct Saying {
    pub(super) n: u32,
    pub(super) at: Duration,
    pub(super) tenant: TenantId,
    pub(super) channel: ChannelId,
    pub(super) place: String,
    pub(super) text: String,
    /// A message that nobody may take: too large, or for nobody.
    pub(super) bad: bool,
    pub(super) trick: Option<Trick>,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Dies at its n-th commit, applied or not.
    AtCommit { n: u64, applied: bool },
    /// Dies at its n-th send or effect, done or not.
    AtEffect { n: u64, done: bool },
    /// Dies so long after its start.
    After(Duration),
    /// Is stopped after a while; another one takes over; it goes on, and is killed later.
    Paused { after: Duration, by: Duration },
    /// Another one takes over while it runs; it is killed later.
    TakenOver { after: Duration },
    /// Is drained after a while, with so much time.
    Drained { after: Duration, within: Duration },
}

/// One channel of the run.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) id: ChannelId,
    pub(super) capabilities: Capabilities,
    pub(super) ack: AckPolicy,
}

/// Everything that is decided before the run begins.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) faults: Faults,
    pub(super) sayings: Vec<Saying>,
    /// One message for each conversation, said when everything is over: what it remembers.
    pub(super) recalls: Vec<Saying>,
    pub(super) endings: Vec<Ending>,
    pub(super) channels: Vec<Facts>,
    pub(super) config: GatewayConfig,
    pub(super) storm: Duration,
}

impl Plan {
    /// The plan of this seed; `cut` leaves things out without moving the rest.
    pub(super) fn new(seed: u64, workload: &Workload, faults: Faults, cut: &Cut) -> Option<Self> {
        let rng = SeededRng::new(seed);
        let (people, processes, house) = (rng.split(), rng.split(), rng.split());
        let sayings = sayings(&people, workload, &faults)?;
        let sayings: Vec<Saying> =
            sayings.into_iter().filter(|saying| cut.keeps(saying.n)).collect();
        let recalls = if workload.is_own() { Vec::new() } else { recalls(&sayings) };
        let mut endings = endings(&processes, &faults);
        endings.truncate(cut.lives.unwrap_or(usize::MAX));
        let channels = channels(&house)?;
        let config = config(&house);
        let storm = workload.over + Duration::from_secs(20);
        Some(Self { seed, faults, sayings, recalls, endings, channels, config, storm })
    }

    pub(super) fn facts(&self, channel: &ChannelId) -> Option<&Facts> {
        self.channels.iter().find(|facts| facts.id == *channel)
    }
}

fn sayings(rng: &SeededRng, workload: &Workload, faults: &Faults) -> Option<Vec<Saying>> {
    let gap = millis(workload.over) * 2 / u64::from(workload.messages.max(1));
    let mut at = Duration::ZERO;
    let mut sayings = Vec::new();
    for n in 0..workload.messages {
        // A stream of its own for each message: leaving one out does not change the others.
        let rng = rng.split();
        at += Duration::from_millis(rng.below(gap.max(1)));
        let bad = !workload.is_own() && rng.chance(0.03);
        sayings.push(Saying {
            n,
            at,
            tenant: TenantId::new(*rng.pick(&TENANTS)?).ok()?,
            channel: ChannelId::new(*rng.pick(&CHANNELS)?).ok()?,
            place: format!("room{}", rng.below(workload.places)),
            text: workload.say(&rng, n),
            bad,
            trick: if bad { None } else { trick(&rng, faults, workload.is_own()) },
        });
    }
    Some(sayings)
}

/// The number of the first recall.
const RECALLS: u32 = 10_000;

fn recalls(sayings: &[Saying]) -> Vec<Saying> {
    let mut places = BTreeSet::new();
    let firsts = sayings.iter().filter(|saying| {
        places.insert((saying.tenant.clone(), saying.channel.clone(), saying.place.clone()))
    });
    let recall = |(n, first): (u32, &Saying)| Saying {
        n,
        at: Duration::ZERO,
        text: format!("{} {n}", super::Verb::Recall.word()),
        bad: false,
        trick: None,
        ..first.clone()
    };
    (RECALLS..).zip(firsts).map(recall).collect()
}

fn trick(rng: &SeededRng, faults: &Faults, own: bool) -> Option<Trick> {
    let later = Duration::from_millis(20_000 + rng.below(60_000));
    let (twice, late, more) = (rng.chance(0.12), rng.chance(0.1), rng.chance(0.06));
    let replay = rng.chance(0.5);
    if twice && faults.has(Fault::Duplicate) {
        Some(Trick::Twice)
    } else if late && faults.has(Fault::LateDuplicate) {
        Some(Trick::Later(later))
    } else if more && !own {
        Some(if replay { Trick::Replay } else { Trick::Reuse })
    } else {
        None
    }
}

/// How the processes of a run end, one after the other; behind them one lives to the end.
fn endings(rng: &SeededRng, faults: &Faults) -> Vec<Ending> {
    let mut endings = Vec::new();
    for _ in 0..20 {
        let rng = rng.split();
        let after = Duration::from_millis(300 + rng.below(6_000));
        let yes = rng.chance(0.5);
        let ways = [
            (Fault::KillAtCommit, Ending::AtCommit { n: 17 + rng.below(90), applied: yes }),
            (Fault::KillAtEffect, Ending::AtEffect { n: 1 + rng.below(12), done: yes }),
            (Fault::Kill, Ending::After(after)),
            (Fault::Pause, Ending::Paused { after, by: Duration::from_millis(rng.below(8_000)) }),
            (Fault::Takeover, Ending::TakenOver { after }),
            (
                Fault::Drain,
                Ending::Drained { after, within: Duration::from_millis(rng.below(6_000)) },
            ),
        ];
        let open: Vec<Ending> =
            ways.into_iter().filter(|(fault, _)| faults.has(*fault)).map(|(_, way)| way).collect();
        endings.extend(rng.pick(&open).copied());
    }
    endings
}

fn channels(rng: &SeededRng) -> Option<Vec<Facts>> {
    let keyed = Effect::Keyed { retention: RETENTION };
    let ways = [Effect::AtMostOnce, keyed, Effect::Reconcilable, Effect::AtLeastOnce];
    let mut facts = Vec::new();
    for name in CHANNELS {
        let rng = rng.split();
        let mut capabilities = Capabilities::default();
        capabilities.post = *rng.pick(&ways)?;
        capabilities.redelivers = name != "web";
        capabilities.tells_refusals = name == "web";
        let mut ack = AckPolicy::Recorded;
        match name {
            "desk" => capabilities.max_text = std::num::NonZeroUsize::new(24),
            "live" => (capabilities.edit, capabilities.delete) = (true, true),
            _ => {
                capabilities.ordering = Ordering::None;
                capabilities.post = *rng.pick(&[Effect::AtMostOnce, Effect::Pure, keyed])?;
                if rng.chance(0.3) {
                    ack = AckPolicy::Replied;
                }
            }
        }
        facts.push(Facts { id: ChannelId::new(name).ok()?, capabilities, ack });
    }
    Some(facts)
}

/// Bounds that are met: lanes fill up, pauses go to the store, everything has its time.
fn config(rng: &SeededRng) -> GatewayConfig {
    let mut config = GatewayConfig::default();
    let number = |low: u64, more: u64| usize::try_from(low + rng.below(more)).unwrap_or(8);
    config.pending = number(6, 30);
    config.lane = number(2, 5);
    config.turns = number(2, 6);
    config.sends = number(2, 6);
    config.turn_timeout = Duration::from_secs(6);
    config.send_timeout = Duration::from_secs(4);
    config.send_attempts = 4;
    config.defer = Duration::from_millis(1_500);
    config.seal_every = Duration::from_secs(7);
    config.limits.body = 2_000;
    config
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Saying {
    /// The platform's id of the message: two tenants use the same ones.
    pub(super) fn platform_id(&self) -> String {
        format!("m{}", self.n)
    }

    pub(super) fn conversation(&self) -> Conversation {
        Conversation::new(self.channel.clone(), self.place.as_str())
    }

    /// The message as its sender sends it.
    pub(super) fn envelope(&self) -> Envelope {
        let text = if self.bad { "x".repeat(3_000) } else { self.text.clone() };
        self.with_text(&self.platform_id(), text)
    }

    pub(super) fn with_text(&self, id: &str, text: String) -> Envelope {
        let sender = Sender::new(format!("user-{}", self.tenant));
        Envelope::new(self.tenant.clone(), self.conversation(), sender, Content::text(text))
            .with_id(id)
    }

    /// What proves its freshness, on the channel that signs.
    pub(super) fn nonce(&self) -> Option<Nonce> {
        let signed = self.channel.as_str() == "web";
        signed.then(|| Nonce::new("hook", format!("t{}", self.n), Duration::from_secs(86_400)))
    }
}
