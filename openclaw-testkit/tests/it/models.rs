//! Models that play a script, come to trouble, attack, or change their words.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use openclaw_core::{
    Call, Context, ErrorKind, Result, TenantId,
    model::{Model, ModelReply, Prompt, PromptMessage, Role, Stop, Tool},
};
use openclaw_testkit::{
    env::test_env,
    model::{FlakyModel, Glitch, HostileModel, Mischief, RewordingModel, ScriptedModel},
};
use serde_json::json;

fn ask(model: &dyn Model) -> Call<Arc<Prompt>> {
    let mut prompt = Prompt::new(vec![PromptMessage::new(Role::User, "refund order 1042")]);
    let input = Arc::new(json!({"type": "object"}));
    prompt.tools = vec![Tool::new("refund.create", "pays back", input)];
    Call::model(Context::new(TenantId::new("acme").unwrap()), model, Arc::new(prompt))
}

async fn read(model: &dyn Model) -> Result<(Vec<String>, ModelReply)> {
    let mut stream = model.stream(ask(model)).await?;
    let mut pieces = Vec::new();
    while let Some(piece) = stream.next().await? {
        pieces.push(piece);
    }
    Ok((pieces, stream.finish().await?))
}

fn script() -> ScriptedModel {
    ScriptedModel::new("test/model").unwrap()
}

#[tokio::test]
async fn a_script_is_played_once_and_in_order() {
    let model = script()
        .calls_all([("a", json!(1)), ("b", json!(2))])
        .calls("c", json!(3))
        .says("done")
        .fails(ErrorKind::Overloaded);
    let same = model.clone();
    let reply = model.complete(ask(&model)).await.unwrap();
    assert_eq!(reply.stop, Stop::Tools);
    let calls: Vec<_> = reply.calls.iter().map(|call| (&*call.id, &*call.name)).collect();
    assert_eq!(calls, [("call-1", "a"), ("call-2", "b")]);
    assert_eq!(same.complete(ask(&same)).await.unwrap().calls[0].id.as_ref(), "call-3");
    assert_eq!(model.complete(ask(&model)).await.unwrap(), ModelReply::text("done"));
    assert_eq!(model.left(), 1);
    let refused = model.stream(ask(&model)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Overloaded, "a refusal is no broken stream");
    assert_eq!(model.complete(ask(&model)).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(model.prompts().len(), 5);
    assert_eq!(&*model.prompts()[0].messages[0].text, "refund order 1042");
}

#[tokio::test]
async fn a_stream_comes_in_pieces_that_the_seed_decides() {
    let text = "Der Überweisung fehlt nichts; 4 € sind gebucht. 😀 Und noch ein Satz.";
    let read_with = |seed| async move { read(&script().seed(seed).otherwise(text)).await.unwrap() };
    let (pieces, reply) = read_with(3).await;
    assert_eq!((pieces.concat(), reply.text), (text.to_owned(), text.to_owned()));
    assert!(pieces.len() > 3, "{pieces:?}");
    assert_eq!(read_with(3).await.0, pieces);
    assert_ne!(read_with(4).await.0, pieces);
}

#[tokio::test]
async fn a_stream_that_breaks_off_has_no_reply() {
    let model = script().breaks_off("Your refund is");
    let mut stream = model.stream(ask(&model)).await.unwrap();
    let mut text = String::new();
    let error = loop {
        match stream.next().await {
            Ok(piece) => text.push_str(&piece.expect("it does not end well")),
            Err(e) => break e,
        }
    };
    assert_eq!((error.kind(), &*text), (ErrorKind::Unavailable, "Your refund is"));
    assert!(stream.finish().await.is_err());
    let unread = script().says("hello");
    let stream = unread.stream(ask(&unread)).await.unwrap();
    assert!(stream.finish().await.is_err(), "a stream that was not read has no reply");
    let whole = script().breaks_off("x");
    assert!(whole.complete(ask(&whole)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn trouble_comes_so_often_and_then_no_more() {
    let wait = Duration::from_secs(7);
    for (glitch, kind) in [
        (Glitch::Fail, ErrorKind::ServerError),
        (Glitch::Limit(wait), ErrorKind::RateLimited),
        (Glitch::Cut, ErrorKind::Unavailable),
    ] {
        let model = FlakyModel::new(script().otherwise("a long enough answer"), glitch).times(2);
        let error = model.complete(ask(&model)).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(error.retry_after(), (kind == ErrorKind::RateLimited).then_some(wait));
        assert_eq!(read(&model).await.unwrap_err().kind(), kind);
        assert_eq!(read(&model).await.unwrap().1.text, "a long enough answer");
    }
    let hanging = FlakyModel::new(script(), Glitch::Hang);
    let waited = tokio::time::timeout(Duration::from_secs(3600), hanging.complete(ask(&hanging)));
    assert!(waited.await.is_err());
    let panicking = FlakyModel::new(script(), Glitch::Panic);
    let panicked = tokio::spawn(async move { panicking.complete(ask(&panicking)).await }).await;
    assert!(panicked.unwrap_err().is_panic());
}

#[tokio::test]
async fn words_change_and_tools_do_not() {
    let again = || script().calls("refund.create", json!({"order": 1042, "why": "late"}));
    let model = RewordingModel::new(
        again().calls("refund.create", json!({"order": 1042, "why": "late"})),
        test_env(5),
    );
    let a = model.complete(ask(&model)).await.unwrap().calls.remove(0);
    let b = model.complete(ask(&model)).await.unwrap().calls.remove(0);
    assert_eq!((&a.name, &a.input["order"]), (&b.name, &b.input["order"]));
    assert_ne!(a.input, b.input);
    assert_ne!(a.id, b.id);
    let model = RewordingModel::new(script().otherwise("a long enough answer"), test_env(5));
    let (pieces, reply) = read(&model).await.unwrap();
    assert_eq!(pieces.concat(), reply.text);
    assert_ne!(read(&model).await.unwrap().1.text, reply.text);
}

#[tokio::test]
async fn every_mischief_is_a_reply_of_its_own() {
    let mut replies = BTreeSet::new();
    for mischief in Mischief::ALL {
        let model = HostileModel::new("test/mallory", 7).unwrap().only([mischief]);
        let reply = model.complete(ask(&model)).await.unwrap();
        let aimed = reply.calls.iter().all(|call| &*call.name == "refund.create");
        assert!(aimed || mischief == Mischief::UnknownTool, "{mischief:?}");
        let (pieces, end) = read(&model).await.unwrap();
        let same = pieces.concat() == end.text;
        assert_eq!(same, mischief != Mischief::TwoTongues, "{mischief:?}");
        replies.insert(format!("{reply:?}"));
    }
    assert_eq!(replies.len(), Mischief::ALL.len());
}

#[tokio::test]
async fn one_seed_is_one_run_of_mischief() {
    let run = |seed| async move {
        let model = HostileModel::new("test/mallory", seed).unwrap();
        let mut replies = Vec::new();
        for _ in 0..8 {
            replies.push(model.complete(ask(&model)).await.unwrap());
        }
        replies
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}
