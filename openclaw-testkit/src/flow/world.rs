//! What outlives every process of a test: rows, platforms, clock, and who said what.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use openclaw_core::{
    ChannelId, Content, Conversation, Env, Envelope, Error, ErrorKind, Result, Sender, TenantId,
    channel::Capabilities,
    gateway::{Gateway, GatewayBuilder},
};
use tokio::time::Instant;

use super::{
    sent::{Admission, Sent},
    store::Rows,
};
use crate::{
    env::{PausedClock, SeededRng},
    fault::{Plan, Power},
    platform::{Platform, Verdict},
};

pub(super) type Compose = Box<dyn Fn(GatewayBuilder) -> GatewayBuilder + Send + Sync>;

/// Where somebody talks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) tenant: TenantId,
    pub(super) channel: ChannelId,
    pub(super) chat: String,
    pub(super) user: String,
}

pub(super) struct World {
    pub(super) compose: Compose,
    pub(super) clock: PausedClock,
    pub(super) rng: SeededRng,
    pub(super) rows: Rows,
    pub(super) began: Instant,
    pub(super) desks: BTreeMap<ChannelId, (Platform, Capabilities)>,
    pub(super) channel: ChannelId,
    pub(super) tenant: TenantId,
    pub(super) talk: Mutex<Talk>,
}

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Talk {
    sent: Vec<Arc<Sent>>,
    last: BTreeMap<Place, Arc<Sent>>,
    lines: Vec<String>,
}

/// One run of the gateway, until it crashes or is drained.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) gateway: Gateway,
    pub(super) plan: Plan,
    /// It was drained.
    pub(super) stopped: bool,
    /// It has no power, and its tasks are gone.
    pub(super) buried: AtomicBool,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("channels", &self.desks.keys()).finish_non_exhaustive()
    }
}

impl World {
    /// Starts the next process on the rows as they are.
    pub(super) async fn boot(&self) -> Result<Process> {
        let plan = Plan::new(Power::on());
        plan.seed(self.rng.split());
        let env = Env::new(self.clock.clone(), self.rng.split());
        let mut builder = Gateway::builder(env, self.rows.open(plan.clone()));
        for (platform, capabilities) in self.desks.values() {
            let channel = platform.channel(capabilities.clone(), plan.power().clone());
            builder = builder.channel(channel);
        }
        let gateway = (self.compose)(builder).start().await?;
        Ok(Process { gateway, plan, stopped: false, buried: AtomicBool::new(false) })
    }

    pub(super) fn platform(&self, channel: &ChannelId) -> Result<&Platform> {
        let missing = || {
            Error::new(ErrorKind::NotFound, "the test has no such channel").with("channel", channel)
        };
        self.desks.get(channel).map(|(platform, _)| platform).ok_or_else(missing)
    }

    /// Somebody says something.
    pub(super) fn say(&self, place: Place, text: &str, verified: bool) -> Result<Arc<Sent>> {
        let platform = self.platform(&place.channel)?;
        let mut talk = self.talk();
        let conversation = Conversation::new(place.channel.clone(), place.chat.as_str());
        let sender = Sender::new(place.user.as_str());
        let sender = if verified { sender.verified() } else { sender };
        let envelope =
            Envelope::new(place.tenant.clone(), conversation, sender, Content::text(text))
                .with_id(format!("said-{}", talk.sent.len() + 1));
        self.rows.know(&place.tenant);
        let sent = Arc::new(Sent::new(envelope.clone(), platform.deliver(envelope, None)));
        talk.sent.push(Arc::clone(&sent));
        talk.last.insert(place, Arc::clone(&sent));
        Ok(sent)
    }

    /// What somebody said last.
    pub(super) fn last(&self, place: &Place) -> Result<Arc<Sent>> {
        let silent = || Error::new(ErrorKind::NotFound, "this user has said nothing here");
        self.talk().last.get(place).cloned().ok_or_else(silent)
    }

    /// The platform delivers a message again.
    pub(super) fn deliver_again(&self, sent: &Sent) -> Result<()> {
        let ticket = self.platform(sent.channel())?.deliver(sent.envelope.clone(), None);
        sent.delivered_again(ticket);
        Ok(())
    }

    /// A new process is there: the platform delivers again what no process took.
    pub(super) fn deliver_lost(&self) -> Result<()> {
        let sent = self.talk().sent.clone();
        for sent in sent.iter().filter(|sent| sent.admission().is_none()) {
            match self.platform(sent.channel())?.peek(sent.ticket()) {
                Some(Verdict::Accepted { message, .. }) => {
                    sent.settled(Admission::Accepted(message));
                }
                Some(Verdict::Refused(kind)) => sent.settled(Admission::Refused(kind)),
                Some(Verdict::Abandoned | Verdict::Retry { .. } | Verdict::Overdue) => {
                    self.deliver_again(sent)?;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Virtual time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Adds lines to the transcript.
    pub(super) fn tell(&self, lines: impl IntoIterator<Item = String>) {
        self.talk().lines.extend(lines);
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.talk().lines.clone()
    }

    fn talk(&self) -> MutexGuard<'_, Talk> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
