//! The comparison: acknowledgements, replies, remotes, ledger, letters, sessions and the trail.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_core::records::EffectState;
use serde::Serialize;

use crate::{
    evidence::Evidence,
    life::Outcome,
    parent::PER_KILL,
    platform::{Chat, Platform},
    trail,
    wire::{Line, Name, Point, Remote},
};

/// What the parent saw.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) engine: &'static str,
    pub(crate) replicas: usize,
    pub(crate) kills: usize,
    pub(crate) pauses: usize,
    pub(crate) server_kills: usize,
    pub(crate) points: BTreeMap<Point, usize>,
    pub(crate) in_dispatching: usize,
    pub(crate) platform: Platform,
    pub(crate) problems: Vec<String>,
}

/// What everybody's counts come to.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) run: Run,
    pub(crate) evidence: Evidence,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) order_violations: u64,
    pub(crate) unknown_visible: u64,
    pub(crate) audit_ok: bool,
    /// What else must not be, in words.
    pub(crate) problems: Vec<String>,
}

impl Verdict {
    /// Reads the store and compares.
    pub(crate) async fn of(mut run: Run, place: &str) -> Outcome<Self> {
        let evidence = Evidence::read(place, &run.platform).await?;
        let mut problems = std::mem::take(&mut run.problems);
        problems.append(&mut run.platform.problems);
        let audit = trail::problems(&evidence);
        let audit_ok = evidence.report.is_ok() && audit.is_empty();
        problems.extend(evidence.report.problems.iter().cloned());
        problems.extend(audit);
        let mut verdict = Self {
            lost: 0,
            duplicated: run.platform.books.duplicated(),
            order_violations: 0,
            unknown_visible: 0,
            audit_ok,
            problems,
            run,
            evidence,
        };
        verdict.judge_messages();
        verdict.judge_effects();
        verdict.judge_conversations();
        verdict.judge_letters();
        verdict.judge_run();
        Ok(verdict)
    }

    fn parked(&self) -> BTreeSet<Name> {
        self.evidence.parked.iter().filter_map(|letter| self.evidence.name(letter.id)).collect()
    }

    /// Acknowledged: then answered, or in sight.
    fn judge_messages(&mut self) {
        let shown: BTreeSet<Name> =
            self.chats().flat_map(|chat| chat.shown.iter().map(|reply| reply.message)).collect();
        let parked = self.parked();
        let gone = |name: &&Name| !shown.contains(name) && !parked.contains(name);
        self.lost += self.run.platform.acknowledged.iter().filter(gone).count() as u64;
        for name in self.run.platform.to_park.difference(&parked) {
            self.problems.push(format!("{name} was reworded after a crash, and is not parked"));
        }
        let known: BTreeSet<Name> = self.evidence.ids.values().copied().collect();
        let strangers = self.run.platform.acknowledged.difference(&known).count();
        if strangers > 0 {
            self.problems.push(format!("{strangers} acknowledged messages have no id"));
        }
        let replies: usize = self.chats().map(|chat| chat.shown.len()).sum();
        self.duplicated += (replies - shown.len()) as u64;
    }

    /// What the ledger says was done, and what the remotes say.
    fn judge_effects(&mut self) {
        let parked = self.parked();
        let mut recorded = BTreeSet::new();
        let (mut lost, mut unknown) = (0, 0);
        let mut wrong = Vec::new();
        for (id, operation, effect) in &self.evidence.effects {
            let remote = Remote::ALL.into_iter().find(|remote| remote.id() == &**operation);
            let (Some(name), Some(remote)) = (self.evidence.name(*id), remote) else {
                wrong.push(format!("nobody knows what {operation} of {id} is about"));
                continue;
            };
            recorded.insert((remote, name));
            let done = self.run.platform.books.done(remote, name).len();
            match &effect.state {
                EffectState::Done { .. } if done == 0 => lost += 1,
                EffectState::Done { .. } => {}
                state if state.is_in_doubt() && parked.contains(&name) => unknown += 1,
                // In doubt, and nobody is told: the worst of all.
                state if state.is_in_doubt() => lost += 1,
                state if done > 0 => {
                    wrong.push(format!("{name} {operation} is {} and was done", state.name()));
                }
                _ => {}
            }
            let settled = matches!(effect.state, EffectState::Done { .. });
            if remote != Remote::Unkeyed && !name.is_reworded() && !settled {
                wrong.push(format!("{name} {operation} ended {}", effect.state.name()));
            }
        }
        for (remote, name, _) in self.run.platform.books.all() {
            if !recorded.contains(&(remote, name)) {
                wrong.push(format!("{name} {} was done without a record", remote.id()));
            }
        }
        let refused = self.run.platform.books.refused();
        if refused > 0 {
            wrong.push(format!("{refused} calls came under a known key with other arguments"));
        }
        self.lost += lost;
        self.unknown_visible += unknown;
        self.problems.append(&mut wrong);
    }

    /// Order, and the session: what must have changed exactly once a turn.
    fn judge_conversations(&mut self) {
        let turns = trail::turns(&self.evidence);
        let (mut disorder, mut lost, mut twice) = (0, 0, 0);
        let mut wrong = Vec::new();
        for (number, chat) in self.chats().enumerate() {
            let none = BTreeSet::new();
            let answered = turns.get(&number).unwrap_or(&none);
            let mut before = 0;
            for reply in &chat.shown {
                let at = reply.message.number;
                disorder += u64::from(at < before) + u64::from(reply.last >= at);
                before = before.max(at);
                let place = answered.range(..=at).count() as u64;
                let last = answered.range(..at).next_back().copied().unwrap_or(0);
                if (reply.turn, reply.last) != (place, last) {
                    wrong.push(format!("{} saw another session than it should", reply.message));
                }
                wrong.extend(self.judge_answers(chat, reply.message, &reply.effects));
            }
            let report = chat.shown.iter().find(|reply| Some(reply.message.number) == chat.report);
            match report.map(|reply| (reply.turn, answered.len() as u64)) {
                Some((counted, done)) => {
                    lost += done.saturating_sub(counted);
                    twice += counted.saturating_sub(done);
                }
                None => wrong.push(format!("conversation {number} never told its session")),
            }
        }
        self.order_violations += disorder;
        self.lost += lost;
        self.duplicated += twice;
        self.problems.append(&mut wrong);
    }

    /// A reply names the very effects that the remotes have in their books.
    fn judge_answers(&self, chat: &Chat, name: Name, answers: &[u64]) -> Option<String> {
        if chat.report == Some(name.number) {
            return (!answers.is_empty()).then(|| format!("{name} wanted no effects"));
        }
        let books = &self.run.platform.books;
        let done = Remote::ALL.iter().map(|remote| books.done(*remote, name).first().copied());
        let same = done.eq(answers.iter().map(|serial| Some(*serial)));
        (!same).then(|| format!("{name} was told of other effects than it had"))
    }

    /// Who may be parked: a reworded turn, an effect or a reply that is at most once.
    fn judge_letters(&mut self) {
        let in_doubt = self.evidence.effects.iter().filter_map(|(id, operation, effect)| {
            (effect.state.is_in_doubt() && &**operation == Remote::Unkeyed.id()).then_some(*id)
        });
        let in_doubt: BTreeSet<_> = in_doubt.collect();
        let mut wrong = Vec::new();
        for letter in &self.evidence.parked {
            let Some(name) = self.evidence.name(letter.id) else {
                wrong.push(format!("nobody knows whose letter {} is", letter.id));
                continue;
            };
            self.unknown_visible += u64::from(letter.is_reply);
            let may = if letter.is_reply {
                name.line() == Line::Plain
            } else {
                name.is_reworded() || in_doubt.contains(&letter.id)
            };
            if !may {
                wrong.push(format!("{name} is parked: {}", letter.reason));
            }
        }
        for letter in &self.evidence.dead {
            wrong.push(format!("{} is a dead letter: {}", letter.id, letter.reason));
        }
        self.problems.append(&mut wrong);
    }

    /// Did the run show what it is there to show?
    fn judge_run(&mut self) {
        let Run { kills, points, in_dispatching, platform, .. } = &self.run;
        let mut wrong = Vec::new();
        if platform.acknowledged.len() < kills * PER_KILL {
            wrong.push(format!("fewer than {PER_KILL} acknowledged messages a kill"));
        }
        // Replicas are killed and paused at moments that nobody chose.
        let alone = self.run.replicas == 1;
        if alone && *in_dispatching < kills / 5 {
            wrong.push("too few kills fell between a mark and its record".to_owned());
        }
        if *kills >= 4 && self.unknown_visible == 0 && self.evidence.parked.is_empty() {
            wrong.push("nothing is unknown or parked: the kills hit nothing".to_owned());
        }
        if alone && *kills >= 2 * Point::ALL.len() {
            let missing = Point::ALL.iter().filter(|point| !points.contains_key(point));
            wrong.extend(missing.map(|point| format!("no child died at {point:?}")));
        }
        if !self.evidence.left.is_empty() {
            wrong.push(format!("the drain left work behind: {:?}", self.evidence.left));
        }
        self.problems.append(&mut wrong);
    }

    pub(crate) fn chats(&self) -> impl Iterator<Item = &Chat> {
        self.run.platform.chats.iter()
    }

    /// Does everything hold?
    pub(crate) fn holds(&self) -> bool {
        let bad = self.lost + self.duplicated + self.order_violations;
        bad == 0 && self.audit_ok && self.problems.is_empty()
    }

    /// The last line of the output.
    pub(crate) fn to_json(&self) -> String {
        let times = |point: &Point| self.run.points.get(point).copied().unwrap_or_default();
        let line = LastLine {
            engine: self.run.engine,
            replicas: self.run.replicas,
            kills: self.run.kills,
            pauses: self.run.pauses,
            server_kills: self.run.server_kills,
            acknowledged: self.run.platform.acknowledged.len(),
            lost: self.lost,
            duplicated: self.duplicated,
            order_violations: self.order_violations,
            unknown_visible: self.unknown_visible,
            parked: self.evidence.parked.len(),
            kill_points: Point::ALL.iter().map(|point| (*point, times(point))).collect(),
            kills_in_dispatching: self.run.in_dispatching,
            audit_ok: self.audit_ok,
        };
        serde_json::to_string(&line).unwrap_or_default()
    }
}

/// What a program reads of a run.
#[derive(Serialize)]
struct LastLine {
    engine: &'static str,
    replicas: usize,
    kills: usize,
    pauses: usize,
    server_kills: usize,
    acknowledged: usize,
    lost: u64,
    duplicated: u64,
    order_violations: u64,
    unknown_visible: u64,
    parked: usize,
    kill_points: BTreeMap<Point, usize>,
    kills_in_dispatching: usize,
    audit_ok: bool,
}
