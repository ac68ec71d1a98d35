//! The happy way of a message, and what it costs.

use openclaw_core::gateway::{AckPolicy, MessageState};
use openclaw_testkit::{fault::Power, platform::Verdict, trace::Event};

use crate::support::{World, echo, tenant};

#[tokio::test(start_paused = true)]
async fn a_message_is_answered_once() {
    let world = World::new(1);
    let run = world.start(|builder| builder.agent(echo())).await;
    let message = world.tell("c1", "m1", "hello").await;
    let end = run.end(message).await;
    assert_eq!(end.state, MessageState::Done);
    assert_eq!(end.reply.unwrap().to_text(), "hello");
    let posts = world.platform.posts();
    assert_eq!(posts.len(), 1);
    assert_eq!((posts[0].text.as_str(), posts[0].reply_to), ("hello", Some(message)));
    assert_eq!(posts[0].chat, "c1");
}

#[tokio::test(start_paused = true)]
async fn a_message_costs_four_commits_and_seven_rows() {
    let world = World::new(1);
    let run = world.start(|builder| builder.agent(echo())).await;
    // The first message of a tenant marks the tenant, too.
    run.ends(world.tell("c1", "m0", "first").await, MessageState::Done).await;
    world.trace.clear();
    run.ends(world.tell("c1", "m1", "second").await, MessageState::Done).await;
    let expected = [("admit", 2), ("turn", 2), ("dispatch", 1), ("done", 2)];
    assert_eq!(world.trace.rows(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_finished_message_leaves_three_rows() {
    let world = World::new(1);
    let run = world.start(|builder| builder.agent(echo())).await;
    run.ends(world.tell("c1", "m0", "first").await, MessageState::Done).await;
    let before = world.rows.len();
    run.ends(world.tell("c1", "m1", "second").await, MessageState::Done).await;
    assert_eq!(world.rows.len() - before, 3, "seen, audit, done");
}

/// The place of the first event that fits, in the order of the trace.
fn place(world: &World, fits: impl Fn(&Event) -> bool) -> usize {
    let events = world.trace.events();
    events.iter().position(fits).unwrap_or_else(|| panic!("not in {events:?}"))
}

fn committed(label: &'static str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Commit { label: l, .. } if *l == label)
}

const fn settled(event: &Event) -> bool {
    matches!(event, Event::Settled(Verdict::Accepted { .. }))
}

const fn sent(event: &Event) -> bool {
    matches!(event, Event::Sent { .. })
}

#[tokio::test(start_paused = true)]
async fn each_step_is_durable_before_the_next_one_is_seen() {
    let world = World::new(1);
    let run = world.start(|builder| builder.agent(echo())).await;
    run.ends(world.tell("c1", "m1", "hello").await, MessageState::Done).await;
    let (admit, ack) = (place(&world, committed("admit")), place(&world, settled));
    assert!(admit < ack, "acknowledged before it was durable");
    let (dispatch, send) = (place(&world, committed("dispatch")), place(&world, sent));
    assert!(place(&world, committed("turn")) < dispatch);
    assert!(dispatch < send, "sent before that was recorded");
    assert!(send < place(&world, committed("done")));
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_of_the_reply_waits_for_the_reply() {
    let world = World::new(1);
    let desk = world.platform.channel(world.capabilities.clone(), Power::on());
    let builder = openclaw_core::gateway::Gateway::builder(world.env.clone(), world.rows.clone());
    let gateway =
        builder.channel_with(desk, AckPolicy::Replied).agent(echo()).start().await.unwrap();
    let message = world.tell("c1", "m1", "hello").await;
    assert!(place(&world, sent) < place(&world, settled));
    let status = gateway.status(&tenant(), message).await.unwrap().unwrap();
    assert_eq!(status.state, MessageState::Done);
}
