//! A wrapper without faults holds the laws of what it wraps, and its faults break them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use openclaw_core::{Effect, channel::Channel, store::MemoryStore};
use openclaw_testkit::{
    conformance::{
        channel::{ChannelHarness, ChannelPeer, check},
        store,
    },
    fault::{Fault, FaultChannel, FaultStore, Plan},
};

use crate::naive_channel::{Flaw, Naive};

/// Channels without a flaw, under plans of this kind.
struct Wrapped(fn() -> Plan, Effect);

#[async_trait::async_trait]
impl ChannelHarness for Wrapped {
    async fn fresh(&self) -> (Box<dyn Channel>, Box<dyn ChannelPeer>) {
        let (channel, peer) = Naive(Flaw::None, self.1).fresh().await;
        (Box::new(FaultChannel::new(channel, (self.0)())), peer)
    }

    fn hangs_up(&self) -> bool {
        Naive(Flaw::None, self.1).hangs_up()
    }

    fn real_time(&self) -> bool {
        Naive(Flaw::None, self.1).real_time()
    }
}

mod a_store_under_an_empty_plan {
    use openclaw_core::store::MemoryStore;
    use openclaw_testkit::{
        conformance::store::on,
        fault::{FaultStore, Plan},
        store_laws,
    };

    store_laws!(on(|clock| FaultStore::new(MemoryStore::new(clock), Plan::default())));
}

mod a_channel_with_keyed_posts_under_an_empty_plan {
    use std::time::Duration;

    use openclaw_core::Effect;
    use openclaw_testkit::{channel_laws, fault::Plan};

    channel_laws!(super::Wrapped(
        Plan::default,
        Effect::Keyed { retention: Duration::from_secs(3_600) }
    ));
}

mod a_channel_with_a_hook_under_an_empty_plan {
    use openclaw_core::Effect;
    use openclaw_testkit::{channel_laws, fault::Plan};

    channel_laws!(super::Wrapped(Plan::default, Effect::Reconcilable));
}

/// Does a channel under such plans hold this law?
fn holds(law: &str, plan: fn() -> Plan) -> bool {
    let harness = Wrapped(plan, Effect::AtMostOnce);
    catch_unwind(AssertUnwindSafe(|| check(law, &harness))).is_ok()
}

fn every(op: &str, fault: Fault) -> Plan {
    let plan = Plan::default();
    plan.every(op, fault);
    plan
}

#[test]
fn the_laws_see_a_channel_s_faults() {
    let post = "a_post_is_heard_once";
    assert!(holds(post, Plan::default));
    assert!(!holds(post, || every("send", Fault::Duplicate)));
    assert!(!holds(post, || every("send", Fault::LoseRequest)));
    let order = "a_conversation_keeps_its_order";
    assert!(!holds(order, || every("next", Fault::Shuffle)));
    assert!(holds(order, || every("next", Fault::Reorder)), "each conversation stays in order");
    assert!(!holds("a_dead_letter_never_comes_again", || every("settle", Fault::Fail)));
    assert!(!holds("health_answers_within_a_second", || every("health", Fault::Hang)));
}

#[test]
fn the_laws_see_a_store_s_faults() {
    let harness = store::on(|clock| {
        FaultStore::new(MemoryStore::new(clock), every("commit", Fault::LoseRequest))
    });
    let broken = catch_unwind(AssertUnwindSafe(|| store::check_all(&harness)));
    assert!(broken.is_err());
}
