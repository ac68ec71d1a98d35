//! The support desk: an agent of rules that finds orders and refunds them.

use async_trait::async_trait;
use openclaw_core::{
    AgentId, Error, ErrorKind, InvalidId, Result,
    agent::{Agent, Answer, Turn},
    skill::SkillAnswer,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::skills::{ALREADY_REFUNDED, LOOKUP, Order, REFUND, Refund};

const HELP: &str = "I can find an order (\"where is order 1042?\") and refund one \
                    (\"refund order 1042\"). What may I do for you?";

/// What a person may want done with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wish {
    Find,
    Refund,
}

/// What the desk asked last, kept in the session until it is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Open {
    #[default]
    Nothing,
    /// "Which order?"
    WhichOrder(Wish),
    /// "Shall I find order 1042 or refund it?"
    WhatAbout(String),
    /// "Shall I refund order 1042?"
    Sure(String),
}

/// What a message means, together with what was asked before it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    Do(Wish, String),
    Ask(Open, String),
    Say(&'static str),
}

const NO: &[&str] = &["no", "nope", "cancel", "stop", "never", "nevermind", "nothing", "dont"];
const YES: &[&str] = &["yes", "y", "yeah", "yep", "ok", "okay", "sure", "please", "do", "it"];
const HELLO: &[&str] = &["help", "hi", "hello", "hey"];
const FIND: &[&str] = &[
    "where", "wheres", "status", "track", "tracking", "find", "look", "lookup", "check", "show",
    "refunded",
];
/// Words that make a message a question when it begins with them.
const QUESTION: &[&str] = &["when", "what", "whats", "why", "how", "did", "was", "is"];
const ORDER: &[&str] = &["order", "orders", "parcel", "package", "refund"];
/// What may stand around an order's number that answers "which order?".
const FILLER: &[&str] = &["order", "number", "its", "it", "the", "please", "for", "is"];
/// What may stand around a wish to be refunded without making it less clear.
const PLAIN: &[&str] = &[
    "refund",
    "reimburse",
    "money",
    "back",
    "order",
    "number",
    "please",
    "pls",
    "can",
    "could",
    "would",
    "will",
    "you",
    "we",
    "i",
    "id",
    "want",
    "need",
    "like",
    "to",
    "a",
    "the",
    "my",
    "me",
    "for",
    "of",
    "on",
    "give",
    "get",
    "it",
    "hi",
    "hello",
    "hey",
    "thanks",
    "thank",
    "now",
];

/// A message in small words, without punctuation.
struct Said(Vec<String>);

impl Said {
    fn new(text: &str) -> Self {
        let text: String = text.chars().filter(|c| !matches!(c, '\'' | '’')).collect();
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let mut words: Vec<String> = words.take(64).map(str::to_lowercase).collect();
        // In "order no. 1042" the "no" refuses nothing.
        let next: Vec<bool> = words.iter().skip(1).map(|word| is_number(word)).collect();
        let mut next = next.into_iter();
        words.retain(|word| !(next.next().unwrap_or(false) && matches!(&**word, "no" | "nr")));
        Self(words)
    }

    fn has(&self, list: &[&str]) -> bool {
        self.0.iter().any(|word| list.contains(&&**word))
    }

    /// Is there nothing but numbers and these words?
    fn only(&self, list: &[&str]) -> bool {
        self.0.iter().all(|word| is_number(word) || list.contains(&&**word))
    }

    fn numbers(&self) -> Vec<&str> {
        let mut numbers: Vec<_> = self.0.iter().map(|w| &**w).filter(|w| is_number(w)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Where reading and paying are both possible, it is reading.
    fn wish(&self) -> Option<Wish> {
        let pay =
            self.has(&["refund", "reimburse"]) || (self.has(&["money"]) && self.has(&["back"]));
        let question = self.0.first().is_some_and(|word| QUESTION.contains(&&**word));
        if self.has(FIND) || question {
            return Some(Wish::Find);
        }
        pay.then_some(Wish::Refund)
    }
}

fn is_number(word: &str) -> bool {
    (1..=10).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit())
}

/// Reads a message.
fn understand(text: &str, open: &Open) -> Meaning {
    let said = Said::new(text);
    let numbers = said.numbers();
    if said.has(NO) && numbers.is_empty() && said.wish() != Some(Wish::Find) {
        return Meaning::Say("All right, I do nothing.");
    }
    match (open, said.wish(), numbers.as_slice()) {
        (Open::WhichOrder(wish), _, [order]) if said.only(FILLER) => {
            Meaning::Do(*wish, (*order).to_owned())
        }
        (Open::WhatAbout(order), Some(Wish::Refund), []) if said.only(PLAIN) => {
            Meaning::Do(Wish::Refund, order.clone())
        }
        (Open::WhatAbout(order), Some(Wish::Find), []) => Meaning::Do(Wish::Find, order.clone()),
        (Open::Sure(order), None, []) if said.has(YES) && said.only(YES) => {
            Meaning::Do(Wish::Refund, order.clone())
        }
        _ => start(&said, open),
    }
}

/// Reads a message that answers no question.
fn start(said: &Said, open: &Open) -> Meaning {
    let clear = said.only(PLAIN);
    match (said.wish(), said.numbers().as_slice()) {
        (Some(Wish::Find), [order]) => Meaning::Do(Wish::Find, (*order).to_owned()),
        (Some(Wish::Refund), [order]) if clear => Meaning::Do(Wish::Refund, (*order).to_owned()),
        (Some(Wish::Refund), [order]) => {
            let text = format!("To be sure: shall I refund the whole of order {order}? Yes or no?");
            Meaning::Ask(Open::Sure((*order).to_owned()), text)
        }
        (Some(wish), []) if said.has(ORDER) && (wish == Wish::Find || clear) => {
            Meaning::Ask(Open::WhichOrder(wish), "Which order? Its number, please.".to_owned())
        }
        (Some(Wish::Refund), []) => {
            Meaning::Say("To have an order refunded, say \"refund order\" and its number.")
        }
        (Some(wish), [_, _, ..]) => {
            let text = "I take one order at a time, and the whole of it. Which order?";
            Meaning::Ask(Open::WhichOrder(wish), text.to_owned())
        }
        (None, [order]) => {
            let text =
                format!("Shall I find order {order} or refund it? Say \"find\" or \"refund\".");
            Meaning::Ask(Open::WhatAbout((*order).to_owned()), text)
        }
        _ if said.has(HELLO) => Meaning::Say(HELP),
        _ => {
            let text = "I did not understand that. Say \"help\" to see what I can do.";
            Meaning::Ask(open.clone(), text.to_owned())
        }
    }
}

/// The amount as people write it.
///
/// 4990 cents of EUR are "49.90 EUR".
fn money(cents: u64, currency: &str) -> String {
    format!("{}.{:02} {currency}", cents / 100, cents % 100)
}

/// The support desk.
#[derive(Debug)]
pub(crate) struct Desk {
    id: AgentId,
}

impl Desk {
    /// A desk of this name.
    ///
    /// # Errors
    /// The name can't be an id.
    pub(crate) fn new(id: &str) -> Result<Self, InvalidId> {
        Ok(Self { id: AgentId::new(id)? })
    }
}

#[async_trait]
impl Agent for Desk {
    fn id(&self) -> &AgentId {
        &self.id
    }

    async fn handle(&self, mut turn: Turn) -> Result<Answer> {
        // A session that an older desk wrote is no reason to fail.
        let open = turn.session().get("open").and_then(|open| Open::deserialize(open).ok());
        let open = open.unwrap_or_default();
        let (next, reply) = match understand(&turn.text(), &open) {
            Meaning::Say(text) => (Open::Nothing, text.to_owned()),
            Meaning::Ask(next, text) => (next, text),
            Meaning::Do(wish, order) => (Open::Nothing, fulfil(&mut turn, wish, &order).await?),
        };
        turn.set_session(json!({ "open": next }));
        Ok(Answer::text(reply))
    }
}

/// Has it done, and says how it went. What may go better later is an error, so that the turn
/// is tried again.
async fn fulfil(turn: &mut Turn, wish: Wish, number: &str) -> Result<String> {
    let found: Result<Order> = ask(turn, LOOKUP, "lookup", json!({ "order": number })).await;
    let order = match found {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Ok(format!("I can't find an order {number}. Is the number right?"));
        }
        found => found?,
    };
    match wish {
        Wish::Find => Ok(describe(&order)),
        Wish::Refund => refund(turn, &order).await,
    }
}

/// Asks for the refund even when the order has one: it may be ours, of an attempt that a
/// crash cut short. Only the shop can tell, by the key.
async fn refund(turn: &mut Turn, order: &Order) -> Result<String> {
    let input = json!({ "order": order.order, "amount_cents": order.amount_cents });
    let refund: Refund = match ask(turn, REFUND, "refund", input).await {
        Err(e) if e.kind() == ErrorKind::Conflict && e.message() == ALREADY_REFUNDED => {
            return Ok(format!(
                "Order {} was refunded before, so I did not refund it again.",
                order.order
            ));
        }
        refund => refund?,
    };
    Ok(format!(
        "Done: {} for order {} ({}) will be paid back. The refund has the number {}.",
        money(refund.amount_cents, &refund.currency),
        refund.order,
        order.item,
        refund.refund
    ))
}

fn describe(order: &Order) -> String {
    let status = match order.status.as_str() {
        "processing" => "is being packed",
        "shipped" => "is on its way",
        "delivered" => "was delivered",
        _ => "is in our books",
    };
    let Order { order: number, item, amount_cents, currency, .. } = order;
    let refund = order.refund.as_ref();
    let refund = refund.map_or_else(String::new, |r| format!(" It was refunded, number {r}."));
    format!("Order {number} ({item}, {}) {status}.{refund}", money(*amount_cents, currency))
}

async fn ask<T: DeserializeOwned>(
    turn: &mut Turn,
    skill: &str,
    operation: &str,
    input: Value,
) -> Result<T> {
    let odd = || Error::new(ErrorKind::Unsupported, "the skill answers in an unknown way");
    match turn.skill(skill, operation, input).await? {
        SkillAnswer::Done(output) => T::deserialize(&*output).map_err(|e| odd().with_source(e)),
        SkillAnswer::Pending(_) => Err(odd()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use openclaw_core::{
        Call, ChannelId, Content, Context, Conversation, Envelope, MessageId, Sender, TenantId,
        agent::{Budget, TurnRequest},
        skill::{SkillManifest, SkillPort, SkillRequest},
    };

    use super::*;

    fn find(order: &str) -> Meaning {
        Meaning::Do(Wish::Find, order.to_owned())
    }

    fn pay(order: &str) -> Meaning {
        Meaning::Do(Wish::Refund, order.to_owned())
    }

    fn question(text: &str, open: &Open) -> Open {
        match understand(text, open) {
            Meaning::Ask(next, _) => next,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn wishes_are_understood() {
        for text in [
            "where is order 1042?",
            "WHERE'S ORDER #1042",
            "status of order no. 1042",
            "track 1042 please",
            "was order 1042 refunded?",
            "where is my refund for 1042",
        ] {
            assert_eq!(understand(text, &Open::Nothing), find("1042"), "{text}");
        }
        for text in [
            "refund order 1042",
            "Refund order no. 1042, please!",
            "Hi, I'd like my money back for order 1042",
            "can you refund #1042?",
        ] {
            assert_eq!(understand(text, &Open::Nothing), pay("1042"), "{text}");
        }
        for text in ["help", "Hello", "hi, can you help me?"] {
            assert_eq!(understand(text, &Open::Nothing), Meaning::Say(HELP), "{text}");
        }
    }

    #[test]
    fn money_moves_only_on_clear_words() {
        for text in [
            "don't refund order 1042",
            "no refund for order 1042",
            "never refund 1042",
            "refund half of order 1042",
            "if it is late, refund order 1042",
            "refund 20 EUR of order 1042",
            "refund 1042 and 1043",
            "I do not want a refund",
            "refund",
            "1042",
            "no",
            "",
        ] {
            for open in [Open::Nothing, Open::Sure("1042".to_owned())] {
                let meaning = understand(text, &open);
                assert!(!matches!(meaning, Meaning::Do(Wish::Refund, _)), "{text}: {meaning:?}");
            }
        }
    }

    #[test]
    fn questions_are_remembered_until_they_are_answered() {
        let which = question("refund my order", &Open::Nothing);
        assert_eq!(which, Open::WhichOrder(Wish::Refund));
        assert_eq!(question("the blue one", &which), which);
        assert_eq!(understand("it's order no. 1042", &which), pay("1042"));
        assert_eq!(understand("where is 1042", &which), find("1042"));
        assert_eq!(understand("no", &which), Meaning::Say("All right, I do nothing."));

        let which = question("I have no idea where my order is", &Open::Nothing);
        assert_eq!(understand("1042", &which), find("1042"));

        let about = question("1042", &Open::Nothing);
        assert_eq!(understand("find", &about), find("1042"));
        assert_eq!(understand("refund it, please", &about), pay("1042"));
        assert_ne!(understand("refund another order", &about), pay("1042"));

        let sure = question("refund 1042, it is broken", &Open::Nothing);
        assert_eq!(sure, Open::Sure("1042".to_owned()));
        assert_eq!(understand("yes", &sure), pay("1042"));
    }

    #[test]
    fn an_amount_is_written_as_people_do() {
        assert_eq!(money(4990, "EUR"), "49.90 EUR");
        assert_eq!(money(5, "EUR"), "0.05 EUR");
    }

    /// A shop where 1042 is fine, 1041 was refunded, 5 is out of reach and the rest unknown.
    #[derive(Debug, Default)]
    struct Port(Mutex<Vec<(String, String)>>);

    #[async_trait]
    impl SkillPort for Port {
        fn manifests(&self) -> Vec<&SkillManifest> {
            Vec::new()
        }

        async fn call(&self, _: &Context, request: SkillRequest) -> Result<SkillAnswer> {
            let called = (request.skill.to_string(), request.operation.to_string());
            self.0.lock().unwrap().push(called);
            let order = request.input["order"].as_str().unwrap();
            let refund = request.skill.as_str() == REFUND;
            match (order, refund) {
                ("1041", true) => Err(Error::new(ErrorKind::Conflict, ALREADY_REFUNDED)),
                ("1042", true) => Ok(SkillAnswer::done(json!({
                    "refund": "R-1", "order": order, "amount_cents": 4990, "currency": "EUR"
                }))),
                ("1041" | "1042", false) => Ok(SkillAnswer::done(json!({
                    "order": order, "item": "a kettle", "status": "shipped",
                    "amount_cents": 4990, "currency": "EUR", "refund": null
                }))),
                ("5", _) => Err(Error::new(ErrorKind::Unavailable, "refused")),
                _ => Err(Error::new(ErrorKind::NotFound, "no such order")),
            }
        }
    }

    /// One turn: the reply, the session it leaves, and what was asked of the skills.
    async fn say(text: &str, session: Value) -> (Result<String>, Value, Vec<(String, String)>) {
        let tenant = TenantId::new("acme").unwrap();
        let chat = Conversation::new(ChannelId::new("web").unwrap(), "c1");
        let envelope = Envelope::new(tenant.clone(), chat, Sender::new("ann"), Content::text(text));
        let request =
            TurnRequest::new(MessageId::from_u128(1), Arc::new(envelope), Arc::new(session));
        let desk = Desk::new("desk").unwrap();
        let call = Call::agent(Context::new(tenant), &desk, request);
        let port = Arc::new(Port::default());
        let (turn, write) = Turn::open(call, Arc::<Port>::clone(&port), Budget::default());
        let reply = desk.handle(turn).await.map(|answer| match answer {
            Answer::Reply(content) => content.to_text().into_owned(),
            other => panic!("{other:?}"),
        });
        let left = write.take().map_or(Value::Null, |left| (*left).clone());
        (reply, left, port.0.lock().unwrap().clone())
    }

    #[tokio::test]
    async fn the_desk_answers_in_short_sentences() {
        for (text, expected) in [
            ("where is order 1042?", "Order 1042 (a kettle, 49.90 EUR) is on its way."),
            (
                "refund order 1042",
                "Done: 49.90 EUR for order 1042 (a kettle) will be paid back. The refund has the number R-1.",
            ),
            ("refund order 1041", "Order 1041 was refunded before, so I did not refund it again."),
            ("where is order 77?", "I can't find an order 77. Is the number right?"),
            ("refund order 77", "I can't find an order 77. Is the number right?"),
        ] {
            let (reply, left, _) = say(text, Value::Null).await;
            assert_eq!((reply.unwrap().as_str(), left), (expected, json!({ "open": "nothing" })));
        }
    }

    #[tokio::test]
    async fn a_bare_number_completes_the_question() {
        let (_, left, asked) = say("refund my order", json!({ "open": ["odd"] })).await;
        assert_eq!(asked, []);
        let (reply, _, asked) = say("1042", left).await;
        assert!(reply.unwrap().starts_with("Done: 49.90 EUR"));
        let names = [(LOOKUP, "lookup"), (REFUND, "refund")];
        assert_eq!(asked, names.map(|(skill, name)| (skill.to_owned(), name.to_owned())));
    }

    #[tokio::test]
    async fn a_shop_out_of_reach_fails_the_attempt() {
        let (reply, left, _) = say("where is order 5?", Value::Null).await;
        assert_eq!(reply.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(left, Value::Null);
    }
}
