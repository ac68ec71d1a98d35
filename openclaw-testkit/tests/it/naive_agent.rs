//! An agent written the plain way, with one flaw at a time planted into it.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
};

use openclaw_core::{
    AgentId, Content, Error, ErrorKind, Result, SkillId,
    agent::{Agent, Answer, Turn, Waiting},
    skill::{SkillAnswer, SkillManifest},
};
use openclaw_testkit::conformance::agent::{On, on};
use serde_json::{Value, json};

/// Something that an agent does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    AnswersByChance,
    AsksForEver,
    BeginsUnpolled,
    ErrorsQuoteTheSession,
    ErrorsQuoteTheWords,
    FailsAtHello,
    GoesOnWhenDropped,
    IdChanges,
    InventsSkills,
    MixesTurns,
    NamesOneForTwo,
    NamesTheAttempt,
    NamesWithBlanks,
    OneAtATime,
    PanicsAtFailures,
    PanicsAtJobs,
    PanicsAtOddSessions,
    PanicsAtSilence,
    RemembersByItself,
    RewordsByChance,
    SuspendsForEver,
}

/// What it does, shared so that a turn may outlive its caller.
#[derive(Debug)]
struct Mind {
    flaw: Flaw,
    chance: AtomicUsize,
    slot: Mutex<String>,
    one: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct NaiveAgent {
    ids: [AgentId; 2],
    asked: AtomicUsize,
    mind: Arc<Mind>,
}

/// Makes naive agents with this flaw.
pub(crate) fn naive(flaw: Flaw) -> On {
    let make = move || NaiveAgent {
        ids: ["naive", "other"].map(|id| AgentId::new(id).unwrap()),
        asked: AtomicUsize::new(0),
        mind: Arc::new(Mind {
            flaw,
            chance: AtomicUsize::new(0),
            slot: Mutex::default(),
            one: tokio::sync::Mutex::default(),
        }),
    };
    let skills = ["shop.lookup", "shop.order"].map(|id| SkillId::new(id).unwrap());
    on(make)
        .words(["hello", "good morning"])
        .calling(["order one thing", "order other thing"])
        .suspending("wait for me")
        .steady()
        .skills(skills.map(|id| SkillManifest::new(id, "1.0.0")))
}

impl Mind {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn chance(&self) -> usize {
        self.chance.fetch_add(1, Ordering::SeqCst)
    }

    async fn order(&self, turn: &mut Turn, thing: &str) -> Result<Answer> {
        let (first, second) = match self.flaw {
            Flaw::NamesOneForTwo => ("order".to_owned(), "order".to_owned()),
            Flaw::NamesWithBlanks => ("look up".to_owned(), "order".to_owned()),
            Flaw::NamesTheAttempt => {
                (format!("lookup-{}", turn.context().attempt()), "order".to_owned())
            }
            _ => ("lookup".to_owned(), "order".to_owned()),
        };
        let mut input = json!({ "thing": thing });
        if self.is(Flaw::RewordsByChance) {
            input["thing"] = json!(format!("{thing}, try {}", self.chance()));
        }
        let skill = if self.is(Flaw::InventsSkills) { "shop.magic" } else { "shop.lookup" };
        let mut found = turn.skill(skill, &first, input.clone()).await;
        while self.is(Flaw::AsksForEver) && found.is_err() {
            found = turn.skill(skill, &first, input.clone()).await;
        }
        if self.is(Flaw::PanicsAtFailures) {
            assert!(found.is_ok(), "skills never fail");
        }
        if let SkillAnswer::Pending(ticket) = found.map_err(|e| self.told(e, turn))? {
            assert!(!self.is(Flaw::PanicsAtJobs), "skills are never slow");
            return Ok(Answer::Suspended(Waiting::Job { job: ticket.job }));
        }
        let input = json!({ "buy": thing });
        turn.skill("shop.order", &second, input).await.map_err(|e| self.told(e, turn))?;
        Ok(Answer::text(format!("ordered: {thing}")))
    }

    fn told(&self, e: Error, turn: &Turn) -> Error {
        match self.flaw {
            Flaw::ErrorsQuoteTheWords => e.with("said", turn.text()),
            Flaw::ErrorsQuoteTheSession => e.with("session", turn.session()),
            _ => e,
        }
    }

    fn count(&self, turn: &Turn) -> u64 {
        if self.is(Flaw::PanicsAtOddSessions) && !turn.session().is_null() {
            return turn.session()["turns"].as_u64().expect("a number") + 1;
        }
        if self.is(Flaw::RemembersByItself) {
            return self.chance() as u64;
        }
        turn.session().get("turns").and_then(Value::as_u64).unwrap_or_default() + 1
    }

    async fn think(&self, mut turn: Turn) -> Result<Answer> {
        let _one = match self.is(Flaw::OneAtATime) {
            true => Some(self.one.lock().await),
            false => None,
        };
        let mut text = turn.text().into_owned();
        if self.is(Flaw::PanicsAtSilence) {
            let first = text.chars().next().expect("nobody says nothing");
            assert!(!first.is_control());
        }
        let count = self.count(&turn);
        turn.set_session(json!({ "turns": count }));
        if self.is(Flaw::MixesTurns) {
            self.slot.lock().unwrap().clone_from(&text);
            tokio::task::yield_now().await;
            text.clone_from(&self.slot.lock().unwrap());
        }
        if let Some(thing) = text.strip_prefix("order ") {
            return self.order(&mut turn, thing).await;
        }
        if text == "wait for me" && (turn.resolution().is_none() || self.is(Flaw::SuspendsForEver))
        {
            return Ok(Answer::Suspended(Waiting::Question { text: "why?".into() }));
        }
        if self.is(Flaw::FailsAtHello) && text == "hello" {
            return Err(Error::new(ErrorKind::Unclassified, "no idea"));
        }
        let chance = if self.is(Flaw::AnswersByChance) { self.chance() } else { 0 };
        Ok(Answer::Reply(Content::text(format!("{text}, {count}, {chance}"))))
    }
}

impl Agent for NaiveAgent {
    fn id(&self) -> &AgentId {
        let n = match self.mind.is(Flaw::IdChanges) {
            true => self.asked.fetch_add(1, Ordering::SeqCst),
            false => 0,
        };
        &self.ids[n % 2]
    }

    fn handle<'s, 'a>(
        &'s self,
        turn: Turn,
    ) -> Pin<Box<dyn Future<Output = Result<Answer>> + Send + 'a>>
    where
        's: 'a,
        Self: 'a,
    {
        let mind = Arc::clone(&self.mind);
        let mut thinking = Box::pin(async move { mind.think(turn).await });
        match self.mind.flaw {
            Flaw::BeginsUnpolled => {
                let _begun = thinking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                thinking
            }
            Flaw::GoesOnWhenDropped => Box::pin(async move {
                let lost = |_join| Error::new(ErrorKind::Unclassified, "lost");
                tokio::spawn(thinking).await.map_err(lost)?
            }),
            _ => thinking,
        }
    }
}
