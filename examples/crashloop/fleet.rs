//! Several replicas on one store: killed, paused past their leases, their server killed under them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use openclaw_core::Rng;
use openclaw_testkit::{env::SeededRng, servers::StorePlace};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::{
    child::Birth,
    life::{Life, Outcome},
    parent::{Options, PER_KILL},
    platform::{Heard, Platform},
    verdict::{Run, Verdict},
    wire::{CHATS, Down, Up},
};

/// A replica's lease.
pub(crate) const LEASE: Duration = Duration::from_millis(2500);
/// How long a paused replica is away: its work has moved when it comes back.
const AWAY: Duration = Duration::from_secs(4);
/// How long the server stays away.
const DARK: Duration = Duration::from_millis(200);
/// The longest that a remote takes, in microseconds.
const WORK: u64 = 3000;
/// How long without a word means that nothing more will come.
const SILENCE: Duration = Duration::from_secs(30);

/// What a replica says, and which one of those that stood in this place.
type Heeded = (usize, u64, Option<Up>);

/// One place of the fleet, and who stands in it.
struct Post {
    life: Life,
    number: u64,
    /// Until when it is halted.
    back: Option<Instant>,
    /// It has joined.
    ready: bool,
    drained: bool,
}

/// Platform and remotes over all replicas.
struct Fleet {
    options: Options,
    place: StorePlace,
    dice: SeededRng,
    platform: Platform,
    posts: Vec<Post>,
    born: u64,
    /// At whose door a conversation knocks.
    doors: Vec<usize>,
    heard: mpsc::Receiver<Heeded>,
    hearing: mpsc::Sender<Heeded>,
    holds: BTreeSet<(Instant, usize)>,
    run: Counts,
    problems: Vec<String>,
    closing: bool,
}

/// What was done to the fleet.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    kills: usize,
    pauses: usize,
    server_kills: usize,
}

/// Disturbs a fleet so many times, lets it finish, and compares what everybody counted.
pub(crate) async fn run(options: Options) -> Outcome<Verdict> {
    let dice = SeededRng::new(options.seed);
    let (hearing, heard) = mpsc::channel(4096);
    let mut fleet = Fleet {
        options,
        place: StorePlace::make(options.engine).await?,
        platform: Platform::new(dice.split()),
        dice,
        posts: Vec::new(),
        born: 0,
        doors: (0..CHATS).map(|chat| chat % options.replicas).collect(),
        heard,
        hearing,
        holds: BTreeSet::new(),
        run: Counts::default(),
        problems: Vec::new(),
        closing: false,
    };
    for at in 0..options.replicas {
        let post = fleet.begin(at).await?;
        fleet.posts.push(post);
    }
    fleet.disturb().await?;
    fleet.finish().await?;
    let Fleet { platform, run: counts, problems, place, .. } = fleet;
    let run = Run {
        engine: options.engine.name(),
        replicas: options.replicas,
        kills: counts.kills,
        pauses: counts.pauses,
        server_kills: counts.server_kills,
        points: BTreeMap::new(),
        in_dispatching: 0,
        platform,
        problems,
    };
    let verdict = Verdict::of(run, &place.url()).await;
    drop(place);
    verdict
}

impl Fleet {
    async fn begin(&mut self, at: usize) -> Outcome<Post> {
        self.born += 1;
        let birth = Birth {
            store: self.place.url(),
            seed: self.dice.next_u64(),
            broken: self.options.broken,
            replica: Some(format!("r{at}-{}", self.born)),
        };
        let mut life = Life::begin(&birth).await?;
        life.connect().await?;
        let (number, hearing) = (self.born, self.hearing.clone());
        life.listen(move |up| {
            let hearing = hearing.clone();
            async move { hearing.send((at, number, up)).await.is_ok() }
        });
        Ok(Post { life, number, back: None, ready: false, drained: false })
    }

    /// Kills or pauses a replica, or kills the server, until that was done often enough.
    async fn disturb(&mut self) -> Outcome<()> {
        while self.run.kills + self.run.pauses < self.options.kills {
            let goal = self.platform.acknowledged.len() + 15 + self.below(40);
            self.until(|platform| platform.acknowledged.len() >= goal).await?;
            let span = Duration::from_micros(self.dice.below(10_000));
            drop(timeout(span, self.until(|_| false)).await);
            let at = self.below(self.posts.len() as u64);
            // Who just joins needs the store, and everybody else to be there.
            if self.posts.iter().any(|post| !post.ready)
                || self.posts.get(at).is_none_or(|post| post.back.is_some())
            {
                drop(timeout(Duration::from_millis(50), self.step()).await);
                self.wake().await?;
                continue;
            }
            match self.dice.below(5) {
                0 if self.place.has_server() => self.crash_server().await?,
                0..=2 => self.kill(at).await?,
                _ => self.halt(at)?,
            }
        }
        let goal = self.options.kills * (PER_KILL + 2);
        self.until(|platform| platform.acknowledged.len() >= goal).await.map(drop)
    }

    async fn crash_server(&mut self) -> Outcome<()> {
        self.place.crash(self.run.server_kills % 2 == 1).await?;
        self.run.server_kills += 1;
        drop(timeout(DARK, self.until(|_| false)).await);
        self.place.restart().await?;
        Ok(())
    }

    /// SIGKILL, and another one in its place.
    async fn kill(&mut self, at: usize) -> Outcome<()> {
        if let Some(post) = self.posts.get_mut(at) {
            post.life.kill().await?;
        }
        self.run.kills += 1;
        let post = self.begin(at).await?;
        if let Some(place) = self.posts.get_mut(at) {
            *place = post;
        }
        self.knock_elsewhere(at).await;
        Ok(())
    }

    /// SIGSTOP past the lease.
    fn halt(&mut self, at: usize) -> Outcome<()> {
        let Some(post) = self.posts.get_mut(at) else { return Ok(()) };
        post.life.pause()?;
        post.back = Some(Instant::now() + AWAY);
        self.run.pauses += 1;
        Ok(())
    }

    /// Conversations that knocked at this door come again at another one, in order.
    async fn knock_elsewhere(&mut self, at: usize) {
        for chat in 0..self.doors.len() {
            if self.doors.get(chat) != Some(&at) {
                continue;
            }
            let open: Vec<usize> = (0..self.posts.len())
                .filter(|n| self.posts.get(*n).is_some_and(|post| post.back.is_none()))
                .collect();
            let next = self.dice.pick(&open).copied().unwrap_or(at);
            if let Some(door) = self.doors.get_mut(chat) {
                *door = next;
            }
            self.resume(chat).await;
        }
    }

    fn below(&self, n: u64) -> usize {
        usize::try_from(self.dice.below(n)).unwrap_or_default()
    }

    /// Goes on until this holds; false when everybody fell silent before.
    async fn until(&mut self, holds: impl Fn(&Platform) -> bool) -> Outcome<bool> {
        let mut last = Instant::now();
        while !holds(&self.platform) {
            if timeout(Duration::from_millis(50), self.step()).await.is_ok() {
                last = Instant::now();
            }
            self.wake().await?;
            if last.elapsed() > SILENCE {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What time brings: halted replicas go on, conversations come again.
    async fn wake(&mut self) -> Outcome<()> {
        let now = Instant::now();
        for at in 0..self.posts.len() {
            let Some(post) = self.posts.get_mut(at) else { continue };
            if let Some(back) = post.back {
                // Whoever waits for an answer has gone elsewhere long before it is back.
                if back.saturating_duration_since(now) < AWAY - LEASE {
                    self.knock_elsewhere(at).await;
                }
                if let Some(post) = self.posts.get_mut(at).filter(|_| back <= now) {
                    post.life.resume()?;
                    post.back = None;
                }
            }
        }
        while let Some((due, chat)) = self.holds.first().copied().filter(|(due, _)| *due <= now) {
            self.holds.remove(&(due, chat));
            self.resume(chat).await;
        }
        Ok(())
    }

    async fn resume(&mut self, chat: usize) {
        for down in self.platform.resume(chat) {
            self.say(down).await;
        }
    }

    async fn say(&mut self, down: Down) {
        let door = match &down {
            Down::Deliver { message, .. } => self.doors.get(message.chat).copied(),
            _ => None,
        };
        if let Some(post) = self.posts.get(door.unwrap_or_default()) {
            post.life.say(down).await;
        }
    }

    /// Hears one line and does what follows from it.
    async fn step(&mut self) {
        let Some((at, number, up)) = self.heard.recv().await else { return };
        let Some(up) = up else { return self.ended(at, number) };
        match self.platform.hear(up) {
            Heard::Answer(down) => {
                let after = Duration::from_micros(self.dice.below(WORK));
                if let Some(post) = self.posts.get_mut(at).filter(|post| post.number == number) {
                    post.life.say_later(down, after);
                }
            }
            Heard::Hold(chat, after) => {
                self.holds.insert((Instant::now() + after, chat));
            }
            Heard::Drained(problem) => {
                self.problems.extend(problem);
                if let Some(post) = self.posts.get_mut(at) {
                    post.drained = true;
                }
            }
            Heard::Hello(_) => {
                if let Some(post) = self.posts.get_mut(at).filter(|post| post.number == number) {
                    post.ready = true;
                }
            }
            Heard::At(_) | Heard::Fenced | Heard::Nothing => {}
        }
        if !self.closing {
            for down in self.platform.pump() {
                self.say(down).await;
            }
        }
    }

    fn ended(&mut self, at: usize, number: u64) {
        if self.posts.get(at).is_some_and(|post| post.number == number && !post.drained) {
            self.problems.push(format!("replica {at} ended by itself"));
        }
    }

    /// Fills up what is missing, lets everybody finish, reports, and drains one after the other.
    async fn finish(&mut self) -> Outcome<()> {
        let back = |fleet: &Self| fleet.posts.iter().all(|post| post.back.is_none());
        while !back(self) {
            drop(timeout(Duration::from_millis(50), self.step()).await);
            self.wake().await?;
        }
        self.closing = true;
        if !self.until(Platform::is_quiet).await? {
            self.problems.push("the fleet fell silent before everything was done".to_owned());
        }
        for down in self.platform.reports() {
            self.say(down).await;
        }
        if !self.until(Platform::has_reports).await? {
            self.problems.push("a conversation does not answer any more".to_owned());
        }
        for at in 0..self.posts.len() {
            self.drain(at).await;
        }
        for post in std::mem::take(&mut self.posts) {
            let status = post.life.end().await?;
            if !status.success() {
                self.problems.push(format!("a replica ended with {status}"));
            }
        }
        Ok(())
    }

    /// One after the other, as in a rolling restart: the others take over what is left.
    async fn drain(&mut self, at: usize) {
        if let Some(post) = self.posts.get(at) {
            post.life.say(Down::Drain).await;
        }
        let end = Instant::now() + Duration::from_secs(40);
        while Instant::now() < end && self.posts.get(at).is_some_and(|post| !post.drained) {
            drop(timeout(Duration::from_millis(50), self.step()).await);
        }
    }
}
