//! One call of an agent: through its stack, where the host has one.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{self, Poll},
};

use tower_layer::Layer;
use tower_service::Service;

use super::{Inner, effects::TurnSkills, hints::Hints, in_time, lock};
use crate::{
    Call, Error, ErrorKind, Reason, Refusal, Result,
    agent::{Agent, Answer, SessionWrite, Turn, TurnRequest},
    middleware::stack::Resilience,
    skill::SkillPort,
    words::caught::caught,
};

/// What a call of an agent came to.
pub(super) struct Asked {
    /// What the agent answered, or why it did not.
    pub(super) outcome: Result<Answer>,
    /// What it wrote into its session; none when the stack refused and it was never asked.
    pub(super) write: Option<SessionWrite>,
}

/// One attempt at a turn.
pub(super) struct Ask<'a> {
    pub(super) inner: &'a Inner,
    pub(super) agent: &'a dyn Agent,
    pub(super) skills: &'a Arc<TurnSkills>,
    pub(super) hints: Option<&'a Arc<Hints>>,
}

/// What the agent leaves, as far as it came.
#[derive(Default)]
struct Left {
    outcome: Option<Result<Answer>>,
    write: Option<SessionWrite>,
}

impl Ask<'_> {
    /// Asks the agent, once at most.
    pub(super) async fn run(&self, call: Call<TurnRequest>) -> Asked {
        let left = Mutex::default();
        let told = match &self.inner.resilience {
            None => self.one(call, &left).await,
            Some(resilience) => Box::pin(self.through(resilience, call, &left)).await,
        };
        let Left { outcome, write } = left.into_inner().unwrap_or_else(PoisonError::into_inner);
        let silent = || Error::new(ErrorKind::Unclassified, "the agent left no answer");
        let outcome = outcome.unwrap_or_else(|| Err(told.err().unwrap_or_else(silent)));
        Asked { outcome, write }
    }

    async fn through(
        &self,
        resilience: &Resilience,
        call: Call<TurnRequest>,
        left: &Mutex<Left>,
    ) -> Result<()> {
        let stack = resilience.agent(self.agent.id().as_str());
        let mut service = stack.layer(Leaf { ask: self, left });
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(call).await
    }

    /// Opens the turn, and has the agent handle it within its time.
    ///
    /// What went wrong is told the stack as exhausted: a turn's attempts are the gateway's, and a
    /// stack's would multiply them.
    async fn one(&self, call: Call<TurnRequest>, left: &Mutex<Left>) -> Result<()> {
        let limit = self.inner.config.turn_timeout;
        let context = call.context().clone().with_deadline(in_time(limit));
        let port: Arc<dyn SkillPort> = Arc::<TurnSkills>::clone(self.skills);
        let (mut turn, write) =
            Turn::open(call.with_context(context), port, self.inner.config.budget);
        if let Some(hints) = self.hints {
            turn = turn.with_emit(Arc::new(Arc::clone(hints)));
        }
        lock(left).write = Some(write);
        let handled =
            tokio::time::timeout(limit, caught("the agent", self.agent.handle(turn))).await;
        let late = || {
            Error::new(ErrorKind::Timeout, "the agent did not answer in time")
                .with("limit_ms", limit.as_millis())
        };
        let outcome = handled.unwrap_or_else(|_| Err(late()));
        let told = match &outcome {
            Ok(_) => Ok(()),
            // Not the agent's fault.
            Err(_) if self.skills.stalled() => {
                Err(Refusal::new(Reason::NotRecorded, "ledger").into())
            }
            Err(e) => Err(e.duplicate().exhausted()),
        };
        lock(left).outcome = Some(outcome);
        told
    }
}

/// The innermost service of an agent's stack.
#[derive(Clone, Copy)]
struct Leaf<'b, 'a> {
    ask: &'b Ask<'a>,
    left: &'b Mutex<Left>,
}

impl<'b> Service<Call<TurnRequest>> for Leaf<'b, '_> {
    type Response = ();
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<()>> + Send + 'b>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call<TurnRequest>) -> Self::Future {
        Box::pin(self.ask.one(call, self.left))
    }
}
