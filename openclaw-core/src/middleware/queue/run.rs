//! The runner: takes jobs in hand in the order of their turns.

use std::{collections::BTreeMap, future::poll_fn, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep, timeout},
};
use tower_service::Service;

use super::{
    book::{Book, Taken, Took},
    next::{Outcome, is_ours},
};
use crate::{
    Call, Context, Effects, Error, ErrorKind, Happened, Result, TenantId, Timestamp,
    channel::{Intent, Reconciled},
    records::{EffectState, budgets::reserves, jobs::Job},
    skill::SkillAnswer,
    store::Key,
    words::flag::Flag,
};

/// How long a tenant is held when a limit does not say when it will let calls through.
const HOLD: Duration = Duration::from_millis(100);

/// How long a job that can't be read is passed over: a newer program may do it meanwhile. One whose
/// budget is spent is passed over no longer than that, either.
const ASIDE: Duration = Duration::from_secs(60);

/// A tenant whose calls a limit of this process refuses for so long.
type Hold = (TenantId, Duration);

/// Runs jobs until `stop` is raised, then waits for those in hand.
pub(super) async fn run<S>(book: &Arc<Book>, service: &S, stop: &Flag)
where
    S: Service<Call<Arc<Value>>, Response = SkillAnswer> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<Error> + Send,
{
    let mut hands = Hands { tasks: JoinSet::new(), held: BTreeMap::new(), aside: BTreeMap::new() };
    while !stop.is_up() {
        let again = hands.fill(book, service).await.unwrap_or_else(|e| {
            tracing::warn!(queue = &*book.name, kind = %e.kind(), "the queue can't look at its jobs");
            book.poll
        });
        tokio::select! {
            biased;
            () = stop.wait() => break,
            Some(ended) = hands.tasks.join_next(), if !hands.tasks.is_empty() => {
                hands.ended(book, ended);
            }
            () = book.stirred.notified() => {}
            () = sleep(again) => {}
        }
    }
    while let Some(ended) = hands.tasks.join_next().await {
        hands.ended(book, ended);
    }
}

/// The jobs in hand; they end with it.
struct Hands {
    tasks: JoinSet<Option<Hold>>,
    held: BTreeMap<TenantId, Timestamp>,
    /// Jobs that could not be read, or whose budget is spent, by their rows among those that are due.
    aside: BTreeMap<Key, Timestamp>,
}

impl Hands {
    /// Takes as many jobs as there is room for; tells when to look again.
    async fn fill<S>(&mut self, book: &Arc<Book>, service: &S) -> Result<Duration>
    where
        S: Service<Call<Arc<Value>>, Response = SkillAnswer> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<Error> + Send,
    {
        while let Some(ended) = self.tasks.try_join_next() {
            self.ended(book, ended);
        }
        let room = book.in_flight.saturating_sub(self.tasks.len());
        if room == 0 {
            return Ok(book.poll);
        }
        let now = book.time.now();
        self.held.retain(|_, until| *until > now);
        self.aside.retain(|_, until| *until > now);
        let mut look = book.look(room, &self.held, &self.aside).await?;
        for named in look.named {
            let key = named.key.clone();
            match book.take(named, look.now).await {
                Ok(Took::Job(taken)) => {
                    self.tasks.spawn(attempt(Arc::clone(book), service.clone(), taken));
                }
                Ok(Took::Nothing) => {}
                Ok(Took::Spent(wait)) => {
                    // Others have their turn. An operator may make room before the budget renews.
                    self.aside.insert(key, now.after(wait.min(ASIDE)));
                    look.again = Duration::ZERO;
                }
                Err(e) if e.kind() == ErrorKind::ServerError => {
                    unread(book, &e);
                    self.aside.insert(key, now.after(ASIDE));
                    look.again = Duration::ZERO;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(look.again)
    }

    fn ended(&mut self, book: &Book, ended: Result<Option<Hold>, JoinError>) {
        match ended {
            Ok(Some((tenant, pause))) => {
                self.held.insert(tenant, book.time.now().after(pause));
            }
            Ok(None) => {}
            // Its lease runs out, and its effect decides then.
            Err(_) => tracing::error!(queue = &*book.name, "an attempt at a job panicked"),
        }
    }
}

fn unread(book: &Book, error: &Error) {
    tracing::warn!(queue = &*book.name, %error, "a job can't be read, and is passed over");
}

/// One attempt at a job, with its lease kept.
async fn attempt<S>(book: Arc<Book>, service: S, taken: Taken) -> Option<Hold>
where
    S: Service<Call<Arc<Value>>, Response = SkillAnswer> + Send,
    S::Future: Send,
    S::Error: Into<Error> + Send,
{
    let outcome = work(&book, service, &taken).await;
    let hold = match &outcome {
        Outcome::Called(Err(e)) if is_ours(e) => {
            Some((taken.job.tenant.clone(), e.retry_after().unwrap_or(HOLD)))
        }
        _ => None,
    };
    book.settle(taken, &outcome).await;
    hold
}

/// The work itself; meanwhile the lease is prolonged.
async fn work<S>(book: &Book, service: S, taken: &Taken) -> Outcome
where
    S: Service<Call<Arc<Value>>, Response = SkillAnswer> + Send,
    S::Future: Send,
    S::Error: Into<Error> + Send,
{
    let job = &taken.job;
    let work = async {
        if taken.ask {
            Outcome::Asked(ask(book, job).await)
        } else {
            Outcome::Called(call(book, service, taken).await.map_err(Arc::new))
        }
    };
    let kept = async {
        book.keep(job.clone()).await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        outcome = work => outcome,
        outcome = kept => outcome,
    }
}

async fn call<S>(book: &Book, mut service: S, taken: &Taken) -> Result<SkillAnswer>
where
    S: Service<Call<Arc<Value>>, Response = SkillAnswer> + Send,
    S::Future: Send,
    S::Error: Into<Error> + Send,
{
    let mut request = request(&taken.job, book.time.now());
    if reserves(&taken.job.row.costs) {
        request = request.with_meter(taken.meter.clone());
    }
    let answered = async {
        let ready = poll_fn(|cx| service.poll_ready(cx)).await;
        ready.map_err(|e| e.into().with_happened(Happened::No))?;
        service.call(request).await.map_err(Into::into)
    };
    let late = |_| {
        Err(Error::new(ErrorKind::Timeout, "the service did not answer a job in time")
            .with("limit_ms", book.time_limit.as_millis())
            .with_happened(Happened::Maybe))
    };
    timeout(book.time_limit, answered).await.unwrap_or_else(late)
}

/// The call as it was submitted.
fn request(job: &Job, now: Timestamp) -> Call<Arc<Value>> {
    let row = &job.row;
    let mut context = Context::new(job.tenant.clone())
        .with_trust(row.trust)
        .at_attempt(row.failed.saturating_add(1));
    if row.withheld {
        context = context.with_effects(Effects::Withheld);
    }
    if let Some(trace) = &row.trace {
        context = context.with_trace(trace.clone());
    }
    if let Some(payer) = &row.payer {
        context = context.with_payer(payer.clone());
    }
    let deadline = row.until.and_then(|until| Instant::now().checked_add(until.since(now)));
    if let Some(deadline) = deadline {
        context = context.with_deadline(deadline);
    }
    let target = Arc::clone(&row.call.target);
    Call::stamped(context, target, row.call.effect, Arc::clone(&row.call.request))
        .with_key(row.key.clone())
}

/// Asks the owner of an effect in doubt; `None` when it does not answer.
async fn ask(book: &Book, job: &Job) -> Option<Reconciled> {
    let Some(hook) = &book.reconcile else { return Some(Reconciled::CannotKnow) };
    let record = &job.row.call;
    let (EffectState::Dispatching { first_at, .. } | EffectState::Unknown { first_at, .. }) =
        &record.state
    else {
        return None;
    };
    let target = Arc::clone(&record.target);
    let intent = Intent::new(job.row.key.clone(), target, Arc::clone(&record.request), *first_at);
    timeout(book.time_limit, hook.reconcile(&intent)).await.ok()?.ok()
}
