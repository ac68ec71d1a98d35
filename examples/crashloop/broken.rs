//! Protections taken away, by wrappers around public traits: the check must see each of them.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use async_trait::async_trait;
use openclaw_core::{
    Call, ChannelId, Content, MessageId, Result,
    channel::{
        Ack, Acker, Admitted, Capabilities, Channel, Delivery, Health, Outbound, Part, Receipt,
        Reconcile, Source,
    },
    store::{
        Commit, Entry, Guard, Key, Op, Page, ScanQuery, SharedStore, Snapshot, StateStore,
        StoreCapabilities, StoreError, Txn, Version,
    },
};

/// A protection that can be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// The guard that admits a message once.
    Dedupe,
    /// The guard that claims an effect once.
    Ledger,
    /// The commit that comes before the acknowledgement.
    AckBeforeWrite,
    /// The order inside a conversation.
    Order,
    /// The guard by which a gateway that was taken over loses its commits.
    Fence,
}

impl Break {
    pub(crate) const ALL: [Self; 5] =
        [Self::Dedupe, Self::Ledger, Self::AckBeforeWrite, Self::Order, Self::Fence];

    /// The word on the command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Dedupe => "dedupe",
            Self::Ledger => "ledger",
            Self::AckBeforeWrite => "ack_before_write",
            Self::Order => "order",
            Self::Fence => "fence",
        }
    }

    /// The protection of this name.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|broken| broken.word() == word)
    }
}

/// A store that does not check whether a row is there already, in the step that is broken.
#[derive(Debug)]
pub(crate) struct BrokenStore<S> {
    inner: S,
    broken: Option<Break>,
}

impl<S> BrokenStore<S> {
    pub(crate) const fn new(inner: S, broken: Option<Break>) -> Self {
        Self { inner, broken }
    }

    fn spoil(&self, mut txn: Txn) -> Txn {
        let step = match self.broken {
            Some(Break::Dedupe) => "admit",
            Some(Break::Ledger) => "claim",
            Some(Break::Fence) => return unfenced(txn),
            Some(Break::AckBeforeWrite | Break::Order) | None => return txn,
        };
        if txn.label == step {
            txn.guards.retain(|guard| !matches!(guard, Guard::Absent(_)));
        }
        txn
    }
}

/// A transaction that asks for no fence but for its row: whoever once had it may still write.
fn unfenced(mut txn: Txn) -> Txn {
    let fences = Key::system("pt").prefix();
    let is_fence = |key: &Key| key.behind(&fences).is_some();
    // Whoever takes over still asks for what it has seen.
    if txn.ops.iter().any(|op| matches!(op, Op::Put { key, .. } if is_fence(key))) {
        return txn;
    }
    for guard in &mut txn.guards {
        if let Guard::VersionIs(key, _) = guard
            && is_fence(key)
        {
            *guard = Guard::Exists(key.clone());
        }
    }
    txn
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: StateStore> StateStore for BrokenStore<S> {
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        self.inner.get_many(keys).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.inner.scan(query).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.inner.commit(self.spoil(txn)).await
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        self.inner.commit_many(txns.into_iter().map(|txn| self.spoil(txn)).collect()).await
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        self.inner.raise(least).await
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        self.inner.snapshot().await
    }
}

/// A channel whose source is broken.
#[derive(Debug)]
pub(crate) struct BrokenChannel<C> {
    inner: C,
    broken: Option<Break>,
}

impl<C> BrokenChannel<C> {
    pub(crate) const fn new(inner: C, broken: Option<Break>) -> Self {
        Self { inner, broken }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<C: Channel> Channel for BrokenChannel<C> {
    fn id(&self) -> &ChannelId {
        self.inner.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        let source = self.inner.receive().await?;
        Ok(match (source, self.broken) {
            (Some(inner), Some(Break::AckBeforeWrite)) => Some(Box::new(EarlyAcks { inner })),
            (Some(inner), Some(Break::Order)) => Some(Box::new(Shuffled { inner })),
            (source, _) => source,
        })
    }

    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        self.inner.send(call).await
    }

    fn render(&self, content: &Content) -> Vec<Part> {
        self.inner.render(content)
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        self.inner.reconcile()
    }
}

/// Tells the platform that a message is safe before anybody has written it.
#[derive(Debug)]
struct EarlyAcks {
    inner: Box<dyn Source>,
}

#[async_trait]
impl Source for EarlyAcks {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        let mut batch = Vec::new();
        for delivery in self.inner.next(max).await? {
            let (envelope, settle) = delivery.into_parts();
            settle.settle(Ack::Accept(Admitted::new(MessageId::from_u128(0), false))).await?;
            batch.push(Delivery::new(envelope, Deaf));
        }
        // Time enough for the platform to hear it.
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(batch)
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.inner.close().await
    }
}

/// Nobody hears what became of the message: the platform was told before.
#[derive(Debug)]
struct Deaf;

#[async_trait]
impl Acker for Deaf {
    async fn settle(self: Box<Self>, _ack: Ack) -> Result<()> {
        Ok(())
    }

    fn abandon(self: Box<Self>) {}
}

/// Hands the last message of a batch out first.
#[derive(Debug)]
struct Shuffled {
    inner: Box<dyn Source>,
}

#[async_trait]
impl Source for Shuffled {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        let mut batch = self.inner.next(max).await?;
        batch.reverse();
        Ok(batch)
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.inner.close().await
    }
}

/// The wrapped store, as the gateway takes it.
pub(crate) fn store(inner: impl StateStore, broken: Option<Break>) -> Arc<dyn StateStore> {
    Arc::new(BrokenStore::new(inner, broken))
}
