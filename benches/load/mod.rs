//! A gateway under load: an echo agent, a channel that counts, every message in a book.
//!
//! A message's latency begins when the source hands it out (in a paced run: when it was meant
//! to go out, however late it did) and ends when its reply reaches the channel. Three of its
//! four commits lie in between; the fourth is under way then and is part of the throughput.

mod book;
mod count;
mod rows;
mod wire;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use openclaw_core::{
    AgentId, ChannelId, Env, TenantId,
    agent::{Answer, agent_fn},
    gateway::{Gateway, GatewayConfig},
    store::StateStore,
};
use openclaw_testkit::load::{Arrivals, Latencies};
use tokio::{task::JoinHandle, time};

use self::wire::{Accounts, Wire};
pub use self::{
    book::{Book, Entry},
    count::{Counting, Tally},
    rows::{Filled, fill},
};
use crate::{Outcome, machine};

/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The tenant of all messages.
pub(crate) fn tenant() -> Outcome<TenantId> {
    Ok(TenantId::new("bench")?)
}

/// What a run does.
#[derive(Clone, Debug)]
#[must_use = "give it to `run`"]
pub struct Scenario {
    conversations: NonZeroUsize,
    in_flight: usize,
    pace: Option<f64>,
    messages: Option<u64>,
    warm_up: Duration,
    window: Duration,
    first: u64,
    twice: bool,
}

impl Scenario {
    /// Keeps this many messages in flight: an answer brings the next message.
    pub const fn closed(in_flight: usize) -> Self {
        const CONVERSATIONS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
        Self {
            conversations: CONVERSATIONS,
            in_flight,
            pace: None,
            messages: None,
            warm_up: Duration::ZERO,
            window: Duration::MAX,
            first: 1,
            twice: false,
        }
    }

    /// Sends this many messages a second, whether they are answered or not.
    pub const fn paced(per_s: f64) -> Self {
        Self { pace: Some(per_s), ..Self::closed(0) }
    }

    /// Ends after this many messages.
    pub const fn messages(mut self, count: u64) -> Self {
        self.messages = Some(count);
        self
    }

    /// Measures for this long, after a while in which nothing is measured.
    pub const fn lasting(mut self, warm_up: Duration, window: Duration) -> Self {
        (self.warm_up, self.window) = (warm_up, window);
        self
    }

    /// Has all messages in one conversation.
    pub const fn in_one_conversation(mut self) -> Self {
        self.conversations = NonZeroUsize::MIN;
        self
    }

    /// Gives the first message this number: a store must see each number once.
    pub const fn starting_at(mut self, first: u64) -> Self {
        self.first = first;
        self
    }

    /// Hands some messages out twice, under two ids: the run must notice.
    pub const fn broken(mut self, twice: bool) -> Self {
        self.twice = twice;
        self
    }
}

/// What a run found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Figures {
    /// Messages answered while it was measured.
    pub messages: u64,
    /// How long it was measured.
    pub secs: f64,
    /// Answers a second.
    pub per_s: f64,
    /// Latency of the median message, in milliseconds.
    pub p50_ms: f64,
    /// Latency of the slowest message in a hundred, in milliseconds.
    pub p99_ms: f64,
    /// Latency of the slowest message, in milliseconds.
    pub max_ms: f64,
    /// Processor time a message, in microseconds: gateway, store and channel of the run.
    pub cpu_us: f64,
    /// The machine's load average when the run began.
    pub load: f64,
    /// The number of the next message: where a later run on this store starts.
    pub next: u64,
    /// Messages that were handed out.
    pub sent: u64,
    /// What is wrong; empty when every message was answered exactly once.
    pub problems: Vec<String>,
}

/// Runs a gateway over this store.
///
/// # Errors
/// The gateway does not start or does not stop. What it did wrong is in the figures.
pub async fn run<S: StateStore + Clone>(store: S, scenario: &Scenario) -> Outcome<Figures> {
    let load = machine::load_average();
    let channel = ChannelId::new("loop")?;
    let wire = Wire::new(&tenant()?, &channel, scenario);
    let echo = agent_fn(AgentId::new("echo")?, |turn| async move {
        Ok(Answer::Reply(turn.envelope().content.clone()))
    });
    let mut config = GatewayConfig::default();
    // One conversation may have all of them, and one more when an answer outruns its lane.
    config.lane = config.lane.max(2 * scenario.in_flight);
    let env = Env::system();
    let gateway = Gateway::builder(env.clone(), store.clone())
        .channel(wire::Loop::new(channel, Arc::clone(&wire)))
        .agent(echo)
        .config(config)
        .start()
        .await?;
    let mut problems = Vec::new();
    if !gateway.recovered().is_empty() {
        problems.push(format!("the store was not quiet: {:?}", gateway.recovered()));
    }
    let (window, secs, cpu) = measure(&wire, scenario).await?;
    gateway.drain(PATIENCE).await?;
    problems.extend(wrong(&wire.accounts()));
    // What a restart would find: nothing, when the last commit of each message is there.
    let after = Gateway::builder(env, store).start().await?;
    if !after.recovered().is_empty() {
        problems.push(format!("not finished after the drain: {:?}", after.recovered()));
    }
    after.drain(PATIENCE).await?;
    let next = wire.accounts().next;
    let sent = next - scenario.first;
    Ok(Figures { load, next, sent, problems, ..figures(&window, secs, cpu) })
}

/// Lets the messages flow; what was answered in the window, its length, its processor time.
async fn measure(wire: &Arc<Wire>, scenario: &Scenario) -> Outcome<(Latencies, f64, Duration)> {
    let start = time::Instant::now() + scenario.warm_up;
    if scenario.warm_up.is_zero() {
        wire.open_window();
    }
    let pacer = scenario.pace.map(|per_s| pace(Arc::clone(wire), per_s));
    wire.push((0..scenario.in_flight).map(|_| None));
    if !scenario.warm_up.is_zero() {
        time::sleep_until(start).await;
        wire.open_window();
    }
    let (start, cpu) = (time::Instant::now(), machine::cpu_time());
    if scenario.messages.is_some() {
        // Late ones are a problem that the accounts tell.
        let _late = time::timeout(scenario.window, wire.quiet()).await;
    } else {
        time::sleep(scenario.window).await;
    }
    let (secs, cpu) = (start.elapsed().as_secs_f64(), machine::cpu_time() - cpu);
    let window = wire.close_window().ok_or("the window was not open")?;
    wire.stop();
    if let Some(pacer) = pacer {
        pacer.abort();
    }
    let _late = time::timeout(PATIENCE, wire.quiet()).await;
    Ok((window, secs, cpu))
}

/// Makes messages due at an even pace. A late tick makes up for what was missed, and every
/// message keeps the moment it was meant for.
fn pace(wire: Arc<Wire>, per_s: f64) -> JoinHandle<()> {
    tokio::spawn(async move {
        let start = time::Instant::now();
        let mut moments = Arrivals::constant(per_s.max(1.0)).map(|at| start + at).peekable();
        while let Some(next) = moments.peek().copied() {
            time::sleep_until(next).await;
            let now = time::Instant::now();
            wire.push(std::iter::from_fn(|| moments.next_if(|at| *at <= now).map(Some)));
        }
    })
}

fn wrong(accounts: &Accounts) -> Vec<String> {
    let counts = [
        (accounts.waiting, "messages were never answered"),
        (accounts.again, "messages were answered twice"),
        (accounts.unknown, "answers belong to no message"),
        (accounts.refused, "messages were refused"),
    ];
    let wrong = counts.into_iter().filter(|(count, _)| *count > 0);
    wrong.map(|(count, what)| format!("{count} {what}")).collect()
}

fn figures(window: &Latencies, secs: f64, cpu: Duration) -> Figures {
    let messages = window.len();
    // Counts of messages are far below 2^52.
    let count = f64::from(u32::try_from(messages).unwrap_or(u32::MAX));
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    Figures {
        messages,
        secs,
        per_s: count / secs,
        p50_ms: ms(window.p50()),
        p99_ms: ms(window.p99()),
        max_ms: ms(window.max()),
        cpu_us: cpu.as_secs_f64() * 1e6 / count.max(1.0),
        ..Figures::default()
    }
}

#[cfg(test)]
mod tests {
    use openclaw_core::store::MemoryStore;

    use super::*;

    async fn memory(scenario: Scenario) -> Figures {
        run(MemoryStore::new(Env::system().clock()), &scenario).await.unwrap()
    }

    #[tokio::test]
    async fn every_message_is_answered_once() {
        let figures = memory(Scenario::closed(8).messages(2500)).await;
        assert_eq!((figures.messages, figures.sent), (2500, 2500));
        assert_eq!(figures.problems, [""; 0]);
    }

    #[tokio::test]
    async fn a_message_that_is_answered_twice_is_noticed() {
        let figures = memory(Scenario::closed(8).messages(2500).broken(true)).await;
        assert_eq!(figures.problems, ["2 messages were answered twice"]);
    }
}
