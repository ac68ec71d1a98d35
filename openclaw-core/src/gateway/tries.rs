//! The tries at one part of a reply: each is marked, sent, and recorded by what is known of it.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};

use tokio::sync::Mutex;
use tower_layer::Layer;
use tower_service::Service;

use super::{Inner, doubled, in_time, reply_job::ReplyJob};
use crate::{
    Call, Effect, Error, ErrorKind, Happened, Reason, Refusal, Result,
    channel::{Channel, Outbound, Receipt},
    middleware::{may_send, stack::Resilience},
    records::{
        audit::{AuditAction, AuditEntry},
        ledger::{EffectState, Event, plan},
        live::sent,
    },
    words::caught::caught,
    words::planted::{Bug, planted},
};

/// What came of the tries at a part.
pub(super) enum Came {
    /// It is out.
    Out,
    /// A try failed; another one may do better.
    Failed(Error),
    /// This process refused before a try: it costs none.
    Refused(Error),
    /// No other try is of use.
    Final(Error),
    /// The gateway stops: the next start goes on.
    Left,
}

/// One part on its way out: through its channel's stack, where the host has one.
pub(super) struct Tries<'a> {
    inner: &'a Arc<Inner>,
    channel: &'a dyn Channel,
    at: usize,
    /// Held by a try from its mark to its record.
    course: Mutex<Course<'a>>,
}

struct Course<'a> {
    job: &'a mut ReplyJob,
    /// Was a try made?
    tried: bool,
    /// Is no other try of use?
    last: bool,
    /// The store did not take what had to be recorded.
    unrecorded: Option<Error>,
}

impl<'a> Tries<'a> {
    pub(super) fn new(
        inner: &'a Arc<Inner>,
        channel: &'a dyn Channel,
        job: &'a mut ReplyJob,
        at: usize,
    ) -> Self {
        let course = Course { job, tried: false, last: false, unrecorded: None };
        Self { inner, channel, at, course: Mutex::new(course) }
    }

    /// Makes the call, and says what the reply's row knows now.
    pub(super) async fn run(self, call: Call<Outbound>) -> Result<Came> {
        let outcome = match &self.inner.resilience {
            None => self.one(call).await,
            Some(resilience) => match Box::pin(self.through(resilience, call)).await {
                Some(outcome) => outcome,
                None => return Ok(Came::Left),
            },
        };
        let Self { inner, at, course, .. } = self;
        match outcome {
            Ok(_) => Ok(Came::Out),
            Err(e) => course.into_inner().ended(inner, at, e).await,
        }
    }

    /// Makes the call through the channel's stack; `None` when the gateway stops meanwhile.
    async fn through(
        &self,
        resilience: &Resilience,
        call: Call<Outbound>,
    ) -> Option<Result<Receipt>> {
        let mut service = resilience.send(self.channel.id().as_str()).layer(Leaf(self));
        if let Err(e) = poll_fn(|cx| service.poll_ready(cx)).await {
            return Some(Err(e));
        }
        let mut calling = pin!(service.call(call));
        tokio::select! {
            biased;
            outcome = &mut calling => return Some(outcome),
            () = self.inner.draining.wait() => {}
        }
        // What is on its way is heard to its end; what waits to be tried again is left.
        if self.course.try_lock().is_ok_and(|course| course.tried) {
            return None;
        }
        Some(calling.await)
    }

    /// One try, behind everything that waits or refuses.
    async fn one(&self, call: Call<Outbound>) -> Result<Receipt> {
        let mut course = self.course.lock().await;
        let tries = course.job.state(self.at).map_or(0, tries);
        if tries >= self.inner.config.send_attempts {
            // Crashes took the attempts, or the letter of the last one could not be written.
            course.last = true;
            return Err(Error::new(ErrorKind::Unavailable, "the attempts are spent").exhausted());
        }
        let deadline = in_time(self.inner.config.send_timeout);
        let context = call.context().clone().with_deadline(deadline).at_attempt(tries + 1);
        let call = call.with_context(context);
        course.mark(self.inner, self.at, call.effect()).await?;
        let late = || {
            Error::new(ErrorKind::Timeout, "the channel did not answer in time")
                .with_happened(Happened::Maybe)
        };
        let outcome =
            tokio::time::timeout_at(deadline, caught("the channel", self.channel.send(call))).await;
        match outcome.unwrap_or_else(|_| Err(late())) {
            Ok(receipt) => {
                course.job.step(self.at, Event::Succeeded(sent(&receipt)))?;
                Ok(receipt)
            }
            Err(e) => {
                let e = self.inner.unless_too_long(e);
                let (message, part) = (course.job.id, self.at);
                tracing::warn!(%message, part, error = %e, "a send failed");
                course.failed(self.inner, self.at, tries, &e).await?;
                // Nothing is tried again that would not be counted, or that nobody waits for.
                let over = course.last || course.unrecorded.is_some() || self.inner.is_draining();
                Err(if over { e.exhausted() } else { e })
            }
        }
    }
}

impl Course<'_> {
    /// Marks the part as on its way, when its state allows that.
    async fn mark(&mut self, inner: &Inner, at: usize, effect: Effect) -> Result<()> {
        let now = inner.env.now();
        if let Some(state) = self.job.state(at) {
            may_send(&plan(state, effect, now), state)?;
        }
        // A pure send may be repeated: nothing has to be known about it.
        if effect == Effect::Pure || planted(Bug::SendUndispatched) {
            self.job.row.due = None;
            self.job.step(at, Event::Dispatch { at: now })?;
        } else if let Err(e) = self.job.dispatch(inner, at, now).await {
            // Nothing was sent: the part is what it was.
            self.unrecorded = Some(e);
            return Err(Refusal::new(Reason::NotRecorded, "outbox").into());
        }
        self.tried = true;
        Ok(())
    }

    /// Records a try that was no success, unless it was the last: its letter says so then.
    async fn failed(&mut self, inner: &Inner, at: usize, tries: u32, e: &Error) -> Result<()> {
        let spent = tries + 1 >= inner.config.send_attempts || e.is_exhausted();
        match e.happened() {
            Happened::Yes => self.job.step(at, Event::Succeeded(sent(&Receipt::default()))),
            Happened::No => {
                self.job.step(at, Event::NotSent)?;
                self.last = spent || !e.kind().is_transient();
                if e.retry_after().is_some() && !self.last {
                    // What the platform asks for holds behind a lost commit and a restart, too.
                    self.job.row.due = Some(inner.env.now().after(pause(inner, tries, e)));
                }
                self.write(inner, None).await;
                Ok(())
            }
            Happened::Maybe => {
                self.last = spent;
                self.lost(inner, at, e).await
            }
        }
    }

    /// Records that nobody knows what became of a try.
    async fn lost(&mut self, inner: &Inner, at: usize, e: &Error) -> Result<()> {
        self.job.step(at, Event::Lost)?;
        let operation = format!("reply.{at}");
        let (now, action) = (inner.env.now(), AuditAction::EffectUnknown);
        let entry = AuditEntry::new(now, action, self.job.id, operation).because(e.kind().code());
        self.write(inner, Some(entry)).await;
        Ok(())
    }

    async fn write(&mut self, inner: &Inner, entry: Option<AuditEntry>) {
        if !self.last {
            self.unrecorded = self.job.write(inner, "attempt", entry).await.err();
        }
    }

    /// What the tries came to, when the call has ended with this error.
    async fn ended(mut self, inner: &Inner, at: usize, e: Error) -> Result<Came> {
        if let Some(unrecorded) = self.unrecorded {
            return Err(unrecorded);
        }
        if self.job.is_stale() {
            // Cut off in a commit: whether it was applied has to be read first.
            return Err(e);
        }
        match self.job.state(at) {
            Some(EffectState::Done { .. }) => return Ok(Came::Out),
            Some(state @ EffectState::Dispatching { .. }) if self.tried => {
                // The stack ended the try before its answer.
                self.last |= tries(state) >= inner.config.send_attempts;
                self.lost(inner, at, &e).await?;
                if let Some(unrecorded) = self.unrecorded {
                    return Err(unrecorded);
                }
            }
            _ => {}
        }
        let refused = e.refusal().is_some_and(Refusal::is_local);
        let refused = !self.tried || inner.resilience.is_some() && refused;
        Ok(match (self.last, refused) {
            (true, _) => Came::Final(e),
            (false, true) => Came::Refused(e),
            (false, false) => Came::Failed(e),
        })
    }
}

/// The innermost service of a channel's stack: one try.
#[derive(Clone, Copy)]
struct Leaf<'b, 'a>(&'b Tries<'a>);

impl<'b> Service<Call<Outbound>> for Leaf<'b, '_> {
    type Response = Receipt;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Receipt>> + Send + 'b>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call<Outbound>) -> Self::Future {
        Box::pin(self.0.one(call))
    }
}

/// How long to wait behind this many tries.
pub(super) fn pause(inner: &Inner, tries: u32, e: &Error) -> Duration {
    let longest = inner.config.longest_wait;
    let asked = e.retry_after().filter(|_| !planted(Bug::RetryAfterIgnored));
    doubled(inner.config.send_pause, tries, longest).max(asked.unwrap_or_default().min(longest))
}

impl Inner {
    /// The error of a try; no other one is made where its platform asks for too long a wait.
    fn unless_too_long(&self, e: Error) -> Error {
        let longest = self.config.longest_wait;
        let Some(asked) = e.retry_after().filter(|asked| *asked > longest) else { return e };
        let (asked, longest) = (asked.as_secs(), longest.as_secs());
        let why = format!("it is asked to wait for {asked} s, at most {longest} s are waited");
        let why = format!("{why}: {}", e.message());
        Error::new(e.kind(), why).with_happened(e.happened()).with_source(e).exhausted()
    }
}

/// The tries that a part's state counts.
pub(super) const fn tries(state: &EffectState) -> u32 {
    match state {
        EffectState::Claimed { tries } => *tries,
        EffectState::Dispatching { tries, .. } | EffectState::Unknown { tries, .. } => *tries + 1,
        _ => 0,
    }
}
