//! Hooks before and after any skill.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{
    Call, Error, ErrorKind, Happened, Result,
    channel::Reconcile,
    skill::{Skill, SkillAnswer, SkillManifest},
};
use serde_json::Value;
use tokio::time::timeout;

/// Looks at the calls of a skill, before and after.
///
/// * `before` may refuse a call, and can't change it: what was approved is what runs.
/// * `after` hears what became of a call that was let through, and can't change that either. It
///   does not hear of a call that was dropped.
/// * Both see shadow calls, too: `call.context().effects()` tells them.
#[async_trait]
pub trait Hook: Send + Sync + fmt::Debug + 'static {
    /// Lets the call through, or refuses it.
    ///
    /// # Errors
    /// The call is refused with this error, and nothing happened.
    async fn before(&self, call: &Call<Arc<Value>>) -> Result<()> {
        let _ = call;
        Ok(())
    }

    /// Hears the outcome.
    ///
    /// # Errors
    /// The hook missed it, which is counted. The outcome stays as it is.
    async fn after(
        &self,
        call: &Call<Arc<Value>>,
        outcome: Result<&SkillAnswer, &Error>,
    ) -> Result<()> {
        let _ = (call, outcome);
        Ok(())
    }
}

/// Any [`Skill`] with a [`Hook`] around it. Wrap it again for another hook.
///
/// | the hook | `before` | `after` |
/// |---|---|---|
/// | fails | refused with its error, `happened` is `No` | the outcome stays; counted |
/// | panics | refused as `UNCLASSIFIED`, `No` | the outcome stays; counted |
/// | takes longer than its limit | refused as `TIMEOUT`, `No` | the outcome stays; counted |
///
/// A hook's time is part of the skill's own timeout: keep the limit well below it.
///
/// ```
/// use std::sync::Arc;
///
/// use openclaw_core::{
///     Call, Context, Error, ErrorKind, Happened, Result, TenantId,
///     skill::{Skill, SkillManifest},
/// };
/// use openclaw_skills::{Hook, Hooked, SkillCx, skill_fn};
/// use serde_json::{Value, json};
///
/// #[derive(Debug)]
/// struct OfficeHours {
///     open: bool,
/// }
///
/// #[async_trait::async_trait]
/// impl Hook for OfficeHours {
///     async fn before(&self, _: &Call<Arc<Value>>) -> Result<()> {
///         match self.open {
///             true => Ok(()),
///             false => Err(Error::new(ErrorKind::Conflict, "the desk is closed")),
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let refund = async |_: SkillCx, _: String| Ok("done".to_owned());
/// let refund = skill_fn(SkillManifest::new("refund".parse()?, "1.0.0"), refund)?;
/// let refund = Hooked::new(refund, OfficeHours { open: false });
/// let input = Arc::new(json!("1042"));
/// let call = Call::skill(Context::new(TenantId::new("acme")?), refund.manifest(), input);
/// let refused = refund.run(call).await.unwrap_err();
/// assert_eq!((refused.kind(), refused.happened()), (ErrorKind::Conflict, Happened::No));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Hooked<K, H> {
    inner: K,
    hook: H,
    limit: Duration,
    missed: AtomicU64,
}

impl<K: Skill, H: Hook> Hooked<K, H> {
    /// This skill with this hook around it. The hook has one second before and one after.
    #[must_use]
    pub const fn new(inner: K, hook: H) -> Self {
        Self { inner, hook, limit: Duration::from_secs(1), missed: AtomicU64::new(0) }
    }

    /// Sets how long `before` and `after` may take, each.
    #[must_use]
    pub const fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The hook.
    #[must_use]
    pub const fn hook(&self) -> &H {
        &self.hook
    }

    /// How many outcomes the hook missed: it failed, panicked or took too long.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// What the hook says within its time.
    async fn within(&self, asked: impl Future<Output = Result<()>> + Send) -> Result<()> {
        let late = |_| Err(Error::new(ErrorKind::Timeout, "the skill's hook did not answer"));
        timeout(self.limit, caught(asked)).await.unwrap_or_else(late)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<K: Skill, H: Hook> Skill for Hooked<K, H> {
    fn manifest(&self) -> &SkillManifest {
        self.inner.manifest()
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        let refused = |e: Error| e.with_happened(Happened::No).with("skill", &self.manifest().id);
        self.within(self.hook.before(&call)).await.map_err(refused)?;
        let seen = call.clone();
        let outcome = self.inner.run(call).await;
        if self.within(self.hook.after(&seen, outcome.as_ref())).await.is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    fn validate(&self, input: &Value) -> Result<()> {
        self.inner.validate(input)
    }

    fn validate_output(&self, output: &Value) -> Result<()> {
        self.inner.validate_output(output)
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        self.inner.reconcile()
    }
}

/// Runs a hook; its panic becomes an error.
async fn caught(hook: impl Future<Output = Result<()>>) -> Result<()> {
    let mut hook = pin!(hook);
    std::future::poll_fn(|cx| {
        // Dropped after a panic and never polled again. The panic's text may quote a payload.
        std::panic::catch_unwind(AssertUnwindSafe(|| hook.as_mut().poll(cx))).unwrap_or_else(
            |_text| {
                let message = "the skill's hook panicked";
                Poll::Ready(Err(Error::new(ErrorKind::Unclassified, message)))
            },
        )
    })
    .await
}
