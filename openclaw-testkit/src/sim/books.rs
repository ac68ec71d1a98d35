//! What an outsider writes down while a run goes on, and what it must never see.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use openclaw_core::{
    Digest, Effect, Happened, MessageId, Timestamp,
    gateway::GatewayConfig,
    store::{Key, Op, Txn},
};
use tokio::time::Instant;

use super::{
    rows::{Parts, is_fence, target},
    tries::{Doing, Told, Tries},
};

/// Commits that must carry an audit entry.
const AUDITED: [&str; 15] = [
    "claim",
    "turn",
    "shelve",
    "resolve",
    "replay",
    "decide",
    "refuse",
    "park",
    "purge",
    "request",
    "vote",
    "deny",
    "approve",
    "overspent",
    "rollout",
];

/// Commits that need no partition: nobody's lane depends on them.
const UNFENCED: [&str; 4] = ["approve", "rollout", "seal", "seize"];

/// The course of one message, by the commits that were applied to it.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub(super) tenant: Arc<str>,
    /// When it was admitted, as a place in the order of all commits, and by which process.
    pub(super) admitted: u64,
    pub(super) by: u32,
    /// When its first turn ended.
    pub(super) ended: Option<u64>,
    /// When its reply was committed, the last time.
    pub(super) replied: Option<u64>,
    /// The labels of its commits, in order.
    pub(super) labels: Vec<&'static str>,
    /// Its row is live.
    pub(super) open: bool,
}

/// Everything that was written down.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) violations: Vec<String>,
    hash: Option<Digest>,
    /// What happened, in words, where somebody wants to read it.
    pub(super) story: Option<Vec<String>>,
    pub(super) commits: u64,
    /// The process that took all partitions last, and how many each process has taken.
    pub(super) owner: u32,
    seized: BTreeMap<u32, u32>,
    /// The label of the commit that wrote a live or an effect row last.
    last: BTreeMap<Key, &'static str>,
    pub(super) courses: BTreeMap<MessageId, Course>,
    /// Which message a dedupe row is of.
    pub(super) seen: BTreeMap<Key, MessageId>,
    pub(super) tries: BTreeMap<String, Tries>,
    /// Lanes with a turn that runs, by process.
    running: BTreeSet<(u32, String)>,
    /// Messages whose admission was in doubt for a while.
    pub(super) doubted: BTreeSet<MessageId>,
    /// Effects whose claim wrote an approval in the same commit.
    pub(super) approved: BTreeSet<Key>,
    /// Messages whose turn waits for somebody.
    pub(super) waiting: BTreeSet<MessageId>,
    /// Which message of the people an agent was asked about.
    pub(super) known_as: BTreeMap<MessageId, u32>,
    /// How often the agent was asked, by message.
    pub(super) handled: BTreeMap<MessageId, u32>,
    /// Turns and replies that came back to the lanes beyond the bounds.
    pub(super) put_back: usize,
    /// The store does not answer before this instant.
    pub(super) store_away: Option<Instant>,
    /// What a process did after it had been taken over: nobody could keep it from that.
    pub(super) late: BTreeSet<String>,
    /// Messages whose letters were removed for good.
    pub(super) purged: BTreeSet<MessageId>,
    /// How often the store was slow, hung or away when it was asked for a commit.
    pub(super) held_up: u64,
    /// How often an attempt at a message had a reason to fail.
    pub(super) reasons: BTreeMap<MessageId, u32>,
    /// Which process pulled a message first, and when: by tenant, channel, account and id.
    pub(super) pulled: BTreeMap<(u32, String), u64>,
    /// Messages whose end somebody waits for.
    pub(super) awaited: BTreeSet<MessageId>,
    /// What each conversation remembered when everything was over.
    pub(super) memories: BTreeMap<String, Vec<String>>,
    /// When the story began.
    began: Option<Instant>,
    /// A count of all that people could see, in order.
    tick: u64,
}

impl Books {
    /// Something that must never be seen was seen.
    pub(super) fn violate(&mut self, what: String) {
        if self.violations.len() < 50 {
            self.violations.push(what);
        }
    }

    /// Tells what happened.
    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let at = Instant::now();
            let first = *self.began.get_or_insert(at);
            story.push(format!("{:>9} {}", at.duration_since(first).as_millis(), what()));
        }
    }

    /// Adds an event to the hash of the run.
    pub(super) fn note(&mut self, kind: &str, parts: &[&[u8]]) {
        let before = self.hash.unwrap_or_else(|| Digest::of("sim", [b"begin"]));
        let parts =
            [&before.as_bytes()[..], kind.as_bytes()].into_iter().chain(parts.iter().copied());
        self.hash = Some(Digest::of("sim", parts));
    }

    /// Adds an event that people can read.
    pub(super) fn event(&mut self, process: u32, what: &str) {
        self.note("event", &[&process.to_be_bytes(), what.as_bytes()]);
        self.tell(|| format!("{process} {what}"));
    }

    pub(super) fn hash(&self) -> Digest {
        self.hash.unwrap_or_else(|| Digest::of("sim", [b"begin"]))
    }

    /// No more may be on hand than was agreed.
    pub(super) fn admitted(&mut self, config: &GatewayConfig) {
        // Replies whose last commit is on its way are in no lane any more.
        let (open, most) = (self.open(), config.pending + self.put_back + 2 * config.sends);
        if open > most {
            self.violate(format!("{open} messages are on hand, and {most} may be"));
        }
    }

    /// Messages that are admitted and not final, those that wait for somebody apart.
    pub(super) fn open(&self) -> usize {
        let open =
            self.courses.iter().filter(|(id, course)| course.open && !self.waiting.contains(id));
        open.count()
    }

    /// The next place in the order of what people see.
    pub(super) const fn tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    /// Nobody is told at once whether this admission was applied.
    pub(super) fn doubt_admission(&mut self, txn: &Txn) {
        self.put_back += 1;
        let rows = txn.ops.iter().filter_map(|op| Parts::of(target(op)));
        let ids = rows.filter(|parts| parts.table == "lv").filter_map(|parts| parts.message());
        self.doubted.extend(ids);
    }

    /// The label of the commit that wrote this row last.
    pub(super) fn last(&self, key: &Key) -> Option<&'static str> {
        self.last.get(key).copied()
    }

    /// A commit was applied.
    pub(super) fn applied(&mut self, process: u32, txn: &Txn) {
        self.commits += 1;
        self.hash_commit(process, txn);
        self.tell(|| format!("{process} commit {:<9} {}", txn.label, about(txn)));
        if txn.label == "seize" {
            let seized = self.seized.entry(process).or_default();
            *seized += 1;
            if *seized == 16 {
                self.owner = self.owner.max(process);
            }
        } else if process < self.owner && !UNFENCED.contains(&txn.label) {
            let owner = self.owner;
            self.violate(format!(
                "process {process} applied {:?} after process {owner} had taken over",
                txn.label
            ));
        }
        self.look(txn);
        self.remember(txn);
        for op in &txn.ops {
            self.follow(process, txn.label, op);
        }
    }

    /// A commit lost.
    pub(super) fn conflicted(&mut self, process: u32, txn: &Txn, guard: usize) {
        let n = process.to_be_bytes();
        self.note("conflict", &[&n, txn.label.as_bytes(), &guard.to_be_bytes()]);
        self.tell(|| format!("{process} lost {:?} at guard {guard} {}", txn.label, about(txn)));
    }

    fn hash_commit(&mut self, process: u32, txn: &Txn) {
        let n = process.to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![&n, txn.label.as_bytes()];
        for op in &txn.ops {
            parts.push(target(op));
            if let Op::Put { value, .. } | Op::Append { value, .. } = op {
                parts.push(value);
            }
        }
        let before = self.hash();
        let all = [&before.as_bytes()[..], b"commit"].into_iter().chain(parts);
        self.hash = Some(Digest::of("sim", all));
    }

    /// What every commit has to be.
    fn look(&mut self, txn: &Txn) {
        let label = txn.label;
        let mut tenants = BTreeSet::new();
        let mut audited = false;
        for op in &txn.ops {
            let Some(parts) = Parts::of(target(op)) else {
                self.violate(format!("{label:?} writes a row without a table"));
                continue;
            };
            if !parts.tenant.is_empty() {
                tenants.insert(parts.tenant);
            } else if !matches!(parts.table, "pt" | "tn") {
                let table = parts.table.to_owned();
                self.violate(format!("{label:?} writes {table:?} without a tenant"));
            }
            audited |= parts.table == "au";
        }
        if tenants.len() > 1 {
            self.violate(format!("{label:?} writes rows of two tenants: {tenants:?}"));
        }
        if AUDITED.contains(&label) && !audited {
            self.violate(format!("{label:?} was committed without its audit entry"));
        }
        if !UNFENCED.contains(&label) && !txn.guards.iter().any(is_fence) {
            self.violate(format!("{label:?} does not guard a partition"));
        }
    }

    /// A dedupe row goes with its finished message, and neither of one that is open.
    fn remember(&mut self, txn: &Txn) {
        let rows = |table: &'static str| {
            let rows = txn.ops.iter().filter_map(|op| Some((op, Parts::of(target(op))?)));
            rows.filter(move |(_, parts)| parts.table == table)
        };
        let key = |op: &Op| Key::from_bytes(target(op).to_vec());
        if txn.label == "admit" {
            let live = rows("lv").find_map(|(_, parts)| parts.message());
            let new: Vec<_> = rows("dd").filter_map(|(op, _)| Some((key(op), live?))).collect();
            return self.seen.extend(new);
        }
        if txn.label == "claim" && rows("ap").next().is_some() {
            let claimed: Vec<Key> = rows("fx").map(|(op, _)| key(op)).collect();
            self.approved.extend(claimed);
        }
        if txn.label != "sweep" {
            return;
        }
        let done: BTreeSet<MessageId> =
            rows("dn").filter_map(|(_, parts)| parts.message()).collect();
        let seen: Vec<MessageId> =
            rows("dd").filter_map(|(op, _)| self.seen.remove(&key(op))).collect();
        if let Some(id) = seen.iter().find(|id| !done.contains(id)) {
            self.violate(format!("the dedupe row of {id} is swept, and {id} is not"));
        }
        let effects = rows("fx").filter_map(|(_, parts)| parts.message());
        let open = |id: &MessageId| self.courses.get(id).is_some_and(|course| course.open);
        if let Some(id) = effects.chain(done.iter().copied()).find(open) {
            self.violate(format!("{id} is swept, and it is open"));
        }
    }

    fn follow(&mut self, process: u32, label: &'static str, op: &Op) {
        let Some(parts) = Parts::of(target(op)) else { return };
        if !matches!(parts.table, "lv" | "fx") {
            return;
        }
        let key = Key::from_bytes(target(op).to_vec());
        let deleted = matches!(op, Op::Delete { .. });
        if deleted {
            self.last.remove(&key);
        } else {
            self.last.insert(key, label);
        }
        let (Some(id), "lv") = (parts.message(), parts.table) else { return };
        let at = self.commits;
        let course = self.courses.entry(id).or_insert_with(|| Course {
            tenant: parts.tenant.into(),
            admitted: at,
            by: process,
            ended: None,
            replied: None,
            labels: Vec::new(),
            open: true,
        });
        course.labels.push(label);
        course.open = !deleted;
        if matches!(label, "turn" | "shelve") {
            course.ended.get_or_insert(at);
        }
        if label == "turn" && !deleted {
            course.replied = Some(at);
        }
    }

    /// An attempt at this message has a reason to fail.
    pub(super) fn reason(&mut self, id: MessageId) {
        *self.reasons.entry(id).or_default() += 1;
    }

    /// The reason is gone.
    pub(super) fn no_reason(&mut self, id: MessageId) {
        let reasons = self.reasons.entry(id).or_default();
        *reasons = reasons.saturating_sub(1);
    }

    /// A process has this message in its hands.
    pub(super) fn pulled(&mut self, process: u32, name: String) {
        let at = self.tick();
        self.pulled.entry((process, name)).or_insert(at);
    }

    /// A turn begins: one at a time in a lane.
    pub(super) fn begin_turn(&mut self, process: u32, lane: &str, id: MessageId, bound: usize) {
        *self.handled.entry(id).or_default() += 1;
        if process >= self.owner {
            self.waiting.remove(&id);
        }
        if !self.running.insert((process, lane.to_owned())) {
            self.violate(format!("two turns of {lane} run at once in process {process}"));
        }
        let running = self.running.iter().filter(|(n, _)| *n == process).count();
        if running > bound {
            self.violate(format!("{running} turns run at once, and {bound} are allowed"));
        }
    }

    pub(super) fn end_turn(&mut self, process: u32, lane: &str) {
        self.running.remove(&(process, lane.to_owned()));
    }

    /// Something is about to be done at a remote: may it be?
    pub(super) fn begin_try(&mut self, doing: &Doing<'_>) {
        let Doing { process, key, effect, at, asked, version, most } = doing;
        if *process < self.owner {
            self.late.insert((*key).to_owned());
            return;
        }
        let tries = self.tries.entry((*key).to_owned()).or_default();
        let mut wrong = Vec::new();
        if tries.doubt && matches!(effect, Effect::AtMostOnce | Effect::Reconcilable) {
            wrong.push("an earlier try may have happened".to_owned());
        }
        if let (Effect::Keyed { retention }, true, Some(first)) = (effect, tries.doubt, tries.first)
            && at.since(first) > *retention + Duration::from_secs(1)
        {
            wrong.push("the remote may have forgotten the key".to_owned());
        }
        if !tries.doubt {
            tries.version = Arc::clone(version);
        } else if tries.version != *version {
            wrong.push(format!("{} had begun it, and not {version}", tries.version));
        }
        if tries.asked.is_some_and(|before| before != *asked) {
            wrong.push("it was asked for with other words before".to_owned());
        }
        if tries
            .not_before
            .is_some_and(|(n, when, date)| n == *process && Instant::now() < when && *at < date)
        {
            wrong.push("the remote had asked for more patience".to_owned());
        }
        tries.count += 1;
        tries.since += 1;
        if most.is_some_and(|most| tries.since > most) {
            wrong.push(format!("this is try {}", tries.since));
        }
        tries.first.get_or_insert(*at);
        tries.asked.get_or_insert(*asked);
        tries.not_before = None;
        // Until it is told otherwise the caller does not know.
        tries.before = std::mem::replace(&mut tries.doubt, true);
        for why in wrong {
            self.violate(format!("{key} ({effect:?}) is tried again: {why}"));
        }
    }

    /// The caller was told what came of it.
    pub(super) fn end_try(&mut self, process: u32, at: Timestamp, key: &str, told: Told) {
        let Some(tries) = self.tries.get_mut(key) else { return };
        if told.happened == Happened::No {
            tries.doubt = tries.before;
            if !tries.before {
                // Nothing was ever sent.
                tries.first = None;
            }
        }
        tries.not_before = told.wait.map(|wait| {
            // Where the clock was set forward, the date comes earlier.
            (process, Instant::now() + wait, at.after(wait))
        });
    }

    /// Its owner said that no try did anything.
    pub(super) fn ruled_out(&mut self, key: &str) {
        if let Some(tries) = self.tries.get_mut(key) {
            (tries.doubt, tries.first) = (false, None);
        }
    }

    /// An operator had a look, or the owner was asked: what may be done next starts anew.
    pub(super) fn looked_at(&mut self, prefix: &str) {
        for (key, tries) in &mut self.tries {
            if key.starts_with(prefix) {
                (tries.doubt, tries.since, tries.not_before) = (false, 0, None);
                tries.first = None;
            }
        }
    }
}

/// What a commit is about, for people.
fn about(txn: &Txn) -> String {
    let rows = txn.ops.iter().filter_map(|op| Some((op, Parts::of(target(op))?)));
    let words = rows.filter(|(_, parts)| parts.table != "au").map(|(op, parts)| {
        let id =
            parts.message().filter(|_| matches!(parts.table, "lv" | "fx" | "dn" | "dl" | "pk"));
        let gone = if matches!(op, Op::Delete { .. }) { "-" } else { "" };
        id.map_or_else(|| parts.table.to_owned(), |id| format!("{gone}{}:{id}", parts.table))
    });
    words.collect::<Vec<_>>().join(" ")
}
