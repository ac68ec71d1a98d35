//! The whole gateway under a seed: crashes, lost answers, takeovers, and what must hold.
//!
//! A run is one thread and paused time. People of two tenants write on three channels; an agent
//! answers, asks remotes for effects, asks people for answers and approvals; processes die,
//! sleep, are taken over and drained; commits, sends, calls, acknowledgements and clocks go
//! wrong. Rules are watched all along and checked at the end. The same seed gives the same run.
//! With [`Sim::versions`] skills have two versions, and canaries come and go.
//!
//! ```
//! use openclaw_testkit::sim::{Faults, Invariants, Sim, Workload};
//!
//! let report = Sim::new(7)
//!     .workload(Workload::mix().messages(20))
//!     .faults(Faults::swarm(7))
//!     .check(Invariants::all())
//!     .run();
//! assert!(report.is_ok(), "{report}");
//! ```
//!
//! A gateway of your own, with texts of your own:
//!
//! ```
//! use openclaw_core::{AgentId, agent::{Answer, agent_fn}};
//! use openclaw_testkit::sim::{Sim, Workload};
//!
//! let report = Sim::new(1)
//!     .gateway(|builder| {
//!         let id = AgentId::new("shout").expect("a literal id is valid");
//!         builder.agent(agent_fn(id, |turn| async move {
//!             Ok(Answer::text(turn.text().to_uppercase()))
//!         }))
//!     })
//!     .workload(Workload::texts(|_, n| format!("hello {n}")).messages(10))
//!     .run();
//! assert!(report.is_ok(), "{report}");
//! ```

mod board;
mod books;
mod check;
mod clerk;
mod clock;
mod ends;
mod fault;
mod here;
mod host;
mod inbound;
mod job;
mod line;
mod lives;
mod mark;
mod operator;
mod people;
mod plan;
mod remotes;
mod report;
mod rolled;
mod rows;
mod scene;
mod second;
mod shrink;
mod spending;
mod store;
mod tries;
mod versions;
mod workload;

use std::{fmt, sync::Arc, time::Duration};

use openclaw_core::{Digest, TenantId, gateway::GatewayBuilder, records::AuditLog};
use tokio::time::{Instant, timeout};

use self::{
    check::Over,
    host::Host,
    lives::{Lives, Process},
    plan::Plan,
    scene::Scene,
};
pub use self::{
    check::{Invariant, Invariants},
    fault::{Fault, Faults},
    mark::Marks,
    report::{Cut, Report},
    versions::{Stand, Versions},
    workload::{Verb, Workload},
};

/// One run, composed.
#[derive(Clone)]
pub struct Sim {
    seed: u64,
    host: Host,
    workload: Workload,
    faults: Faults,
    invariants: Invariants,
    cut: Cut,
    story: bool,
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl Sim {
    /// The run of this seed: the standard workload, the swarm of faults, every invariant.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            host: Host::default(),
            workload: Workload::mix(),
            faults: Faults::swarm(seed),
            invariants: Invariants::all(),
            cut: Cut::none(),
            story: false,
        }
    }

    /// Reads what [`Report::repro`] writes: `--seed 7 --only 1-3 --lives 2 --faults kill,drain --stacks on`.
    ///
    /// # Errors
    /// The word that can't be read.
    pub fn parse(words: &str) -> Result<Self, String> {
        let mut sim = Self::new(0);
        let mut words = words.split_whitespace();
        while let Some(flag) = words.next() {
            let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
            let bad = || format!("{flag} can't be {value:?}");
            match flag {
                "--seed" => sim = Self::new(value.parse().map_err(|_no_number| bad())?),
                "--only" => sim.cut.messages = Some(report::parse_ranges(value).ok_or_else(bad)?),
                "--lives" => sim.cut.lives = Some(value.parse().map_err(|_no_number| bad())?),
                "--faults" => sim.faults = named(value).ok_or_else(bad)?,
                "--stacks" => sim.host.stacks = on(value).ok_or_else(bad)?,
                _ => {
                    let flags = "--seed, --only, --lives, --faults, --stacks";
                    return Err(format!("there is no {flag}: {flags}"));
                }
            }
        }
        Ok(sim)
    }

    /// What the variable `OPENCLAW_SIM` says, as [`Sim::parse`] reads it; `None` without it.
    ///
    /// # Errors
    /// The word that can't be read.
    pub fn from_env() -> Result<Option<Self>, String> {
        std::env::var("OPENCLAW_SIM").ok().map(|words| Self::parse(&words)).transpose()
    }

    /// Composes the gateway of the host, anew for each process: agents, skills, a router.
    ///
    /// Store, channels and environment are the run's. Without this the standard agent answers.
    #[must_use]
    pub fn gateway(
        mut self,
        compose: impl Fn(GatewayBuilder) -> GatewayBuilder + Send + Sync + 'static,
    ) -> Self {
        self.host.compose = Some(Arc::new(compose));
        self
    }

    /// What people say.
    #[must_use]
    pub fn workload(mut self, workload: Workload) -> Self {
        self.workload = workload;
        self
    }

    /// What may go wrong.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// What must hold.
    #[must_use]
    pub fn check(mut self, invariants: Invariants) -> Self {
        self.invariants = invariants;
        self
    }

    /// Leaves something out.
    #[must_use]
    pub fn cut(mut self, cut: Cut) -> Self {
        self.cut = cut;
        self
    }

    /// Puts narrow stacks around sends and turns: what goes out waits, is refused and tried again.
    #[must_use]
    pub const fn stacks(mut self) -> Self {
        self.host.stacks = true;
        self
    }

    /// Serves five of the standard skills in two versions, from a source that is made for each process.
    ///
    /// Operators try the second one, promote it, take it back; it fails, as the seed decides; processes
    /// die while it is rolled back. Nothing of this without the standard agent. The words of a report
    /// don't tell of the source: set it again.
    #[must_use]
    pub fn versions<F, R>(mut self, open: F) -> Self
    where
        F: Fn(Stand) -> R + Send + Sync + 'static,
        R: Future<Output = openclaw_core::Result<Arc<dyn Versions>>> + Send + 'static,
    {
        self.host.versions = Some(Arc::new(move |stand| Box::pin(open(stand))));
        self
    }

    /// Writes down what happens, in words: [`Report::story`].
    #[must_use]
    pub const fn telling(mut self) -> Self {
        self.story = true;
        self
    }

    /// Plays it to its end. Not from inside a runtime: the run has one of its own.
    #[must_use]
    pub fn run(&self) -> Report {
        let marks = Marks::default();
        let mut report = Report {
            seed: self.seed,
            faults: self.faults.clone(),
            cut: self.cut.clone(),
            stacks: self.host.stacks,
            messages: 0,
            crashes: 0,
            took: Duration::ZERO,
            trace_hash: Digest::of("sim", [b"nothing"]),
            marks: marks.clone(),
            violations: Vec::new(),
            standard: self.host.compose.is_none() && !self.workload.is_own(),
            story: Vec::new(),
        };
        let plan = Plan::new(self.seed, &self.workload, self.faults.clone(), &self.cut);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        match (plan, runtime) {
            (Some(plan), Ok(runtime)) => runtime.block_on(self.play(plan, marks, &mut report)),
            (None, _) => report.violations.push("the plan can't be made".to_owned()),
            (_, Err(e)) => report.violations.push(format!("there is no runtime: {e}")),
        }
        report
    }

    /// Plays it; a failing run is made as small as it gets.
    #[must_use]
    pub fn run_and_shrink(&self) -> Report {
        let report = self.run();
        if report.is_ok() { report } else { shrink::shrink(self, report) }
    }

    async fn play(&self, plan: Plan, marks: Marks, report: &mut Report) {
        let began = Instant::now();
        report.messages = plan.sayings.len() as u64;
        let scene = Scene::set(plan, marks);
        scene.books().story = self.story.then(Vec::new);
        let mut lives = Lives::new(&scene, self.host.clone());
        if let Some(process) = lives.run().await {
            self.judge(&scene, &mut lives, process).await;
        }
        report.crashes = lives.crashes;
        report.took = began.elapsed();
        let mut books = scene.books();
        report.story = books.story.take().unwrap_or_default();
        report.trace_hash = books.hash();
        report.violations.clone_from(&books.violations);
    }

    async fn judge(&self, scene: &Arc<Scene>, lives: &mut Lives, last: Process) {
        let over = Over {
            scene,
            people: &lives.people,
            gateway: &last.gateway,
            standard: self.host.compose.is_none(),
            versions: self.host.versions.is_some(),
        };
        over.check(&self.invariants).await;
        // A host's own gateway has a retention of its own.
        if self.invariants.has(Invariant::Forgets) && over.standard {
            over.forgets().await;
        }
        if self.invariants.has(Invariant::Drains) {
            drains(scene, &last).await;
            lives.start_on_nothing(last).await;
        }
    }
}

/// A drain finishes in time, and leaves nothing on hand.
async fn drains(scene: &Arc<Scene>, last: &Process) {
    let depths = last.gateway.depths();
    if depths.turns + depths.replies > 0 {
        scene.violate(format!("everything is over, and on hand are {depths:?}"));
    }
    let health = last.gateway.health().await;
    if !health.ready {
        scene.violate(format!("everything is over, and the gateway is not ready: {health:?}"));
    }
    let bound = Duration::from_secs(60);
    match timeout(bound * 2, last.gateway.drain(bound)).await {
        Ok(Ok(())) => {}
        other => scene.violate(format!("everything is over, and the drain says {other:?}")),
    }
    for name in plan::TENANTS {
        let Ok(tenant) = TenantId::new(name) else { continue };
        let log = AuditLog::new(Arc::new(scene.rows.clone()), tenant);
        match log.verify(None).await {
            Ok(report) if report.is_ok() && report.open == 0 => {}
            other => scene.violate(format!("the trail of {name} is not sealed: {other:?}")),
        }
    }
}

/// `on`, or `off`.
fn on(word: &str) -> Option<bool> {
    match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// The faults of these names, with commas between them.
fn named(names: &str) -> Option<Faults> {
    if names == "none" {
        return Some(Faults::none());
    }
    names.split(',').map(|name| Fault::ALL.iter().copied().find(|f| f.name() == name)).collect()
}
