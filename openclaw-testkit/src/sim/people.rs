//! The people of a run: they say everything, and again until they are heard.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use openclaw_core::{ErrorKind, MessageId};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Fault,
    clerk::lane_of,
    inbound::Verdict,
    mark::row,
    plan::{Bad, Saying, Trick},
    scene::Scene,
};

/// What is known of one message by whoever said it.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// When it was offered first, and when it was accepted first: places in one order.
    pub(super) offered: Option<u64>,
    pub(super) accepted: Option<u64>,
    pub(super) ids: BTreeSet<MessageId>,
    /// How often it was accepted as a new message.
    pub(super) news: u32,
    pub(super) refused: Option<ErrorKind>,
    /// What its trick came to; it has none, or it is played.
    played: bool,
}

/// What an offer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    Say,
    Reuse,
    Replay,
}

/// Everybody who says something.
#[derive(Clone, Debug)]
pub(super) struct People(Arc<Crowd>);

#[derive(Debug)]
struct Crowd {
    scene: Arc<Scene>,
    known: Mutex<BTreeMap<u32, Known>>,
    /// Offers that are not settled: by channel and ticket.
    open: Mutex<BTreeMap<(String, u64), (u32, Aim)>>,
}

impl People {
    /// Everybody begins to talk.
    pub(super) fn start(scene: &Arc<Scene>) -> Self {
        let known =
            scene.plan.sayings.iter().map(|saying| {
                (saying.n, Known { played: saying.trick.is_none(), ..Known::default() })
            });
        let known = Mutex::new(known.collect());
        let people =
            Self(Arc::new(Crowd { scene: Arc::clone(scene), known, open: Mutex::default() }));
        let began = Instant::now();
        for saying in &scene.plan.sayings {
            let (here, saying) = (people.clone(), saying.clone());
            tokio::spawn(async move {
                sleep_until(began + saying.at).await;
                here.say(&saying);
                match saying.trick {
                    Some(Trick::Twice) => {
                        here.0.scene.marks.hit(Fault::Duplicate.name());
                        here.say(&saying);
                        here.played(saying.n);
                    }
                    Some(Trick::Later(after)) => {
                        here.0.scene.marks.hit(Fault::LateDuplicate.name());
                        sleep(after).await;
                        here.say(&saying);
                        here.played(saying.n);
                    }
                    Some(Trick::Reuse | Trick::Replay) | None => {}
                }
            });
        }
        for channel in scene.lines.keys() {
            let (here, channel) = (people.clone(), channel.clone());
            tokio::spawn(async move {
                let Some(line) = here.0.scene.lines.get(&channel) else { return };
                loop {
                    let (ticket, verdict) = line.inbound.verdict().await;
                    here.hear(&(channel.to_string(), ticket), verdict);
                }
            });
        }
        people
    }

    /// Everything is over: each conversation is asked what it remembers.
    pub(super) fn recall(&self) {
        for recall in &self.0.scene.plan.recalls {
            self.known_mut().insert(recall.n, Known { played: true, ..Known::default() });
            self.say(recall);
        }
    }

    fn known_mut(&self) -> MutexGuard<'_, BTreeMap<u32, Known>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<(String, u64), (u32, Aim)>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn known(&self) -> BTreeMap<u32, Known> {
        self.known_mut().clone()
    }

    /// Every message that was accepted.
    pub(super) fn accepted(&self) -> Vec<(u32, MessageId)> {
        let known = self.known_mut();
        known.iter().flat_map(|(n, known)| known.ids.iter().map(|id| (*n, *id))).collect()
    }

    /// Has everybody said everything, and been heard?
    pub(super) fn is_quiet(&self) -> bool {
        self.open().is_empty()
            && self
                .known_mut()
                .values()
                .all(|known| known.played && (known.refused.is_some() || !known.ids.is_empty()))
    }

    /// Who was not heard yet.
    pub(super) fn unheard(&self) -> Vec<u32> {
        let known = self.known_mut();
        let open =
            known.iter().filter(|(_, known)| known.refused.is_none() && known.ids.is_empty());
        open.map(|(n, _)| *n).collect()
    }

    fn played(&self, n: u32) {
        if let Some(known) = self.known_mut().get_mut(&n) {
            known.played = true;
        }
    }

    fn say(&self, saying: &Saying) {
        let at = self.0.scene.books().tick();
        if let Some(known) = self.known_mut().get_mut(&saying.n) {
            known.offered.get_or_insert(at);
        }
        self.offer(saying, Aim::Say);
    }

    fn offer(&self, saying: &Saying, aim: Aim) {
        let Some(line) = self.0.scene.lines.get(saying.channel()) else { return };
        let (envelope, nonce) = match aim {
            Aim::Say => (saying.envelope(), saying.nonce()),
            Aim::Reuse => (saying.reused(), None),
            Aim::Replay => {
                let text = format!("echo {}", saying.n + 200_000);
                (saying.with_text(&format!("{}-replayed", saying.id), text), saying.nonce())
            }
        };
        let ticket = line.inbound.offer(envelope, nonce);
        self.0.scene.books().tell(|| {
            format!("  {aim:?} {:?} to {} as {ticket}", saying.text, lane_of(&saying.envelope()))
        });
        self.open().insert((saying.channel().to_string(), ticket), (saying.n, aim));
    }

    fn hear(&self, offer: &(String, u64), verdict: Verdict) {
        let Some((n, aim)) = self.open().remove(offer) else { return };
        let scene = &self.0.scene;
        let Some(saying) = scene.saying(n) else { return };
        let again = match verdict {
            Verdict::Retry { after } => Some(after),
            Verdict::Lost => Some(Duration::from_millis(200 + scene.rng.below(8_000))),
            Verdict::Accepted { .. } | Verdict::Refused(_) => None,
        };
        if let Some(after) = again {
            // Kept open, so that nobody is quiet before it was offered again.
            let key = (format!("{} again", offer.0), offer.1);
            self.open().insert(key.clone(), (n, aim));
            let (here, saying) = (self.clone(), saying.clone());
            tokio::spawn(async move {
                sleep(after).await;
                here.offer(&saying, aim);
                here.open().remove(&key);
            });
            return;
        }
        match aim {
            Aim::Say => self.heard(saying, verdict),
            Aim::Reuse | Aim::Replay => self.caught(saying, aim, verdict),
        }
    }

    fn heard(&self, saying: &Saying, verdict: Verdict) {
        let scene = &self.0.scene;
        let at = scene.books().tick();
        let mut all = self.known_mut();
        let Some(known) = all.get_mut(&saying.n) else { return };
        match verdict {
            Verdict::Accepted { message, duplicate } => {
                known.accepted.get_or_insert(at);
                known.ids.insert(message);
                known.news += u32::from(!duplicate);
                if known.news > 1 {
                    scene.violate(format!("message {} was accepted as new twice", saying.n));
                }
                if let Some(bad) = saying.bad {
                    scene
                        .violate(format!("message {} is bad ({bad:?}) and was accepted", saying.n));
                }
                let aim = match saying.trick {
                    Some(Trick::Reuse) => Some(Aim::Reuse),
                    Some(Trick::Replay) if saying.nonce().is_some() => Some(Aim::Replay),
                    _ => None,
                };
                match aim {
                    Some(aim) if !known.played => self.offer(saying, aim),
                    _ => {
                        known.played |=
                            !matches!(saying.trick, Some(Trick::Later(_) | Trick::Twice));
                    }
                }
            }
            Verdict::Refused(kind) => {
                known.refused = Some(kind);
                known.played = true;
                if saying.bad.map(Bad::kind) != Some(kind) {
                    scene.violate(format!("message {} was refused: {kind}", saying.n));
                }
            }
            Verdict::Retry { .. } | Verdict::Lost => {}
        }
    }

    /// A reused id or nonce must be refused for good.
    fn caught(&self, saying: &Saying, aim: Aim, verdict: Verdict) {
        let scene = &self.0.scene;
        let meant = match aim {
            Aim::Replay => ErrorKind::AuthenticationFailed,
            Aim::Say | Aim::Reuse => ErrorKind::Conflict,
        };
        if verdict == Verdict::Refused(meant) {
            scene.marks.hit(row::C9);
        } else {
            scene.violate(format!("{aim:?} of message {} came to {verdict:?}", saying.n));
        }
        self.played(saying.n);
    }
}
