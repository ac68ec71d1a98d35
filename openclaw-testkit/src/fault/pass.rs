//! The way of one operation through its wrapper.

use std::future::pending;

use openclaw_core::{Error, ErrorKind, Happened};

use super::{Fault, Plan};

/// An operation that was let through to be done, and what its answer will meet.
#[must_use = "hand it the answer"]
pub(super) struct Pass<'a, F> {
    plan: &'a Plan,
    fault: Option<Fault>,
    error: F,
}

impl Plan {
    /// Lets an operation through, or has it meet its fault here.
    pub(super) async fn enter<E, F>(
        &self,
        names: &[&str],
        can: fn(Fault) -> bool,
        error: F,
    ) -> Result<Pass<'_, F>, E>
    where
        F: Fn(Happened) -> E + Send,
    {
        self.power().gate().await;
        let fault = self.meet(names, can);
        match fault {
            Some(Fault::Fail) => return Err(error(Happened::No)),
            Some(Fault::LoseRequest) => return Err(error(Happened::Maybe)),
            Some(Fault::Delay(by)) => {
                tokio::time::sleep(by).await;
                self.power().gate().await;
            }
            Some(Fault::CrashBefore) => self.crash().await,
            Some(Fault::Hang) => pending().await,
            Some(Fault::Panic) => boom(),
            _ => {}
        }
        Ok(Pass { plan: self, fault, error })
    }

    /// Pulls the plug, and is heard of no more.
    async fn crash(&self) -> ! {
        self.power().cut();
        pending().await
    }
}

impl<F> Pass<'_, F> {
    /// Is it to be done twice?
    pub(super) fn twice(&self) -> bool {
        self.fault == Some(Fault::Duplicate)
    }

    /// Hands the answer on, unless it is lost.
    pub(super) async fn leave<T, E>(self, outcome: Result<T, E>) -> Result<T, E>
    where
        F: Fn(Happened) -> E + Send,
        T: Send,
        E: Send,
    {
        self.plan.power().gate().await;
        let answer = outcome?;
        match self.fault {
            Some(Fault::LoseAnswer) => Err((self.error)(Happened::Maybe)),
            Some(Fault::CrashAfter) => self.plan.crash().await,
            _ => Ok(answer),
        }
    }
}

/// The error of every seam but the store's and the agent's.
pub(super) fn injected(happened: Happened) -> Error {
    Error::new(ErrorKind::Unavailable, "a fault was injected").with_happened(happened)
}

#[expect(clippy::panic, reason = "to panic is what it is for")]
pub(super) fn boom() {
    panic!("a panic was injected");
}
