//! Whole gateways under a seed: the same seed gives the same run, and the promise holds in all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use openclaw_core::{
    Digest, Effect, Envelope, Happened, IdempotencyKey, MessageId, TenantId,
    agent::{Resolution, Waiting},
    gateway::{GatewayBuilder, GatewayConfig, MessageState},
    records::EffectState,
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    env::SeededRng,
    fault::{Fault, FaultAgent, Plan},
    platform::{Ticket, Verdict},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::support::{Crowd, Run, Step, World, envelope};

const SEEDS: u64 = 100;
const MESSAGES: usize = 24;
const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(86_400) };
/// When the faults stop, and how long the queues may take to drain then.
const STORM: Duration = Duration::from_secs(40);
const BOUND: Duration = Duration::from_secs(600);

/// What a question to a person begins with.
const ASK: &str = "ask";

/// Each skill, what it does to the world, and what its remote is like.
const SKILLS: [(&str, Effect, RemoteKind); 5] = [
    ("keyed", KEYED, RemoteKind::Keyed),
    ("reconcilable", Effect::Reconcilable, RemoteKind::Unkeyed),
    ("once", Effect::AtMostOnce, RemoteKind::Unkeyed),
    ("often", Effect::AtLeastOnce, RemoteKind::Unkeyed),
    ("pure", Effect::Pure, RemoteKind::Unkeyed),
];

/// One seed, played.
struct Play {
    world: Arc<World>,
    crowd: Arc<Crowd>,
    remotes: Vec<CountingRemote>,
    rng: SeededRng,
    /// What becomes of the agent's attempts.
    moods: Plan,
    storm: AtomicBool,
    until: Instant,
}

impl Play {
    fn new(seed: u64) -> Self {
        let rng = SeededRng::new(seed);
        let mut world = World::new(seed);
        let posts = [Effect::AtMostOnce, KEYED, Effect::Reconcilable];
        world.capabilities.post = *rng.pick(&posts).unwrap();
        if world.capabilities.post == KEYED {
            world.platform.honour_keys();
        }
        world.platform.chaos(rng.split(), 0.15);
        let remotes = SKILLS.map(|(_, _, kind)| {
            let remote = CountingRemote::new(kind);
            remote.misbehave(rng.split(), 0.2);
            remote
        });
        let moods = Plan::seeded(rng.split());
        moods.chance("handle", Fault::Fail, 0.1);
        moods.chance("handle", Fault::Hang, 0.025);
        let crowd = Crowd { said: said(&rng), ..Crowd::default() };
        Self {
            world: Arc::new(world),
            crowd: Arc::new(crowd),
            remotes: remotes.into(),
            rng,
            moods,
            storm: AtomicBool::new(true),
            until: Instant::now() + STORM,
        }
    }

    fn compose(&self, builder: GatewayBuilder) -> GatewayBuilder {
        let mut script = ScriptedAgent::new("moody").unwrap();
        for (name, ..) in SKILLS {
            let scene = script.when_begins(name).call(name, "do", json!({"text": "{text}"}));
            script = scene.then_say("re {text}");
        }
        let waiting = Waiting::Question { text: "really?".into() };
        let script = script.when_begins(ASK).then_wait(waiting);
        let agent = FaultAgent::new(script, self.moods.clone());
        let skills = SKILLS.iter().zip(&self.remotes).map(|((name, effect, _), remote)| {
            RemoteSkill::named(name, *effect, remote.clone()).unwrap()
        });
        // Small enough that lanes fill up and pauses go to the store.
        let mut config = GatewayConfig::default();
        (config.pending, config.lane, config.defer) = (8, 3, Duration::from_secs(1));
        skills.fold(builder.agent(agent).config(config), GatewayBuilder::skill)
    }

    /// Gateways die at seeded commits while the storm lasts; the last one lives to the end.
    async fn run(&self) -> Run {
        tokio::spawn(feed(Arc::clone(&self.world), Arc::clone(&self.crowd), self.rng.split()));
        loop {
            let run = self.world.start(|builder| self.compose(builder)).await;
            if self.storming() {
                run.plan.seed(self.rng.split());
                run.plan.chance(Plan::ANY, Fault::Fail, 0.02);
                run.plan.chance("commit", Fault::LoseAnswer, 0.01);
                run.plan.chance("commit", Fault::LoseRequest, 0.01);
                let faults = [Fault::CrashBefore, Fault::CrashAfter];
                run.plan.nth("commit", 30 + self.rng.below(150), *self.rng.pick(&faults).unwrap());
            }
            let lived = tokio::select! {
                biased;
                () = run.power.lost() => false,
                _ = timeout_at(self.until + BOUND, self.live(&run)) => true,
            };
            if lived {
                return run;
            }
            run.kill().await;
        }
    }

    fn storming(&self) -> bool {
        self.storm.load(Ordering::Relaxed)
    }

    /// Offers again what was not accepted, until everything is final.
    async fn live(&self, run: &Run) {
        let all = self.crowd.said.len();
        while self.storming() || self.crowd.accepted().len() < all {
            tokio::select! {
                biased;
                (ticket, verdict) = self.world.platform.any_verdict() => self.hear(ticket, verdict),
                () = sleep_until(self.until), if self.storming() => self.calm(run),
                () = sleep(Duration::from_secs(3)) => self.answer(run).await,
            }
        }
        while !self.is_over(run).await {
            self.answer(run).await;
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Is everything that was accepted final?
    async fn is_over(&self, run: &Run) -> bool {
        for (n, ids) in self.crowd.accepted() {
            for id in ids {
                let status = run.gateway.status(&self.crowd.said[n].tenant, id).await.unwrap();
                if !status.unwrap().state.is_final() {
                    return false;
                }
            }
        }
        true
    }

    /// Somebody answers whatever waits for an answer.
    async fn answer(&self, run: &Run) {
        for (n, ids) in self.crowd.accepted() {
            let said = &self.crowd.said[n];
            for id in ids.into_iter().filter(|_| is_question(said)) {
                // It is asked again until it is answered: the store may be away.
                run.gateway
                    .resolve(&said.tenant, id, Resolution::new("ann", json!("yes")))
                    .await
                    .ok();
            }
        }
    }

    fn hear(&self, ticket: Ticket, verdict: Verdict) {
        let n = self.crowd.tickets.lock().unwrap()[&ticket];
        let again = match verdict {
            Verdict::Accepted { message, .. } => {
                return self.crowd.history.lock().unwrap().push(Step::Accepted(n, message));
            }
            Verdict::Retry { after, .. } => after,
            Verdict::Abandoned => Duration::ZERO,
            other => panic!("message {n}: {other:?}"),
        };
        let (world, crowd) = (Arc::clone(&self.world), Arc::clone(&self.crowd));
        tokio::spawn(async move {
            sleep(again).await;
            crowd.offer(&world, n);
        });
    }

    fn calm(&self, run: &Run) {
        self.storm.store(false, Ordering::Relaxed);
        run.plan.heal();
        self.moods.heal();
        self.world.platform.chaos(SeededRng::new(0), 0.0);
        self.remotes.iter().for_each(|remote| remote.misbehave(SeededRng::new(0), 0.0));
    }
}

fn is_question(said: &Envelope) -> bool {
    said.content.to_text().starts_with(ASK)
}

/// What is said: each message names its skill and its number.
fn said(rng: &SeededRng) -> Vec<Envelope> {
    let message = |n| {
        let names = SKILLS.map(|(name, ..)| name);
        let skill = if rng.chance(0.1) { ASK } else { rng.pick(&names).unwrap() };
        let place = format!("c{}", rng.below(3));
        let text = format!("{skill} {n}");
        let mut envelope = envelope(&place, Some(&format!("m{n}")), &text);
        envelope.tenant = TenantId::new(*rng.pick(&["acme", "beta"]).unwrap()).unwrap();
        envelope
    };
    (0..MESSAGES).map(message).collect()
}

/// Says everything at seeded times, and some of it twice.
async fn feed(world: Arc<World>, crowd: Arc<Crowd>, rng: SeededRng) {
    for n in 0..crowd.said.len() {
        sleep(Duration::from_millis(rng.below(2000))).await;
        crowd.offer(&world, n);
        if rng.chance(0.15) {
            crowd.offer(&world, n);
        }
    }
}

/// Plays a seed to its end: the digest of everything that happened, and what does not hold.
fn play(seed: u64) -> (Digest, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let play = Play::new(seed);
        let run = play.run().await;
        let mut problems = Vec::new();
        judge(&play, &run, &mut problems).await;
        (play.world.trace.digest(), problems)
    })
}

/// Checks the promise on what a run left behind.
async fn judge(play: &Play, run: &Run, problems: &mut Vec<String>) {
    let mut ends = BTreeMap::new();
    let accepted = play.crowd.accepted().len();
    if accepted < MESSAGES {
        problems.push(format!("{accepted} of {MESSAGES} messages were accepted"));
    }
    for (n, ids) in play.crowd.accepted() {
        if ids.len() != 1 {
            problems.push(format!("message {n} became {ids:?}"));
        }
        for id in ids {
            let status = run.gateway.status(&play.crowd.said[n].tenant, id).await.unwrap().unwrap();
            ends.insert(id, (n, status.state));
        }
    }
    replies(play, &ends, problems);
    order(play, problems);
    for tenant in ["acme", "beta"].map(|name| TenantId::new(name).unwrap()) {
        effects(play, run, &tenant, &ends, problems).await;
        if let Err(e) = run.gateway.drain(BOUND).await {
            problems.push(format!("after everything is final: {e}"));
        }
        let report = run.gateway.audit(&tenant).verify(None).await.unwrap();
        problems.extend(report.problems);
    }
    let next = play.world.start(|builder| play.compose(builder)).await;
    if !next.recovered().is_empty() {
        problems.push(format!("something is left: {:?}", next.recovered()));
    }
}

type Ends = BTreeMap<MessageId, (usize, MessageState)>;

/// Every message has its one reply, unless a person can see why not.
fn replies(play: &Play, ends: &Ends, problems: &mut Vec<String>) {
    let posts = play.world.platform.posts();
    for (id, (n, state)) in ends {
        let texts: Vec<&str> =
            posts.iter().filter(|p| p.reply_to == Some(*id)).map(|p| p.text.as_str()).collect();
        let said = &play.crowd.said[*n];
        let expected = if is_question(said) {
            "yes".to_owned()
        } else {
            format!("re {}", said.content.to_text())
        };
        let fits = match state {
            MessageState::Done => texts == [expected.as_str()],
            MessageState::Dead => texts.is_empty(),
            MessageState::Parked => texts.is_empty() || texts == [expected.as_str()],
            _ => false,
        };
        if !fits {
            problems.push(format!("message {n} is {state:?} and was answered {texts:?}"));
        }
    }
    if posts.iter().any(|post| post.reply_to.is_none_or(|id| !ends.contains_key(&id))) {
        problems.push("a post has no cause".to_owned());
    }
}

/// A message that was accepted before another one was offered is answered before it.
fn order(play: &Play, problems: &mut Vec<String>) {
    let posts = play.world.platform.posts();
    let place = |id: MessageId| posts.iter().position(|post| post.reply_to == Some(id));
    let history = play.crowd.history();
    let lane = |n: usize| (&play.crowd.said[n].tenant, &play.crowd.said[n].conversation);
    let first = |n: usize| history.iter().position(|step| *step == Step::Offered(n));
    let accepted = |n: usize| {
        history.iter().enumerate().find_map(|(at, step)| match step {
            Step::Accepted(m, id) if *m == n => Some((at, *id)),
            _ => None,
        })
    };
    // A question frees its lane: it is answered when it is answered.
    let ordered = || (0..MESSAGES).filter(|n| !is_question(&play.crowd.said[*n]));
    for a in ordered() {
        for b in ordered().filter(|b| lane(*b) == lane(a)) {
            let (Some((before, one)), Some((_, two))) = (accepted(a), accepted(b)) else {
                continue;
            };
            let (Some(one), Some(two)) = (place(one), place(two)) else { continue };
            if Some(before) < first(b) && two < one {
                problems.push(format!("message {b} overtook message {a}"));
            }
        }
    }
}

/// The ledger says about every effect what the remotes count.
async fn effects(
    play: &Play,
    run: &Run,
    tenant: &TenantId,
    ends: &Ends,
    problems: &mut Vec<String>,
) {
    for (turn, operation, record) in run.gateway.ledger(tenant).all().await.unwrap() {
        let place = SKILLS.iter().position(|(name, ..)| *name == &*record.target).unwrap();
        let key = IdempotencyKey::of(turn, &operation).unwrap();
        let count = play.remotes[place].effects(key.as_str());
        let end = ends.get(&turn).map(|(_, state)| *state);
        let most = if record.effect == Effect::AtLeastOnce { u64::MAX } else { 1 };
        let fits = match &record.state {
            EffectState::Done { .. } => count >= 1,
            EffectState::Claimed { .. } | EffectState::Failed { happened: Happened::No, .. } => {
                count == 0
            }
            _ => end == Some(MessageState::Parked),
        };
        if !fits || count > most {
            problems.push(format!(
                "{} of {turn} is {}, happened {count} times, and the message is {end:?}",
                record.target,
                record.state.name()
            ));
        }
    }
}

#[test]
fn every_seed_keeps_the_promise_and_gives_the_same_run_twice() {
    let mut digests = BTreeSet::new();
    for seed in 0..SEEDS {
        let (digest, problems) = play(seed);
        assert_eq!(problems, Vec::<String>::new(), "seed {seed}");
        assert_eq!(play(seed).0, digest, "seed {seed} did not repeat");
        digests.insert(digest);
    }
    assert_eq!(digests.len() as u64, SEEDS, "different seeds give different runs");
}
