//! The plan of one run: everything that the seed decides beforehand, as data that can be cut.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use openclaw_core::{
    ChannelId, Content, Conversation, Effect, Envelope, ErrorKind, Sender, TenantId, TraceParent,
    channel::{Capabilities, Nonce, Ordering},
    gateway::{AckPolicy, GatewayConfig},
};

use super::{
    Cut, Fault, Faults, Workload,
    clerk::{RETENTION, lane_of},
};
use crate::env::SeededRng;

/// The tenants of a run: each has conversations and ids of the same names.
pub(super) const TENANTS: [&str; 2] = ["acme", "beta"];

/// The channels of a run.
pub(super) const CHANNELS: [&str; 3] = ["desk", "live", "web"];

/// How long a platform of a run may repeat a message: longer than all its outages, and than its
/// clock is ever off.
pub(super) const HORIZON: Duration = Duration::from_secs(3 * 86_400);

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

/// Why nobody may take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// Its body is over the limit.
    Body,
    /// It has too many headers.
    Headers,
    /// A header is over the limit.
    Header,
    /// A name is over the limit.
    Name,
    /// No route leads to an agent.
    Nobody,
}

impl Bad {
    const ALL: [Self; 5] = [Self::Body, Self::Headers, Self::Header, Self::Name, Self::Nobody];

    pub(super) const fn kind(self) -> ErrorKind {
        match self {
            Self::Nobody => ErrorKind::NotFound,
            _ => ErrorKind::ValidationError,
        }
    }
}

/// One message of one person.
#[derive(Clone, Debug)]
pub(super) struct Saying {
    pub(super) n: u32,
    pub(super) at: Duration,
    pub(super) tenant: TenantId,
    pub(super) conversation: Conversation,
    /// The platform's id: each account and each tenant counts its own.
    pub(super) id: String,
    pub(super) text: String,
    /// Meant for the agent of the night.
    pub(super) night: bool,
    pub(super) verified: bool,
    pub(super) bad: Option<Bad>,
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
    let mut ids: BTreeMap<(TenantId, ChannelId, &str), u32> = BTreeMap::new();
    for n in 0..workload.messages {
        // A stream of its own for each message: leaving one out does not change the others.
        let rng = rng.split();
        at += Duration::from_millis(rng.below(gap.max(1)));
        let tenant = TenantId::new(*rng.pick(&TENANTS)?).ok()?;
        let channel = ChannelId::new(*rng.pick(&CHANNELS)?).ok()?;
        let account = *rng.pick(&["", "", "second"])?;
        let id = ids.entry((tenant.clone(), channel.clone(), account)).or_default();
        *id += 1;
        let mut conversation =
            Conversation::new(channel, format!("room{}", rng.below(workload.places)))
                .on_account(account);
        if rng.chance(0.2) {
            conversation = conversation.in_thread("aside");
        }
        let bad = rng.chance(0.04) && !workload.is_own();
        let bad = if bad { rng.pick(&Bad::ALL).copied() } else { None };
        sayings.push(Saying {
            n,
            at,
            tenant,
            conversation,
            id: format!("m{id}"),
            text: workload.say(&rng, n),
            night: rng.chance(0.2) && bad.is_none() && !workload.is_own(),
            verified: rng.chance(0.5),
            bad,
            trick: if bad.is_some() { None } else { trick(&rng, faults, workload.is_own()) },
        });
    }
    Some(sayings)
}

/// The number of the first recall.
const RECALLS: u32 = 10_000;

fn recalls(sayings: &[Saying]) -> Vec<Saying> {
    let mut places = BTreeSet::new();
    let firsts = sayings.iter().filter(|saying| places.insert(lane_of(&saying.envelope())));
    let recall = |(n, first): (u32, &Saying)| Saying {
        n,
        at: Duration::ZERO,
        id: format!("r{n}"),
        text: format!("{} {n}", super::Verb::Recall.word()),
        night: false,
        bad: None,
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
                Ending::Drained { after, within: Duration::from_millis(rng.below(30_000)) },
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
        capabilities.redelivery_horizon = HORIZON;
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
    config.retention.messages = Some(HORIZON);
    config.retention.every = Duration::from_secs(9);
    config
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Saying {
    pub(super) fn channel(&self) -> &ChannelId {
        &self.conversation.channel
    }

    /// The message as its sender sends it.
    pub(super) fn envelope(&self) -> Envelope {
        let envelope = self.with_text(&self.id, self.text.clone());
        match self.bad {
            None => envelope,
            Some(Bad::Body) => self.with_text(&self.id, "x".repeat(3_000)),
            Some(Bad::Headers) => {
                (0..200).fold(envelope, |e, n| e.with_header(format!("x-{n}"), "y"))
            }
            Some(Bad::Header) => envelope.with_header("x-long", "y".repeat(20_000)),
            Some(Bad::Name) => envelope.with_topic("z".repeat(2_000)),
            Some(Bad::Nobody) => {
                let mut envelope = envelope;
                envelope.sender = Sender::new("stranger");
                envelope
            }
        }
    }

    /// Another message under the same id: other words, another sender, or another header.
    pub(super) fn reused(&self) -> Envelope {
        let mut other = self.with_text(&self.id, self.text.clone());
        match self.n % 3 {
            0 => other.content = Content::text(format!("echo {}", self.n + 100_000)),
            1 => other.sender = Sender::new(format!("guest-{}", self.tenant)),
            _ => other = other.with_header("x-changed", "yes"),
        }
        other
    }

    pub(super) fn with_text(&self, id: &str, text: String) -> Envelope {
        let mut sender = Sender::new(format!("user-{}", self.tenant));
        sender.verified = self.verified;
        let content = Content::text(text);
        let mut envelope =
            Envelope::new(self.tenant.clone(), self.conversation.clone(), sender, content)
                .with_id(id)
                .with_kind("sim.said")
                .with_header("x-number", self.n.to_string());
        if self.night {
            envelope = envelope.with_header("shift", "night");
        }
        let trace = format!("00-{:032x}-00000000000000aa-01", u64::from(self.n) + 1);
        envelope.traceparent = TraceParent::parse(&trace);
        envelope
    }

    /// What proves its freshness, on the channel that signs.
    pub(super) fn nonce(&self) -> Option<Nonce> {
        let signed = self.channel().as_str() == "web";
        let keep = Duration::from_secs(86_400);
        // Each tenant and each account counts its own.
        let scope = format!("hook {}", self.conversation.account);
        signed.then(|| Nonce::new(scope, self.id.as_str(), keep))
    }
}
