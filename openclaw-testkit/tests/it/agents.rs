//! Agents that play a script, or change their words.

use std::sync::{Arc, Mutex};

use openclaw_core::{
    Call, ChannelId, Content, Context, Conversation, Env, Envelope, Error, ErrorKind, MessageId,
    Result, Sender, TenantId,
    agent::{Agent, Answer, Budget, Resolution, Turn, TurnRequest, Waiting},
    skill::{JobTicket, SkillAnswer, SkillManifest, SkillPort, SkillRequest},
};
use openclaw_testkit::{
    agent::{RewordingAgent, ScriptedAgent},
    env::test_env,
};
use serde_json::{Value, json};

/// Answers every skill by its name and keeps what it was asked.
#[derive(Debug, Default)]
struct Port(Mutex<Vec<SkillRequest>>);

impl Port {
    fn asked(&self) -> Vec<(String, Value)> {
        let asked = self.0.lock().unwrap();
        asked.iter().map(|r| (r.operation.to_string(), (*r.input).clone())).collect()
    }
}

#[async_trait::async_trait]
impl SkillPort for Port {
    fn manifests(&self) -> Vec<&SkillManifest> {
        Vec::new()
    }

    async fn call(&self, _: &Context, request: SkillRequest) -> Result<SkillAnswer> {
        let name = request.skill.to_string();
        self.0.lock().unwrap().push(request);
        match name.as_str() {
            "order.lookup" => Ok(SkillAnswer::done(json!("shipped"))),
            "refund.create" => Ok(SkillAnswer::done(json!({"refund": 7}))),
            "report" => Ok(SkillAnswer::Pending(JobTicket::new("job-1"))),
            _ => Err(Error::new(ErrorKind::NotFound, "no such skill")),
        }
    }
}

fn request(text: &str, session: Value) -> TurnRequest {
    let chat = Conversation::new(ChannelId::new("web").unwrap(), "c1");
    let tenant = TenantId::new("acme").unwrap();
    let envelope = Envelope::new(tenant, chat, Sender::new("ann"), Content::text(text));
    TurnRequest::new(MessageId::from_u128(1), Arc::new(envelope), Arc::new(session))
}

async fn play(
    agent: &dyn Agent,
    port: &Arc<Port>,
    request: TurnRequest,
) -> (Result<Answer>, Value) {
    let context = Context::new(TenantId::new("acme").unwrap());
    let skills = Arc::clone(port) as Arc<dyn SkillPort>;
    let (turn, written) =
        Turn::open(Call::agent(context, agent, request), skills, Budget::default());
    let answer = agent.handle(turn).await;
    (answer, written.take().map_or(Value::Null, |value| (*value).clone()))
}

async fn says(agent: &dyn Agent, text: &str) -> String {
    match play(agent, &Arc::default(), request(text, Value::Null)).await.0.unwrap() {
        Answer::Reply(content) => content.to_text().into_owned(),
        other => panic!("{other:?}"),
    }
}

fn desk() -> ScriptedAgent {
    ScriptedAgent::new("desk")
        .unwrap()
        .when("refund order 1042")
        .call("order.lookup", "look", json!({"order": 1042}))
        .call("refund.create", "refund", json!({"order": 1042, "state": "{}", "why": "{text}"}))
        .then_say("It was {}: {}")
        .when_begins("repeat ")
        .then_say("{turn}. {text}")
        .when("bye")
        .then_nothing()
        .when("break")
        .call("unknown", "x", json!({}))
        .then_say("never")
        .when("sorry")
        .call("unknown", "x", json!({}))
        .or_say("Sorry, not today.")
        .then_say("never")
        .when("report")
        .call("report", "report", json!({}))
        .then_say("Here it is: {}")
        .otherwise("What?")
}

#[tokio::test]
async fn a_scene_calls_in_order_and_fills_its_gaps() {
    let port = Arc::default();
    let (answer, _) = play(&desk(), &port, request(" refund order 1042\n", Value::Null)).await;
    assert_eq!(answer.unwrap(), Answer::text("It was shipped: {\"refund\":7}"));
    let args = json!({"order": 1042, "state": "shipped", "why": "refund order 1042"});
    let expected = [("look".to_owned(), json!({"order": 1042})), ("refund".to_owned(), args)];
    assert_eq!(port.asked(), expected);
}

#[tokio::test]
async fn unmatched_words_get_the_default() {
    assert_eq!(says(&desk(), "hm").await, "What?");
    assert_eq!(says(&ScriptedAgent::new("a").unwrap(), "hm").await, "I don't understand.");
    assert_eq!(
        says(&ScriptedAgent::new("a").unwrap().always().then_say("{text}"), "{}").await,
        "{}"
    );
}

#[tokio::test]
async fn a_session_counts_its_turns() {
    let mut session = Value::Null;
    for n in 1..4 {
        let (answer, written) = play(&desk(), &Arc::default(), request("repeat me", session)).await;
        assert_eq!(answer.unwrap(), Answer::text(format!("{n}. repeat me")));
        session = written;
    }
    assert_eq!(session, json!({"turns": 3}));
}

#[tokio::test]
async fn a_failed_call_fails_the_turn_unless_it_apologises() {
    let failed = play(&desk(), &Arc::default(), request("break", Value::Null)).await;
    assert_eq!(failed.0.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(failed.1, Value::Null, "a failed turn writes no session");
    assert_eq!(says(&desk(), "sorry").await, "Sorry, not today.");
    let silent = play(&desk(), &Arc::default(), request("bye", Value::Null)).await;
    assert_eq!(silent.0.unwrap(), Answer::Silent);
}

#[tokio::test]
async fn a_pending_job_suspends_and_its_result_comes_back() {
    let mut request = request("report", Value::Null);
    let (answer, _) = play(&desk(), &Arc::default(), request.clone()).await;
    assert_eq!(answer.unwrap(), Answer::Suspended(Waiting::Job { job: "job-1".into() }));
    request.resolution = Some(Resolution::new("job", json!("42 pages")));
    let (answer, _) = play(&desk(), &Arc::default(), request).await;
    assert_eq!(answer.unwrap(), Answer::text("Here it is: 42 pages"));
}

#[tokio::test]
async fn a_question_is_answered_when_the_turn_comes_back() {
    let waiting = Waiting::Question { text: "which one?".into() };
    let agent = ScriptedAgent::new("a").unwrap().always().then_wait(waiting.clone());
    let mut request = request("refund", Value::Null);
    let (answer, _) = play(&agent, &Arc::default(), request.clone()).await;
    assert_eq!(answer.unwrap(), Answer::Suspended(waiting));
    request.resolution = Some(Resolution::new("ann", json!("the second")));
    let (answer, _) = play(&agent, &Arc::default(), request).await;
    assert_eq!(answer.unwrap(), Answer::text("the second"));
}

#[tokio::test]
async fn words_change_at_every_attempt_and_operations_do_not() {
    let port = Arc::default();
    let agent = RewordingAgent::new(desk(), test_env(5));
    for _ in 0..2 {
        play(&agent, &port, request("refund order 1042", Value::Null)).await.0.unwrap();
    }
    let asked = port.asked();
    let (first, second) = asked.split_at(2);
    for (a, b) in first.iter().zip(second) {
        assert_eq!(a.0, b.0);
        assert_ne!(a.1, b.1);
        assert_eq!(a.1["order"], b.1["order"]);
    }
    let other: Env = test_env(6);
    let again = Arc::default();
    let agent = RewordingAgent::new(desk(), other);
    play(&agent, &again, request("refund order 1042", Value::Null)).await.0.unwrap();
    assert_ne!(again.asked(), first, "another process finds other words");
}
