//! Replies: one for each message that wants one, with the right words, and none without a cause.

use std::collections::BTreeMap;

use openclaw_core::{
    Content, Effect, MessageId,
    gateway::{MessageState, MessageStatus},
};
use serde_json::Value;

use super::Over;
use crate::sim::{
    Verb,
    board::Post,
    clerk::{LONG, lane_of, light},
    mark::life,
    plan::Saying,
};

/// The posts of one reply: hints, and parts by their place.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) hints: Vec<Post>,
    /// For each part its posts, with their places on the board.
    pub(super) parts: BTreeMap<usize, Vec<(usize, Post)>>,
}

impl Shown {
    /// The texts of the parts, one after the other.
    pub(super) fn text(&self) -> String {
        let firsts = self.parts.values().filter_map(|posts| posts.first());
        firsts.map(|(_, post)| post.text.as_str()).collect()
    }
}

impl Over<'_> {
    /// What was shown for each message.
    pub(super) fn shown(&self) -> BTreeMap<MessageId, Shown> {
        let mut all: BTreeMap<MessageId, Shown> = BTreeMap::new();
        for line in self.scene.lines.values() {
            for (at, post) in line.board.posts().iter().enumerate() {
                let Some(id) = post.reply_to else {
                    self.violate(format!("a post has no cause: {post:?}"));
                    continue;
                };
                let shown = all.entry(id).or_default();
                match post.key.as_deref().map(|key| key.rsplit('.').next().map(str::parse)) {
                    None => shown.hints.push(post.clone()),
                    Some(Some(Ok(part))) => {
                        shown.parts.entry(part).or_default().push((at, post.clone()));
                    }
                    Some(_) => self.violate(format!("a post has a strange key: {post:?}")),
                }
            }
        }
        all
    }

    pub(super) async fn replies(&self) {
        self.memories();
        let shown = self.shown();
        let known: BTreeMap<MessageId, u32> =
            self.people.accepted().into_iter().map(|(n, id)| (id, n)).collect();
        let nothing = Shown::default();
        for (id, n) in &known {
            let saying = self.scene.saying(*n);
            let Some(saying) = saying else { continue };
            let shown = shown.get(id).unwrap_or(&nothing);
            self.repeated(saying, shown);
            if let Ok(Some(status)) = self.gateway.status(&saying.tenant, *id).await {
                self.reply(saying, *id, &status, shown);
            }
        }
        for id in shown.keys().filter(|id| !known.contains_key(id)) {
            self.violate(format!("a reply to {id}, which nobody said"));
        }
    }

    /// No part is shown twice, unless it was declared that it may be.
    fn repeated(&self, saying: &Saying, shown: &Shown) {
        let Some(facts) = self.scene.plan.facts(saying.channel()) else { return };
        let may = matches!(facts.capabilities.post, Effect::AtLeastOnce | Effect::Pure);
        let books = self.scene.books();
        let late = books.late.clone();
        drop(books);
        for (part, posts) in &shown.parts {
            let key = posts.first().and_then(|(_, post)| post.key.clone()).unwrap_or_default();
            if posts.len() > 1 && !may && !late.contains(&key) {
                self.violate(format!(
                    "part {part} of the reply to {:?} was shown {} times ({:?})",
                    saying.text,
                    posts.len(),
                    facts.capabilities.post
                ));
            }
            let words = posts.first().map(|(_, post)| post.text.as_str());
            if posts.iter().any(|(_, post)| Some(post.text.as_str()) != words) {
                self.violate(format!("part {part} of {:?} has two texts: {posts:?}", saying.text));
            }
        }
        self.left_over(saying, shown);
        if shown.parts.len() > 1 {
            self.scene.marks.hit(life::SPLIT);
        }
        if shown.parts.values().flatten().any(|(_, post)| post.replaced) {
            self.scene.marks.hit(life::HINTED);
        }
    }

    /// A hint becomes the reply or is taken back, unless a fault kept the gateway from it.
    fn left_over(&self, saying: &Saying, shown: &Shown) {
        let sends = |fault: crate::sim::Fault| fault.name().starts_with("send");
        let kept_from_it = self.scene.plan.faults.iter().any(sends) || self.was_cut_off(shown);
        let left = |post: &&Post| !post.deleted && !post.replaced;
        if !kept_from_it && shown.hints.iter().any(|post| left(&post)) {
            self.violate(format!("a hint of {:?} was left: {:?}", saying.text, shown.hints));
        }
    }

    /// Did a process end in the middle of the turn?
    fn was_cut_off(&self, shown: &Shown) -> bool {
        let Some(id) = shown.hints.first().and_then(|post| post.reply_to) else { return false };
        let books = self.scene.books();
        let asked = books.handled.get(&id).copied().unwrap_or_default();
        let Some(course) = books.courses.get(&id) else { return true };
        let failed = course.labels.iter().filter(|label| **label == "attempt").count();
        asked as usize != failed + 1
    }

    fn reply(&self, saying: &Saying, id: MessageId, status: &MessageStatus, shown: &Shown) {
        let text = shown.text();
        if !self.standard {
            if status.state == MessageState::Dead && !shown.parts.is_empty() {
                self.violate(format!("{:?} is dead and was answered {text:?}", saying.text));
            }
            return;
        }
        let Some(verb) = Verb::of(&saying.text) else { return };
        let meant = self.meant(saying, verb, id);
        let fits = match status.state {
            MessageState::Done if verb == Verb::Silent => shown.parts.is_empty(),
            MessageState::Done => meant.contains(&text),
            // What went out of a reply in doubt is the beginning of it.
            MessageState::Parked => text.is_empty() || meant.iter().any(|m| m.starts_with(&text)),
            MessageState::Dead => text.is_empty() && verb.is_hopeless(),
            _ => false,
        };
        if !fits {
            self.violate(format!(
                "{:?} on {} is {:?} ({:?}) and was answered {text:?}, not {meant:?}",
                saying.text,
                saying.channel(),
                status.state,
                status.error
            ));
        }
        let told = status.reply.as_ref().map(|reply| match reply {
            Content::Parts(parts) => parts.iter().map(Content::to_text).collect::<String>(),
            one => one.to_text().into_owned(),
        });
        if status.state == MessageState::Done && told.unwrap_or_default() != text {
            self.violate(format!("{:?} is done, and its state shows another reply", saying.text));
        }
        let hopeless_done = verb.is_hopeless() && status.state == MessageState::Done;
        if hopeless_done {
            self.violate(format!("{:?} is done, and can't be", saying.text));
        }
    }

    /// What the reply to a message has to be; several where the run decides.
    fn meant(&self, saying: &Saying, verb: Verb, id: MessageId) -> Vec<String> {
        let memory = self.memory(saying);
        let entry = format!("{} {}", verb.word(), saying.n);
        let place = memory.iter().rposition(|e| *e == entry);
        let Some(k) = place else {
            return vec![format!("(the conversation does not remember {entry:?}: {memory:?})")];
        };
        let waits = matches!(verb, Verb::Ask | Verb::Job | Verb::Approve | Verb::Misuse);
        if waits && !memory.contains(&format!("{entry} waits")) {
            return vec![format!("(the conversation does not remember the wait: {memory:?})")];
        }
        let done = |skill: &str, operation: &str| {
            let key = format!("{id}.{operation}");
            let truth = self.scene.remotes.get(skill).and_then(|remote| remote.lookup(&key));
            truth.map_or_else(
                || "never done".to_owned(),
                |truth| format!("e{}", truth.get("effect").unwrap_or(&Value::Null)),
            )
        };
        let results = match verb {
            Verb::Silent => return vec![String::new()],
            Verb::Echo | Verb::Recall => vec!["heard".to_owned()],
            Verb::Long => vec![LONG.to_owned()],
            Verb::Stream => vec!["streamed".to_owned()],
            Verb::Ask | Verb::Job => vec![format!("answer-{}", saying.n)],
            Verb::Greedy => vec!["after 16".to_owned()],
            Verb::Misuse => vec!["refused".to_owned()],
            Verb::Stumble => vec!["up again".to_owned()],
            Verb::Approve => vec![done("gated", "pay")],
            Verb::Guarded if self.was_done("guarded", id) => vec![done("guarded", "do")],
            Verb::Guarded => ["too late", "bob said no: not today", "eve said no: not today"]
                .map(str::to_owned)
                .into(),
            Verb::Double => vec![format!("{} {}", done("keyed", "first"), done("once", "second"))],
            Verb::Diverge => vec![done("keyed", "do")],
            Verb::Forget => vec!["nothing".to_owned(), done("once", "do")],
            Verb::MakeLight => vec!["whatever".to_owned(), done(light(saying.n), "do")],
            // What may happen twice, and what is only read, says which time it was.
            Verb::Often | Verb::Pure => return self.any_number(saying, verb, k, id),
            _ => vec![done(verb.word(), "do")],
        };
        results.iter().map(|result| format!("{entry} #{k} {result}")).collect()
    }

    fn was_done(&self, skill: &str, id: MessageId) -> bool {
        let key = format!("{id}.do");
        self.scene.remotes.get(skill).is_some_and(|remote| remote.lookup(&key).is_some())
    }

    fn any_number(&self, saying: &Saying, verb: Verb, k: usize, id: MessageId) -> Vec<String> {
        let shown = self.shown();
        let text = shown.get(&id).map(Shown::text).unwrap_or_default();
        let begin = format!("{} {} #{k} e", verb.word(), saying.n);
        let number = text.strip_prefix(&begin).map(|n| n.parse::<u64>().is_ok());
        if number == Some(true) { vec![text] } else { vec![format!("{begin}<number>")] }
    }

    /// What a conversation remembers at the end, its last turn included.
    fn memory(&self, saying: &Saying) -> Vec<String> {
        let lane = lane_of(&saying.envelope());
        let mut memory = self.scene.books().memories.get(&lane).cloned().unwrap_or_default();
        let recall =
            self.scene.plan.recalls.iter().find(|recall| lane_of(&recall.envelope()) == lane);
        memory.extend(recall.map(|recall| recall.text.clone()));
        memory
    }

    /// Was this said in this conversation?
    fn belongs(&self, entry: &str, lane: &str) -> bool {
        let n = entry.split(' ').nth(1).and_then(|n| n.parse().ok());
        let saying = n.and_then(|n| self.scene.saying(n));
        saying.is_some_and(|saying| lane_of(&saying.envelope()) == lane)
    }

    /// How often a turn may say this of itself: once. One that needs a yes of people waits again
    /// behind each replay, since that asks them anew once their time is over.
    fn times(&self, entry: &str) -> usize {
        let waits = entry.strip_suffix(" waits").and_then(|said| said.split_once(' '));
        let Some((_, n)) = waits.filter(|(verb, _)| *verb == Verb::Guarded.word()) else {
            return 1;
        };
        let books = self.scene.books();
        let ids = books.known_as.iter().filter(|(_, known)| n.parse() == Ok(**known));
        let courses = ids.filter_map(|(id, _)| books.courses.get(id));
        let labels = courses.flat_map(|course| &course.labels);
        1 + labels.filter(|label| **label == "replay").count()
    }

    /// Every conversation remembers each finished turn once, and no unfinished one.
    fn memories(&self) {
        let memories = self.scene.books().memories.clone();
        for (lane, memory) in memories {
            let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
            let wrong = memory.iter().find(|entry| {
                let seen = seen.entry(entry.as_str()).or_default();
                *seen += 1;
                let again = *seen > 1 && *seen > self.times(entry);
                entry.ends_with("never finished") || again || !self.belongs(entry, &lane)
            });
            if let Some(wrong) = wrong {
                self.violate(format!("{lane} remembers {wrong:?}: {memory:?}"));
            }
        }
    }
}
