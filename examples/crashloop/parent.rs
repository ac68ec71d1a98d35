//! The parent: platform and remotes over all lives, and the one who ends them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use openclaw_core::Rng;
use openclaw_testkit::{
    env::SeededRng,
    servers::{StoreEngine, StorePlace},
};
use tokio::time::{Instant, timeout};

use crate::{
    broken::Break,
    child::Birth,
    life::{Life, Outcome},
    plan::{Kill, Plan},
    platform::{Heard, Platform},
    verdict::{Run, Verdict},
    wire::{Down, Point},
};

/// Acknowledged messages a kill, at least.
pub(crate) const PER_KILL: usize = 40;
/// A child that does not come to its point for so long is killed where it stands.
const TRAPPED: Duration = Duration::from_secs(10);
/// One child in so many sees its server die.
const SERVER_EVERY: usize = 3;
/// How long the server stays away.
const DARK: Duration = Duration::from_millis(200);
/// The longest that a remote takes, in microseconds.
const WORK: u64 = 3000;
/// Messages that a gateway admits after it took over, before the one before it goes on.
const OVERTAKEN: usize = 12;

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) kills: usize,
    pub(crate) engine: StoreEngine,
    pub(crate) replicas: usize,
    pub(crate) seed: u64,
    pub(crate) broken: Option<Break>,
}

/// What the parent holds over all lives.
struct Parent {
    options: Options,
    place: StorePlace,
    dice: SeededRng,
    platform: Platform,
    points: BTreeMap<Point, usize>,
    kills: usize,
    server_kills: usize,
    in_dispatching: usize,
    /// The last life was killed, and the next one has not said what it found.
    unheard: bool,
    /// Why the last life did not end well.
    problems: Vec<String>,
    /// No new messages: what is there comes to its end.
    closing: bool,
    /// Conversations that wait before they come again.
    holds: BTreeSet<(Instant, usize)>,
}

/// Kills so many children, lets the last one finish, and compares what everybody counted.
pub(crate) async fn run(options: Options) -> Outcome<Verdict> {
    let dice = SeededRng::new(options.seed);
    let mut plan = Plan::new(options.kills, dice.split());
    let mut parent = Parent {
        options,
        place: StorePlace::make(options.engine).await?,
        platform: Platform::new(dice.split()),
        dice,
        points: BTreeMap::new(),
        kills: 0,
        server_kills: 0,
        in_dispatching: 0,
        unheard: false,
        problems: Vec::new(),
        closing: false,
        holds: BTreeSet::new(),
    };
    while parent.kills < options.kills {
        let kill = plan.next();
        let met = parent.killed_life(kill).await?;
        if let (Kill::At { trap, .. }, None) = (kill, met) {
            plan.missed(trap.point);
        }
    }
    parent.last_life().await?;
    let Parent { platform, points, kills, server_kills, in_dispatching, problems, place, .. } =
        parent;
    let engine = options.engine.name();
    let run = Run {
        engine,
        replicas: 1,
        kills,
        pauses: 0,
        server_kills,
        points,
        in_dispatching,
        platform,
        problems,
    };
    let verdict = Verdict::of(run, &place.url()).await;
    drop(place);
    verdict
}

impl Parent {
    async fn begin(&self) -> Outcome<Life> {
        let (seed, broken) = (self.dice.next_u64(), self.options.broken);
        Life::begin(&Birth { store: self.place.url(), seed, broken, replica: None }).await
    }

    /// How long without a word means that nothing more will come.
    const fn silence(&self) -> Duration {
        Duration::from_secs(if self.options.broken.is_some() { 2 } else { 15 })
    }

    /// Lets a child live until it is due, and kills it. Gives the point it stood at.
    async fn killed_life(&mut self, kill: Kill) -> Outcome<Option<Point>> {
        let mut life = self.begin().await?;
        let met = self.until_due(&mut life, kill).await?;
        life.kill().await?;
        // What it had said before it died still counts, and no remote is asked twice at once:
        // the next child starts when this one's last question was heard.
        while let Some(up) = life.next().await? {
            if let Heard::Hello(in_doubt) = self.platform.hear(up) {
                self.hello(in_doubt);
            }
        }
        self.kills += 1;
        self.unheard = true;
        if let Some(point) = met {
            *self.points.entry(point).or_default() += 1;
        }
        Ok(met)
    }

    /// Now and then the server dies under a child, and comes back.
    async fn crash_server(&mut self, life: &mut Life) -> Outcome<()> {
        if !self.place.has_server() || self.kills % SERVER_EVERY != 1 {
            return Ok(());
        }
        self.until_acknowledged(life, 5).await?;
        self.place.crash(self.kills % (2 * SERVER_EVERY) == 1).await?;
        self.server_kills += 1;
        // The child meets a store that is not there.
        drop(timeout(DARK, self.until_point(life)).await);
        self.place.restart().await?;
        self.until_acknowledged(life, 5).await
    }

    async fn until_due(&mut self, life: &mut Life, kill: Kill) -> Outcome<Option<Point>> {
        match kill {
            Kill::Early(after) => {
                let lives = async {
                    self.connect(life).await?;
                    self.until_point(life).await
                };
                timeout(after, lives).await.unwrap_or(Ok(None))
            }
            Kill::Random { acknowledged, after } => {
                self.connect(life).await?;
                self.crash_server(life).await?;
                self.until_acknowledged(life, acknowledged).await?;
                timeout(after, self.until_point(life)).await.unwrap_or(Ok(None))
            }
            Kill::At { acknowledged, trap } => {
                self.connect(life).await?;
                self.crash_server(life).await?;
                self.until_acknowledged(life, acknowledged).await?;
                life.say(Down::Set { trap }).await;
                let met = timeout(TRAPPED, self.until_point(life)).await.unwrap_or(Ok(None))?;
                if met == Some(Point::C6) {
                    self.overtake(life).await?;
                }
                Ok(met)
            }
        }
    }

    /// A second gateway takes over from one that stands still. That one then goes on, and has to
    /// learn it from the first thing that it writes.
    async fn overtake(&mut self, life: &mut Life) -> Outcome<()> {
        life.say(Down::Overtake).await;
        if !self.until_heard(life, |heard| matches!(heard, Heard::Hello(_))).await? {
            self.problems.push("the second gateway did not start".to_owned());
        }
        self.deliver_again(life).await;
        self.until_acknowledged(life, OVERTAKEN).await?;
        life.say(Down::Thaw).await;
        if !self.until_heard(life, |heard| matches!(heard, Heard::Fenced)).await? {
            self.problems.push("a gateway that was taken over did not stop".to_owned());
        }
        life.say(Down::Close).await;
        self.deliver_again(life).await;
        self.until_acknowledged(life, OVERTAKEN).await
    }

    /// Goes on until this is heard; false when it takes too long.
    async fn until_heard(
        &mut self,
        life: &mut Life,
        is_it: impl Fn(&Heard) -> bool + Send + Sync,
    ) -> Outcome<bool> {
        let heard = async {
            while !is_it(&self.step(life).await?) {}
            Ok(true)
        };
        timeout(TRAPPED, heard).await.unwrap_or(Ok(false))
    }

    /// What is not acknowledged comes again: whoever had it may be gone.
    async fn deliver_again(&mut self, life: &Life) {
        self.holds.clear();
        for down in self.platform.again() {
            life.say(down).await;
        }
    }

    async fn connect(&mut self, life: &mut Life) -> Outcome<()> {
        life.connect().await?;
        self.deliver_again(life).await;
        Ok(())
    }

    async fn until_point(&mut self, life: &mut Life) -> Outcome<Option<Point>> {
        loop {
            if let Heard::At(point) = self.step(life).await? {
                return Ok(Some(point));
            }
        }
    }

    async fn until_acknowledged(&mut self, life: &mut Life, more: usize) -> Outcome<()> {
        let goal = self.platform.acknowledged.len() + more;
        self.until(life, |platform| platform.acknowledged.len() >= goal).await.map(drop)
    }

    /// Goes on until this holds; false when the child fell silent before.
    async fn until(&mut self, life: &mut Life, holds: impl Fn(&Platform) -> bool) -> Outcome<bool> {
        let silence = self.silence();
        while !holds(&self.platform) {
            match timeout(silence, self.step(life)).await {
                Ok(step) => drop(step?),
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Hears one line and does what follows from it.
    async fn step(&mut self, life: &mut Life) -> Outcome<Heard> {
        let gone = "the child ended by itself: it was not killed yet";
        let due = self.holds.first().copied();
        let up = tokio::select! {
            biased;
            () = at(due) => {
                self.resume(life).await;
                return Ok(Heard::Nothing);
            }
            up = life.next() => up?.ok_or(gone)?,
        };
        let heard = self.platform.hear(up);
        match &heard {
            Heard::Answer(down) => {
                life.say_later(down.clone(), Duration::from_micros(self.dice.below(WORK)));
            }
            Heard::Hold(chat, after) => {
                self.holds.insert((Instant::now() + *after, *chat));
            }
            Heard::Hello(in_doubt) => self.hello(*in_doubt),
            Heard::Nothing | Heard::At(_) | Heard::Fenced | Heard::Drained(_) => {}
        }
        if !self.closing {
            for down in self.platform.pump() {
                life.say(down).await;
            }
        }
        Ok(heard)
    }

    /// Delivers a conversation again that has waited for it.
    async fn resume(&mut self, life: &mut Life) {
        let Some((_, chat)) = self.holds.pop_first() else { return };
        for down in self.platform.resume(chat) {
            life.say(down).await;
        }
    }

    /// A child says what the one before left as on its way: that one died there.
    fn hello(&mut self, in_doubt: usize) {
        if std::mem::take(&mut self.unheard) && in_doubt > 0 {
            self.in_dispatching += 1;
        }
    }

    /// The last child: fills up what is missing, finishes, reports, drains, and ends by itself.
    async fn last_life(&mut self) -> Outcome<()> {
        let mut life = self.begin().await?;
        self.connect(&mut life).await?;
        let goal = self.options.kills * (PER_KILL + 2);
        self.until(&mut life, |platform| platform.acknowledged.len() >= goal).await?;
        self.closing = true;
        if !self.until(&mut life, Platform::is_quiet).await? {
            self.problems.push("the last child fell silent before everything was done".to_owned());
        }
        for down in self.platform.reports() {
            life.say(down).await;
        }
        if !self.until(&mut life, Platform::has_reports).await? {
            self.problems.push("a conversation does not answer any more".to_owned());
        }
        life.say(Down::Drain).await;
        let drained = async {
            loop {
                if let Heard::Drained(problem) = self.step(&mut life).await? {
                    return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(problem);
                }
            }
        };
        if let Some(problem) = timeout(Duration::from_secs(40), drained).await?? {
            self.problems.push(problem);
        }
        let status = life.end().await?;
        if !status.success() {
            self.problems.push(format!("the last child ended with {status}"));
        }
        Ok(())
    }
}

/// Waits until the first conversation is due; for ever when none waits.
async fn at(due: Option<(Instant, usize)>) {
    match due {
        Some((due, _)) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
