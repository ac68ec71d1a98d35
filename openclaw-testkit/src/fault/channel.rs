//! A channel that meets faults on its way in and out.

use async_trait::async_trait;
use openclaw_core::{
    Call, ChannelId, Content, Result,
    channel::{
        Capabilities, Channel, Health, Intent, Outbound, Part, Receipt, Reconcile, Reconciled,
        Source,
    },
};

use super::{
    Fault, Plan,
    pass::{boom, injected},
    source::FaultSource,
};

/// A [`Channel`] whose operations meet the faults of a [`Plan`].
///
/// * `"send"`: calls. A duplicate makes the request twice.
/// * `"receive"`, `"close"`, `"health"` and `"reconcile"`: ask. Health that fails is `Down`.
/// * `"next"`: tells. With a lost answer what was pulled is dropped unsettled. It can also give
///   a delivery twice (the second one in the next pull; its verdict is heard by nobody), and
///   reorder or shuffle what one pull brought.
/// * `"render"`, which also has the text for a name: can panic.
/// * `"settle"`: tells. When it fails the delivery is dropped unsettled.
///
/// Each also has the channel's id for a name.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), openclaw_core::InvalidId> {
/// use openclaw_core::{ChannelId, channel::{Capabilities, Channel, Health}};
/// use openclaw_testkit::{fault::{FaultChannel, Plan}, platform::Platform, trace::Trace};
///
/// let plan = Plan::default();
/// let desk = Platform::new(ChannelId::new("desk")?, Trace::default())
///     .channel(Capabilities::default(), plan.power().clone());
/// let channel = FaultChannel::new(desk, plan.clone());
/// plan.fail("desk");
/// assert!(channel.receive().await.is_err(), "everything that the channel does fails");
/// assert!(matches!(channel.health().await, Health::Down(_)));
/// plan.heal();
/// assert_eq!(channel.health().await, Health::Up);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FaultChannel<C> {
    inner: C,
    plan: Plan,
}

impl<C: Channel> FaultChannel<C> {
    /// This channel under this plan.
    #[must_use]
    pub const fn new(inner: C, plan: Plan) -> Self {
        Self { inner, plan }
    }

    /// The plan that it meets.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<C: Channel> Channel for FaultChannel<C> {
    fn id(&self) -> &ChannelId {
        self.inner.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        let names = ["receive", self.id().as_str()];
        let pass = self.plan.enter(&names, Fault::asking, injected).await?;
        let source = pass.leave(self.inner.receive().await).await?;
        let wrap = |source| FaultSource::new(source, self.id().clone(), self.plan.clone());
        Ok(source.map(|source| Box::new(wrap(source)) as Box<dyn Source>))
    }

    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        let names = ["send", self.id().as_str()];
        let pass = self.plan.enter(&names, Fault::calling, injected).await?;
        let again = pass.twice().then(|| call.clone());
        let outcome = self.inner.send(call).await;
        if let Some(again) = again {
            drop(self.inner.send(again).await);
        }
        pass.leave(outcome).await
    }

    fn render(&self, content: &Content) -> Vec<Part> {
        let text = content.to_text();
        let panics = |fault| fault == Fault::Panic;
        if self.plan.meet(&["render", self.id().as_str(), &text], panics).is_some() {
            boom();
        }
        self.inner.render(content)
    }

    async fn health(&self) -> Health {
        let names = ["health", self.id().as_str()];
        match self.plan.enter(&names, Fault::asking, injected).await {
            Ok(pass) => {
                let health = pass.leave(Ok(self.inner.health().await)).await;
                health.unwrap_or_else(|e| Health::Down(e.to_string()))
            }
            Err(e) => Health::Down(e.to_string()),
        }
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        self.inner.reconcile().map(|_| self as &dyn Reconcile)
    }
}

#[async_trait]
impl<C: Channel> Reconcile for FaultChannel<C> {
    async fn reconcile(&self, intent: &Intent) -> Result<Reconciled> {
        let names = ["reconcile", self.id().as_str()];
        let pass = self.plan.enter(&names, Fault::asking, injected).await?;
        let outcome = match self.inner.reconcile() {
            Some(inner) => inner.reconcile(intent).await,
            None => Ok(Reconciled::CannotKnow),
        };
        pass.leave(outcome).await
    }
}
