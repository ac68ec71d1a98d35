//! The channel of one process to a platform, with what breaks on the way.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use openclaw_core::{
    Call, ChannelId, Digest, Effect, Error, ErrorKind, Happened, MessageId, Result,
    channel::{
        Capabilities, Channel, Health, Intent, Outbound, Receipt, Reconcile, Reconciled, Source,
    },
};
use tokio::time::sleep;

use super::{
    Fault,
    board::{Board, receipt},
    here::{Held, Here},
    inbound::Inlet,
    plan::Facts,
    rows::live,
    tries::{Doing, Told},
};

/// The channel of one process.
#[derive(Clone, Debug)]
pub(super) struct SimChannel {
    pub(super) here: Here,
    pub(super) facts: Facts,
}

/// The turn and the operation of a key.
pub(super) fn turn_of(key: &str) -> Option<MessageId> {
    key.split_once('.')?.0.parse().ok()
}

impl SimChannel {
    fn board(&self) -> Result<&Board> {
        let missing = || Error::new(ErrorKind::NotFound, "the platform has no such line");
        Ok(&self.here.scene.lines.get(&self.facts.id).ok_or_else(missing)?.board)
    }

    /// What a send has to be, before anything is sent.
    fn look(&self, call: &Call<Outbound>) {
        let scene = &self.here.scene;
        if let Outbound::Post { part, .. } | Outbound::Edit { part, .. } = call.payload() {
            let len = self.facts.capabilities.unit.len(&part.content.to_text());
            if self.facts.capabilities.max_text.is_some_and(|max| len > max.get()) {
                scene.violate(format!("{len} letters are too many for {}", self.facts.id));
            }
        }
        let Some(key) = call.key() else { return self.look_at_hint(call) };
        let text = format!("{:?}", call.payload());
        let mut books = scene.books();
        let context = call.context();
        if books
            .courses
            .get(&turn_of(key.as_str()).unwrap_or(MessageId::from_u128(0)))
            .is_none_or(|course| *course.tenant != *context.tenant().as_str())
        {
            books.violate(format!("{key} is sent for {}, whose it is not", context.tenant()));
        }
        books.begin_try(&Doing {
            process: self.here.process,
            key: key.as_str(),
            effect: call.effect(),
            at: scene.now(),
            asked: Digest::of("sim.send", [text.as_bytes()]),
            version: Arc::default(),
            most: (call.effect() != Effect::Pure).then_some(scene.plan.config.send_attempts),
        });
        let recorded = turn_of(key.as_str())
            .map(|turn| live(call.context().tenant(), turn))
            .and_then(|row| books.last(&row));
        let zombie = self.here.process < books.owner;
        if call.effect() != Effect::Pure && recorded != Some("dispatch") && !zombie {
            books.violate(format!(
                "{key} is sent, and its row says {recorded:?}, not that it is on its way"
            ));
        }
    }

    /// A hint must not come behind the reply.
    fn look_at_hint(&self, call: &Call<Outbound>) {
        let Ok(board) = self.board() else { return };
        let late = match call.payload() {
            Outbound::Post { reply_to: Some(turn), .. } => {
                board.find(&format!("{turn}.reply.0")).is_some()
            }
            Outbound::Edit { message, .. } | Outbound::Delete { message, .. } => {
                let at = message.strip_prefix('p').and_then(|at| at.parse::<usize>().ok());
                at.and_then(|at| board.posts().get(at).map(|post| post.replaced)).unwrap_or(false)
            }
            _ => false,
        };
        let mut books = self.here.scene.books();
        if late && self.here.process >= books.owner {
            books.violate(format!("a hint came behind its reply: {:?}", call.payload()));
        }
    }

    #[expect(clippy::panic, reason = "to panic is one of the faults")]
    async fn act(&self, call: &Call<Outbound>) -> Result<Receipt> {
        let dice = &self.here.scene.dice;
        let dies = self.here.dies_at_effect();
        if dies == Some(false) {
            return self.here.power.die().await;
        }
        let error = |kind, happened| Error::new(kind, "the run says so").with_happened(happened);
        if dies.is_none() {
            if dice.strikes(Fault::SendRefused) {
                return Err(error(ErrorKind::Unavailable, Happened::No));
            }
            if dice.strikes(Fault::SendLimited) {
                let after = Duration::from_millis(200 + dice.below(Fault::SendLimited, 4_000));
                return Err(error(ErrorKind::RateLimited, Happened::No).with_retry_after(after));
            }
            if dice.strikes(Fault::SendLosesRequest) {
                return Err(error(ErrorKind::Unavailable, Happened::Maybe));
            }
            if dice.strikes(Fault::SendPanics) {
                panic!("the channel panics, as the run says");
            }
        }
        let receipt = self.board()?.take(call)?;
        let what = format!("sent {:?} {:?}", call.key(), call.payload());
        self.here.scene.books().event(self.here.process, &what);
        if dies.is_some() {
            return self.here.power.die().await;
        }
        if dice.strikes(Fault::SendLosesAnswer) {
            return Err(error(ErrorKind::Unavailable, Happened::Maybe));
        }
        if dice.strikes(Fault::SendHangs) {
            std::future::pending::<()>().await;
        }
        if dice.strikes(Fault::SendSlow) {
            sleep(Duration::from_millis(100 + dice.below(Fault::SendSlow, 3_000))).await;
        }
        Ok(receipt)
    }
}

/// What the caller is told by an outcome.
pub(super) fn told<T>(outcome: &Result<T>) -> Told {
    match outcome {
        Ok(_) => Told { happened: Happened::Yes, wait: None },
        Err(e) => Told { happened: e.happened(), wait: e.retry_after() },
    }
}

#[async_trait]
impl Channel for SimChannel {
    fn id(&self) -> &ChannelId {
        &self.facts.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.facts.capabilities
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        self.here.power.gate().await;
        Ok(Some(Box::new(Inlet { here: self.here.clone(), line: self.facts.id.clone() })))
    }

    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        self.here.power.gate().await;
        self.look(&call);
        // A hint has its own patience.
        let most = self.here.scene.plan.config.send_timeout;
        let held = call.key().map(|_| Held::new(&self.here, most, call.target()));
        let outcome = self.act(&call).await;
        self.here.power.gate().await;
        drop(held);
        if let Some(key) = call.key() {
            self.here.scene.books().end_try(
                self.here.process,
                self.here.scene.now(),
                key.as_str(),
                told(&outcome),
            );
        }
        outcome
    }

    async fn health(&self) -> Health {
        Health::Up
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        (self.facts.capabilities.post == Effect::Reconcilable).then_some(self)
    }
}

#[async_trait]
impl Reconcile for SimChannel {
    async fn reconcile(&self, intent: &Intent) -> Result<Reconciled> {
        self.here.power.gate().await;
        if let Some(answer) = look_up_fails(&self.here)? {
            return Ok(answer);
        }
        let key = intent.key.as_str();
        let Some(at) = self.board()?.find(key) else {
            self.here.scene.books().ruled_out(key);
            return Ok(Reconciled::DidNotHappen);
        };
        let message = receipt(at).message.unwrap_or_default();
        Ok(Reconciled::Happened(Arc::new(message.as_ref().into())))
    }
}

/// What a look-up says when it does not tell the truth.
pub(super) fn look_up_fails(here: &Here) -> Result<Option<Reconciled>> {
    let dice = &here.scene.dice;
    if dice.strikes(Fault::LookUpFails) {
        if dice.below(Fault::LookUpFails, 2) == 0 {
            return Err(Error::new(ErrorKind::Unavailable, "the look-up is away"));
        }
        let retry_after = Duration::from_millis(500);
        return Ok(Some(Reconciled::NotYetKnown { retry_after }));
    }
    Ok(dice.strikes(Fault::LookUpBlind).then_some(Reconciled::CannotKnow))
}
