//! Approvals whose time is over: an operator's replay has people asked again, and nothing else.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use openclaw_core::{
    AgentId, Error, ErrorKind, MessageId, Result,
    agent::{Agent, Answer, Turn, agent_fn},
    gateway::MessageState,
    records::{ApprovalState, AuditAction, Vote},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::guarded::{Bank, asks, one, person};
use crate::support::{Run, tenant};

const HOUR: Duration = Duration::from_secs(3_600);
const MANY: NonZeroUsize = NonZeroUsize::new(100).unwrap();

fn bill() -> Value {
    json!({ "to": "bob", "amount": 7 })
}

async fn pay(turn: &mut Turn) -> Result<Answer> {
    turn.skill("pay", "pay", bill()).await.map(|_| Answer::text("paid"))
}

/// Pays, and gives up over any error.
fn payer() -> impl Agent {
    agent_fn(AgentId::new("payer").unwrap(), |mut turn| async move { pay(&mut turn).await })
}

async fn count(run: &Run, wanted: AuditAction) -> usize {
    let trail = run.audit(&tenant()).entries().await.unwrap();
    trail.iter().filter(|entry| entry.action == wanted).count()
}

/// Nobody says enough in time, and the turn gives up.
async fn runs_out(run: &Run, message: MessageId) {
    sleep(HOUR).await;
    run.ends(message, MessageState::Dead).await;
}

/// A turn whose request nobody has answered: a dead letter, and the id of the request.
async fn unanswered(bank: &Bank, run: &Run) -> (MessageId, Arc<str>) {
    let message = bank.world.tell("c1", "m1", "pay").await;
    let id = bank.asked(run, message).await;
    runs_out(run, message).await;
    assert_eq!(bank.state(&id).await, ApprovalState::Expired);
    (message, id)
}

async fn says(run: &Run, name: &str, id: &str, vote: Vote) {
    run.decide_approval(&person(name), id, vote).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_replay_has_people_asked_again_who_did_not_answer() {
    use AuditAction::{ApprovalExpired, ApprovalRequested, Replayed};
    let bank = Bank::new(one());
    let run = bank.start(payer()).await;
    let (message, id) = unanswered(&bank, &run).await;
    run.replay(&tenant(), message, "ann").await.unwrap();
    assert_eq!(bank.asked(&run, message).await, id, "the same request");
    assert_eq!(bank.remote.calls_total(), 0);
    says(&run, "carol", &id, Vote::yes()).await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(bank.world.platform.texts(), ["paid"]);
    assert_eq!((bank.remote.effects_total(), bank.state(&id).await), (1, ApprovalState::Consumed));
    assert_eq!(count(&run, ApprovalRequested).await, 2);
    assert_eq!(count(&run, ApprovalExpired).await, 1);
    let trail = run.audit(&tenant()).entries().await.unwrap();
    let replayed = trail.iter().find(|entry| entry.action == Replayed).unwrap();
    assert_eq!(*replayed.note, format!("may be asked for again: approval {id}"));
}

#[tokio::test(start_paused = true)]
async fn each_replay_asks_once_and_the_new_request_has_a_time_of_its_own() {
    let bank = Bank::new(one());
    let run = bank.start(payer()).await;
    let (message, id) = unanswered(&bank, &run).await;
    for round in 2..=3 {
        run.replay(&tenant(), message, "ann").await.unwrap();
        bank.asked(&run, message).await;
        let asked = bank.approvals().get(&id).await.unwrap().unwrap();
        assert!(asked.expires > bank.world.env.now() && asked.votes.is_empty(), "{asked:?}");
        runs_out(&run, message).await;
        assert_eq!(count(&run, AuditAction::ApprovalRequested).await, round);
    }
    assert_eq!(bank.remote.calls_total(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_give_up_asks_nobody_again() {
    let bank = Bank::new(one());
    let stubborn = agent_fn(AgentId::new("payer").unwrap(), |mut turn| async move {
        for _ in 0..5 {
            if let Ok(paid) = pay(&mut turn).await {
                return Ok(paid);
            }
        }
        // Nothing in it says that another attempt is of no use.
        match pay(&mut turn).await {
            Err(e) if e.is_exhausted() => Err(Error::new(ErrorKind::Unavailable, "later")),
            paid => paid,
        }
    });
    let run = bank.start(stubborn).await;
    let (_, id) = unanswered(&bank, &run).await;
    assert_eq!(count(&run, AuditAction::ApprovalRequested).await, 1);
    assert_eq!((bank.remote.calls_total(), bank.state(&id).await), (0, ApprovalState::Expired));
}

#[tokio::test(start_paused = true)]
async fn what_was_told_of_the_old_request_is_not_told_again() {
    let bank = Bank::new(one());
    let told = Arc::<Mutex<Vec<Option<String>>>>::default();
    let seen = Arc::clone(&told);
    let agent = agent_fn(AgentId::new("payer").unwrap(), move |mut turn| {
        let state = |value: &Value| value["state"].as_str().unwrap().to_owned();
        seen.lock().unwrap().push(turn.resolution().map(|told| state(&told.value)));
        async move { pay(&mut turn).await }
    });
    let run = bank.start(agent).await;
    let (message, id) = unanswered(&bank, &run).await;
    run.replay(&tenant(), message, "ann").await.unwrap();
    bank.asked(&run, message).await;
    says(&run, "carol", &id, Vote::yes()).await;
    run.ends(message, MessageState::Done).await;
    let told = told.lock().unwrap();
    let told: Vec<Option<&str>> = told.iter().map(Option::as_deref).collect();
    assert_eq!(told, [None, Some("expired"), None, Some("granted")]);
}

#[tokio::test(start_paused = true)]
async fn a_yes_that_nobody_used_in_time_has_to_be_given_again() {
    let bank = Bank::new(one());
    let broken = Arc::new(AtomicBool::new(true));
    let breaks = Arc::clone(&broken);
    let agent = agent_fn(AgentId::new("payer").unwrap(), move |mut turn| {
        let breaks = turn.resolution().is_some() && breaks.load(Ordering::Relaxed);
        async move {
            match breaks {
                true => Err(Error::new(ErrorKind::Unsupported, "a bug of the agent")),
                false => pay(&mut turn).await,
            }
        }
    });
    let run = bank.start(agent).await;
    let message = bank.world.tell("c1", "m1", "pay").await;
    let id = bank.asked(&run, message).await;
    says(&run, "carol", &id, Vote::yes()).await;
    run.ends(message, MessageState::Dead).await;
    assert_eq!(bank.state(&id).await, ApprovalState::Granted);
    sleep(2 * HOUR).await;
    broken.store(false, Ordering::Relaxed);
    run.replay(&tenant(), message, "ann").await.unwrap();
    bank.asked(&run, message).await;
    assert_eq!(bank.remote.calls_total(), 0, "the old yes is of no use");
    assert_eq!(count(&run, AuditAction::ApprovalExpired).await, 1, "its end is on record");
    says(&run, "dave", &id, Vote::yes()).await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(bank.remote.effects_total(), 1);
    let votes = bank.approvals().get(&id).await.unwrap().unwrap().votes;
    assert_eq!(votes.iter().map(|vote| &*vote.by).collect::<Vec<_>>(), ["dave"]);
    assert_eq!(count(&run, AuditAction::ApprovalGranted).await, 2, "both are on record");
}

#[tokio::test(start_paused = true)]
async fn a_yes_for_the_old_request_does_not_count_for_the_new_one() {
    let bank = Bank::new(asks(&json!({ "ttl": "1h", "reason": "money", "quorum": 2 })));
    let run = bank.start(payer()).await;
    let message = bank.world.tell("c1", "m1", "pay").await;
    let id = bank.asked(&run, message).await;
    says(&run, "carol", &id, Vote::yes()).await;
    runs_out(&run, message).await;
    run.replay(&tenant(), message, "ann").await.unwrap();
    bank.asked(&run, message).await;
    says(&run, "dave", &id, Vote::yes()).await;
    assert_eq!(bank.state(&id).await, ApprovalState::Requested, "one of two");
    says(&run, "carol", &id, Vote::yes()).await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(bank.remote.effects_total(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_no_stays_a_no_for_its_turn() {
    let bank = Bank::new(one());
    let run = bank.start(payer()).await;
    let message = bank.world.tell("c1", "m1", "pay").await;
    let id = bank.asked(&run, message).await;
    says(&run, "carol", &id, Vote::no().because("not this one")).await;
    for _ in 0..2 {
        run.ends(message, MessageState::Dead).await;
        // Also when its time is over.
        sleep(2 * HOUR).await;
        run.replay(&tenant(), message, "ann").await.unwrap();
    }
    run.ends(message, MessageState::Dead).await;
    assert_eq!(bank.state(&id).await, ApprovalState::Denied);
    assert_eq!(count(&run, AuditAction::ApprovalRequested).await, 1);
    assert_eq!(bank.remote.calls_total(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_used_or_is_still_open_is_not_asked_for_again() {
    let bank = Bank::new(one());
    let agent = agent_fn(AgentId::new("payer").unwrap(), |mut turn| async move {
        pay(&mut turn).await?;
        Err::<Answer, _>(Error::new(ErrorKind::Unsupported, "a bug of the agent"))
    });
    let run = bank.start(agent).await;
    let message = bank.world.tell("c1", "m1", "pay").await;
    let id = bank.asked(&run, message).await;
    says(&run, "carol", &id, Vote::yes()).await;
    run.ends(message, MessageState::Dead).await;
    sleep(2 * HOUR).await;
    run.replay(&tenant(), message, "ann").await.unwrap();
    run.ends(message, MessageState::Dead).await;
    assert_eq!((bank.remote.effects_total(), bank.state(&id).await), (1, ApprovalState::Consumed));
    assert_eq!(count(&run, AuditAction::ApprovalRequested).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_open_is_found_again_by_a_replay() {
    let bank = Bank::new(one());
    let first = Arc::new(AtomicBool::new(true));
    let agent = agent_fn(AgentId::new("payer").unwrap(), move |mut turn| {
        let first = first.swap(false, Ordering::Relaxed);
        async move {
            let paid = pay(&mut turn).await;
            match paid {
                Err(_) if first => Err(Error::new(ErrorKind::Unsupported, "it does not wait")),
                paid => paid,
            }
        }
    });
    let run = bank.start(agent).await;
    let message = bank.world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Dead).await;
    run.replay(&tenant(), message, "ann").await.unwrap();
    let id = bank.asked(&run, message).await;
    assert_eq!(count(&run, AuditAction::ApprovalRequested).await, 1);
    says(&run, "carol", &id, Vote::yes()).await;
    run.ends(message, MessageState::Done).await;
}

#[tokio::test(start_paused = true)]
async fn another_turns_requests_stay_as_they_are() {
    let bank = Bank::new(one());
    let run = bank.start(payer()).await;
    let (message, _) = unanswered(&bank, &run).await;
    let other = bank.world.tell("c2", "m2", "pay").await;
    let theirs = bank.asked(&run, other).await;
    runs_out(&run, other).await;
    run.replay(&tenant(), message, "ann").await.unwrap();
    let id = bank.asked(&run, message).await;
    let open = bank.approvals().open(None, MANY).await.unwrap().0;
    assert_eq!(open.iter().map(|(id, _)| id).collect::<Vec<_>>(), [&id]);
    assert_eq!(bank.state(&theirs).await, ApprovalState::Expired);
}
