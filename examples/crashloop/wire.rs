//! What parent and child say to each other: one JSON line each.

use std::{fmt, str::FromStr};

use openclaw_core::MessageId;
use serde::{Deserialize, Serialize};

/// How many conversations the platform has.
pub(crate) const CHATS: usize = 16;
/// The tenant of everything.
pub(crate) const TENANT: &str = "crash";
/// What follows the name of a message that asks for the session and wants nothing done.
pub(crate) const REPORT: &str = " report";

/// A message's name at the platform: its conversation, and its number in there, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Name {
    pub(crate) chat: usize,
    pub(crate) number: u32,
}

impl Name {
    /// In one conversation of four the agent words its arguments anew at every attempt.
    pub(crate) const fn is_reworded(self) -> bool {
        self.chat % 4 == 3
    }

    /// Half of the conversations live on a platform that honours keys, half on one that doesn't.
    pub(crate) const fn line(self) -> Line {
        if (self.chat / 4).is_multiple_of(2) { Line::Plain } else { Line::Keyed }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{:02}-{}", self.chat, self.number)
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.strip_prefix('c').and_then(|rest| rest.split_once('-'));
        let read = |(chat, number): (&str, &str)| {
            Some(Self { chat: chat.parse().ok()?, number: number.parse().ok()? })
        };
        parts.and_then(read).ok_or_else(|| format!("{text:?} names no message"))
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.to_string()
    }
}

/// The two channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// Its posts are `AtMostOnce`: the platform shows whatever comes.
    Plain,
    /// Its posts are `Keyed`: the platform shows a key once.
    Keyed,
}

impl Line {
    pub(crate) const BOTH: [Self; 2] = [Self::Plain, Self::Keyed];

    /// The channel's id.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Plain => "line-plain",
            Self::Keyed => "line-keyed",
        }
    }
}

/// The three remotes; each is behind a skill of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Remote {
    /// Honours keys.
    Keyed,
    /// Counts every call.
    Unkeyed,
    /// Counts every call, and can be asked about a key.
    Reconcilable,
}

impl Remote {
    pub(crate) const ALL: [Self; 3] = [Self::Keyed, Self::Unkeyed, Self::Reconcilable];

    /// The skill's id, and the operation's name.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Keyed => "keyed",
            Self::Unkeyed => "unkeyed",
            Self::Reconcilable => "reconcilable",
        }
    }
}

/// A place in the way of a message where a child can be made to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Point {
    /// Before the commit that admits a message.
    C0,
    /// After the claim of an effect, before it is marked as on its way.
    C1,
    /// After the mark, before the call.
    C2,
    /// After the remote did it, before that is recorded.
    C3,
    /// After a record, before anybody is told.
    C4,
    /// After the turn's commit, before its reply goes out.
    C5,
    /// Before a record, while a second gateway takes the store over; then the first one goes on.
    C6,
    /// After a commit whose answer was lost, applied or not, while it is looked up.
    C7,
    /// Inside the turn of an agent that will word its arguments anew.
    C13,
}

impl Point {
    /// In the order in which a short run visits them: those that show most come first.
    pub(crate) const ALL: [Self; 9] =
        [Self::C4, Self::C13, Self::C0, Self::C6, Self::C3, Self::C2, Self::C1, Self::C5, Self::C7];
}

/// Where a child shall stand still, so that the parent kills it exactly there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trap {
    pub(crate) point: Point,
    /// How often it passes first.
    pub(crate) skip: u32,
    /// C4: at a skill's record and not at an admission. C7: the lost commit was not applied.
    pub(crate) other: bool,
}

/// What the child asks the parent for, and waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// Do this at a remote.
    Effect { remote: Remote, key: String, message: Name, arguments: String },
    /// Did the reconcilable remote do this?
    LookUp { key: String },
    /// Show this reply.
    Post { line: Line, key: String, chat: usize, text: String },
}

/// From the child to the parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum Up {
    /// The gateway works. So many effects and replies the run before had left as on their way.
    Hello { in_doubt: usize },
    /// This message is yours now. Ids of 0 are no ids.
    Ack { message: Name, id: MessageId },
    /// Not now.
    Nack { message: Name, after_ms: u64 },
    /// Never.
    Refused { message: Name, why: String },
    /// A question, to be answered under its number.
    Asks { number: u64, question: Ask },
    /// All parked and dead letters.
    Letters { messages: Vec<Name> },
    /// The answer of a commit got lost.
    Lost { applied: bool },
    /// I stand at this point: kill me. At C13 it says in whose turn.
    At { point: Point, message: Option<Name> },
    /// The gateway that was taken over has seen it, and has stopped.
    Fenced,
    /// The drain has ended.
    Drained { problem: Option<String> },
}

/// From the parent to the child.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum Down {
    /// A message for the gateway.
    Deliver { message: Name, text: String },
    /// The answer to a question; `null` when there is none.
    Answer { number: u64, serial: Option<u64> },
    /// Stand still at this point.
    Set { trap: Trap },
    /// The gateway stands still at C6: begin a second one on the same store.
    Overtake,
    /// Let the first one go on; from now on half of the conversations come in at its door.
    Thaw,
    /// Its door is gone: all conversations come in at the other one.
    Close,
    /// Finish what is on hand, and stop.
    Drain,
}

/// What the agent replies: the message it answers, and what it saw when it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) message: Name,
    /// Turns of this conversation, this one included.
    pub(crate) turn: u64,
    /// The number of the message before, as the session has it.
    pub(crate) last: u32,
    /// What the remotes answered.
    pub(crate) effects: Vec<u64>,
}

/// A line for the other side.
pub(crate) fn encode<T: Serialize>(line: &T) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The message that a text of the platform or of the agent is about.
pub(crate) fn named(text: &str) -> Option<Name> {
    match serde_json::from_str::<Reply>(text) {
        Ok(reply) => Some(reply.message),
        Err(_) => text.split(' ').next()?.parse().ok(),
    }
}
