//! The processes of a run, one after the other and side by side.

use std::{sync::Arc, time::Duration};

use openclaw_core::{Error, ErrorKind, gateway::Gateway};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    Fault,
    here::Here,
    host::Host,
    mark::{life, row},
    operator::Operator,
    people::People,
    plan::Ending,
    scene::Scene,
    versions::{Mover, Watched},
};
use crate::env::SeededRng;

/// How long everything may take once the faults have stopped.
const BOUND: Duration = Duration::from_secs(3_600);

/// A process with its gateway.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) here: Here,
    pub(super) gateway: Gateway,
    versions: Option<Watched>,
}

impl Process {
    /// `kill -9`.
    pub(super) async fn kill(self) {
        let n = self.here.process;
        self.here.stop();
        self.here.scene.books().tell(|| format!("{n} is dead"));
        self.here.power.cut();
        // Its store is out of reach: the drain only drops the tasks.
        let drained = self.gateway.drain(Duration::ZERO);
        let _stopped = timeout(Duration::from_millis(50), drained).await;
    }
}

/// How a process came to its end.
pub(super) enum End {
    Dead,
    /// It still runs, or sleeps; another one has to start now.
    Succeeded,
    Drained,
    /// Everything that was said has come to its end.
    Over,
    /// It has not, and it will not.
    Stuck,
}

/// Everything that lives in a run.
pub(super) struct Lives {
    pub(super) scene: Arc<Scene>,
    pub(super) people: People,
    pub(super) operator: Operator,
    host: Host,
    mover: Mover,
    rng: SeededRng,
    /// When the faults stop.
    until: Instant,
    processes: u32,
    /// Processes that were taken over, and when they are killed.
    pub(super) old: Vec<(Process, Instant)>,
    /// Every conversation was asked what it remembers.
    recalled: bool,
    /// Crashes while something was on hand.
    pub(super) crashes: u64,
}

impl Lives {
    pub(super) fn new(scene: &Arc<Scene>, host: Host) -> Self {
        let people = People::start(scene);
        Self {
            operator: Operator::new(scene, &people),
            people,
            host,
            mover: Mover::new(scene.plan.seed),
            rng: SeededRng::new(scene.plan.seed ^ 0x4c49_5645),
            until: Instant::now() + scene.plan.storm,
            processes: 0,
            old: Vec::new(),
            recalled: false,
            crashes: 0,
            scene: Arc::clone(scene),
        }
    }

    /// Processes live and die until everything is over; the last one, when it is.
    pub(super) async fn run(&mut self) -> Option<Process> {
        let endings = self.scene.plan.endings.clone();
        let mut endings = endings.iter().copied();
        loop {
            self.watch_the_time();
            let ending = if self.scene.dice.storming() { endings.next() } else { None };
            let Some(process) = self.start(ending).await else {
                sleep(Duration::from_millis(300 + self.rng.below(700))).await;
                if Instant::now() > self.until + BOUND {
                    self.scene.violate("no gateway starts any more".to_owned());
                    return None;
                }
                continue;
            };
            match self.live(&process, ending).await {
                End::Over => return Some(process),
                End::Stuck => {
                    self.tell_what_is_stuck(&process).await;
                    process.kill().await;
                    return None;
                }
                End::Succeeded => {
                    let more = Duration::from_millis(self.rng.below(15_000));
                    self.old.push((process, Instant::now() + more));
                }
                End::Drained => process.kill().await,
                End::Dead => {
                    self.count_crash();
                    process.kill().await;
                    self.downtime().await;
                }
            }
        }
    }

    fn count_crash(&mut self) {
        let books = self.scene.books();
        if books.open() > 0 {
            self.crashes += 1;
        }
        let between = books.courses.values().any(|course| {
            course.open
                && course.labels.last().is_some_and(|label| *label == "turn")
                && course.replied.is_some()
        });
        drop(books);
        if between {
            self.scene.marks.hit(row::C5);
        }
    }

    /// The faults stop when their time is over.
    fn watch_the_time(&self) {
        if Instant::now() >= self.until {
            self.scene.dice.calm();
        }
    }

    async fn downtime(&mut self) {
        let dice = self.scene.dice.clone();
        let mut span = Duration::from_millis(self.rng.below(3_000));
        if dice.strikes(Fault::ClockForward) {
            self.scene.marks.hit(row::C11);
            self.scene.clock.forward(Duration::from_secs(dice.below(Fault::ClockForward, 900)));
        }
        if dice.strikes(Fault::ClockBack) {
            self.scene.marks.hit(row::C11);
            self.scene.clock.back(Duration::from_secs(dice.below(Fault::ClockBack, 900)));
        }
        if dice.strikes(Fault::LongOutage) {
            span = Duration::from_secs(2_400 + dice.below(Fault::LongOutage, 7_200));
            self.until += span;
        }
        sleep(span).await;
    }

    /// Starts a process; `None` when it did not come up.
    pub(super) async fn start(&mut self, ending: Option<Ending>) -> Option<Process> {
        self.processes += 1;
        let n = self.processes;
        // Whoever waited at the one before waits in vain.
        self.scene.books().awaited.clear();
        self.scene.books().tell(|| format!("{n} starts, and ends as {ending:?}"));
        let here = Here::new(Arc::clone(&self.scene), self.processes, ending);
        let started = tokio::select! {
            biased;
            () = here.power.lost() => Err(Error::new(ErrorKind::Unavailable, "it died")),
            started = timeout(Duration::from_secs(300), self.host.gateway(&here)) => {
                started.unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "it does not start")))
            }
        };
        match started {
            Ok((gateway, versions)) => {
                self.check_start(&gateway);
                self.mark_start();
                Some(Process { here, gateway, versions })
            }
            Err(_) => {
                here.power.cut();
                self.scene.marks.hit(life::STARTED_IN_VAIN);
                None
            }
        }
    }

    fn mark_start(&self) {
        let alive = self.old.iter().any(|(old, _)| !old.here.power.is_cut());
        if alive {
            self.scene.marks.hit(life::TAKEN_OVER);
            self.scene.marks.hit(row::C6);
        }
    }

    /// A round of those in charge: has everything come to its end? `None`: the process died.
    async fn round(&mut self, process: &Process, alone: bool) -> Option<bool> {
        let calm = !self.scene.dice.storming();
        let round = async {
            if let Some(versions) = &process.versions {
                // A store that does not answer keeps nobody from looking at the messages.
                let moves = self.mover.round(versions, calm);
                drop(timeout(Duration::from_secs(10), moves).await);
            }
            let looks = self.operator.round(&process.gateway, alone);
            matches!(timeout(Duration::from_secs(30), looks).await, Ok(true))
        };
        tokio::select! {
            biased;
            () = process.here.power.lost() => None,
            over = round => Some(over),
        }
    }

    /// The life of a process.
    async fn live(&mut self, process: &Process, ending: Option<Ending>) -> End {
        let began = Instant::now();
        let end = match ending {
            Some(
                Ending::After(after)
                | Ending::TakenOver { after }
                | Ending::Paused { after, .. }
                | Ending::Drained { after, .. },
            ) => began + after,
            // A plan that is not met in time is given up.
            Some(Ending::AtCommit { .. } | Ending::AtEffect { .. }) => {
                began + Duration::from_secs(20)
            }
            None => self.until.max(began) + BOUND,
        };
        loop {
            let next = self.next_time().min(end);
            tokio::select! {
                biased;
                () = process.here.power.lost() => return End::Dead,
                () = sleep_until(next) => {}
            }
            self.watch_the_time();
            self.kill_the_old().await;
            if Instant::now() >= end {
                return self.end(process, ending).await;
            }
            let alone = self.old.is_empty();
            // Looked at first: what gets in meanwhile is for the next round.
            let quiet = self.people.is_quiet();
            let Some(done) = self.round(process, alone).await else { return End::Dead };
            if done && !self.scene.dice.storming() && alone && quiet {
                if self.recalled {
                    self.check_settled().await;
                    return End::Over;
                }

                self.recalled = true;
                self.people.recall();
            }
        }
    }

    fn next_time(&self) -> Instant {
        let next = Instant::now() + Duration::from_millis(1_500);
        self.old.iter().map(|(_, at)| *at).fold(next, Instant::min)
    }

    /// Kills what was taken over, when its time has come.
    async fn kill_the_old(&mut self) {
        let now = Instant::now();
        let calm = !self.scene.dice.storming();
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.old).into_iter().partition(|(_, at)| calm || *at <= now);
        self.old = kept;
        for (old, _) in gone {
            old.kill().await;
        }
    }
}
