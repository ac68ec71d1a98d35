//! Deliveries: settled once, or abandoned once.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use openclaw_core::{
    ChannelId, Content, Conversation, Envelope, MessageId, Result, Sender, TenantId,
    channel::{Ack, Acker, Admitted, Delivery, Nonce},
};

#[derive(Clone, Debug, Default)]
struct Tally(Arc<[AtomicU32; 2]>);

impl Tally {
    fn seen(&self) -> [u32; 2] {
        [&self.0[0], &self.0[1]].map(|n| n.load(Ordering::SeqCst))
    }

    fn delivery(&self) -> Delivery {
        let chat = Conversation::new(ChannelId::new("web").unwrap(), "c1");
        let tenant = TenantId::new("acme").unwrap();
        let envelope = Envelope::new(tenant, chat, Sender::new("ann"), Content::text("hi"));
        Delivery::new(envelope, self.clone())
    }
}

#[async_trait::async_trait]
impl Acker for Tally {
    async fn settle(self: Box<Self>, _: Ack) -> Result<()> {
        self.0[0].fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn abandon(self: Box<Self>) {
        self.0[1].fetch_add(1, Ordering::SeqCst);
    }
}

fn accept() -> Ack {
    Ack::Accept(Admitted::new(MessageId::from_u128(1), false))
}

#[tokio::test]
async fn a_settled_delivery_is_not_abandoned() {
    let tally = Tally::default();
    tally.delivery().settle(accept()).await.unwrap();
    assert_eq!(tally.seen(), [1, 0]);
}

#[tokio::test]
async fn a_dropped_delivery_is_abandoned_once() {
    let tally = Tally::default();
    drop(tally.delivery());
    assert_eq!(tally.seen(), [0, 1]);
}

#[tokio::test]
async fn the_duty_to_settle_goes_with_its_half() {
    let tally = Tally::default();
    let (envelope, settle) = tally.delivery().into_parts();
    drop(envelope);
    assert_eq!(tally.seen(), [0, 0]);
    settle.settle(accept()).await.unwrap();
    let (_envelope, settle) = tally.delivery().into_parts();
    drop(settle);
    assert_eq!(tally.seen(), [1, 1]);
}

#[tokio::test]
async fn a_settle_that_never_began_is_an_abandon() {
    let tally = Tally::default();
    drop(tally.delivery().settle(accept()));
    assert_eq!(tally.seen(), [0, 1]);
}

#[tokio::test]
async fn a_panic_abandons_what_it_held() {
    let tally = Tally::default();
    let held = tally.delivery();
    let broken = tokio::spawn(async move {
        let _held = held;
        panic!("the gateway breaks");
    });
    assert!(broken.await.unwrap_err().is_panic());
    assert_eq!(tally.seen(), [0, 1]);
}

#[test]
fn a_nonce_travels_with_its_delivery() {
    let nonce = Nonce::new("shop", "n-1", std::time::Duration::from_secs(600));
    let delivery = Tally::default().delivery().with_nonce(nonce.clone());
    assert_eq!(delivery.nonce(), Some(&nonce));
}
