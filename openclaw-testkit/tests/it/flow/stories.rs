//! Transcripts that are recorded, compared and blessed, and stories that are played.

use std::sync::Arc;

use openclaw_core::{
    AgentId, ErrorKind,
    agent::{Answer, agent_fn},
};
use openclaw_testkit::flow::{Bless, Story, TestGateway, Transcript, minutes, seconds};
use serde_json::json;

use super::{keyed, shop, shop_gateway};

async fn eventful() -> TestGateway {
    let mut gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
    let alice = gateway.user("alice");
    alice.says("look and refund").await.unwrap();
    alice.says("bye").expect_nothing().await.unwrap();
    gateway.user("bob").of("globex").in_chat("room").says("say a\nb").await.unwrap();
    gateway.user("alice").says("break").expect_dead_letter().await.unwrap();
    gateway.crash_in_skill("refund.create");
    gateway.user("alice").says("refund order 1042").expect_crash().await.unwrap();
    gateway.restart().await.unwrap();
    gateway.user("alice").waits().expect_reply("Refunded: 3").await.unwrap();
    gateway.advance(minutes(5)).await;
    gateway
}

const STORY: &str = r#"alice> look and refund
skill order.look {"order":7} -> 1
skill refund.create {"order":7} -> 2
gateway< 1 2
alice> bye
nothing
bob@globex#room> say a\nb
gateway< 1: say a\nb
alice> break
dead letter: there is no such skill
crash in skill refund.create
alice> refund order 1042
skill refund.create {"order":1042,"why":"late"} -> no answer
crashed
restart
alice waits
skill refund.create {"order":1042,"why":"late"} -> 3
gateway< Refunded: 3
advance 5m
"#;

#[tokio::test(start_paused = true)]
async fn a_run_is_recorded_and_its_record_can_be_played() {
    let recorded = eventful().await.transcript();
    assert_eq!(recorded.to_string(), STORY);
    let mut again = shop_gateway(&shop(), keyed()).seed(99).start().await.unwrap();
    Story::parse(STORY).unwrap().play(&mut again).await.unwrap();
    assert_eq!(again.transcript(), recorded);
}

#[tokio::test(start_paused = true)]
async fn a_story_fails_at_its_line() {
    for (wrong, line, text) in [
        ("gateway< 1 3", 1, r#"expected the reply "1 3", but the reply was "1 2""#),
        ("skill order.look {\"order\":8}", 1, "order.look with {\"order\":8}"),
        ("skill order.look {} -> 7", 1, "that came to 7"),
        ("nothing", 1, "expected nothing"),
        ("parked: x", 1, "expected a parked message"),
        ("suspended", 1, "expected a suspended turn"),
        ("refused CONFLICT", 1, "expected a refusal (CONFLICT)"),
        ("crashed", 1, "expected a crash"),
        ("replay bob", 2, "NOT_FOUND"),
        ("crash\ncrash", 3, "the gateway does not run"),
    ] {
        let mut gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
        let story = Story::parse(&format!("alice> look and refund\n{wrong}\n")).unwrap();
        let unmet = story.play(&mut gateway).await.unwrap_err().to_string();
        assert!(unmet.starts_with(&format!("line {line}: ")), "{wrong}: {unmet}");
        assert!(unmet.contains(text), "{wrong}: {unmet}");
    }
}

#[test]
fn a_line_that_means_nothing_is_refused() {
    for (text, line) in [
        ("alice> hm\nmumble", "2"),
        ("gateway< hm", "1"),
        ("# a comment\n\nadvance soon", "3"),
        ("alice> x\nskill a {", "2"),
        ("alice> x\nskill a {} 7", "2"),
        ("alice> x\nrefused NEVER", "2"),
        ("resolve bob {", "1"),
        ("> x", "1"),
    ] {
        let e = Story::parse(text).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::ValidationError);
        assert_eq!(e.context().next(), Some(("line", line)), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn operators_are_recorded_and_played() {
    let waiting = openclaw_core::agent::Waiting::Question { text: "which?".into() };
    let agent = openclaw_testkit::agent::ScriptedAgent::new("a")
        .unwrap()
        .when("break")
        .call("none", "x", json!({}))
        .then_say("never")
        .always()
        .then_wait(waiting);
    let story = "alice> hm\nsuspended\nresolve bob \"this \\\"one\\\"\"\nalice waits\n\
                 gateway< this \"one\"\nalice> break\ndead letter: there is no such skill\n\
                 replay bob\nalice waits\ndead letter\npurge bob\n\
                 approve bob a-1 pay 1.0.0 {\"eur\":5}\ndrain 10s\nrestart\n";
    let builder = TestGateway::builder().gateway(move |builder| builder.agent(agent.clone()));
    let mut gateway = builder.start().await.unwrap();
    Story::parse(story).unwrap().play(&mut gateway).await.unwrap();
    let recorded = gateway.transcript().to_string();
    assert!(recorded.contains("resolve bob \"this \\\"one\\\"\"\nalice waits\ngateway< this"));
    assert!(recorded.ends_with("approve bob a-1 pay 1.0.0 {\"eur\":5}\ndrain 10s\nrestart\n"));
}

#[tokio::test(start_paused = true)]
async fn ids_and_dates_differ_and_the_transcript_does_not() {
    let run = |seed| async move {
        let agent = Arc::new(agent_fn(AgentId::new("a").unwrap(), |turn| async move {
            Ok(Answer::text(format!("{} {}", turn.id(), openclaw_testkit::env::EPOCH)))
        }));
        let builder = TestGateway::builder().seed(seed);
        let builder = builder.gateway(move |builder| builder.agent(Arc::clone(&agent)));
        let mut gateway = builder.start().await.unwrap();
        gateway.advance(seconds(seed)).await;
        let first = gateway.user("alice").says("x").await.unwrap().replies()[0].clone();
        let story = Story::parse("alice> y\ngateway< <id 9> <time>").unwrap();
        story.play(&mut gateway).await.unwrap();
        (first, gateway.transcript().lines()[1..].to_vec())
    };
    let ((a, a_lines), (b, b_lines)) = (run(1).await, run(2).await);
    assert_ne!(a, b);
    assert_eq!(a_lines, b_lines);
    let [_, first, _, second] = &a_lines[..] else { panic!("{a_lines:?}") };
    assert_eq!((&**first, &**second), ("gateway< <id 1> <time>", "gateway< <id 2> <time>"));
}

#[tokio::test(start_paused = true)]
async fn a_file_is_compared_blessed_and_protected() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stories/refund.txt");
    let transcript = eventful().await.transcript();
    let check = |transcript: &Transcript, bless| {
        transcript.check_as(&file, bless).map_err(|e| e.to_string())
    };
    assert!(check(&transcript, Bless::No).unwrap_err().contains("OPENCLAW_BLESS=1"));
    assert!(check(&transcript, Bless::Refused).unwrap_err().contains("not blessed in CI"));
    assert!(!file.exists(), "nothing is written unless it is blessed");
    check(&transcript, Bless::Yes).unwrap();
    check(&transcript, Bless::No).unwrap();
    Story::read(&file).unwrap();
    let gateway = shop_gateway(&shop(), keyed()).start().await.unwrap();
    gateway.user("alice").says("look and refund").await.unwrap();
    gateway.user("alice").says("hm").await.unwrap();
    let diff = check(&gateway.transcript(), Bless::No).unwrap_err();
    assert!(diff.contains("\n  gateway< 1 2\n"), "{diff}");
    assert!(diff.contains("\n- alice> bye\n") && diff.contains("\n+ alice> hm\n"), "{diff}");
    check(&gateway.transcript(), Bless::Yes).unwrap();
    check(&transcript, Bless::No).unwrap_err();
}
