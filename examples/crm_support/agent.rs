//! The agent: it reads "move EMAIL to STREET, CITY, POSTCODE, COUNTRY", and sees to all of it.

use async_trait::async_trait;
use openclaw_core::{
    AgentId, Error, ErrorKind, InvalidId, OrFail, Result,
    agent::{Agent, Answer, Turn},
    skill::SkillAnswer,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::skills::{Address, CHANGE, FIND, Found, NOTE, TELL};

const HELP: &str = "Say: move ann@crm.test to 12 Elm Street, Bergen, 5003, NO";

#[derive(Debug)]
pub(crate) struct Support {
    id: AgentId,
}

impl Support {
    pub(crate) fn new() -> Result<Self, InvalidId> {
        Ok(Self { id: AgentId::new("support")? })
    }
}

/// The e-mail and the address in a message.
fn understood(text: &str) -> Option<(String, Address)> {
    let (email, place) = text.trim().strip_prefix("move ")?.split_once(" to ")?;
    let parts: Vec<String> = place.split(',').map(|part| part.trim().to_owned()).collect();
    let [street, city, postcode, country] = <[String; 4]>::try_from(parts).ok()?;
    Some((email.trim().to_owned(), Address { street, city, postcode, country }))
}

#[async_trait]
impl Agent for Support {
    fn id(&self) -> &AgentId {
        &self.id
    }

    async fn handle(&self, mut turn: Turn) -> Result<Answer> {
        let Some((email, address)) = understood(&turn.text()) else {
            return Ok(Answer::text(HELP));
        };
        match moved(&mut turn, &email, &address).await {
            Ok(said) => Ok(Answer::text(said)),
            // A person or a rule said no: that is an answer.
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                Ok(Answer::text(format!("That was refused: {}", e.public())))
            }
            Err(e) if e.kind() == ErrorKind::ValidationError => {
                Ok(Answer::text(format!("I can't do that: {}", e.public())))
            }
            // Waits for a yes, or is tried again.
            Err(e) => Err(e),
        }
    }
}

/// Four operations; each is done once, however often the turn is run.
async fn moved(turn: &mut Turn, email: &str, address: &Address) -> Result<String> {
    let found: Found = ask(turn, FIND, "find", json!({ "email": email })).await?;
    let Some(customer) = found.customer else {
        return Ok(format!("I know no customer with the address {email}."));
    };
    let change = json!({ "customer": customer.id, "address": address });
    ask::<Value>(turn, CHANGE, "change", change).await?;
    let note = json!({ "customer": customer.id, "text": "billing address changed by support" });
    ask::<Value>(turn, NOTE, "note", note).await?;
    let notice = json!({ "customer": customer.id, "event": "billing_address_changed" });
    ask::<Value>(turn, TELL, "tell", notice).await?;
    Ok(format!("Bills of {} go to {}, {} now.", customer.name, address.street, address.city))
}

async fn ask<T: DeserializeOwned>(
    turn: &mut Turn,
    skill: &str,
    operation: &str,
    input: Value,
) -> Result<T> {
    match turn.skill(skill, operation, input).await? {
        SkillAnswer::Done(output) => T::deserialize(&*output).or_fail(ErrorKind::ServerError),
        SkillAnswer::Pending(_) => {
            Err(Error::new(ErrorKind::Unsupported, "nothing here takes long"))
        }
    }
}
