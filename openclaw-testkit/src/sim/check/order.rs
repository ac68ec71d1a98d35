//! Order: inside a conversation nothing overtakes.

use std::collections::BTreeMap;

use openclaw_core::{MessageId, channel::Ordering};

use super::{Over, replies::Shown};
use crate::sim::{books::Course, clerk::lane_of, inbound::name_of, plan::Saying};

/// One message of a conversation, with the places of its steps.
#[derive(Clone, Debug)]
struct Steps {
    n: u32,
    id: MessageId,
    offered: Option<u64>,
    accepted: Option<u64>,
    course: Course,
    doubted: bool,
}

impl Over<'_> {
    pub(super) fn order(&self) {
        let shown = self.shown();
        for (lane, steps) in self.conversations() {
            self.crowd(&lane, &steps);
            for a in &steps {
                for b in &steps {
                    self.admissions(&lane, a, b);
                    self.turns(&lane, a, b);
                    self.posts(&lane, a, b, &shown);
                }
            }
        }
        self.parts(&shown);
    }

    fn conversations(&self) -> BTreeMap<String, Vec<Steps>> {
        let known = self.people.known();
        let books = self.scene.books();
        let mut lanes: BTreeMap<String, Vec<Steps>> = BTreeMap::new();
        for (n, known) in known {
            let Some(saying) = self.scene.saying(n) else { continue };
            for id in &known.ids {
                let Some(course) = books.courses.get(id).cloned() else { continue };
                let lane = lane_of(&saying.envelope());
                lanes.entry(lane.clone()).or_default().push(Steps {
                    n,
                    id: *id,
                    offered: known.offered,
                    accepted: known.accepted,
                    course,
                    doubted: books.doubted.contains(id),
                });
            }
        }
        lanes
    }

    /// Does its channel deliver in order, and again what was refused?
    fn has_order(&self, saying: &Saying) -> bool {
        let facts = self.scene.plan.facts(saying.channel());
        facts.is_some_and(|facts| {
            facts.capabilities.redelivers && facts.capabilities.ordering != Ordering::None
        })
    }

    /// Where order counts, a message that came first gets in first, also behind a refusal.
    fn admissions(&self, lane: &str, a: &Steps, b: &Steps) {
        let (Some(one), Some(two)) = (self.scene.saying(a.n), self.scene.saying(b.n)) else {
            return;
        };
        if !self.has_order(one) || a.course.admitted < b.course.admitted || a.n == b.n {
            return;
        }
        let by = b.course.by;
        let books = self.scene.books();
        let pulled =
            |saying: &Saying| books.pulled.get(&(by, name_of(&saying.envelope()))).copied();
        let (Some(first), Some(second)) = (pulled(one), pulled(two)) else { return };
        drop(books);
        if first < second {
            self.violate(format!(
                "in {lane} message {} came before message {}, and got in behind it",
                a.n, b.n
            ));
        }
    }

    /// No more wait in one conversation than was agreed.
    fn crowd(&self, lane: &str, steps: &[Steps]) {
        let doubted = steps.iter().filter(|steps| steps.doubted).count();
        let most = self.scene.plan.config.lane + doubted;
        for at in steps.iter().map(|steps| steps.course.admitted) {
            let waits = |other: &&Steps| {
                other.course.admitted <= at && at < other.course.ended.unwrap_or(u64::MAX)
            };
            let waiting = steps.iter().filter(waits).count();
            if waiting > most {
                self.violate(format!("{waiting} messages wait in {lane}, and {most} may"));
            }
        }
    }

    /// Turns end in the order in which their messages were admitted.
    fn turns(&self, lane: &str, a: &Steps, b: &Steps) {
        let (Some(one), Some(two)) = (a.course.ended, b.course.ended) else { return };
        let ordered = self.scene.saying(a.n).is_some_and(|saying| self.has_order(saying));
        // Without order the later of two may be applied while the first one's fate is unknown.
        let known = ordered || !a.doubted && !b.doubted;
        let admitted = a.course.admitted < b.course.admitted && known;
        let told = matches!((a.accepted, b.offered), (Some(told), Some(said)) if told < said);
        if (admitted || told) && two < one {
            let why = if admitted { "was admitted" } else { "was acknowledged" };
            self.violate(format!(
                "in {lane} message {} was answered before message {}, which {why} first",
                b.n, a.n
            ));
        }
    }

    /// Replies go out in the order in which they were committed.
    fn posts(&self, lane: &str, a: &Steps, b: &Steps, shown: &BTreeMap<MessageId, Shown>) {
        let (Some(one), Some(two)) = (a.course.replied, b.course.replied) else { return };
        let shelved = |steps: &Steps| steps.course.labels.contains(&"shelve");
        if one >= two || shelved(a) || shelved(b) {
            return;
        }
        let place = |id: MessageId| {
            let (at, post) = shown.get(&id)?.parts.get(&0)?.first()?;
            let late = self.scene.books().late.contains(post.key.as_deref().unwrap_or_default());
            (!post.replaced && !late).then_some(*at)
        };
        let (Some(first), Some(second)) = (place(a.id), place(b.id)) else { return };
        if second < first {
            self.violate(format!("in {lane} the reply to {} overtook the reply to {}", b.n, a.n));
        }
    }

    /// The parts of a reply come one after the other.
    fn parts(&self, shown: &BTreeMap<MessageId, Shown>) {
        for (id, shown) in shown {
            let exempt = {
                let books = self.scene.books();
                let shelved = books.courses.get(id).is_some_and(|c| c.labels.contains(&"shelve"));
                shelved || books.late.iter().any(|key| key.starts_with(&id.to_string()))
            };
            if exempt || shown.parts.values().flatten().any(|(_, post)| post.replaced) {
                continue;
            }
            let firsts = shown.parts.values().filter_map(|posts| posts.first());
            let places: Vec<usize> = firsts.map(|(at, _)| *at).collect();
            let gap = shown.parts.keys().enumerate().any(|(at, part)| at != *part);
            if gap || !places.is_sorted() {
                self.violate(format!("the parts of the reply to {id} came as {places:?}"));
            }
        }
    }
}
