//! A channel written the plain way, with one flaw at a time planted into it.

mod hub;
mod source;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use openclaw_core::{
    Call, ChannelId, Content, Effect, Error, ErrorKind, Happened, Result,
    channel::{
        Capabilities, Channel, Health, Intent, Outbound, Part, Receipt, Reconcile, Reconciled,
        Source, TextUnit,
    },
};
use openclaw_testkit::conformance::channel::{ChannelHarness, ChannelPeer, Heard};

use self::{hub::Hub, source::NaiveSource};

/// Something that a channel does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    AcceptsCountForTheEarlier,
    AcceptedComeAgain,
    CloseForgetsWhatIsOut,
    CloseTakesBackWhatIsOut,
    ConnectsOnce,
    DeadLettersComeAgain,
    DeclaredIsUnsupported,
    DropsAreForgotten,
    EditsAreHeardAnyway,
    GivesMoreThanMax,
    HangUpIsSilent,
    HasNoHook,
    HealthIsSlow,
    HookPosts,
    HookSaysNo,
    HookSaysYes,
    IdsAreEqual,
    IdsAreNew,
    KeysAreIgnored,
    LosesSome,
    NameChanges,
    NextLosesWhatItHeld,
    NothingMeansEnd,
    PostsGoElsewhere,
    PostsTwice,
    RenderCountsBytes,
    RenderDropsTheTail,
    RenderIsMoody,
    RenderMakesTooMany,
    RetriesAreHasty,
    SaysItTwice,
    SendsOutOfOrder,
    SwapsOrder,
    UndeclaredIsFine,
}

#[derive(Debug)]
pub(crate) struct NaiveChannel {
    flaw: Flaw,
    ids: [ChannelId; 2],
    capabilities: Capabilities,
    asked: AtomicU32,
    hub: Arc<Hub>,
}

impl NaiveChannel {
    fn new(flaw: Flaw, post: Effect, hub: &Arc<Hub>) -> Self {
        let mut capabilities = Capabilities::default();
        capabilities.redelivers = true;
        capabilities.post = post;
        capabilities.edit = true;
        capabilities.typing = true;
        capabilities.max_text = NonZeroUsize::new(40);
        capabilities.unit = TextUnit::Utf16;
        capabilities.max_parts = 5;
        let ids = ["naive", "other"].map(|name| ChannelId::new(name).unwrap());
        Self { flaw, ids, capabilities, asked: AtomicU32::new(0), hub: Arc::clone(hub) }
    }

    fn supports(&self, outbound: &Outbound) -> bool {
        match (self.flaw, outbound) {
            (Flaw::DeclaredIsUnsupported, Outbound::Typing { .. }) => false,
            (Flaw::UndeclaredIsFine, _) => true,
            _ => self.capabilities.allows(outbound),
        }
    }
}

#[async_trait::async_trait]
impl Channel for NaiveChannel {
    fn id(&self) -> &ChannelId {
        let n = if self.flaw == Flaw::NameChanges {
            self.asked.fetch_add(1, Ordering::SeqCst)
        } else {
            0
        };
        &self.ids[n as usize % 2]
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        let connection = self.hub.connect();
        if self.flaw == Flaw::ConnectsOnce && connection > 1 {
            return Ok(None);
        }
        Ok(Some(Box::new(NaiveSource::new(self.ids[0].clone(), connection, &self.hub))))
    }

    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        if !self.supports(call.payload()) {
            let e = Error::new(ErrorKind::Unsupported, "not here").with_happened(Happened::No);
            if self.flaw == Flaw::EditsAreHeardAnyway {
                self.hub.hear(None, Heard::new("c1", "something"));
            }
            return Err(e);
        }
        let key = call.key().map(ToString::to_string);
        let Outbound::Post { to, part, .. } = call.into_payload() else {
            return Ok(Receipt::default());
        };
        let place = if self.flaw == Flaw::PostsGoElsewhere { "c0".into() } else { to.id };
        let heard = Heard::new(place, part.content.to_text());
        Ok(Receipt::new(self.hub.hear(key, heard)))
    }

    fn render(&self, content: &Content) -> Vec<Part> {
        let (max, most) = (40, self.capabilities.max_parts);
        let fits = |text: &str| match self.flaw {
            Flaw::RenderCountsBytes => text.chars().count() <= max,
            _ => TextUnit::Utf16.len(text) <= max,
        };
        let mut parts = vec![String::new()];
        for c in content.to_text().chars() {
            let last = parts.last_mut().unwrap();
            last.push(c);
            if !fits(last) {
                last.pop();
                parts.push(c.to_string());
            }
        }
        match self.flaw {
            Flaw::RenderMakesTooMany => {}
            Flaw::RenderDropsTheTail => parts.truncate(1),
            _ => parts.truncate(most),
        }
        if self.flaw == Flaw::RenderIsMoody && self.asked.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
            parts.push("again".to_owned());
        }
        parts.into_iter().map(|text| Part::new(Content::text(text))).collect()
    }

    async fn health(&self) -> Health {
        if self.flaw == Flaw::HealthIsSlow {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        Health::Up
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        (self.flaw != Flaw::HasNoHook).then_some(self)
    }
}

#[async_trait::async_trait]
impl Reconcile for NaiveChannel {
    async fn reconcile(&self, intent: &Intent) -> Result<Reconciled> {
        if self.flaw == Flaw::HookPosts {
            self.hub.hear(None, Heard::new("c1", "Did it arrive?"));
        }
        Ok(match (self.flaw, self.hub.sent(intent.key.as_str())) {
            (Flaw::HookSaysNo, _) => Reconciled::DidNotHappen,
            (Flaw::HookSaysYes, _) | (_, true) => Reconciled::Happened(Arc::default()),
            (_, false) => Reconciled::DidNotHappen,
        })
    }
}

/// Makes naive channels with this flaw, and posts of this effect.
pub(crate) struct Naive(pub(crate) Flaw, pub(crate) Effect);

struct Peer(Arc<Hub>);

#[async_trait::async_trait]
impl ChannelHarness for Naive {
    async fn fresh(&self) -> (Box<dyn Channel>, Box<dyn ChannelPeer>) {
        let hub = Hub::new(self.0);
        (Box::new(NaiveChannel::new(self.0, self.1, &hub)), Box::new(Peer(hub)))
    }

    fn hangs_up(&self) -> bool {
        true
    }
}

#[async_trait::async_trait]
impl ChannelPeer for Peer {
    async fn say(&self, conversation: &str, text: &str) {
        self.0.say(conversation, text);
    }

    async fn heard(&self) -> Vec<Heard> {
        self.0.heard()
    }

    async fn hang_up(&self) {
        self.0.hang_up();
    }
}
