//! The platform: sends messages, believes acknowledgements, shows replies, counts everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use openclaw_core::MessageId;
use openclaw_testkit::env::SeededRng;

use crate::{
    remotes::Books,
    wire::{Ask, CHATS, Down, Line, Name, Point, REPORT, Reply, Up},
};

/// Messages of one conversation that are sent and not finished.
const WINDOW: usize = 4;
/// One message in so many is delivered a second time although it was acknowledged.
const TWICE_ONE_IN: u64 = 16;

/// One conversation.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    /// The number of the newest message.
    pub(crate) sent: u32,
    /// The message that asked for the session, once there is one.
    pub(crate) report: Option<u32>,
    unacknowledged: BTreeSet<u32>,
    /// Deliveries that have to come again, acknowledged or not.
    refused: BTreeSet<u32>,
    /// It waits before it comes again.
    held: bool,
    /// Neither answered nor on a shelf.
    open: BTreeSet<u32>,
    /// Everything that was shown, in order.
    pub(crate) shown: Vec<Reply>,
    /// What a platform that honours keys has shown under them.
    keys: BTreeMap<String, (String, u64)>,
}

/// What a line of the child means to the parent.
#[derive(Debug)]
pub(crate) enum Heard {
    Nothing,
    /// An answer that takes its time.
    Answer(Down),
    /// A refusal: this conversation waits so long, and then comes again.
    Hold(usize, Duration),
    /// The child works, and found so much in doubt.
    Hello(usize),
    At(Point),
    /// The gateway that was taken over has stopped.
    Fenced,
    Drained(Option<String>),
}

/// The platform and the remotes behind the skills.
#[derive(Debug)]
pub(crate) struct Platform {
    pub(crate) chats: Vec<Chat>,
    pub(crate) books: Books,
    pub(crate) acknowledged: BTreeSet<Name>,
    /// The gateway's ids of the messages, as far as they were told.
    pub(crate) ids: BTreeMap<MessageId, Name>,
    /// What must never be, in words.
    pub(crate) problems: Vec<String>,
    /// Commits whose answer got lost: not applied, and applied.
    pub(crate) unknown_commits: [u64; 2],
    /// Killed in the turn of an agent that words its arguments anew: nothing but a person helps.
    pub(crate) to_park: BTreeSet<Name>,
    /// Deliveries that were to come again.
    pub(crate) refusals: u64,
    shown: u64,
    dice: SeededRng,
}

impl Platform {
    pub(crate) fn new(dice: SeededRng) -> Self {
        Self {
            chats: std::iter::repeat_with(Chat::default).take(CHATS).collect(),
            books: Books::default(),
            acknowledged: BTreeSet::new(),
            ids: BTreeMap::new(),
            problems: Vec::new(),
            unknown_commits: [0; 2],
            to_park: BTreeSet::new(),
            refusals: 0,
            shown: 0,
            dice,
        }
    }

    /// Takes one line of the child.
    pub(crate) fn hear(&mut self, up: Up) -> Heard {
        match up {
            Up::Hello { in_doubt } => return Heard::Hello(in_doubt),
            Up::At { point, message } => {
                self.to_park.extend(message);
                return Heard::At(point);
            }
            Up::Fenced => return Heard::Fenced,
            Up::Drained { problem } => return Heard::Drained(problem),
            Up::Ack { message, id } => {
                self.acknowledged.insert(message);
                self.learn(id, message);
                if let Some(chat) = self.chats.get_mut(message.chat) {
                    chat.unacknowledged.remove(&message.number);
                }
            }
            Up::Nack { message, after_ms } => return self.refused(message, after_ms),
            Up::Lost { applied } => {
                let [not_applied, was_applied] = &mut self.unknown_commits;
                *(if applied { was_applied } else { not_applied }) += 1;
            }
            Up::Refused { message, why } => {
                self.problems.push(format!("{message} was refused: {why}"));
            }
            Up::Asks { number, question } => {
                let serial = self.answer(question);
                return Heard::Answer(Down::Answer { number, serial });
            }
            Up::Letters { messages } => {
                for Name { chat, number } in messages {
                    if let Some(chat) = self.chats.get_mut(chat) {
                        chat.open.remove(&number);
                    }
                }
            }
        }
        Heard::Nothing
    }

    /// What is refused comes again, and what is behind it in its conversation comes behind it.
    fn refused(&mut self, message: Name, after_ms: u64) -> Heard {
        self.refusals += 1;
        let Some(chat) = self.chats.get_mut(message.chat) else { return Heard::Nothing };
        chat.refused.insert(message.number);
        if std::mem::replace(&mut chat.held, true) {
            return Heard::Nothing;
        }
        Heard::Hold(message.chat, Duration::from_millis(after_ms))
    }

    /// A conversation has waited: everything that is not acknowledged, in order.
    pub(crate) fn resume(&mut self, chat: usize) -> Vec<Down> {
        let Some(there) = self.chats.get_mut(chat) else { return Vec::new() };
        there.held = false;
        let mut numbers = std::mem::take(&mut there.refused);
        numbers.extend(&there.unacknowledged);
        numbers.into_iter().map(|number| self.delivery(Name { chat, number })).collect()
    }

    /// Remembers whose id this is; an id of 0 is nobody's.
    pub(crate) fn learn(&mut self, id: MessageId, message: Name) {
        if id.as_u128() != 0 {
            self.ids.insert(id, message);
        }
    }

    fn answer(&mut self, question: Ask) -> Option<u64> {
        match question {
            Ask::Effect { remote, key, message, arguments } => {
                self.books.effect(remote, key, message, arguments)
            }
            Ask::LookUp { key } => self.books.look_up(key),
            Ask::Post { line, key, chat, text } => self.show(line, &key, chat, text),
        }
    }

    /// Shows a reply, unless this platform honours keys and knows this one.
    fn show(&mut self, line: Line, key: &str, chat: usize, text: String) -> Option<u64> {
        let Ok(reply) = serde_json::from_str::<Reply>(&text) else {
            self.problems.push(format!("a reply in conversation {chat} that is none: {text}"));
            return None;
        };
        if let Some(Ok(id)) = key.split('.').next().map(str::parse) {
            self.learn(id, reply.message);
        }
        let there = self.chats.get_mut(chat)?;
        if let Some((before, serial)) = there.keys.get(key)
            && line == Line::Keyed
        {
            if *before != text {
                self.problems.push(format!("the key {key} came again with another reply"));
            }
            return Some(*serial);
        }
        self.shown += 1;
        there.keys.entry(key.to_owned()).or_insert((text, self.shown));
        there.open.remove(&reply.message.number);
        if reply.message.chat != chat || reply.message.line() != line {
            self.problems.push(format!("{} was answered in another place", reply.message));
        }
        there.shown.push(reply);
        Some(self.shown)
    }

    fn delivery(&self, message: Name) -> Down {
        let report = self.chats.get(message.chat).and_then(|chat| chat.report);
        let asks = if report == Some(message.number) { REPORT } else { "" };
        Down::Deliver { message, text: format!("{message}{asks}") }
    }

    /// What a new connection gets first: everything that was not acknowledged, in order.
    pub(crate) fn again(&mut self) -> Vec<Down> {
        for chat in &mut self.chats {
            chat.refused.clear();
        }
        (0..self.chats.len()).flat_map(|chat| self.resume(chat)).collect()
    }

    /// New messages wherever there is room, and now and then an old one a second time.
    pub(crate) fn pump(&mut self) -> Vec<Down> {
        let mut out = Vec::new();
        for chat in 0..self.chats.len() {
            while let Some(number) = self.chats.get_mut(chat).and_then(Chat::next) {
                out.push(self.delivery(Name { chat, number }));
                if self.dice.below(TWICE_ONE_IN) == 0 {
                    let earlier = self.dice.below(number.into());
                    let number = u32::try_from(earlier).unwrap_or_default() + 1;
                    out.push(self.delivery(Name { chat, number }));
                }
            }
        }
        out
    }

    /// A last message in each conversation, which asks the agent what its session says.
    pub(crate) fn reports(&mut self) -> Vec<Down> {
        let mut out = Vec::new();
        for chat in 0..self.chats.len() {
            let Some(there) = self.chats.get_mut(chat) else { continue };
            let number = there.add();
            there.report = Some(number);
            out.push(self.delivery(Name { chat, number }));
        }
        out
    }

    /// Is every message answered or on a shelf, and acknowledged?
    pub(crate) fn is_quiet(&self) -> bool {
        self.chats.iter().all(|chat| chat.open.is_empty() && chat.unacknowledged.is_empty())
    }

    /// Is the last message of each conversation answered?
    pub(crate) fn has_reports(&self) -> bool {
        self.chats.iter().all(|chat| chat.report.is_none_or(|number| !chat.open.contains(&number)))
    }
}

impl Chat {
    fn add(&mut self) -> u32 {
        self.sent += 1;
        self.unacknowledged.insert(self.sent);
        self.open.insert(self.sent);
        self.sent
    }

    fn next(&mut self) -> Option<u32> {
        (self.open.len() < WINDOW && !self.held).then(|| self.add())
    }
}
